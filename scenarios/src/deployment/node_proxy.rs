//! A proxy that all workloads of a deployment share: where they reach it, what is proven of it, its rotation.

use std::net::SocketAddr;

use record::{Event, Mtls, Proof, monotonic_ns};

use super::scraper::Target;
use super::tending::ONLOOKER;
use super::{Deployment, ENTRY, Node, ServiceNode};
use crate::certs::spiffe_id;
use crate::limits::Limits;
use crate::proxy::ambient::{InboundStats, Listening, OutboundStats, Stats};
use crate::proxy::node_proxy::{self, NODE_PROXY, SCRAPE_PATH, Seat};
use crate::proxy::{Stand, proof};
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
        Target { part: NODE_PROXY.to_owned(), stand: Stand::Loopback, admin: self.at.admin, path: SCRAPE_PATH }
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
        for seat in seats {
            proofs.extend(self.prove_seat(proxy, seat, &stats, &source)?);
        }
        self.probes.set(self.probes.get() + 1);
        let admitted = self.factors.own_port_mtls() != Mtls::Strict;
        for seat in seats.iter().filter(|seat| seat.app.is_some()) {
            let Some(inbound) = proxy.inbound(&seat.name) else { continue };
            proofs.push(self.request_in_clear(NODE_PROXY, inbound, admitted)?);
        }
        Ok(proofs)
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
        proofs.extend(self.prove_clear(proxy, seat, &counted, inbound)?);
        Ok(proofs)
    }

    /// What came in in clear: under strict nothing; otherwise our own probes, and the load where it enters so.
    fn prove_clear(
        &self,
        proxy: &NodeProxy,
        seat: &Seat,
        counted: &Counted<'_>,
        inbound: &InboundStats,
    ) -> Result<Vec<Proof>> {
        let probes = self.probes.get();
        if self.factors.own_port_mtls() == Mtls::Strict {
            let refused = counted.exactly("inbound.clear_refused", probes, inbound.clear_refused)?;
            return Ok(vec![counted.exactly("inbound.clear", 0, inbound.clear)?, refused]);
        }
        let entered = self.shape.services.first().is_some_and(|first| first.name == seat.service);
        let clear = if entered && proxy.seat(ENTRY).is_none() {
            counted.some("inbound.clear", inbound.clear)
        } else {
            counted.exactly("inbound.clear", probes, inbound.clear)
        };
        Ok(vec![clear?])
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
        let places = &proxy.at.workloads;
        let tunnels = serials.into_iter().filter_map(|(name, serial)| Some((places.get(&name)?.tunnel?, serial)));
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
