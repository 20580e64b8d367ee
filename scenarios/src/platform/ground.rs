//! The ground a chain stands on: loopback of this host, or a pod for each service.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use record::{Platform, Role};

use crate::deployment::{CLIENT, DeploymentSpec, ENTRY, GATEWAY};
use crate::launch::{Launch, Users, all_may_execute};
use crate::network::{Interception, Network, PROXY_USER, Pod};
use crate::proxy::Stand;
use crate::{Error, Result};

/// The ports of a service in a pod; requests of the chain go to the first.
pub(crate) const SERVICE_PORTS: [u16; 2] = [8080, 8081];

/// Where the parts of a chain are put.
#[derive(Debug)]
pub(crate) enum Ground {
    /// All beside one another.
    Loopback,
    /// Each service with its sidecar in a network namespace of its own.
    Pods(Network),
}

impl Ground {
    /// Makes room for the processes of services of these names, for the load generator and for a gateway.
    pub(crate) fn make(spec: &DeploymentSpec<'_>, processes: &[String]) -> Result<Self> {
        match spec.factors.platform {
            Platform::Processes => Ok(Self::Loopback),
            Platform::Pods => {
                Network::permitted()?;
                let mut network = Network::create()?;
                let mut names = vec![CLIENT, GATEWAY];
                names.extend(processes.iter().map(String::as_str));
                network.add(&names)?;
                Ok(Self::Pods(network))
            }
            Platform::Kubernetes => Err(crate::cluster::only_there("plan.platform", "kubernetes")),
        }
    }

    /// The user that proxies run as; none where that is ours.
    pub(crate) fn proxy_user(&self, users: Users) -> Option<u32> {
        match self {
            Self::Loopback => users.proxy,
            Self::Pods(_) => Some(PROXY_USER),
        }
    }

    /// The pod of a service's process, of the sidecar beside it, of "entry" or of "gateway"; none on loopback.
    pub(crate) fn pod(&self, name: &str) -> Result<Option<&Pod>> {
        let Self::Pods(network) = self else { return Ok(None) };
        let name = if name == ENTRY { CLIENT } else { name };
        let missing = || Error::Config { part: name.to_owned(), problem: "it has no pod".to_owned() };
        network.pod(name).map(Some).ok_or_else(missing)
    }

    /// Where a proxy beside a process stands.
    pub(crate) fn stand(&self, beside: &str) -> Result<Stand> {
        Ok(self.pod(beside)?.map_or(Stand::Loopback, |pod| Stand::Pod(pod.clone())))
    }

    /// The namespace of the load generator; none on loopback.
    pub(crate) fn client_namespace(&self) -> Option<PathBuf> {
        self.pod(CLIENT).ok().flatten().map(|pod| pod.namespace.clone())
    }

    /// Puts a part where it belongs: into its pod, and as whom it belongs there. One that all share enters the pods by
    /// itself, and becomes that user then.
    ///
    /// A program that its owner alone may execute is executed by its owner, but in pods, whose rules know a proxy by its
    /// user.
    pub(crate) fn put(&self, launch: &mut Launch, role: Role, beside: &str, users: Users) -> Result<()> {
        let in_pods = matches!(self, Self::Pods(_));
        if in_pods && role == Role::NodeProxy {
            return Ok(());
        }
        launch.user = if role.is_proxy() { self.proxy_user(users) } else { users.service };
        let known_by_user = in_pods && role.is_proxy();
        if !(known_by_user || all_may_execute(&launch.program)) {
            launch.user = None;
        }
        if let Some(pod) = self.pod(beside)? {
            launch.netns = Some(pod.namespace.clone());
        }
        Ok(())
    }

    /// Where a service is told to listen; `at` is looked at on loopback only.
    pub(crate) fn service_listens(&self, at: IpAddr) -> Vec<SocketAddr> {
        match self {
            Self::Loopback => vec![SocketAddr::new(at, 0)],
            Self::Pods(_) => SERVICE_PORTS.map(|port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).to_vec(),
        }
    }

    /// The address by which others know a service that says it listens at `said`, and all its ports.
    pub(crate) fn known(&self, process: &str, said: SocketAddr) -> Result<(SocketAddr, Vec<u16>)> {
        Ok(match self.pod(process)? {
            None => (said, vec![said.port()]),
            Some(pod) => (SocketAddr::from((pod.address, said.port())), SERVICE_PORTS.to_vec()),
        })
    }

    /// Redirects a pod's connections to the sidecar that will be in it.
    pub(crate) fn intercept(&self, beside: &str, inbound: bool, outbound: bool) -> Result<()> {
        match self.pod(beside)? {
            Some(pod) => pod.intercept(&Interception { inbound, outbound }),
            None => Ok(()),
        }
    }
}
