//! HAProxy as the sidecar: its configuration, its counters, and its command line, by which a running one is changed.

mod cli;
mod config;
mod counters;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use record::{AccessLog, Factors, Lack, Mtls, Proof, Protocol, Weights};

use super::line_log;
use super::listens::Allotted;
use super::packaged::PackagedProgram;
use super::{Callee, Counter, Folders, Place, Ports, Proxy, Tally, Way, proof};
use crate::Result;
use crate::anew::write_anew;
use crate::certs::IdentityFiles;
use crate::error::file_error;
use crate::launch::{Launch, Launched};
use crate::ready::{Deadline, until};
use counters::Table;

/// How long it may take to answer; under a small CPU limit even that waits its turn.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long its counters are waited for when no one calls it any more; a request that hangs is not waited out.
const SETTLING: Duration = Duration::from_secs(2);

/// HAProxy, and what is to be remembered of those that run.
#[derive(Debug)]
pub(crate) struct Haproxy {
    program: PackagedProgram,
    allotted: Allotted,
    /// What was said last to one proxy of the weights of a callee; before anything was, its configuration holds.
    told: Mutex<Vec<(String, Weights)>>,
    folders: Mutex<Option<Folders>>,
}

impl Haproxy {
    pub(crate) fn new(program: PackagedProgram) -> Self {
        Self { program, allotted: Allotted::default(), told: Mutex::default(), folders: Mutex::default() }
    }
}

impl Proxy for Haproxy {
    fn program(&self) -> String {
        self.program.describe()
    }

    fn launch(&self, place: &Place, folders: &Folders) -> Result<Launch> {
        *self.folders.lock().unwrap_or_else(PoisonError::into_inner) = Some(folders.clone());
        let listens = self.allotted.choose(place)?;
        let identities = place.identity.iter().chain(place.door.as_ref().map(|door| &door.identity));
        identities.into_iter().try_for_each(|identity| join(identity, folders))?;
        let text = config::render(place, &listens, folders)?;
        let config = folders.config(&format!("{}.haproxy.cfg", place.name), &text)?;
        Ok(Launch {
            name: place.name.clone(),
            program: self.program.path.clone(),
            args: vec!["-db".into(), "-f".into(), config.into()],
            env: Vec::new(),
            cgroups: Vec::new(),
            netns: None,
            user: None,
            within: None,
            log: folders.log(&place.name),
            // It opens no files, and takes its standard output for one.
            stdout: line_log::file(place, folders),
            pipe_stdin: false,
            pipe_stdout: line_log::piped(&place.factors),
        })
    }

    fn listening(&self, place: &Place, part: &mut Launched, folders: &Folders, patience: Duration) -> Result<Ports> {
        part.drain()?;
        let deadline = Deadline::after(patience);
        let socket = config::cli_socket(&folders.private, place);
        // It binds all its listeners or none, before it answers at any.
        until(part, "an answer at its command line", &deadline, || {
            let Ok(said) = cli::ask(&socket, "show info", PATIENCE) else { return Ok(None) };
            let pid = said.lines().find_map(|line| line.strip_prefix("Pid: ")?.trim().parse::<u32>().ok());
            Ok(pid.filter(|pid| *pid == part.pid()))
        })?;
        let ports = self.allotted.listening(place)?;
        until(part, &format!("GET /metrics at {}", ports.admin), &deadline, || {
            Ok(place.stand.get(ports.admin, "/metrics", PATIENCE).ok().filter(|answer| answer.status == 200))
        })?;
        Ok(ports)
    }

    fn tally(&self, place: &Place, part: &Launched, ports: &Ports) -> Result<Tally> {
        let table = settled(place, part, ports.admin)?;
        let metrics = text(place, part, ports.admin, "/metrics")?;
        let said = counters::version(&metrics).unwrap_or("of no version");
        let backends: Vec<String> = place.callees.iter().map(|callee| config::backend(&callee.service)).collect();
        let wholes: Vec<(&str, &str)> = backends.iter().map(|backend| (backend.as_str(), "BACKEND")).collect();
        Ok(Tally {
            program: format!("haproxy {said}"),
            program_source: format!("{}/metrics haproxy_process_build_info", ports.admin),
            inbound: ports.inbound.map(|_| way_in(place, &table)),
            outbound: place.callees.iter().map(|callee| (callee.service.clone(), way_out(callee, &table))).collect(),
            retries: Some(table.sum(&wholes, &["wretr"])),
        })
    }

    fn prove(&self, place: &Place, part: &Launched, ports: &Ports) -> Result<Vec<Proof>> {
        let table = table(place, part, ports.admin)?;
        let mut proofs = Vec::new();
        for callee in &place.callees {
            proofs.extend(self.prove_split(place, callee, &table, ports.admin)?);
        }
        if let Some(identity) = place.identity.as_ref().filter(|_| config::shows_certificate(place)) {
            proofs.push(prove_certificate(place, identity)?);
        }
        if let Some(folders) = self.folders.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            proofs.extend(line_log::prove(place, part, folders)?);
        }
        Ok(proofs)
    }

    fn shift(&self, place: &Place, part: &mut Launched, folders: &Folders, weights: &Weights) -> Result<()> {
        let canary = place.factors.canary.as_ref();
        let Some(callee) = canary.and_then(|canary| place.callee(&canary.service)) else { return Ok(()) };
        let scaled =
            config::fits(weights).ok_or_else(|| part.answer(format!("it cannot split requests by {weights}")))?;
        let backend = config::backend(&callee.service);
        let command: Vec<String> = weights
            .subsets()
            .iter()
            .zip(scaled)
            .map(|((subset, _), weight)| format!("set server {backend}/{} weight {weight}", config::server(subset)))
            .collect();
        let said = command_line(place, part, &folders.private, &command.join("; "))?;
        if !said.trim().is_empty() {
            return Err(part.answer(format!("told '{}' it said '{}'", command.join("; "), said.trim())));
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|(name, _)| *name != place.name);
        told.push((place.name.clone(), weights.clone()));
        Ok(())
    }

    fn renew(&self, place: &Place, part: &mut Launched, _: &Ports) -> Result<()> {
        let Some(identity) = &place.identity else { return Ok(()) };
        let pem = config::pem(identity);
        let private = pem.parent().unwrap_or(Path::new("/"));
        let name = cli::word(&pem.display().to_string());
        // An empty line ends what it is given.
        let joined: String =
            config::joined(identity)?.lines().filter(|l| !l.is_empty()).map(|l| format!("{l}\n")).collect();
        let set = format!("set ssl cert {name} <<\n{joined}");
        for (command, shown) in [(set, "set ssl cert"), (format!("commit ssl cert {name}"), "commit ssl cert")] {
            let said = command_line(place, part, private, &command)?;
            if !(said.contains("Transaction created") || said.contains("Success")) {
                return Err(part.answer(format!("told '{shown}' it said '{}'", said.trim())));
            }
        }
        Ok(())
    }

    fn workers(&self, part: &Launched, expected: u32) -> Result<Proof> {
        // All its threads are workers, and named alike.
        let tasks = format!("/proc/{}/task", part.pid());
        let found = std::fs::read_dir(&tasks).map_or(0, Iterator::count);
        proof::claim(part.name(), "worker threads", &expected.to_string(), &found.to_string(), &tasks)
    }

    fn scrape_path(&self) -> &'static str {
        "/metrics"
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
        if factors.own_port_mtls() == Mtls::Permissive || factors.port_mtls.is_some() {
            lacks.push(lack(
                "filter chains",
                "its listeners speak TLS or do not: what the first bytes or the port decide goes through a second listener, by a socket of the same process",
            ));
        }
        if factors.retries > 0 {
            lacks.push(lack(
                "retries after 25 ms",
                "it retries on a failed connection and on 503, and the former after a second on the same server",
            ));
        }
        if factors.access_log != AccessLog::Off {
            lacks.push(lack(
                "a buffered access log",
                "it writes each line by itself, and has no buffer and no interval: log_flush has no effect",
            ));
        }
        if factors.canary.is_some() {
            lacks.push(lack(
                "random splits",
                "it deals requests to subsets in turn: shares are exact, without the chance of Istio's draws",
            ));
        }
        lacks
    }
}

impl Haproxy {
    /// Whether a callee's requests are split as it was told last.
    fn prove_split(&self, place: &Place, callee: &Callee, table: &Table, admin: SocketAddr) -> Result<Vec<Proof>> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let last = told.iter().find(|(name, _)| *name == place.name).map(|(_, weights)| weights);
        let first: Vec<u32> = callee.subsets.iter().map(|subset| subset.weight).collect();
        let expected = match (last, &place.factors.canary) {
            (Some(weights), Some(canary)) if canary.service == callee.service => config::fits(weights),
            _ => config::scaled(&first),
        };
        let backend = config::backend(&callee.service);
        let one = |(subset, weight): (&super::Subset, u32)| {
            let server = config::server(&subset.name);
            let found = table.cell(&backend, server, "uweight").unwrap_or("none");
            let source = format!("{admin}/stats;csv {backend}/{server} uweight");
            proof::claim(&place.name, &format!("weight of {backend}/{server}"), &weight.to_string(), found, &source)
        };
        if callee.subsets.len() < 2 {
            return Ok(Vec::new());
        }
        callee.subsets.iter().zip(expected.unwrap_or_default()).map(one).collect()
    }
}

/// Why it cannot be what these factors ask for.
pub(crate) fn cannot(factors: &Factors) -> Option<String> {
    let because = |condition: bool, reason: &str| condition.then(|| reason.to_owned());
    because(
        factors.requests_per_connection > 0,
        "haproxy does not close an HTTP/1.1 connection to a server after a number of requests (its max-reuse bounds HTTP/2 only)",
    )
    .or_else(|| {
        because(factors.protocol == Protocol::Auto, "haproxy is told what a port carries; here it is told HTTP")
    })
    .or_else(|| {
        let canary = factors.canary.as_ref()?;
        let all = canary.shifts.iter().map(|shift| &shift.weights).chain([&canary.weights]);
        let heavy = all.into_iter().find(|weights| config::fits(weights).is_none())?;
        Some(format!("haproxy splits by weights of at most 256, and {heavy} cannot be scaled to that"))
    })
}

/// Writes a certificate with its key into one file, as HAProxy reads them.
fn join(identity: &IdentityFiles, folders: &Folders) -> Result<()> {
    let path = config::pem(identity);
    let joined = config::joined(identity)?;
    write_anew(&path, 0o600, joined.as_bytes())?;
    folders.give(&path)
}

/// Gives a running one a command.
fn command_line(place: &Place, part: &Launched, private: &Path, command: &str) -> Result<String> {
    let socket: PathBuf = config::cli_socket(private, place);
    cli::ask(&socket, command, PATIENCE).map_err(|e| {
        let doing = format!("a command at {}", socket.display());
        part.expect_alive(&doing).err().unwrap_or_else(|| part.answer(format!("{doing}: {e}")))
    })
}

/// Whether the certificate that it holds is the one in its file.
fn prove_certificate(place: &Place, identity: &IdentityFiles) -> Result<Proof> {
    let pem = config::pem(identity);
    let private = pem.parent().unwrap_or(Path::new("/"));
    let socket = config::cli_socket(private, place);
    let command = format!("show ssl cert {}", cli::word(&pem.display().to_string()));
    let said = cli::ask(&socket, &command, PATIENCE).map_err(file_error("ask at", &socket))?;
    let serial = said.lines().find_map(|line| line.strip_prefix("Serial: ")).unwrap_or("none");
    let found = serial.to_ascii_lowercase();
    let expected = crate::certs::serial_in(&identity.chain)?;
    let source = format!("show ssl cert {}", pem.display());
    let digits = |text: &str| text.trim_start_matches('0').to_owned();
    proof::claim(&place.name, "serial number of its certificate", &digits(&expected), &digits(&found), &source)
}

fn text(place: &Place, part: &Launched, admin: SocketAddr, path: &str) -> Result<String> {
    let doing = || format!("GET {path} at its admin port {admin}");
    match place.stand.get(admin, path, PATIENCE) {
        Ok(answer) if answer.status == 200 => Ok(answer.text()),
        Ok(answer) => Err(part.answer(format!("{} was answered with status {}", doing(), answer.status))),
        Err(e) => Err(part.expect_alive(&doing()).err().unwrap_or_else(|| part.answer(format!("{}: {e}", doing())))),
    }
}

fn table(place: &Place, part: &Launched, admin: SocketAddr) -> Result<Table> {
    let text = text(place, part, admin, "/stats;csv")?;
    Table::read(&text).ok_or_else(|| part.answer("its /stats;csv is no table".to_owned()))
}

/// The table when nothing is under way. A request is counted when its stream ends, which another thread of its may come
/// to after the caller has the answer.
fn settled(place: &Place, part: &Launched, admin: SocketAddr) -> Result<Table> {
    let deadline = Deadline::after(SETTLING);
    loop {
        let table = table(place, part, admin)?;
        if table.at_rest() || deadline.left().is_zero() {
            return Ok(table);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What came from callers; where it looks at the first bytes, behind that. At its listeners it counts a connection that
/// brought no request as one, hence what was passed on to the service.
fn way_in(place: &Place, table: &Table) -> Way {
    let looks = config::looks(place);
    let frontends: &[(&str, &str)] = match looks {
        true => &[("inbound_tls", "FRONTEND"), ("inbound_clear", "FRONTEND")],
        false => &[("inbound", "FRONTEND")],
    };
    let backends: Vec<String> = place.app.iter().flat_map(|app| config::backends(place, app)).collect();
    let backends: Vec<(&str, &str)> = backends.iter().map(|backend| (backend.as_str(), "BACKEND")).collect();
    let passed_on = if place.door.is_some() { frontends } else { &backends };
    Way {
        requests: table.sum(passed_on, &["req_tot"]),
        handshakes: table.sum(frontends, &["ssl_sess"]),
        strangers: None,
        // Strangers are among them; at a door anyone may break off.
        broken: place.door.is_none().then(|| table.sum(frontends, &["ssl_failed_handshake"])),
        in_clear: looks.then(|| table.sum(&[("inbound_clear", "FRONTEND")], &["req_tot"])),
        peers: None,
    }
}

/// What went to a callee.
fn way_out(callee: &Callee, table: &Table) -> Way {
    let backend = config::backend(&callee.service);
    let whole = [(backend.as_str(), "BACKEND")];
    let sum = |columns: &[&str]| -> Counter { table.sum(&whole, columns) };
    Way {
        requests: sum(&["req_tot", "wretr"]),
        handshakes: sum(&["ssl_sess"]),
        strangers: None,
        broken: Some(sum(&["ssl_failed_handshake"])),
        in_clear: None,
        peers: None,
    }
}
