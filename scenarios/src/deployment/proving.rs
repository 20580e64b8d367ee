//! What runs, read back when the load is over.

use std::net::SocketAddr;
use std::time::Duration;

use record::{Entry, Mtls, Proof, Sidecars};

use super::{Deployment, ENTRY, GATEWAY, Passage, ProxyNode, ServiceNode, prove_passages};
use crate::certs::spiffe_id;
use crate::limits::Limits;
use crate::platform::Ground;
use crate::proxy::proof::{Asked, Speech};
use crate::proxy::{Proxy, Tally, none, proof};
use crate::{Result, http};

/// What was read back of a deployment, or of a slice of one.
#[derive(Clone, Debug, PartialEq)]
pub struct Proven {
    /// What is proven by this host alone.
    pub proofs: Vec<Proof>,
    /// The ways between proxies, whose two ends may be on two hosts.
    pub passages: Vec<Passage>,
}

/// How long a plaintext request may go without an answer or a refusal.
const PROBE_PATIENCE: Duration = Duration::from_secs(10);

/// So much is shown of what an answer says, in characters.
const LONGEST_REASON: usize = 200;

impl Deployment {
    /// Reads back what runs, to be called when the load is over: whom services call; of proxies their version, their
    /// worker threads, their cgroup and limit, their configuration, and whether what went between them was secured as
    /// it should be.
    ///
    /// # Errors
    /// [`crate::Error::Unproven`] with the first claim that does not hold; [`crate::Error::Died`] and
    /// [`crate::Error::Answer`] when a part cannot be asked.
    pub fn prove(&self) -> Result<Vec<Proof>> {
        let Proven { mut proofs, passages } = self.read_back()?;
        proofs.extend(prove_passages(&passages)?);
        proofs.extend(self.prove_refusals()?);
        Ok(proofs)
    }

    /// The same without requests of our own, for a slice of a chain: what these would do to counters elsewhere must not be
    /// seen by who still reads them. When all slices were read, [`Self::prove_refusals`] and [`prove_passages`] follow.
    ///
    /// # Errors
    /// As [`Self::prove`].
    pub fn read_back(&self) -> Result<Proven> {
        let mut proofs = none::prove(&self.calls())?;
        proofs.extend(self.neighbour_proofs());
        for service in &self.services {
            proofs.extend(service.node.prove_place(&Limits::default())?);
        }
        if let Some(node_proxy) = &self.node_proxy {
            proofs.extend(self.prove_node_proxy(node_proxy)?);
        }
        let Some(proxy) = &self.proxy else { return Ok(Proven { proofs, passages: Vec::new() }) };
        // From the last to the first: a request that is still on its way then counts where it came from, and not
        // where it came from nowhere.
        let mut tallies = Vec::new();
        for node in self.proxies.iter().rev() {
            tallies.insert(0, proxy.tally(&node.place, &node.node.part, &node.ports)?);
        }
        for (node, tally) in self.proxies.iter().zip(&tallies) {
            proofs.extend(self.prove_proxy(proxy.as_ref(), node, tally)?);
            proofs.extend(proxy.prove(&node.place, &node.node.part, &node.ports)?);
        }
        proofs.extend(self.prove_passed_on(&tallies)?);
        proofs.extend(self.prove_crossing()?);
        Ok(Proven { proofs, passages: self.passages(&tallies) })
    }

    /// Speaks to each way in in clear, and proves what comes of it.
    ///
    /// # Errors
    /// [`crate::Error::Unproven`] where it is not what the mode makes of it.
    pub fn prove_refusals(&self) -> Result<Vec<Proof>> {
        self.probes.set(self.probes.get() + 1);
        let mut proofs = Vec::new();
        for node in &self.proxies {
            proofs.extend(self.probe_in_clear(node)?);
        }
        Ok(proofs)
    }

    /// Whom each service calls, and who that is.
    fn calls(&self) -> Vec<none::Call> {
        let own = |service: &ServiceNode| self.proxies.iter().find(|p| p.is_beside(service.node.part.name()));
        let listens = |address: SocketAddr| {
            if let Some(shared) = self.node_proxy.as_ref().and_then(|shared| shared.listens(address)) {
                return shared;
            }
            let service = self.services.iter().find(|s| s.listen == address).map(|s| s.node.part.name());
            let proxy = self
                .proxies
                .iter()
                .find(|p| p.ports.inbound == Some(address) || p.ports.outbound.iter().any(|(_, at)| *at == address));
            let elsewhere = || self.elsewhere.iter().flat_map(|reached| &reached.instances);
            if let Some(there) = elsewhere().find(|there| there.address == address) {
                return there.part.clone();
            }
            service.or(proxy.map(|p| p.node.part.name())).unwrap_or("someone else").to_owned()
        };
        let target_of = |callee: &str| self.services.iter().find(|s| s.service == callee);
        let expected = |service: &ServiceNode, callee: &str| {
            if let Ground::Pods(_) = self.ground {
                return Some(target_of(callee)?.node.part.name().to_owned());
            }
            if let Some(shared) = &self.node_proxy {
                return shared.listener(service.node.part.name(), callee);
            }
            let own = own(service).filter(|own| own.ports.to(callee).is_some());
            let Some(target) = target_of(callee) else {
                let there = self.elsewhere(callee)?.instances.first()?.part.clone();
                return Some(own.map_or(there, |own| own.node.part.name().to_owned()));
            };
            let theirs =
                self.proxies.iter().find(|p| p.is_beside(target.node.part.name()) && p.ports.inbound.is_some());
            Some(own.or(theirs).map_or(target.node.part.name(), |p| p.node.part.name()).to_owned())
        };
        let of = |service: &'_ ServiceNode| {
            let calls = service.calls.iter().filter_map(|(callee, said)| {
                Some(none::Call {
                    caller: service.node.part.name().to_owned(),
                    said: *said,
                    listens: listens(*said),
                    callee: expected(service, callee)?,
                })
            });
            calls.collect::<Vec<_>>()
        };
        self.services.iter().flat_map(of).collect()
    }

    fn prove_proxy(&self, program: &dyn Proxy, proxy: &ProxyNode, tally: &Tally) -> Result<Vec<Proof>> {
        let ProxyNode { node, place, .. } = proxy;
        let name = node.part.name();
        let mut proofs = vec![proof::claim(name, "program", &node.program, &tally.program, &tally.program_source)?];
        proofs.push(program.workers(&node.part, self.factors.workers)?);
        proofs.extend(node.prove_place(&Limits::of(&self.factors))?);
        let asked = |speech: Speech| Asked { part: name, speech, refused_probes: self.probes.get() };
        if let Some(way) = &tally.inbound {
            proofs.extend(proof::inbound(&asked(self.speech_into(place)), way)?);
        }
        for callee in &place.callees {
            let Some(way) = tally.to(&callee.service) else { continue };
            let speech = if callee.secured { Speech::Secured(vec![spiffe_id(&callee.service)]) } else { Speech::Clear };
            proofs.extend(proof::outbound(&asked(speech), &callee.service, way)?);
        }
        Ok(proofs)
    }

    /// How the callers of a service speak to its proxy.
    fn speech_into(&self, place: &crate::proxy::Place) -> Speech {
        if place.door.is_some() {
            return Speech::Server;
        }
        let entered = self.shape.services.first().is_some_and(|first| first.name == place.service);
        let unmeshed = self.factors.sidecars == Sidecars::Server || (entered && self.factors.entry == Entry::Plain);
        if unmeshed || place.mode() == Mtls::Disable {
            return Speech::Clear;
        }
        // By the shape and not by the proxies that are here: callers may stand on other hosts.
        let mut ids: Vec<String> = self.shape.callers(&place.service).map(|s| spiffe_id(&s.name)).collect();
        if entered {
            ids.push(spiffe_id(if self.factors.entry == Entry::Gateway { GATEWAY } else { ENTRY }));
        }
        ids.sort();
        ids.dedup();
        Speech::Secured(ids)
    }

    /// What came in at a proxy went out again.
    fn prove_passed_on(&self, tallies: &[Tally]) -> Result<Vec<Proof>> {
        let mut proofs = Vec::new();
        for (proxy, tally) in self.proxies.iter().zip(tallies) {
            let (Some(came), false) = (&tally.inbound, self.may_fall_short()) else { continue };
            let calls = self.calls_a_request(&proxy.place.service);
            for (callee, went) in &tally.outbound {
                let most = came.requests.value.saturating_mul(calls(callee));
                let from = ("its inbound side", most);
                // Retries are requests more than came in.
                let found = went.requests.value.saturating_sub(tally.retries.as_ref().map_or(0, |r| r.value));
                proofs.push(proof::passed_on(proxy.node.part.name(), from, found, &went.requests.source)?);
            }
        }
        Ok(proofs)
    }

    /// How often a service calls a callee for each request; a gateway passes each one on.
    fn calls_a_request(&self, service: &str) -> impl Fn(&str) -> u64 {
        let services = &self.shape.services;
        let steps = services.iter().find(|s| s.name == service).map(|s| s.steps.as_slice()).unwrap_or_default();
        move |callee: &str| {
            let calls = steps.iter().flat_map(|step| &step.calls);
            let to = calls.filter(|call| services.get(call.callee).is_some_and(|s| s.name == callee)).count() as u64;
            if steps.is_empty() { 1 } else { to }
        }
    }

    /// Speaks to a way in in clear: refused under strict, answered otherwise.
    fn probe_in_clear(&self, proxy: &ProxyNode) -> Result<Option<Proof>> {
        let (Some(inbound), None) = (proxy.ports.inbound, &proxy.place.door) else { return Ok(None) };
        let admitted = proxy.place.mode() != Mtls::Strict;
        self.request_in_clear(proxy.node.part.name(), inbound, admitted).map(Some)
    }

    /// What comes of a request in clear to where a proxy takes callers.
    pub(super) fn request_in_clear(&self, part: &str, inbound: SocketAddr, admitted: bool) -> Result<Proof> {
        let expected = if admitted { "answered" } else { "refused" };
        // From a pod in which nothing is redirected: a caller outside of the mesh.
        let found = match self.within(GATEWAY, || http::get(inbound, "/", PROBE_PATIENCE)) {
            // A service that is to fail requests may fail this one.
            Ok(answer) if answer.status == 200 || self.may_fall_short() => "answered".to_owned(),
            Ok(answer) => refusal(&answer),
            Err(e) if e.kind() == std::io::ErrorKind::TimedOut => "left without an answer".to_owned(),
            Err(_) => "refused".to_owned(),
        };
        let source = format!("a request in clear to {inbound}");
        proof::claim(part, "a request in clear", expected, &found, &source)
    }
}

/// An answer that is none of a service that is well. Proxies and services of ours say why in one line.
fn refusal(answer: &http::Answer) -> String {
    let text = answer.text();
    let why: String = text.lines().next().unwrap_or_default().chars().take(LONGEST_REASON).collect();
    match why.is_empty() {
        true => format!("answered with status {}", answer.status),
        false => format!("answered with status {} ({why})", answer.status),
    }
}
