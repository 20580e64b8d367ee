//! Where a proxy is put: beside whom, towards whom, and who it is.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use record::{Factors, Mtls};

use crate::certs::IdentityFiles;
use crate::http::{self, Answer};
use crate::network::Pod;

/// Where a proxy is put. Everything else that its configuration depends on stands in the factors.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// "s1-sidecar".
    pub(crate) name: String,
    /// The service it stands beside: "s1", "entry" for the load generator's, "gateway".
    pub(crate) service: String,
    pub(crate) factors: Factors,
    pub(crate) stand: Stand,
    /// The service itself, where requests to it come in by way of this proxy.
    pub(crate) app: Option<App>,
    /// On loopback: where it takes its own service's calls, or a gateway its clients. Another address than the loopback's
    /// for the one where a load comes in from another host.
    pub(crate) taken_at: IpAddr,
    /// On loopback: where it takes the callers of its service. Another address than the loopback's where some of them are
    /// on other hosts.
    pub(crate) reached_at: IpAddr,
    /// Whom its service calls, where those calls go out by way of this proxy.
    pub(crate) callees: Vec<Callee>,
    /// Whom it is known as; none without mTLS.
    pub(crate) identity: Option<IdentityFiles>,
    /// Set for an ingress gateway: what it shows to clients outside of the mesh. It has no app and one callee, to which
    /// all requests go that come in with TLS.
    pub(crate) door: Option<Door>,
}

/// On which ground a proxy stands.
#[derive(Clone, Debug)]
pub(crate) enum Stand {
    /// On loopback, beside all the others: it listens on ports that the kernel chooses, one for each callee.
    Loopback,
    /// In the pod of its service, whose connections are redirected to it: it listens at the ports of
    /// [`crate::network`] and finds where each connection was going (SO_ORIGINAL_DST). A gateway stands in a pod of its
    /// own, without redirection.
    Pod(Pod),
}

/// Where a gateway in a pod takes clients.
pub(crate) const DOOR_PORT: u16 = 8443;

/// Where the admin port of a proxy in a pod is, on the pod's loopback; Envoy's in Istio.
pub(crate) const ADMIN_PORT: u16 = 15000;

impl Stand {
    /// Asks a path of an address, from where the proxy stands.
    ///
    /// # Errors
    /// As [`http::get`].
    pub(crate) fn get(&self, address: SocketAddr, path: &str, patience: Duration) -> std::io::Result<Answer> {
        match self {
            Self::Loopback => http::get(address, path, patience),
            Self::Pod(pod) => {
                pod.within(|| http::get(address, path, patience)).unwrap_or_else(|e| Err(std::io::Error::other(e)))
            }
        }
    }
}

/// The service behind a proxy.
#[derive(Clone, Debug)]
pub(crate) struct App {
    /// Where it takes requests of the chain.
    pub(crate) address: SocketAddr,
    /// All its ports, that one first.
    pub(crate) ports: Vec<u16>,
}

/// A service that is called.
#[derive(Clone, Debug)]
pub(crate) struct Callee {
    pub(crate) service: String,
    /// The address by which its callers know it: in a pod, what their programs dial.
    pub(crate) address: SocketAddr,
    /// Whether it is spoken to with TLS: it has a proxy that takes it, and the mode is not disable.
    pub(crate) secured: bool,
    /// Its subsets, one without a name where there is no canary; never empty.
    pub(crate) subsets: Vec<Subset>,
}

/// A subset of a service. All subsets have the same identity.
#[derive(Clone, Debug)]
pub(crate) struct Subset {
    /// "v1"; empty where there is no canary.
    pub(crate) name: String,
    /// Its weight at first; 1 where there is no canary.
    pub(crate) weight: u32,
    /// Where connections to it go: on loopback its proxy's way in, or itself if it has none; in a pod its own address.
    pub(crate) address: SocketAddr,
}

/// What an ingress gateway shows to clients outside of the mesh.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    /// A server's certificate for [`crate::certs::GATEWAY_NAME`], its key and its authority.
    pub(crate) identity: IdentityFiles,
}

impl Place {
    /// The mode of the way in to the service's own port.
    pub(crate) fn mode(&self) -> Mtls {
        self.factors.own_port_mtls()
    }

    /// The process it stands beside: "s3-v2"; a gateway beside itself.
    pub(crate) fn beside(&self) -> &str {
        self.name.strip_suffix("-sidecar").unwrap_or(&self.name)
    }

    /// A callee by its name.
    pub(crate) fn callee(&self, service: &str) -> Option<&Callee> {
        self.callees.iter().find(|callee| callee.service == service)
    }
}
