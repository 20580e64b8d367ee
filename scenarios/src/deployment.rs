//! A chain that runs: its parts, what is proven of them, and its end.

mod crossing;
mod node;
mod node_proxy;
mod noise;
mod passages;
mod proving;
mod standing;
mod tending;
mod verifying;

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use record::{Dataplane, Entry, Factors, Lack, Part};

use crate::certs::{Authority, GATEWAY_NAME};
use crate::http::{self, Answer, Tls};
use crate::launch::Users;
use crate::limits::{CgroupTree, Leaf};
use crate::platform::Ground;
use crate::proxy::envoy::EnvoyProgram;
use crate::proxy::node_proxy::lacks as node_proxy_lacks;
use crate::proxy::packaged::PackagedProgram;
use crate::proxy::{Folders, Proxy};
use crate::{Error, Reached, Result, Shape, Slice};
pub(crate) use tending::ONLOOKER;
use tending::Tending;

pub(crate) use node::{Node, Private, ProxyNode, ServiceNode};
pub(crate) use node_proxy::NodeProxy;
pub(crate) use noise::Noise;
pub use passages::{Came, Passage, prove_passages};
pub use proving::Proven;
pub use tending::Tended;
pub use verifying::Verdict;

/// What the sidecar of the load generator stands beside.
pub(crate) const ENTRY: &str = "entry";

/// The pod of the load generator and its sidecar.
pub(crate) const CLIENT: &str = "client";

/// The name of an ingress gateway, and of its pod. Nothing is redirected in there, so that it is also where a caller
/// stands who is not in the mesh.
pub(crate) const GATEWAY: &str = "gateway";

/// How long a part may take to end once it was asked to.
const GRACE: Duration = Duration::from_secs(3);

/// What is to be deployed, and where its files go.
#[derive(Clone, Copy, Debug)]
pub struct DeploymentSpec<'a> {
    /// The cell's factors.
    pub factors: &'a Factors,
    /// The services and their calls; its name is the chain of the factors.
    pub shape: &'a Shape,
    /// The path of `meshtax` itself, which is every service and every built-in sidecar.
    pub program: &'a Path,
    /// The meshtax whose `launch` starts the parts: the one that runs, also where those are of another one.
    pub launcher: &'a Path,
    /// As whom they run.
    pub users: Users,
    /// The Envoy, for cells that need one.
    pub envoy: Option<&'a EnvoyProgram>,
    /// The HAProxy, likewise.
    pub haproxy: Option<&'a PackagedProgram>,
    /// The nginx, likewise.
    pub nginx: Option<&'a PackagedProgram>,
    /// The trial's directory: configurations as they ran, and `logs/`.
    pub directory: &'a Path,
    /// A directory of mode 0700 for keys; each deployment has one of its own in it while it lives.
    pub scratch: &'a Path,
    /// The run's cgroups, where they are permitted.
    pub cgroups: Option<&'a CgroupTree>,
    /// How long each part may take until it answers.
    pub ready_timeout: Duration,
    /// Where the chain takes the load: loopback, or an address of this host by which other hosts reach it. On platform
    /// pods the load is in a pod itself, and this is not looked at.
    pub entry_at: IpAddr,
    /// The part of the chain that stands here, where the rest stands on other hosts; none for all of it.
    pub slice: Option<Slice<'a>>,
}

impl DeploymentSpec<'_> {
    /// Whether a service of the chain stands here.
    pub(crate) fn has(&self, service: &str) -> bool {
        self.slice.is_none_or(|slice| slice.has(service))
    }

    /// Whether the load enters the chain here.
    pub(crate) fn takes_the_load(&self) -> bool {
        self.shape.services.first().is_some_and(|first| self.has(&first.name))
    }

    /// Where whoever takes the callers of a service here listens, on loopback.
    pub(crate) fn reached_at(&self, service: &str) -> IpAddr {
        let elsewhere = self.slice.filter(|slice| slice.is_called_from_elsewhere(self.shape, service));
        elsewhere.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |slice| slice.reached_at)
    }
}

/// Starts a chain on this host and waits until a request has gone through all of it.
///
/// To be called from a thread that lives as long as the deployment: its parts are killed when that thread ends.
///
/// # Errors
/// [`Error::LimitNotPermitted`] for a limit that cannot be set here, [`Error::NoEnvoy`] for an Envoy that is not
/// there, [`Error::Died`] and [`Error::NotReady`] with the last log lines of a part that does not come up.
pub fn deploy(spec: &DeploymentSpec<'_>) -> Result<Deployment> {
    crate::platform::deploy(spec)
}

/// Starts the services of a slice of a chain, which nobody calls yet: [`Deployment::stand`] and [`Deployment::complete`]
/// follow, in turns with those who build the other slices ([`crate::turns`]).
///
/// To be called from a thread that lives as long as the deployment, as with [`deploy`].
///
/// # Errors
/// As [`deploy`].
pub fn begin(spec: &DeploymentSpec<'_>) -> Result<Deployment> {
    crate::platform::begin(spec)
}

/// A chain that runs. Dropping it kills it.
pub struct Deployment {
    pub(crate) factors: Factors,
    pub(crate) shape: Shape,
    /// In the order of the shape; the subsets of a canary beside one another, the stable one first.
    pub(crate) services: Vec<ServiceNode>,
    /// The one where the load enters first; empty without proxies.
    pub(crate) proxies: Vec<ProxyNode>,
    pub(crate) proxy: Option<Box<dyn Proxy>>,
    /// Who else is at work on the host.
    pub(crate) noise: Option<Noise>,
    /// The one that all share, in place of those.
    pub(crate) node_proxy: Option<NodeProxy>,
    /// Held for its end: it goes with the deployment.
    _private: Private,
    pub(crate) folders: Folders,
    /// Who issues identities; none without mTLS.
    pub(crate) authority: Option<Authority>,
    /// What is done to it under load.
    tending: Tending,
    /// After the parts that stand on it, so that it goes last.
    pub(crate) ground: Ground,
    /// How often each way in was spoken to in clear, to see what it does.
    pub(crate) probes: Cell<u64>,
    /// What is known of the services of the chain that stand on other hosts.
    pub(crate) elsewhere: Vec<Reached>,
}

impl Deployment {
    /// One with nothing in it yet.
    pub(crate) fn new(
        spec: &DeploymentSpec<'_>,
        ground: Ground,
        private: Private,
        folders: Folders,
        proxy: Option<Box<dyn Proxy>>,
    ) -> Result<Self> {
        let authority = match spec.slice {
            Some(slice) => slice.authority.map(Authority::handed).transpose()?,
            None => Authority::of_chain(spec.factors)?,
        };
        let tending = Tending::new(&folders.kept);
        Ok(Self {
            factors: spec.factors.clone(),
            shape: spec.shape.clone(),
            services: Vec::new(),
            proxies: Vec::new(),
            authority,
            proxy,
            noise: None,
            node_proxy: None,
            _private: private,
            folders,
            tending,
            ground,
            probes: Cell::new(0),
            elsewhere: Vec::new(),
        })
    }

    /// Where requests enter the chain: "http://127.0.0.1:41234/", and "https://" by way of a gateway.
    pub fn entry_url(&self) -> String {
        let scheme = if self.gateway().is_some() { "https" } else { "http" };
        self.entry().map_or_else(String::new, |address| format!("{scheme}://{address}/"))
    }

    /// What the load generator must trust and ask for, where requests enter with TLS: the file of the authority and
    /// the server's name.
    pub fn entry_tls(&self) -> Option<(&Path, &'static str)> {
        let door = self.gateway()?.place.door.as_ref()?;
        Some((&door.identity.ca, GATEWAY_NAME))
    }

    fn gateway(&self) -> Option<&ProxyNode> {
        self.proxies.first().filter(|proxy| proxy.place.door.is_some())
    }

    /// Where requests enter the chain.
    pub(crate) fn entry(&self) -> Option<SocketAddr> {
        let first = self.services.first().filter(|first| self.is_entered_by(&first.service))?;
        if let Some(node_proxy) = &self.node_proxy {
            return node_proxy.entry(first);
        }
        match self.factors.entry {
            Entry::Gateway if self.factors.meshed() => self.gateway()?.ports.inbound,
            Entry::Sidecar if self.factors.meshed() => self.proxies.first()?.ports.to(&first.service),
            _ => Some(self.inbound(first.node.part.name()).unwrap_or(first.listen)),
        }
    }

    /// Whether a service is the one that the load enters.
    fn is_entered_by(&self, service: &str) -> bool {
        self.shape.services.first().is_some_and(|first| first.name == service)
    }

    /// Asks the chain once, as the load generator does; with a body, sends it.
    pub(crate) fn ask(&self, body: &[u8], patience: Duration) -> std::io::Result<Answer> {
        let entry = self.entry().ok_or(std::io::ErrorKind::AddrNotAvailable)?;
        let tls = self.entry_tls().map(|(authority, name)| Tls { name, authority });
        self.within(CLIENT, || match tls {
            Some(tls) => http::ask_tls(entry, tls, "/", body, patience),
            None => http::ask(entry, "/", body, patience),
        })
    }

    /// Does something on the network of a pod; on loopback that is ours.
    pub(crate) fn within<T: Send>(
        &self,
        pod: &str,
        f: impl FnOnce() -> std::io::Result<T> + Send,
    ) -> std::io::Result<T> {
        match self.ground.pod(pod).map_err(std::io::Error::other)? {
            None => f(),
            Some(pod) => pod.within(f).unwrap_or_else(|e| Err(std::io::Error::other(e))),
        }
    }

    /// The network namespace that the load generator belongs into; none on loopback.
    pub fn client_namespace(&self) -> Option<PathBuf> {
        self.ground.client_namespace()
    }

    /// Where the proxy beside a service takes its callers; none where it has none.
    pub(crate) fn inbound(&self, beside: &str) -> Option<SocketAddr> {
        if let Some(shared) = &self.node_proxy {
            return shared.inbound(beside);
        }
        self.proxies.iter().find(|p| p.is_beside(beside))?.ports.inbound
    }

    /// Where a service's calls to a callee go: its own proxy, the callee's, or the callee itself.
    pub(crate) fn dial(&self, caller: usize, callee: &str) -> Option<SocketAddr> {
        if let Ground::Pods(_) = self.ground {
            // A program in a pod knows of no proxy.
            return self.services.iter().find(|s| s.service == callee).map(|s| s.listen);
        }
        let caller = self.services.get(caller)?;
        if let Some(node_proxy) = &self.node_proxy {
            let target = self.services.iter().find(|s| s.service == callee)?;
            return node_proxy.dialled(caller.node.part.name(), target);
        }
        let own = self.proxies.iter().find(|p| p.is_beside(caller.node.part.name()));
        if let Some(own) = own.and_then(|own| own.ports.to(callee)) {
            return Some(own);
        }
        let Some(target) = self.services.iter().find(|s| s.service == callee) else {
            return Some(self.elsewhere(callee)?.instances.first()?.address);
        };
        self.inbound(target.node.part.name()).or(Some(target.listen))
    }

    /// A service that stands on another host.
    pub(crate) fn elsewhere(&self, service: &str) -> Option<&Reached> {
        self.elsewhere.iter().find(|reached| reached.service == service)
    }

    /// Whether a request may go well without a visit to every service.
    pub(crate) fn may_fall_short(&self) -> bool {
        let calls = || self.shape.services.iter().flat_map(|s| &s.steps).flat_map(|step| &step.calls);
        self.factors.error_rate > 0.0
            || self.factors.canary.as_ref().is_some_and(|canary| canary.error_rate > 0.0)
            || self.shape.services.iter().any(|s| s.error_rate.is_some_and(|rate| rate > 0.0))
            || calls().any(|call| call.probability < 1.0)
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Node> {
        let services = self.services.iter().map(|s| &s.node);
        let shared = self.node_proxy.iter().map(|s| &s.node);
        services.chain(self.proxies.iter().map(|s| &s.node)).chain(shared)
    }

    /// The processes: services first, then proxies, then the neighbour.
    pub fn parts(&self) -> Vec<Part> {
        self.all_nodes().map(Node::describe).collect()
    }

    /// The processes that proxies started for their work, by the names of the parts that they belong to.
    pub fn children(&self) -> Vec<(String, u32)> {
        let of = |node: &ProxyNode, proxy: &dyn Proxy| {
            let name = node.node.part.name().to_owned();
            proxy.children(&node.node.part).into_iter().map(move |pid| (name.clone(), pid)).collect::<Vec<_>>()
        };
        let Some(proxy) = &self.proxy else { return Vec::new() };
        self.proxies.iter().flat_map(|node| of(node, proxy.as_ref())).collect()
    }

    /// Whom each service was told to call, and where: caller, callee, the address that it says it will dial.
    pub fn calls_told(&self) -> Vec<(String, String, SocketAddr)> {
        let of = |service: &ServiceNode| {
            let caller = service.node.part.name().to_owned();
            service.calls.iter().map(move |(callee, at)| (caller.clone(), callee.clone(), *at)).collect::<Vec<_>>()
        };
        self.services.iter().flat_map(of).collect()
    }

    /// The cgroups by the names of their parts; empty where they are not permitted.
    pub fn cgroups(&self) -> Vec<(String, Vec<PathBuf>)> {
        let of = |node: &Node| Some((node.part.name().to_owned(), node.leaf.as_ref()?.counting()));
        self.all_nodes().filter_map(of).collect()
    }

    /// What these proxies do not do of what Istio's do.
    pub fn lacks(&self) -> Vec<Lack> {
        if self.node_proxy.is_some() {
            return node_proxy_lacks(&self.factors);
        }
        self.proxy.as_ref().map(|proxy| proxy.lacks(&self.factors)).unwrap_or_default()
    }

    /// An error if a part has ended.
    ///
    /// # Errors
    /// [`Error::Died`] with its name, how it ended and its last log lines.
    pub fn check_alive(&self) -> Result<()> {
        self.nodes().try_for_each(|node| node.part.expect_alive("serving the chain"))?;
        self.noise.as_ref().map_or(Ok(()), Noise::expect_alive)
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

    fn all_nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes().chain(self.noise.iter().map(|noise| &noise.node))
    }

    /// The neighbour first, so that it holds up no other's end; then the proxies: a service that ends first would have
    /// them log that it is gone.
    fn take_nodes(&mut self) -> Vec<Node> {
        let noise = self.noise.take().map(|noise| noise.node);
        let proxies = self.proxies.drain(..).map(|s| s.node);
        let proxies = proxies.chain(self.node_proxy.take().map(|s| s.node));
        noise.into_iter().chain(proxies).chain(self.services.drain(..).map(|s| s.node)).collect()
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        for node in self.take_nodes() {
            let Node { role: _, part, program: _, leaf, user: _ } = node;
            drop(part);
            let _ = leaf.map(|leaf| leaf.remove());
        }
    }
}

impl std::fmt::Debug for Deployment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deployment").field("services", &self.services).field("proxies", &self.proxies).finish()
    }
}

/// The Envoy of a spec.
pub(crate) fn envoy_of(spec: &DeploymentSpec<'_>) -> Result<EnvoyProgram> {
    spec.envoy.cloned().ok_or_else(|| Error::NoEnvoy {
        problem: "the cell needs an Envoy and none was given".to_owned(),
        tried: Vec::new(),
    })
}

/// An HAProxy or nginx of a spec.
pub(crate) fn packaged_of(program: Option<&PackagedProgram>, dataplane: Dataplane) -> Result<PackagedProgram> {
    program.cloned().ok_or_else(|| Error::NoPackagedProxy {
        proxy: dataplane,
        problem: format!("the cell needs an {dataplane} and none was given"),
        tried: Vec::new(),
    })
}
