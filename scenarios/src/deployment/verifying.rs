//! Whether a chain takes what its mTLS mode says, asked from outside of the mesh, and what crosses its links in clear.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use record::{Entry, Factors, Mtls, Proof, Sidecars};

use super::{CLIENT, Deployment, GATEWAY, ONLOOKER};
use crate::http;
use crate::network::{Network, Seen};
use crate::onlooker::serial_shown;
use crate::platform::Ground;
use crate::{Error, Result};

/// How long an answer may take; a refusal that is silence takes as long.
const PATIENCE: Duration = Duration::from_secs(3);

/// What was asked about a running chain, and what it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The question, what should be, what was found and where it was read.
    pub proof: Proof,
}

impl Verdict {
    fn new(part: &str, claim: &str, expected: &str, found: &str, source: String) -> Self {
        let proof = Proof {
            part: part.to_owned(),
            claim: claim.to_owned(),
            expected: expected.to_owned(),
            found: found.to_owned(),
            source,
        };
        Self { proof }
    }

    /// Whether it is as it should be.
    pub fn holds(&self) -> bool {
        self.proof.expected == self.proof.found
    }
}

/// Where one part calls another, in words and as their pods.
struct Edge {
    caller: String,
    callee: String,
    caller_meshed: bool,
    callee_meshed: bool,
    /// Whether TLS is spoken by the caller itself, whatever the mesh does.
    own_tls: bool,
}

impl Deployment {
    /// Asks each service in clear and with a certificate of the mesh, and, in pods, sends a marker through the chain and
    /// looks for it on the links. What should be follows from `claimed`, which need not be what was deployed: so is a
    /// mode found out that was changed behind its user's back.
    ///
    /// # Errors
    /// A capture that cannot be begun or read. That something is not as claimed is no error but a verdict.
    pub fn verify(&self, claimed: &Factors) -> Result<Vec<Verdict>> {
        let mut verdicts = Vec::new();
        for service in &self.services {
            let part = service.node.part.name();
            let meshed = claimed.meshed() && claimed.sidecars != Sidecars::Client;
            let address = match self.ground {
                Ground::Pods(_) => Some(service.listen),
                // On loopback a service can be asked past its sidecar, which says nothing.
                Ground::Loopback if meshed => self.inbound(part),
                Ground::Loopback => Some(service.listen),
            };
            let Some(address) = address else { continue };
            // Where a proxy is shared, a certificate is shown in tunnels and at no port of the service.
            let tunnel = self.node_proxy.as_ref().and_then(|shared| shared.tunnel(part));
            for port in self.ports_to_ask(&service.ports, address) {
                let mode = match (meshed, port == address.port()) {
                    (false, _) => Mtls::Disable,
                    (true, true) => claimed.own_port_mtls(),
                    (true, false) => claimed.mtls,
                };
                let (own, address) = (address.port(), SocketAddr::new(address.ip(), port));
                verdicts.push(self.in_clear(part, address, mode));
                if tunnel.is_none() || port == own {
                    verdicts.extend(self.with_certificate(part, tunnel.unwrap_or(address), mode)?);
                }
            }
        }
        if let Ground::Pods(network) = &self.ground {
            verdicts.extend(self.marker_on_links(network, claimed)?);
        }
        Ok(verdicts)
    }

    /// In a pod all ports of a service; on loopback its proxy takes one only.
    fn ports_to_ask(&self, ports: &[u16], address: SocketAddr) -> Vec<u16> {
        match self.ground {
            Ground::Pods(_) => ports.to_vec(),
            Ground::Loopback => vec![address.port()],
        }
    }

    /// In a pod the ports of a service have numbers that mean something.
    fn to_port(&self, address: SocketAddr) -> String {
        match self.ground {
            Ground::Pods(_) => format!(", port {}", address.port()),
            Ground::Loopback => String::new(),
        }
    }

    fn in_clear(&self, part: &str, address: SocketAddr, mode: Mtls) -> Verdict {
        let expected = if mode == Mtls::Strict { "refused" } else { "answered" };
        let found = match self.within(GATEWAY, || http::get(address, "/", PATIENCE)) {
            // Whatever it answers, it has read what was sent in clear.
            Ok(_) => "answered",
            Err(e) if e.kind() == std::io::ErrorKind::TimedOut => "left without an answer",
            Err(_) => "refused",
        };
        let claim = format!("a request in clear{}", self.to_port(address));
        Verdict::new(part, &claim, expected, found, format!("a request in clear to {address}"))
    }

    fn with_certificate(&self, part: &str, address: SocketAddr, mode: Mtls) -> Result<Option<Verdict>> {
        let Some(authority) = &self.authority else { return Ok(None) };
        let onlooker = authority.issue(ONLOOKER)?;
        let expected = if mode == Mtls::Disable { "refused" } else { "done" };
        let shown = self.within(GATEWAY, || serial_shown(address, &onlooker, PATIENCE));
        let found = if shown.is_ok() { "done" } else { "refused" };
        let source = match shown {
            Ok(serial) => format!("a handshake with {address}, which showed certificate {serial}"),
            Err(e) => format!("a handshake with {address}: {e}"),
        };
        let claim = format!("a handshake with a certificate of the mesh{}", self.to_port(address));
        Ok(Some(Verdict::new(part, &claim, expected, found, source)))
    }

    /// Sends a marker through the chain while everything that crosses the links is recorded.
    fn marker_on_links(&self, network: &Network, claimed: &Factors) -> Result<Vec<Verdict>> {
        let marker = format!("meshtax-marker-{:032x}", rand::random::<u128>());
        let capture = network.capture()?;
        let answer = self.ask(marker.as_bytes(), PATIENCE);
        let seen = capture.finish()?;
        let status = answer.map_err(|e| unanswered(&e.to_string()))?.status;
        if status != 200 && !self.may_fall_short() {
            return Err(unanswered(&format!("status {status}")));
        }
        let of = |edge: &Edge| self.on_link(network, edge, claimed, (&seen, marker.as_bytes()));
        Ok(self.edges(claimed).iter().map(of).collect())
    }

    fn on_link(&self, network: &Network, edge: &Edge, claimed: &Factors, looked: (&Seen, &[u8])) -> Verdict {
        let (seen, marker) = looked;
        // A service in subsets has a pod for each.
        let pods = |name: &str| {
            let processes = self.services.iter().filter(|s| s.service == name).map(|s| s.listen.ip());
            processes.chain(network.pod(name).map(|p| IpAddr::V4(p.address))).collect::<Vec<_>>()
        };
        let (callers, callees) = (pods(&edge.caller), pods(&edge.callee));
        let both = edge.caller_meshed && edge.callee_meshed;
        let secured = edge.own_tls || (both && claimed.own_port_mtls() != Mtls::Disable);
        let expected = if secured { "not in clear" } else { "in clear" };
        let mut streams = seen.streams.iter().filter(|stream| {
            let (from, to) = (IpAddr::V4(*stream.source.ip()), IpAddr::V4(*stream.destination.ip()));
            callers.contains(&from) && callees.contains(&to)
        });
        let found = if streams.any(|stream| stream.contains(marker)) {
            "in clear"
        } else if seen.complete() {
            "not in clear"
        } else {
            "unknown: the capture has holes"
        };
        let source = format!("{} frames captured on the links", seen.frames);
        let part = format!("{} -> {}", edge.caller, edge.callee);
        Verdict::new(&part, "a marker in the body", expected, found, source)
    }

    /// The edges that a body sent into the chain crosses.
    fn edges(&self, claimed: &Factors) -> Vec<Edge> {
        let Some(first) = self.shape.services.first() else { return Vec::new() };
        let meshed = claimed.meshed();
        let callee_meshed = meshed && claimed.sidecars != Sidecars::Client;
        let caller_meshed = meshed && claimed.sidecars != Sidecars::Server;
        let edge = |caller: &str, callee: &str, caller_meshed: bool, own_tls: bool| Edge {
            caller: caller.to_owned(),
            callee: callee.to_owned(),
            caller_meshed,
            callee_meshed,
            own_tls,
        };
        let mut edges = match claimed.entry {
            Entry::Gateway if meshed => {
                vec![edge(CLIENT, GATEWAY, false, true), edge(GATEWAY, &first.name, true, false)]
            }
            Entry::Plain => vec![edge(CLIENT, &first.name, false, false)],
            Entry::Sidecar | Entry::Gateway => vec![edge(CLIENT, &first.name, caller_meshed, false)],
        };
        let mut at = first;
        // A service passes on the body that came if it makes a single call.
        while let Some(callee) = at.passes_on_to().and_then(|index| self.shape.services.get(index)) {
            edges.push(edge(&at.name, &callee.name, caller_meshed, false));
            at = callee;
        }
        edges
    }
}

fn unanswered(said: &str) -> Error {
    Error::Network { action: "send a marker through the chain".to_owned(), said: said.to_owned() }
}
