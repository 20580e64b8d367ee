//! What stands between services, and each setting of it that is one of a few words.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::words::words;

/// What stands between two services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Dataplane {
    /// Nothing: services call one another directly.
    None,
    /// The sidecar built into meshtax.
    Embedded,
    /// A real Envoy, configured as Istio configures its sidecars.
    Envoy,
    /// HAProxy as a sidecar.
    Haproxy,
    /// nginx as a sidecar.
    Nginx,
    /// One proxy for all services of the node, built into meshtax: HTTP CONNECT over mTLS, as in Istio's ambient mode.
    Ambient,
    /// Istio itself, in a cluster: an injected sidecar for each pod.
    IstioSidecar,
    /// Istio itself, in a cluster: the ztunnel of each node.
    IstioAmbient,
    /// Linkerd itself, in a cluster: an injected sidecar for each pod.
    Linkerd,
}

impl Dataplane {
    /// Whether it is a mesh that a cluster has, and no program that this one starts.
    pub fn of_a_cluster(self) -> bool {
        match self {
            Self::IstioSidecar | Self::IstioAmbient | Self::Linkerd => true,
            Self::None | Self::Embedded | Self::Envoy | Self::Haproxy | Self::Nginx | Self::Ambient => false,
        }
    }
}

/// How sidecars speak with one another, in the words of Istio's PeerAuthentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Mtls {
    /// In clear (and always so without sidecars).
    Disable,
    /// TLS between sidecars; a caller without one is let in in clear.
    Permissive,
    /// TLS, each side verifying the other's SPIFFE identity; plaintext is refused.
    Strict,
}

/// How the load enters the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Entry {
    /// The load generator has a sidecar, as a program of the mesh has.
    Sidecar,
    /// The load generator is outside of the mesh, and calls the first service in clear.
    Plain,
    /// An ingress gateway terminates the load generator's TLS, and is a hop of its own.
    Gateway,
}

/// On which sides of a hop there is a sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Sidecars {
    /// The caller's and the callee's.
    Both,
    /// The caller's alone: the callee is not in the mesh.
    Client,
    /// The callee's alone: the caller is not in the mesh.
    Server,
}

/// What a proxy knows of a port beforehand, which in Istio follows from the port's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// It was declared to carry HTTP.
    Http,
    /// Nothing: the first bytes of each connection are looked at.
    Auto,
}

/// Whether a proxy writes a line for each request, and in which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum AccessLog {
    /// No line.
    Off,
    /// Istio's default format.
    Text,
    /// The same fields as JSON.
    Json,
}

/// Where a proxy's access log goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum LogSink {
    /// A file.
    File,
    /// Its standard output, which is a pipe, as in a container.
    Stdout,
}

/// Where services and sidecars run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Platform {
    /// Processes on loopback of this host; needs no privilege.
    Processes,
    /// A network namespace for each service and its sidecar, with Istio's interception; needs root.
    Pods,
    /// Pods of a Kubernetes cluster.
    Kubernetes,
}

words! {
    Dataplane { None => "none", Embedded => "embedded", Envoy => "envoy", Haproxy => "haproxy", Nginx => "nginx", Ambient => "ambient", IstioSidecar => "istio-sidecar", IstioAmbient => "istio-ambient", Linkerd => "linkerd" }
    Mtls { Disable => "disable", Permissive => "permissive", Strict => "strict" }
    Entry { Sidecar => "sidecar", Plain => "plain", Gateway => "gateway" }
    Sidecars { Both => "both", Client => "client", Server => "server" }
    Protocol { Http => "http", Auto => "auto" }
    AccessLog { Off => "off", Text => "text", Json => "json" }
    LogSink { File => "file", Stdout => "stdout" }
    Platform { Processes => "processes", Pods => "pods", Kubernetes => "kubernetes" }
}
