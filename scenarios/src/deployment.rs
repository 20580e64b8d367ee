//! A chain that runs: its parts, what is proven of them, and its end.

mod node;

use std::cell::Cell;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use record::{Factors, Mtls, Part, Proof, Role};

use crate::certs::spiffe_id;
use crate::limits::{CgroupTree, Leaf};
use crate::proxy::envoy::EnvoyProgram;
use crate::proxy::{Proxy, Tally, none, proof};
use crate::{Error, Result, http};
pub(crate) use node::{Node, Private, ServiceNode, SidecarNode};

/// How long a part may take to end once it was asked to.
const GRACE: Duration = Duration::from_secs(3);

/// How long a plaintext request may go without an answer or a refusal.
const PROBE_PATIENCE: Duration = Duration::from_secs(10);

/// What is to be deployed, and where its files go.
#[derive(Clone, Copy, Debug)]
pub struct DeploymentSpec<'a> {
    /// The cell's factors.
    pub factors: &'a Factors,
    /// The path of `meshtax` itself, which is every service and every built-in sidecar.
    pub program: &'a Path,
    /// The Envoy, for cells that need one.
    pub envoy: Option<&'a EnvoyProgram>,
    /// The trial's directory: configurations as they ran, and `logs/`.
    pub directory: &'a Path,
    /// A directory of mode 0700 for keys; each deployment has one of its own in it while it lives.
    pub scratch: &'a Path,
    /// The run's cgroups, where they are permitted.
    pub cgroups: Option<&'a CgroupTree>,
    /// How long each part may take until it answers.
    pub ready_timeout: Duration,
}

/// Starts a chain on this host and waits until a request has gone through all of it.
///
/// To be called from a thread that lives as long as the deployment: its parts are killed when that thread ends.
///
/// # Errors
/// [`Error::LimitNotPermitted`] for a limit that cannot be set here, [`Error::NoEnvoy`] for an Envoy that is not
/// there, [`Error::Died`] and [`Error::NotReady`] with the last log lines of a part that does not come up.
pub fn deploy(spec: &DeploymentSpec<'_>) -> Result<Deployment> {
    crate::platform::processes::deploy(spec)
}

/// A chain that runs. Dropping it kills it.
pub struct Deployment {
    pub(crate) factors: Factors,
    /// The first service first.
    pub(crate) services: Vec<ServiceNode>,
    /// The entry's first, then each service's; empty without proxies.
    pub(crate) sidecars: Vec<SidecarNode>,
    pub(crate) proxy: Option<Box<dyn Proxy>>,
    pub(crate) private: Private,
    /// How often each inbound listener was spoken to in clear, to see what it does.
    pub(crate) probes: Cell<u64>,
}

impl Deployment {
    /// Where requests enter the chain: "http://127.0.0.1:41234/".
    pub fn entry_url(&self) -> String {
        self.entry().map_or_else(String::new, |address| format!("http://{address}/"))
    }

    pub(crate) fn entry(&self) -> Option<SocketAddr> {
        match self.sidecars.first() {
            Some(sidecar) => sidecar.ports.outbound,
            None => self.services.first().map(|s| s.listen),
        }
    }

    fn nodes(&self) -> impl Iterator<Item = (Role, &Node)> {
        let services = self.services.iter().map(|s| (Role::Service, &s.node));
        services.chain(self.sidecars.iter().map(|s| (Role::Sidecar, &s.node)))
    }

    /// The processes: services first, then sidecars.
    pub fn parts(&self) -> Vec<Part> {
        self.nodes().map(|(role, node)| node.describe(role)).collect()
    }

    /// The cgroups by the names of their parts; empty where they are not permitted.
    pub fn cgroups(&self) -> Vec<(String, Vec<PathBuf>)> {
        let of = |node: &Node| Some((node.part.name().to_owned(), node.leaf.as_ref()?.directories().to_vec()));
        self.nodes().filter_map(|(_, node)| of(node)).collect()
    }

    /// An error if a part has ended.
    ///
    /// # Errors
    /// [`Error::Died`] with its name, how it ended and its last log lines.
    pub fn check_alive(&self) -> Result<()> {
        self.nodes().try_for_each(|(_, node)| node.part.expect_alive("serving the chain"))
    }

    /// Reads back what runs, to be called when the load is over: whom services call; of sidecars their version, their
    /// worker threads, their cgroup and limit, and whether what went between them was secured as it should be.
    ///
    /// # Errors
    /// [`Error::Unproven`] with the first claim that does not hold; [`Error::Died`] and [`Error::Answer`] when a
    /// part cannot be asked.
    pub fn prove(&self) -> Result<Vec<Proof>> {
        let mut proofs = none::prove(&self.calls())?;
        for service in &self.services {
            proofs.extend(service.node.prove_place(None)?);
        }
        let Some(proxy) = &self.proxy else { return Ok(proofs) };
        // From the last to the first: a request that is still on its way then counts where it came from, and not
        // where it came from nowhere.
        let mut tallies = Vec::new();
        for sidecar in self.sidecars.iter().rev() {
            tallies.insert(0, proxy.tally(&sidecar.node.part, &sidecar.ports)?);
        }
        for (at, (sidecar, tally)) in self.sidecars.iter().zip(&tallies).enumerate() {
            proofs.extend(self.prove_sidecar(at, sidecar, tally)?);
            proofs.extend(self.prove_passed_on(at, &tallies)?);
        }
        self.probes.set(self.probes.get() + 1);
        for sidecar in &self.sidecars {
            proofs.extend(self.probe_in_clear(sidecar)?);
        }
        Ok(proofs)
    }

    /// Whom each service calls, and who that is.
    fn calls(&self) -> Vec<none::Call<'_>> {
        let listens = |address: SocketAddr| {
            let service = self.services.iter().find(|s| s.listen == address).map(|s| s.node.part.name());
            let sidecar = self.sidecars.iter().find(|s| s.ports.outbound == Some(address)).map(|s| s.node.part.name());
            service.or(sidecar).unwrap_or("someone else")
        };
        let callee = |at: usize| match self.sidecars.get(at + 1) {
            Some(own) => Some(own.node.part.name()),
            None => self.services.get(at + 1).map(|s| s.node.part.name()),
        };
        let services = self.services.iter().enumerate();
        services
            .filter_map(|(at, service)| {
                let (caller, said) = (service.node.part.name(), service.calls?);
                Some(none::Call { caller, said, listens: listens(said), callee: callee(at)? })
            })
            .collect()
    }

    fn prove_sidecar(&self, at: usize, sidecar: &SidecarNode, tally: &Tally) -> Result<Vec<Proof>> {
        let SidecarNode { node, place, .. } = sidecar;
        let name = node.part.name();
        let mut proofs = vec![proof::claim(name, "program", &node.program, &tally.program, &tally.program_source)?];
        proofs.push(proof::workers(name, node.part.pid(), self.factors.workers)?);
        proofs.extend(node.prove_place(self.factors.cpu_limit)?);
        let caller = at.checked_sub(1).and_then(|before| self.sidecars.get(before));
        let asked = proof::Asked {
            part: name,
            mtls: self.factors.mtls,
            callee: place.callee.as_ref().map(|c| spiffe_id(&c.service)),
            caller: caller.map(|c| spiffe_id(&c.place.service)).unwrap_or_default(),
            refused_probes: self.probes.get(),
        };
        proofs.extend(proof::ways(&asked, tally)?);
        Ok(proofs)
    }

    /// Along the chain: what the caller's sidecar took out came in here, and what came in here went out.
    fn prove_passed_on(&self, at: usize, tallies: &[Tally]) -> Result<Vec<Proof>> {
        let (Some(sidecar), Some(tally)) = (self.sidecars.get(at), tallies.get(at)) else { return Ok(Vec::new()) };
        let name = sidecar.node.part.name();
        let mut proofs = Vec::new();
        let before = at.checked_sub(1).and_then(|b| Some((self.sidecars.get(b)?, tallies.get(b)?.outbound.as_ref()?)));
        if let (Some((caller, sent)), Some(came)) = (before, &tally.inbound) {
            // In clear our own probes were let in here, and came from no sidecar.
            let ours = if self.factors.mtls == Mtls::Disable { self.probes.get() } else { 0 };
            let from = (caller.node.part.name(), sent.requests.value);
            let found = came.requests.value.saturating_sub(ours);
            proofs.push(proof::passed_on(name, from, found, &came.requests.source)?);
        }
        if let (Some(came), Some(went)) = (&tally.inbound, &tally.outbound) {
            let from = ("its inbound side", came.requests.value);
            proofs.push(proof::passed_on(name, from, went.requests.value, &went.requests.source)?);
        }
        Ok(proofs)
    }

    /// Speaks to an inbound listener in clear: refused under strict, answered without mTLS.
    fn probe_in_clear(&self, sidecar: &SidecarNode) -> Result<Option<Proof>> {
        let Some(inbound) = sidecar.ports.inbound else { return Ok(None) };
        let expected = match self.factors.mtls {
            Mtls::Strict => "refused",
            Mtls::Disable => "answered with status 200",
        };
        let found = match http::get(inbound, "/", PROBE_PATIENCE) {
            Ok(answer) => format!("answered with status {}", answer.status),
            Err(e) if e.kind() == std::io::ErrorKind::TimedOut => "left without an answer".to_owned(),
            Err(_) => "refused".to_owned(),
        };
        let source = format!("a request in clear to {inbound}");
        proof::claim(sidecar.node.part.name(), "a request in clear", expected, &found, &source).map(Some)
    }

    /// Ends it: every part is asked to end, killed after three seconds, and reaped; its cgroups and keys are removed.
    ///
    /// # Errors
    /// The first thing that could not be ended or removed; the others are all the same.
    pub fn stop(mut self) -> Result<()> {
        let mut nodes = self.take_nodes();
        nodes.iter_mut().for_each(|node| node.part.ask_to_end());
        let mut result = Ok(());
        for mut node in nodes {
            let ended = node.part.terminate(GRACE).map(drop);
            let removed = node.leaf.as_ref().map_or(Ok(()), Leaf::remove);
            result = result.and(ended).and(removed);
        }
        result
    }

    /// Sidecars first: a service that ends first would have them log that it is gone.
    fn take_nodes(&mut self) -> Vec<Node> {
        let sidecars = self.sidecars.drain(..).map(|s| s.node);
        sidecars.chain(self.services.drain(..).map(|s| s.node)).collect()
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        for node in self.take_nodes() {
            let Node { part, program: _, leaf } = node;
            drop(part);
            let _ = leaf.map(|leaf| leaf.remove());
        }
    }
}

impl std::fmt::Debug for Deployment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deployment").field("services", &self.services).field("sidecars", &self.sidecars).finish()
    }
}

/// The Envoy of a spec.
pub(crate) fn envoy_of(spec: &DeploymentSpec<'_>) -> Result<EnvoyProgram> {
    spec.envoy.cloned().ok_or_else(|| Error::NoEnvoy {
        problem: "the cell needs an Envoy and none was given".to_owned(),
        tried: Vec::new(),
    })
}
