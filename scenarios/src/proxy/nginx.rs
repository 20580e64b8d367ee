//! nginx as the sidecar: its configuration, its workers, and who connected to it.

mod config;
mod connections;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use record::{Factors, Lack, Mtls, Platform, Proof, Protocol, Weights};

use super::line_log;
use super::listens::Allotted;
use super::packaged::PackagedProgram;
use super::{Callee, Counter, Folders, Place, Ports, Proxy, Tally, Way, proof};
use crate::error::file_error;
use crate::launch::{Launch, Launched};
use crate::ready::{Deadline, until};
use crate::{Error, Result};
use connections::Connection;

/// How long it may take to answer; under a small CPU limit even that waits its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// nginx, and where those that run keep their logs.
#[derive(Debug)]
pub(crate) struct Nginx {
    program: PackagedProgram,
    allotted: Allotted,
    folders: Mutex<Option<Folders>>,
}

impl Nginx {
    pub(crate) fn new(program: PackagedProgram) -> Self {
        Self { program, allotted: Allotted::default(), folders: Mutex::default() }
    }
}

impl Proxy for Nginx {
    fn program(&self) -> String {
        self.program.describe()
    }

    fn launch(&self, place: &Place, folders: &Folders) -> Result<Launch> {
        *self.folders.lock().unwrap_or_else(PoisonError::into_inner) = Some(folders.clone());
        let listens = self.allotted.choose(place)?;
        let text = config::render(place, &listens, folders)?;
        let config = folders.config(&format!("{}.nginx.conf", place.name), &text)?;
        Ok(Launch {
            name: place.name.clone(),
            program: self.program.path.clone(),
            args: vec![
                "-e".into(),
                "stderr".into(),
                "-p".into(),
                folders.private.clone().into(),
                "-c".into(),
                config.into(),
            ],
            env: Vec::new(),
            cgroups: Vec::new(),
            netns: None,
            user: None,
            within: None,
            log: folders.log(&place.name),
            stdout: line_log::file(place, folders),
            pipe_stdin: false,
            pipe_stdout: line_log::piped(&place.factors),
        })
    }

    fn listening(&self, place: &Place, part: &mut Launched, _: &Folders, patience: Duration) -> Result<Ports> {
        part.drain()?;
        let deadline = Deadline::after(patience);
        let admin = self.allotted.of(place)?.admin;
        // It binds all its listeners or none, before it has workers.
        until(part, &format!("GET /about at {admin}"), &deadline, || {
            let Ok(answer) = place.stand.get(admin, "/about", PATIENCE) else { return Ok(None) };
            let workers = workers(part.pid());
            let whole = workers.len() == place.factors.workers as usize;
            Ok(about(&answer.text()).filter(|(pid, _)| whole && workers.contains(pid)))
        })?;
        self.allotted.listening(place)
    }

    fn tally(&self, place: &Place, part: &Launched, ports: &Ports) -> Result<Tally> {
        let source = format!("{}/about", ports.admin);
        let said = |e: String| part.answer(format!("GET /about at its admin port {}: {e}", ports.admin));
        let answer = place.stand.get(ports.admin, "/about", PATIENCE).map_err(|e| said(e.to_string()))?;
        let text = answer.text();
        let (_, version) = about(&text).ok_or_else(|| said(format!("it answered '{}'", text.trim())))?;
        let (connections, file) = self.connections(place, part)?;
        Ok(Tally {
            program: format!("nginx {version}"),
            program_source: source,
            inbound: self.allotted.of(place)?.inbound.map(|at| {
                let came = connections.iter().filter(|c| c.port == at.port());
                way_in(&came.collect::<Vec<_>>(), place, &file.display().to_string())
            }),
            // It does not tell what it sent to whom; the callee's own proxy tells who came.
            outbound: Vec::new(),
            retries: None,
        })
    }

    fn prove(&self, place: &Place, part: &Launched, _: &Ports) -> Result<Vec<Proof>> {
        let (connections, file) = self.connections(place, part)?;
        let mut proofs = Vec::new();
        for callee in &place.callees {
            proofs.push(prove_destination(place, callee, &connections, &file.display().to_string())?);
        }
        proofs.extend(line_log::prove(place, part, &self.folders(place)?)?);
        Ok(proofs)
    }

    fn shift(&self, place: &Place, part: &mut Launched, _: &Folders, weights: &Weights) -> Result<()> {
        Err(part.answer(format!("{} cannot be told {weights} while it runs", place.name)))
    }

    fn renew(&self, place: &Place, part: &mut Launched, _: &Ports) -> Result<()> {
        Err(part.answer(format!("{} cannot take up a certificate while it runs", place.name)))
    }

    fn workers(&self, part: &Launched, expected: u32) -> Result<Proof> {
        let found = workers(part.pid()).len().to_string();
        let source = format!("processes named 'nginx: worker process' with the parent {}", part.pid());
        proof::claim(
            part.name(),
            "worker processes (in place of worker threads)",
            &expected.to_string(),
            &found,
            &source,
        )
    }

    fn children(&self, part: &Launched) -> Vec<u32> {
        workers(part.pid())
    }

    fn scrape_path(&self) -> &'static str {
        "/stub_status"
    }

    fn lacks(&self, factors: &Factors) -> Vec<Lack> {
        let lack = |what: &str, reason: &str| Lack { what: what.to_owned(), reason: reason.to_owned() };
        let mut lacks = vec![lack(
            "istio.stats, istio.alpn and metadata-exchange",
            "Istio's filters have no counterpart in it: their work for each request is not in the figures",
        )];
        if factors.own_port_mtls() != Mtls::Disable {
            lacks.push(lack(
                "SPIFFE identities",
                "it verifies the DNS name of a callee and the authority of a caller: it cannot match URI names",
            ));
        }
        if factors.platform == Platform::Pods {
            lacks.push(lack(
                "original destination",
                "it does not ask the kernel where a redirected connection was going: the request's Host tells it",
            ));
        }
        if factors.retries > 0 {
            lacks.push(lack("retries", "it tries another server or none, and each subset has one"));
        }
        if factors.stats_scrape_ns > 0 {
            lacks.push(lack("statistics", "it has seven counters to be scraped, where Istio's proxy has thousands"));
        }
        lacks
    }
}

impl Nginx {
    /// The connections that it has had, and the file that says so.
    fn connections(&self, place: &Place, part: &Launched) -> Result<(Vec<Connection>, PathBuf)> {
        let folders = self.folders(place)?;
        let written = config::connections(place, &folders.private);
        let text = std::fs::read_to_string(&written).map_err(file_error("read", &written))?;
        // Its user may not be able to write where what is kept lies.
        let file = config::connections(place, &folders.logs);
        std::fs::write(&file, &text).map_err(file_error("write", &file))?;
        let read = connections::read(&text);
        let connections = read.ok_or_else(|| part.answer(format!("{} is not as it was configured", file.display())))?;
        Ok((connections, file))
    }

    fn folders(&self, place: &Place) -> Result<Folders> {
        let folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner).clone();
        folders.ok_or_else(|| Error::Config { part: place.name.clone(), problem: "it was never launched".to_owned() })
    }
}

/// Why it cannot be what these factors ask for.
pub(crate) fn cannot(factors: &Factors) -> Option<String> {
    let because = |condition: bool, reason: &str| condition.then(|| reason.to_owned());
    let own_port = factors.own_port_mtls();
    because(
        own_port == Mtls::Permissive,
        "nginx takes TLS or clear at a port, not either of both",
    )
    .or_else(|| {
        because(
            factors.port_mtls.is_some(),
            "nginx does not ask for a connection's original destination: behind redirection all ports are one to it, with one mode",
        )
    })
    .or_else(|| {
        because(
            factors.rotate_ns > 0,
            "nginx takes up new certificates by a reload only, which closes idle connections under requests just sent: some are reset",
        )
    })
    .or_else(|| because(factors.protocol == Protocol::Auto, "nginx is told what a port carries, and does not look"))
    .or_else(|| {
        let canary = factors.canary.as_ref()?;
        if !canary.shifts.is_empty() {
            return Some(
                "nginx takes up new weights by a reload only, which closes idle connections under requests just sent: some are reset"
                    .to_owned(),
            );
        }
        let weights: Vec<u32> = canary.weights.subsets().iter().map(|(_, weight)| *weight).collect();
        (!config::splits(&weights))
            .then(|| format!("nginx splits in hundredths of a percent, which {} is not", canary.weights))
    })
}

/// "PID VERSION".
fn about(text: &str) -> Option<(u32, String)> {
    let (pid, version) = text.trim().split_once(' ')?;
    Some((pid.parse().ok()?, version.to_owned()))
}

/// Its workers that take connections, lowest pid first.
fn workers(master: u32) -> Vec<u32> {
    let Ok(all) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = all.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let mut found: Vec<u32> = pids.filter(|pid| parent(*pid) == Some(master) && is_worker(*pid)).collect();
    found.sort_unstable();
    found
}

/// proc_pid_stat(5): the name is in parentheses and may hold anything.
fn parent(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

fn is_worker(pid: u32) -> bool {
    let title = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let title: Vec<u8> = title.into_iter().take_while(|byte| *byte != 0).collect();
    title.trim_ascii_end() == b"nginx: worker process"
}

/// What came to a port, by the first request of each connection.
fn way_in(came: &[&Connection], place: &Place, file: &str) -> Way {
    let counter = |what: &str, count: usize| Counter { value: count as u64, source: format!("{file}, {what}") };
    let secured: Vec<&&Connection> = came.iter().filter(|c| !c.tls.is_empty()).collect();
    let verified = secured.iter().filter(|c| c.verified).count();
    let strict = place.app.is_some() && place.mode() == Mtls::Strict;
    Way {
        requests: counter("connections with a request", came.len()),
        handshakes: counter("connections with TLS", secured.len()),
        strangers: strict.then(|| counter("TLS without a verified certificate", secured.len() - verified)),
        broken: strict.then(|| counter("connections in clear", came.len() - secured.len())),
        in_clear: None,
        peers: strict.then(|| connections::peers(secured.into_iter().copied())),
    }
}

/// Whether calls to a callee went to its subsets and nowhere else. One of little weight may have had no first request of
/// a connection.
fn prove_destination(place: &Place, callee: &Callee, connections: &[Connection], file: &str) -> Result<Proof> {
    let known: Vec<String> = callee.subsets.iter().map(|subset| subset.address.to_string()).collect();
    let names: Vec<String> = callee.subsets.iter().map(|subset| config::upstream(callee, subset)).collect();
    let went = connections.iter().filter(|c| names.contains(&c.to) && !c.upstream.is_empty());
    let found: BTreeSet<&str> = went.map(|c| c.upstream.as_str()).collect();
    let right = !found.is_empty() && found.iter().all(|upstream| known.iter().any(|address| address == upstream));
    let found = found.into_iter().collect::<Vec<_>>().join(", ");
    let claim = format!("calls to {} went to", callee.service);
    proof::held(right, &place.name, &claim, &known.join(" or "), &found, file)
}
