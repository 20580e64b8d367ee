//! The meshes that a cluster has: which files describe each, and what it cannot be.

use record::{AccessLog, Dataplane, Entry, Factors, Mtls, Protocol, Sidecars};

/// A mesh of a cluster, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mesh {
    /// No mesh.
    None,
    /// Istio's injected sidecars.
    IstioSidecar,
    /// Istio's ztunnels.
    IstioAmbient,
    /// Linkerd's injected sidecars.
    Linkerd,
}

impl Mesh {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::None, Self::IstioSidecar, Self::IstioAmbient, Self::Linkerd];

    /// That of a dataplane; none for one that no cluster has.
    pub fn of(dataplane: Dataplane) -> Option<Self> {
        match dataplane {
            Dataplane::None => Some(Self::None),
            Dataplane::IstioSidecar => Some(Self::IstioSidecar),
            Dataplane::IstioAmbient => Some(Self::IstioAmbient),
            Dataplane::Linkerd => Some(Self::Linkerd),
            Dataplane::Embedded | Dataplane::Envoy | Dataplane::Haproxy | Dataplane::Nginx | Dataplane::Ambient => None,
        }
    }

    /// Its folder under `scenarios/manifests`, which is also its word.
    pub fn folder(self) -> &'static str {
        match self {
            Self::None => Dataplane::None.word(),
            Self::IstioSidecar => Dataplane::IstioSidecar.word(),
            Self::IstioAmbient => Dataplane::IstioAmbient.word(),
            Self::Linkerd => Dataplane::Linkerd.word(),
        }
    }

    /// The container that it injects, and none where it injects none.
    pub fn sidecar(self) -> Option<&'static str> {
        match self {
            Self::IstioSidecar => Some("istio-proxy"),
            Self::Linkerd => Some("linkerd-proxy"),
            Self::None | Self::IstioAmbient => None,
        }
    }

    /// Where each of its proxies is asked for its counters, as Prometheus asks: port and path. No mesh redirects them.
    pub fn scraped_at(self) -> Option<(u16, &'static str)> {
        match self {
            Self::None => None,
            // Envoy's and the agent's own, put together by the agent (prometheus.io/port of the injected pod).
            Self::IstioSidecar => Some((15020, "/stats/prometheus")),
            Self::IstioAmbient => Some((15020, "/metrics")),
            Self::Linkerd => Some((4191, "/metrics")),
        }
    }

    /// Where its control plane is, as its installers have it.
    pub fn control_plane(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::IstioSidecar | Self::IstioAmbient => Some("istio-system"),
            Self::Linkerd => Some("linkerd"),
        }
    }
}

/// Why a mesh of a cluster cannot be what these factors ask for; none if it can.
pub fn cannot(f: &Factors) -> Option<String> {
    any(f).or_else(|| match f.dataplane {
        Dataplane::IstioAmbient => istio_ambient(f),
        Dataplane::Linkerd => linkerd(f),
        _ => None,
    })
}

fn first(condition: bool, reason: &str) -> Option<String> {
    condition.then(|| reason.to_owned())
}

/// What holds for all of them.
fn any(f: &Factors) -> Option<String> {
    let plain = Factors::unmeshed();
    let buffers = (f.log_flush_ns, f.log_flush_kb) != (plain.log_flush_ns, plain.log_flush_kb);
    first(buffers, "in a cluster the log's buffer is set for the whole mesh")
}

fn istio_ambient(f: &Factors) -> Option<String> {
    let limited = f.cpu_limit.is_some() || f.cpu_request.is_some() || f.memory_limit.is_some();
    let clear = f.mtls == Mtls::Disable || f.own_port_mtls() == Mtls::Disable;
    first(clear, "ambient has no mode disable: what is carried between its workloads is always in a tunnel with mTLS")
        .or_else(|| {
            first(f.sidecars != Sidecars::Both, "ambient has no sides: a ztunnel stands at both ends of every hop")
        })
        .or_else(|| first(f.canary.is_some(), "ambient splits no requests: weights need a waypoint, which reads them"))
        .or_else(|| {
            first(f.access_log != AccessLog::Off, "ztunnel reads no requests, and so cannot write a line for each")
        })
        .or_else(|| first(limited, "ztunnel serves the whole node: its resources are set where the mesh is installed"))
        .or_else(|| {
            let gateway = f.entry == Entry::Gateway;
            first(gateway, "in front of ztunnels stands a proxy of the Gateway API, which is not made here")
        })
        .or_else(|| {
            let renewed = "ztunnel holds the certificates of all workloads of its node, and how long they last is set where the mesh is installed (SECRET_TTL of its DaemonSet)";
            first(f.rotate_ns > 0, renewed)
        })
}

fn linkerd(f: &Factors) -> Option<String> {
    let client = f.sidecars == Sidecars::Client;
    let clear = f.mtls == Mtls::Disable || f.port_mtls == Some(Mtls::Disable);
    first(client, "Linkerd speaks mTLS to every callee that has its proxy, also to one that would leave it aside")
        .or_else(|| first(clear, "Linkerd has no mode disable: its proxies always speak mTLS with one another"))
        .or_else(|| first(f.port_mtls.is_some(), "Linkerd sets a port's own mode by a Server, which is not made here"))
        .or_else(|| {
            first(f.canary.is_some(), "Linkerd splits by an HTTPRoute of the Gateway API, which is not made here")
        })
        .or_else(|| {
            let gateway = "Linkerd has no ingress gateway of its own: clients come in by one of another project";
            first(f.entry == Entry::Gateway, gateway)
        })
        .or_else(|| {
            let renewed = "Linkerd's proxies renew certificates by a lifetime of the whole mesh (identity.issuer.issuanceLifetime)";
            first(f.rotate_ns > 0, renewed)
        })
        .or_else(|| first(f.requests_per_connection > 0, "Linkerd has no bound of requests for a connection"))
        .or_else(|| first(f.protocol == Protocol::Http, "Linkerd looks at the first bytes of each connection"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn factors(dataplane: Dataplane) -> Factors {
        let protocol = if dataplane == Dataplane::Linkerd { Protocol::Auto } else { Protocol::Http };
        Factors { dataplane, protocol, mtls: Mtls::Strict, ..Factors::unmeshed() }
    }

    #[test]
    fn each_mesh_can_be_what_is_usual_and_says_what_it_cannot_be() {
        let (sidecar, ambient, linkerd) = (Dataplane::IstioSidecar, Dataplane::IstioAmbient, Dataplane::Linkerd);
        for dataplane in [sidecar, ambient, linkerd] {
            assert_eq!(cannot(&factors(dataplane)), None, "{dataplane}");
            let scraped = Factors { stats_scrape_ns: 1, ..factors(dataplane) };
            assert_eq!(cannot(&scraped), None, "{dataplane}");
        }
        let limited = |d| Factors { cpu_limit: Some("500m".parse().unwrap()), ..factors(d) };
        let logged = |d, access_log| Factors { access_log, ..factors(d) };
        let clear = |d| Factors { mtls: Mtls::Disable, ..factors(d) };
        let rotated = |d| Factors { rotate_ns: 1, ..factors(d) };
        let by_gateway = |d| Factors { entry: Entry::Gateway, ..factors(d) };
        for (factors, reason) in [
            (limited(sidecar), None),
            (limited(linkerd), None),
            (limited(ambient), Some("whole node")),
            (logged(sidecar, AccessLog::Text), None),
            (logged(sidecar, AccessLog::Json), None),
            (logged(ambient, AccessLog::Text), Some("reads no requests")),
            (logged(linkerd, AccessLog::Json), None),
            (clear(sidecar), None),
            (clear(ambient), Some("no mode disable")),
            (clear(linkerd), Some("no mode disable")),
            (rotated(sidecar), None),
            (rotated(ambient), Some("SECRET_TTL of its DaemonSet")),
            (rotated(linkerd), Some("issuanceLifetime")),
            (by_gateway(sidecar), None),
            (by_gateway(ambient), Some("Gateway API")),
            (by_gateway(linkerd), Some("no ingress gateway of its own")),
            (Factors { log_flush_kb: 1, ..factors(sidecar) }, Some("buffer is set for the whole mesh")),
        ] {
            let said = cannot(&factors);
            match reason {
                None => assert_eq!(said, None, "{factors:?}"),
                Some(reason) => assert!(said.unwrap().contains(reason), "{factors:?}"),
            }
        }
    }
}
