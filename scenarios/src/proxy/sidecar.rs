//! The built-in sidecar as a proxy to deploy: started as a process of its own, asked over its admin port.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::embedded::{InboundConfig, OutboundConfig, Ready, SidecarConfig, Stats};
use super::{Counter, Folders, Place, Ports, Proxy, Tally, Way, keep};
use crate::certs::spiffe_id;
use crate::launch::{Launch, Launched};
use crate::{Error, Result, http};

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
        let path = folders.kept.join(format!("{}.json", place.name));
        let text = serde_json::to_string_pretty(&config(place))
            .map_err(|e| Error::Config { part: place.name.clone(), problem: e.to_string() })?;
        keep(&path, &(text + "\n"))?;
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
        let ports = Ports { inbound: ready.inbound, outbound: ready.outbound, admin: ready.admin };
        if ports.inbound.is_some() != place.app.is_some() || ports.outbound.is_some() != place.callee.is_some() {
            return Err(part.answer(format!("it listens at {ready:?}, which is not what it was configured for")));
        }
        Ok(ports)
    }

    fn tally(&self, part: &Launched, ports: &Ports) -> Result<Tally> {
        let source = format!("{}/stats", ports.admin);
        let doing = format!("GET /stats at its admin port {}", ports.admin);
        let said = |e: String| part.expect_alive(&doing).err().unwrap_or_else(|| part.answer(format!("{doing}: {e}")));
        let answer = http::get(ports.admin, "/stats", ADMIN_PATIENCE).map_err(|e| said(e.to_string()))?;
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
            outbound: outbound.map(|o| Way {
                requests: counter("outbound.requests", o.requests),
                handshakes: counter("outbound.tls_handshakes", o.tls_handshakes),
                strangers: None,
                broken: None,
                in_clear: None,
                peers: Some(o.peers.into_keys().collect()),
            }),
        })
    }
}

fn config(place: &Place) -> SidecarConfig {
    SidecarConfig {
        name: place.name.clone(),
        workers: place.workers,
        mtls: place.mtls,
        inbound: place.app.map(|app| InboundConfig { listen: ANY, app }),
        outbound: place.callee.as_ref().map(|callee| OutboundConfig {
            listen: ANY,
            upstream: callee.inbound,
            peer: spiffe_id(&callee.service),
        }),
        identity: place.identity.clone(),
        admin: ANY,
    }
}
