//! The built-in sidecar as a proxy to deploy: started as a process of its own, asked over its admin port.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::embedded::{InboundConfig, OutboundConfig, Ready, SidecarConfig, Stats};
use record::{Factors, Lack, Proof, Weights};

use super::{Counter, Folders, Place, Ports, Proxy, Tally, Way};
use crate::certs::spiffe_id;
use crate::launch::{Launch, Launched};
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
            pipe_stdin: true,
            pipe_stdout: true,
        })
    }

    fn listening(&self, place: &Place, part: &mut Launched, _: &Folders, patience: Duration) -> Result<Ports> {
        let Ready { ready } = part.read_json(patience, "the line that says where it listens")?;
        let outbound = place.callees.iter().zip(ready.outbound).map(|(callee, at)| (callee.service.clone(), at));
        let ports = Ports { inbound: ready.inbound, outbound: outbound.collect(), admin: ready.admin };
        if ports.inbound.is_some() != place.app.is_some() || ports.outbound.len() != place.callees.len() {
            return Err(part.answer(format!("it listens at {ready:?}, which is not what it was configured for")));
        }
        Ok(ports)
    }

    fn tally(&self, place: &Place, part: &Launched, ports: &Ports) -> Result<Tally> {
        let source = format!("{}/stats", ports.admin);
        let doing = format!("GET /stats at its admin port {}", ports.admin);
        let said = |e: String| part.expect_alive(&doing).err().unwrap_or_else(|| part.answer(format!("{doing}: {e}")));
        let answer = place.stand.get(ports.admin, "/stats", ADMIN_PATIENCE).map_err(|e| said(e.to_string()))?;
        let stats: Stats = serde_json::from_slice(&answer.body).map_err(|e| said(e.to_string()))?;
        let counter = |name: &str, value: u64| Counter { value, source: format!("{source} {name}") };
        let Stats { version, workers: _, inbound, outbound } = stats;
        Ok(Tally {
            program: format!("meshtax {version}"),
            program_source: source.clone(),
            inbound: inbound.map(|i| Way {
                requests: counter("inbound.requests", i.requests),
                handshakes: counter("inbound.tls_handshakes", i.tls_handshakes),
                // Its failed handshakes are also those of callers who gave up in the middle of one.
                strangers: None,
                broken: Some(counter("inbound.plaintext_refused", i.plaintext_refused)),
                in_clear: Some(counter("inbound.plaintext_requests", i.plaintext_requests)),
                peers: Some(i.peers.into_keys().collect()),
            }),
            outbound: place
                .callees
                .iter()
                .zip(outbound)
                .map(|(callee, o)| {
                    (
                        callee.service.clone(),
                        Way {
                            requests: counter("outbound.requests", o.requests),
                            handshakes: counter("outbound.tls_handshakes", o.tls_handshakes),
                            strangers: None,
                            broken: None,
                            in_clear: None,
                            peers: Some(o.peers.into_keys().collect()),
                        },
                    )
                })
                .collect(),
            retries: None,
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

fn config(place: &Place) -> SidecarConfig {
    SidecarConfig {
        name: place.name.clone(),
        workers: place.factors.workers,
        mtls: place.mode(),
        inbound: place.app.as_ref().map(|app| InboundConfig { listen: ANY, app: app.address }),
        outbound: place.callees.first().and_then(|callee| {
            let upstream = callee.subsets.first()?.address;
            Some(OutboundConfig { listen: ANY, upstream, peer: spiffe_id(&callee.service) })
        }),
        identity: place.identity.clone(),
        admin: ANY,
    }
}
