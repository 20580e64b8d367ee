//! The built-in sidecar as a proxy to deploy: started as a process of its own, told things on its standard input, asked
//! over its admin port.

mod config;
mod lacks;
mod proofs;
mod ways;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use record::{AccessLog, Factors, Lack, Proof, Weights};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use self::ways::{stats, way_in, way_out};
use super::embedded::{Ready, Stats};
use super::{ADMIN_PORT, Counter, DOOR_PORT, Folders, Place, Ports, Proxy, Stand, Tally, line_log};
use crate::error::file_error;
use crate::launch::{Launch, Launched};
use crate::onlooker::serial_of;
use crate::ready::{Deadline, until};
use crate::{Error, Result};

/// How long it may take to do what it is told; under a small CPU limit even that waits its turn.
const PATIENCE: Duration = Duration::from_secs(20);

/// The built-in sidecar.
pub(crate) struct Embedded;

impl Proxy for Embedded {
    fn program(&self) -> String {
        format!("meshtax {}", env!("CARGO_PKG_VERSION"))
    }

    fn launch(&self, place: &Place, folders: &Folders) -> Result<Launch> {
        let text = serde_json::to_string_pretty(&config::config(place, folders))
            .map_err(|e| Error::Config { part: place.name.clone(), problem: e.to_string() })?;
        let path = folders.config(&format!("{}.json", place.name), &(text + "\n"))?;
        let (file, piped) = (line_log::file(place, folders), line_log::piped(&place.factors));
        if let Some(file) = &file {
            // A trial that was cut off and is made again begins again.
            match std::fs::remove_file(file) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(file_error("remove", file)(e)),
                _ => {}
            }
        }
        Ok(Launch {
            name: place.name.clone(),
            program: folders.meshtax.clone(),
            args: vec!["sidecar".into(), "--config".into(), path.into()],
            env: Vec::new(),
            cgroups: Vec::new(),
            netns: None,
            user: None,
            within: None,
            log: folders.log(&place.name),
            stdout: file,
            pipe_stdin: true,
            pipe_stdout: piped,
        })
    }

    fn listening(&self, place: &Place, part: &mut Launched, folders: &Folders, patience: Duration) -> Result<Ports> {
        part.drain()?;
        let file = config::ready_file(place, folders);
        let deadline = Deadline::after(patience);
        let Ready { ready } = until(part, "the file that says where it listens", &deadline, || {
            // It is put in its place when it is whole.
            Ok(std::fs::read(&file).ok().and_then(|text| serde_json::from_slice(&text).ok()))
        })?;
        if (ready.inbound.is_some(), ready.outbound.len()) != config::listeners(place) {
            return Err(part.answer(format!("it listens at {ready:?}, which is not what it was configured for")));
        }
        let called = place.callees.iter().filter(|_| place.door.is_none());
        Ok(match &place.stand {
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
        })
    }

    fn tally(&self, place: &Place, part: &Launched, ports: &Ports) -> Result<Tally> {
        let source = format!("{}/stats", ports.admin);
        let stats = stats(place, part, ports.admin)?;
        let retries = stats.outbound.iter().map(|o| o.upstream_retries).sum();
        Ok(Tally {
            program: format!("meshtax {}", stats.version),
            program_source: source.clone(),
            inbound: stats.inbound.map(|i| way_in(place, &source, i)),
            outbound: stats.outbound.into_iter().map(|o| (o.service.clone(), way_out(&source, o))).collect(),
            retries: Some(Counter { value: retries, source: format!("{source} outbound.*.upstream_retries") }),
        })
    }

    fn prove(&self, place: &Place, part: &Launched, ports: &Ports) -> Result<Vec<Proof>> {
        proofs::prove(place, part, ports.admin)
    }

    fn shift(&self, place: &Place, part: &mut Launched, folders: &Folders, weights: &Weights) -> Result<()> {
        let admin = admin(place, folders)?;
        tell(place, part, admin, &format!("weights {weights}"), |stats| {
            let subsets = stats.outbound.iter().flat_map(|callee| &callee.subsets);
            let weight = |name: &str| subsets.clone().find(|subset| subset.name == name).and_then(|s| s.weight);
            weights.subsets().iter().all(|(name, expected)| weight(name) == Some(*expected))
        })
    }

    fn renew(&self, place: &Place, part: &mut Launched, ports: &Ports) -> Result<()> {
        let Some(identity) = &place.identity else { return Ok(()) };
        let serial = CertificateDer::from_pem_file(&identity.chain).ok().and_then(|c| serial_of(&c));
        tell(place, part, ports.admin, "renew", |stats| stats.serial == serial)
    }

    fn scrape_path(&self) -> &'static str {
        "/stats/prometheus"
    }

    fn lacks(&self, factors: &Factors) -> Vec<Lack> {
        lacks::of(factors)
    }
}

/// Why it cannot be what these factors ask for.
pub(crate) fn cannot(factors: &Factors) -> Option<String> {
    let never = factors.access_log != AccessLog::Off && factors.log_flush_ns == 0;
    never.then(|| "embedded: a log that is written out every 0 ns would never rest".to_owned())
}

/// Where its admin port is.
fn admin(place: &Place, folders: &Folders) -> Result<SocketAddr> {
    if let Stand::Pod(_) = place.stand {
        return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, ADMIN_PORT)));
    }
    let file = config::ready_file(place, folders);
    let said = std::fs::read(&file).map_err(file_error("read", &file))?;
    let problem = |e: serde_json::Error| Error::Config { part: place.name.clone(), problem: e.to_string() };
    serde_json::from_slice(&said).map(|Ready { ready }| ready.admin).map_err(problem)
}

/// Tells it something, and waits until it says that all its workers do so.
fn tell(
    place: &Place,
    part: &mut Launched,
    admin: SocketAddr,
    line: &str,
    does: impl Fn(&Stats) -> bool,
) -> Result<()> {
    let refused = stats(place, part, admin)?.told.refused;
    part.write_line(line)?;
    until(part, &format!("what follows from '{line}'"), &Deadline::after(PATIENCE), || {
        let now = stats(place, part, admin)?;
        if now.told.refused > refused {
            let why = now.told.last_refusal.unwrap_or_default();
            return Err(part.answer(format!("it did not do what it was told: {why}")));
        }
        Ok(does(&now).then_some(()))
    })
}
