//! The built-in sidecar as a proxy to deploy: started as a process of its own, asked over its admin port.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use record::{Factors, Lack, Mtls, Proof, Weights};

use super::embedded::{
    CalleeConfig, DoorConfig, InboundConfig, InboundStats, OutboundConfig, OutboundStats, PortConfig, Ready,
    SidecarConfig, Stats, SubsetConfig,
};
use super::{ADMIN_PORT, Callee, Counter, DOOR_PORT, Folders, Place, Ports, Proxy, Stand, Tally, Way};
use crate::certs::spiffe_id;
use crate::launch::{Launch, Launched};
use crate::network::{INBOUND_PORT, OUTBOUND_PORT, PASSTHROUGH_SOURCE};
use crate::{Error, Result};

/// How long its admin port may take; under a small CPU limit even that waits its turn.
const ADMIN_PATIENCE: Duration = Duration::from_secs(10);

/// The built-in sidecar.
pub(crate) struct Embedded;

/// Any port of the loopback address.
const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

impl Proxy for Embedded {
    fn program(&self) -> String {
        format!("meshtax {}", env!("CARGO_PKG_VERSION"))
    }

    fn launch(&self, place: &Place, folders: &Folders) -> Result<Launch> {
        let text = serde_json::to_string_pretty(&config(place))
            .map_err(|e| Error::Config { part: place.name.clone(), problem: e.to_string() })?;
        let path = folders.config(&format!("{}.json", place.name), &(text + "\n"))?;
        Ok(Launch {
            name: place.name.clone(),
            program: folders.meshtax.clone(),
            args: vec!["sidecar".into(), "--config".into(), path.into()],
            env: Vec::new(),
            cgroups: Vec::new(),
            netns: None,
            user: None,
            log: folders.log(&place.name),
            stdout: None,
            pipe_stdin: true,
            pipe_stdout: true,
        })
    }

    fn listening(&self, place: &Place, part: &mut Launched, _: &Folders, patience: Duration) -> Result<Ports> {
        let Ready { ready } = part.read_json(patience, "the line that says where it listens")?;
        let called = place.callees.iter().filter(|_| place.door.is_none());
        let ports = match &place.stand {
            Stand::Loopback => Ports {
                inbound: ready.inbound,
                outbound: called.zip(&ready.outbound).map(|(callee, at)| (callee.service.clone(), *at)).collect(),
                admin: ready.admin,
            },
            // Who is in a pod, or calls it, knows of no proxy.
            Stand::Pod(pod) => Ports {
                inbound: match (&place.app, &place.door) {
                    (Some(app), _) => Some(app.address),
                    (None, Some(_)) => Some(SocketAddr::from((pod.address, DOOR_PORT))),
                    (None, None) => None,
                },
                outbound: called.map(|callee| (callee.service.clone(), callee.address)).collect(),
                admin: ready.admin,
            },
        };
        let listens = (ready.inbound.is_some(), ready.outbound.len());
        if listens != listeners(place) {
            return Err(part.answer(format!("it listens at {ready:?}, which is not what it was configured for")));
        }
        Ok(ports)
    }

    fn tally(&self, place: &Place, part: &Launched, ports: &Ports) -> Result<Tally> {
        let source = format!("{}/stats", ports.admin);
        let stats = stats(place, part, ports)?;
        let retries = stats.outbound.iter().map(|o| o.upstream_retries).sum();
        Ok(Tally {
            program: format!("meshtax {}", stats.version),
            program_source: source.clone(),
            inbound: stats.inbound.map(|i| way_in(place, &source, i)),
            outbound: stats.outbound.into_iter().map(|o| (o.service.clone(), way_out(&source, o))).collect(),
            retries: Some(Counter { value: retries, source: format!("{source} outbound.*.upstream_retries") }),
        })
    }

    fn prove(&self, _: &Place, _: &Launched, _: &Ports) -> Result<Vec<Proof>> {
        Ok(Vec::new())
    }

    fn shift(&self, _: &Place, part: &mut Launched, _: &Folders, weights: &Weights) -> Result<()> {
        part.write_line(&format!("weights {weights}"))
    }

    fn renew(&self, _: &Place, part: &mut Launched, _: &Ports) -> Result<()> {
        part.write_line("renew")
    }

    fn scrape_path(&self) -> &'static str {
        "/stats"
    }

    fn lacks(&self, _: &Factors) -> Vec<Lack> {
        Vec::new()
    }
}

/// Why it cannot be what these factors ask for.
pub(crate) fn cannot(_: &Factors) -> Option<String> {
    None
}

/// Its counters.
fn stats(place: &Place, part: &Launched, ports: &Ports) -> Result<Stats> {
    let doing = format!("GET /stats at its admin port {}", ports.admin);
    let said = |e: String| part.expect_alive(&doing).err().unwrap_or_else(|| part.answer(format!("{doing}: {e}")));
    let answer = place.stand.get(ports.admin, "/stats", ADMIN_PATIENCE).map_err(|e| said(e.to_string()))?;
    serde_json::from_slice(&answer.body).map_err(|e| said(e.to_string()))
}

fn way_in(place: &Place, source: &str, counts: InboundStats) -> Way {
    let counter = |name: &str, value: u64| Counter { value, source: format!("{source} inbound.{name}") };
    // Only where nobody is let in in clear do such requests say something.
    let strict = place.door.is_none() && place.mode() == Mtls::Strict;
    Way {
        requests: counter("requests", counts.requests),
        handshakes: counter("tls_handshakes", counts.tls_handshakes),
        // Its failed handshakes are also those of callers who gave up in the middle of one.
        strangers: None,
        broken: strict.then(|| counter("plaintext_refused", counts.plaintext_refused)),
        in_clear: strict.then(|| counter("plaintext_requests", counts.plaintext_requests)),
        peers: Some(counts.peers.into_keys().collect()),
    }
}

fn way_out(source: &str, counts: OutboundStats) -> Way {
    let of = |names: &str| format!("{source} outbound.{}.{names}", counts.service);
    Way {
        requests: Counter {
            value: counts.requests + counts.upstream_retries,
            source: of("requests + upstream_retries"),
        },
        handshakes: Counter { value: counts.tls_handshakes, source: of("tls_handshakes") },
        strangers: None,
        broken: None,
        in_clear: None,
        peers: Some(counts.peers.into_keys().collect()),
    }
}

/// Whether it is to listen for callers, and how many listeners it is to have for its own service.
fn listeners(place: &Place) -> (bool, usize) {
    let called = if place.door.is_some() { 0 } else { place.callees.len() };
    let out = match place.stand {
        Stand::Loopback => called,
        Stand::Pod(_) => called.min(1),
    };
    (place.app.is_some() || place.door.is_some(), out)
}

fn config(place: &Place) -> SidecarConfig {
    let in_pod = |port: u16| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let redirected = matches!(place.stand, Stand::Pod(_));
    let listen = |port: u16| if redirected { in_pod(port) } else { ANY };
    let factors = &place.factors;
    let inbound = place.app.as_ref().map(|app| InboundConfig {
        listen: listen(INBOUND_PORT),
        redirected,
        ports: (app.ports.iter().enumerate())
            .map(|(at, port)| PortConfig {
                app: SocketAddr::new(app.address.ip(), *port),
                mtls: if at == 0 { place.mode() } else { factors.mtls },
            })
            .collect(),
        mtls: factors.mtls,
        from: redirected.then_some(IpAddr::V4(PASSTHROUGH_SOURCE)),
    });
    let door = place.door.as_ref();
    let outbound = (!place.callees.is_empty()).then(|| OutboundConfig {
        capture: (redirected && door.is_none()).then(|| in_pod(OUTBOUND_PORT)),
        door: door.map(|door| DoorConfig { listen: listen(DOOR_PORT), identity: door.identity.clone() }),
        callees: place.callees.iter().map(|c| callee(c, (!redirected && door.is_none()).then_some(ANY))).collect(),
    });
    SidecarConfig {
        name: place.name.clone(),
        workers: factors.workers,
        protocol: factors.protocol,
        retries: factors.retries,
        requests_per_connection: factors.requests_per_connection,
        inbound,
        outbound,
        identity: place.identity.clone(),
        access_log: None,
        admin: if redirected { SocketAddr::from((Ipv4Addr::LOCALHOST, ADMIN_PORT)) } else { ANY },
    }
}

fn callee(callee: &Callee, listen: Option<SocketAddr>) -> CalleeConfig {
    let subset = |s: &super::Subset| SubsetConfig { name: s.name.clone(), weight: s.weight, address: s.address };
    CalleeConfig {
        service: callee.service.clone(),
        listen,
        address: callee.address,
        peer: callee.secured.then(|| spiffe_id(&callee.service)),
        subsets: callee.subsets.iter().map(subset).collect(),
    }
}
