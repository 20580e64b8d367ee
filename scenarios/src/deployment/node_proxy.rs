//! A proxy that all workloads of a deployment share: where they reach it, what is proven of it, its rotation.

use std::net::SocketAddr;

use record::{Event, Proof, monotonic_ns};

use super::tending::ONLOOKER;
use super::{Deployment, ENTRY, Node, ServiceNode};
use crate::certs::spiffe_id;
use crate::limits::Limits;
use crate::network::PROXY_USER;
use crate::platform::Ground;
use crate::proxy::ambient::{InboundStats, Listening, OutboundStats, Stats};
use crate::proxy::node_proxy::{self, NODE_PROXY, SCRAPE_PATH, Seat};
use crate::proxy::{Stand, proof};
use crate::scraper::Target;
use crate::{Error, Result};

/// The proxy that all workloads share.
#[derive(Debug)]
pub(crate) struct NodeProxy {
    pub(crate) node: Node,
    pub(crate) seats: Vec<Seat>,
    pub(crate) at: Listening,
    /// How often we looked at the certificate of each workload, as a caller of its own.
    pub(crate) looks: u64,
}

impl NodeProxy {
    fn seat(&self, name: &str) -> Option<&Seat> {
        self.seats.iter().find(|seat| seat.name == name)
    }

    /// Where the load enters: by way of it as the service's other callers do, or as one who is not in the mesh.
    pub(super) fn entry(&self, first: &ServiceNode) -> Option<SocketAddr> {
        match self.seat(ENTRY) {
            Some(_) => self.dialled(ENTRY, first),
            None => self.inbound(first.node.part.name()),
        }
    }

    /// What a program dials to call a service by way of it; none if that is no call of the program's.
    pub(super) fn dialled(&self, caller: &str, callee: &ServiceNode) -> Option<SocketAddr> {
        let seat = self.seat(caller).filter(|seat| seat.callees.contains(&callee.service))?;
        match seat.stand {
            // A program in a pod knows of no proxy.
            Stand::Pod(_) => Some(callee.listen),
            Stand::Loopback => self.at.workloads.get(caller)?.outbound.get(callee.node.part.name()).copied(),
        }
    }

    /// Where callers that are not in the mesh come in.
    pub(super) fn inbound(&self, name: &str) -> Option<SocketAddr> {
        let seat = self.seat(name)?;
        match seat.stand {
            Stand::Pod(_) => seat.app.as_ref().map(|app| app.address),
            Stand::Loopback => self.at.workloads.get(name)?.clear,
        }
    }

    /// Where tunnels to a workload are opened.
    pub(super) fn tunnel(&self, name: &str) -> Option<SocketAddr> {
        self.at.workloads.get(name)?.tunnel
    }

    /// Who it is that listens at an address of it: "node-proxy, for s1 to s2".
    pub(super) fn listens(&self, address: SocketAddr) -> Option<String> {
        self.at.workloads.iter().find_map(|(caller, places)| {
            let callee = places.outbound.iter().find(|(_, at)| **at == address).map(|(callee, _)| callee)?;
            Some(described(caller, callee))
        })
    }

    /// Who should listen where a program dials another; none where that is not its own listener.
    pub(super) fn listener(&self, caller: &str, callee: &str) -> Option<String> {
        self.at.workloads.get(caller)?.outbound.contains_key(callee).then(|| described(caller, callee))
    }

    /// Its counters, to be asked for.
    pub(super) fn target(&self) -> Target {
        Target {
            part: NODE_PROXY.to_owned(),
            stand: Stand::Loopback,
            admin: self.at.admin,
            path: SCRAPE_PATH.to_owned(),
        }
    }

    /// The ids of those who call a service.
    fn callers(&self, service: &str) -> Vec<String> {
        let callers = self.seats.iter().filter(|seat| seat.callees.iter().any(|callee| callee == service));
        callers.map(|seat| spiffe_id(&seat.service)).collect()
    }

    /// Those ids and ours, if we looked at its certificate, as they are counted.
    fn peers(&self, callers: &[String]) -> Vec<String> {
        let ours = (self.looks > 0).then(|| spiffe_id(ONLOOKER));
        let mut ids: Vec<String> = callers.iter().cloned().chain(ours).collect();
        ids.sort();
        ids
    }
}

fn described(caller: &str, callee: &str) -> String {
    format!("{NODE_PROXY}, for {caller} to {callee}")
}

impl Deployment {
    /// Reads back the proxy that all share: what it is, that every connection between workloads went through a tunnel
    /// of the right two, and what it does with one in clear.
    pub(super) fn prove_node_proxy(&self, proxy: &NodeProxy) -> Result<Vec<Proof>> {
        let NodeProxy { node, seats, at, looks: _ } = proxy;
        let source = format!("{}/stats", at.admin);
        let stats = node_proxy::stats(&node.part, at.admin)?;
        let found = format!("meshtax {}", stats.version);
        let mut proofs = vec![proof::claim(NODE_PROXY, "program", &node.program, &found, &source)?];
        proofs.push(proof::workers(NODE_PROXY, node.part.pid(), self.factors.workers)?);
        proofs.extend(node.prove_place(&Limits::of(&self.factors))?);
        proofs.extend(self.prove_rights(node)?);
        for seat in seats {
            proofs.extend(self.prove_seat(proxy, seat, &stats, &source)?);
        }
        proofs.extend(self.prove_tunnelled(proxy)?);
        self.probes.set(self.probes.get() + 1);
        for (address, admitted) in seats.iter().flat_map(|seat| self.ways_in(proxy, seat)) {
            proofs.push(self.request_in_clear(NODE_PROXY, address, admitted)?);
        }
        Ok(proofs)
    }

    /// In pods: that it is the user whose connections are not redirected again, with no right but to enter pods.
    fn prove_rights(&self, node: &Node) -> Result<Option<Proof>> {
        let Ground::Pods(_) = self.ground else { return Ok(None) };
        let path = format!("/proc/{}/status", node.part.pid());
        let status = std::fs::read_to_string(&path).unwrap_or_default();
        let first = |field: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(field));
            line.and_then(|line| line.split_whitespace().next()).unwrap_or("nothing").to_owned()
        };
        let found = format!("user {}, group {}, rights {}", first("Uid:"), first("Gid:"), first("CapEff:"));
        // CAP_SYS_ADMIN is the 21st (linux/capability.h).
        let expected = format!("user {PROXY_USER}, group {PROXY_USER}, rights {:016x}", 1 << 21);
        proof::claim(NODE_PROXY, "user and rights", &expected, &found, &path).map(Some)
    }

    /// Where callers that are not in the mesh come to a workload, and whether they are let in: in a pod to each port,
    /// on loopback to its own.
    fn ways_in(&self, proxy: &NodeProxy, seat: &Seat) -> Vec<(SocketAddr, bool)> {
        let (Some(app), Some(inbound)) = (&seat.app, proxy.inbound(&seat.name)) else { return Vec::new() };
        let clear = seat.clear_ports(&self.factors);
        match seat.stand {
            Stand::Loopback => vec![(inbound, clear.contains(&app.address.port()))],
            Stand::Pod(_) => {
                app.ports.iter().map(|port| (SocketAddr::new(inbound.ip(), *port), clear.contains(port))).collect()
            }
        }
    }

    fn prove_seat(&self, proxy: &NodeProxy, seat: &Seat, stats: &Stats, source: &str) -> Result<Vec<Proof>> {
        let missing = || Error::Answer {
            part: NODE_PROXY.to_owned(),
            problem: format!("{source} tells nothing of {}", seat.name),
            log: Vec::new(),
        };
        let own = stats.workloads.get(&seat.name).ok_or_else(missing)?;
        let counted = Counted { name: &seat.name, source };
        let mut proofs = vec![counted.exactly("misdirected", 0, own.misdirected)?];
        for callee in &seat.callees {
            let outbound = own.outbound.get(callee).ok_or_else(missing)?;
            proofs.extend(counted.outbound(callee, outbound)?);
        }
        if seat.app.is_none() {
            return Ok(proofs);
        }
        let inbound = own.inbound.as_ref().ok_or_else(missing)?;
        let callers = proxy.callers(&seat.service);
        proofs.extend(counted.inbound(&callers, &proxy.peers(&callers), inbound)?);
        if !callers.is_empty() {
            let sent = |one: &Seat| stats.workloads.get(&one.name)?.outbound.get(&seat.name);
            let sent: Vec<&OutboundStats> = proxy.seats.iter().filter_map(sent).collect();
            proofs.push(counted.passed_on(&sent, inbound)?);
        }
        // Of callers in clear we know our own, and the load where it enters so.
        let (admitted, refused): (Vec<_>, Vec<_>) = self.ways_in(proxy, seat).into_iter().partition(|way| way.1);
        let probes = |ways: Vec<_>| self.probes.get() * ways.len() as u64;
        proofs.push(counted.exactly("inbound.clear_refused", probes(refused), inbound.clear_refused)?);
        let entered = self.shape.services.first().is_some_and(|first| first.name == seat.service);
        proofs.push(if entered && proxy.seat(ENTRY).is_none() {
            counted.some("inbound.clear", inbound.clear)?
        } else {
            counted.exactly("inbound.clear", probes(admitted), inbound.clear)?
        });
        Ok(proofs)
    }

    /// Gives every workload a new certificate, and looks at those that are shown to callers.
    pub(super) fn rotate_node_proxy(&mut self) -> Result<Vec<Event>> {
        let (Some(proxy), Some(authority)) = (&mut self.node_proxy, &self.authority) else { return Ok(Vec::new()) };
        let mut serials = Vec::new();
        for seat in &proxy.seats {
            let identity = authority.issue(&seat.service)?.named(&seat.name);
            serials.push((seat.name.clone(), identity.serial()?));
            self.folders.replace_identity(&identity)?;
        }
        let at_ns = monotonic_ns();
        node_proxy::renew(&mut proxy.node.part)?;
        proxy.looks += 1;
        let part = || NODE_PROXY.to_owned();
        let rotated =
            |(_, serial): &(String, String)| Event::CertificateRotated { at_ns, part: part(), serial: serial.clone() };
        let mut events: Vec<Event> = serials.iter().map(rotated).collect();
        let tunnels = serials.into_iter().filter_map(|(name, serial)| Some((proxy.tunnel(&name)?, serial)));
        let tunnels: Vec<(SocketAddr, String)> = tunnels.collect();
        for (tunnel, serial) in tunnels {
            let found = self.shown(authority, tunnel)?;
            let claim = "serial number of the certificate it shows";
            proof::claim(NODE_PROXY, claim, &serial, &found, &format!("a handshake with {tunnel}"))?;
            events.push(Event::CertificateSeen { at_ns: monotonic_ns(), part: part(), serial });
        }
        Ok(events)
    }
}

/// Counters of a workload, by where they were read.
struct Counted<'a> {
    name: &'a str,
    source: &'a str,
}

impl Counted<'_> {
    fn held(&self, holds: bool, counter: &str, expected: &str, found: &str) -> Result<Proof> {
        let claim = format!("{} {counter}", self.name);
        proof::held(holds, NODE_PROXY, &claim, expected, found, &format!("{} {claim}", self.source))
    }

    fn exactly(&self, counter: &str, expected: u64, found: u64) -> Result<Proof> {
        self.held(expected == found, counter, &expected.to_string(), &found.to_string())
    }

    fn some(&self, counter: &str, found: u64) -> Result<Proof> {
        self.held(found > 0, counter, "more than 0", &found.to_string())
    }

    fn peers(&self, counter: &str, expected: &[String], found: impl Iterator<Item = String>) -> Result<Proof> {
        let (expected, found) = (expected.join(", "), found.collect::<Vec<_>>().join(", "));
        self.held(expected == found, counter, &expected, &found)
    }

    /// That calls to a callee went through tunnels to nobody else.
    fn outbound(&self, callee: &str, stats: &OutboundStats) -> Result<Vec<Proof>> {
        let of = |what: &str| format!("outbound.{callee}.{what}");
        Ok(vec![
            self.some(&of("streams"), stats.streams)?,
            self.some(&of("tls_handshakes (mTLS)"), stats.tls_handshakes)?,
            self.peers(&of("peers"), &[spiffe_id(callee)], stats.peers.keys().cloned())?,
            self.some(&of("bytes_sent"), stats.bytes_sent)?,
            self.some(&of("bytes_received"), stats.bytes_received)?,
        ])
    }

    /// That callers came in through tunnels, and all of them were those who call it.
    fn inbound(&self, callers: &[String], peers: &[String], stats: &InboundStats) -> Result<Vec<Proof>> {
        let peers = self.peers("inbound.peers", peers, stats.peers.keys().cloned())?;
        if callers.is_empty() {
            return Ok(vec![peers, self.exactly("inbound.streams", 0, stats.streams)?]);
        }
        Ok(vec![
            self.some("inbound.streams", stats.streams)?,
            self.some("inbound.tls_handshakes (mTLS)", stats.tls_handshakes)?,
            peers,
            self.exactly("inbound.streams_refused", 0, stats.streams_refused)?,
        ])
    }

    /// That no stream came in which no caller's side had asked for.
    fn passed_on(&self, sent: &[&OutboundStats], inbound: &InboundStats) -> Result<Proof> {
        let most: u64 = sent.iter().map(|stats| stats.streams).sum();
        let holds = (1..=most).contains(&inbound.streams);
        let expected = format!("1 to {most}, which its callers' sides asked for");
        self.held(holds, "inbound.streams passed on", &expected, &inbound.streams.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const COUNTED: Counted<'_> = Counted { name: "s1", source: "127.0.0.1:1/stats" };

    fn inbound() -> InboundStats {
        let peers = BTreeMap::from([(spiffe_id("entry"), 1)]);
        InboundStats { streams: 4, tls_handshakes: 1, peers, ..InboundStats::default() }
    }

    fn outbound() -> OutboundStats {
        let peers = BTreeMap::from([(spiffe_id("s2"), 1)]);
        let (streams, tls_handshakes, bytes_sent, bytes_received) = (4, 1, 10, 20);
        OutboundStats { streams, tls_handshakes, peers, bytes_sent, bytes_received, ..OutboundStats::default() }
    }

    fn came(stats: InboundStats) -> std::result::Result<usize, String> {
        let callers = [spiffe_id("entry")];
        COUNTED.inbound(&callers, &callers, &stats).map(|proofs| proofs.len()).map_err(|e| e.to_string())
    }

    fn went(stats: OutboundStats) -> std::result::Result<usize, String> {
        COUNTED.outbound("s2", &stats).map(|proofs| proofs.len()).map_err(|e| e.to_string())
    }

    #[test]
    fn each_point_that_fails_is_named_with_what_was_found() {
        assert_eq!((came(inbound()), went(outbound())), (Ok(4), Ok(5)));
        let stranger = BTreeMap::from([(spiffe_id("entry"), 1), (spiffe_id("s9"), 1)]);
        for (said, says) in [
            (came(InboundStats { streams: 0, ..inbound() }), "s1 inbound.streams should be more than 0 and is 0"),
            (came(InboundStats { tls_handshakes: 0, ..inbound() }), "s1 inbound.tls_handshakes (mTLS) should be"),
            (came(InboundStats { peers: stranger, ..inbound() }), "s1 inbound.peers should be spiffe://"),
            (came(InboundStats { streams_refused: 2, ..inbound() }), "s1 inbound.streams_refused should be 0 and is 2"),
            (went(OutboundStats { streams: 0, ..outbound() }), "s1 outbound.s2.streams should be more than 0"),
            (went(OutboundStats { peers: BTreeMap::new(), ..outbound() }), "s1 outbound.s2.peers should be spiffe://"),
            (went(OutboundStats { bytes_sent: 0, ..outbound() }), "s1 outbound.s2.bytes_sent should be more than 0"),
        ] {
            let said = said.unwrap_err();
            assert!(said.starts_with(&format!("node-proxy: {says}")), "{said}");
        }
    }

    #[test]
    fn a_service_that_nobody_calls_has_no_tunnel_into_it() {
        let nobody = |stats: &InboundStats| COUNTED.inbound(&[], &[], stats).map(|proofs| proofs.len());
        assert_eq!(nobody(&InboundStats::default()).unwrap(), 2);
        let looked_at = InboundStats { streams: 1, ..InboundStats::default() };
        assert!(nobody(&looked_at).unwrap_err().to_string().contains("s1 inbound.streams should be 0 and is 1"));
    }

    #[test]
    fn a_stream_that_no_caller_asked_for_came_by_another_way() {
        let (one, two) = (outbound(), outbound());
        let found = |streams| COUNTED.passed_on(&[&one, &two], &InboundStats { streams, ..inbound() }).is_ok();
        assert_eq!((found(8), found(7), found(9), found(0)), (true, true, false, false));
    }
}
