//! What is read back from a running built-in sidecar of what its factors made of its configuration.

use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use record::{AccessLog, Mtls, Proof, Weights};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::ways::stats;
use crate::Result;
use crate::launch::Launched;
use crate::onlooker::serial_of;
use crate::proxy::embedded::{LogStats, Stats};
use crate::proxy::proof::{claim, held};
use crate::proxy::{Place, Stand};
use crate::ready::Deadline;

/// How much longer than its interval a log may take to be written out: the disk is the one that is being measured.
const WRITTEN_WITHIN: Duration = Duration::from_secs(10);

/// How often it is looked whether it was.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// One proof for each factor that can be read back.
///
/// # Errors
/// [`crate::Error::Unproven`] with the first that does not hold; those of asking.
pub(super) fn prove(place: &Place, part: &Launched, admin: SocketAddr) -> Result<Vec<Proof>> {
    let asked = Asked { place, part, admin, source: format!("{admin}/stats") };
    let stats = stats(place, part, admin)?;
    let factors = &place.factors;
    let mut proofs = vec![
        asked.says("what is known of ports", &factors.protocol, &stats.protocol)?,
        asked.says("retries", &factors.retries, &stats.retries)?,
        asked.says("requests per connection", &factors.requests_per_connection, &stats.requests_per_connection)?,
    ];
    proofs.extend(asked.modes(&stats)?);
    proofs.extend(asked.splits(&stats)?);
    proofs.extend(asked.bounds(&stats)?);
    proofs.extend(asked.certificate(&stats)?);
    proofs.extend(asked.log()?);
    Ok(proofs)
}

struct Asked<'a> {
    place: &'a Place,
    part: &'a Launched,
    admin: SocketAddr,
    source: String,
}

impl Asked<'_> {
    fn says(&self, what: &str, expected: &dyn std::fmt::Display, found: &dyn std::fmt::Display) -> Result<Proof> {
        claim(self.part.name(), what, &expected.to_string(), &found.to_string(), &self.source)
    }

    /// How callers of each port are let in.
    fn modes(&self, stats: &Stats) -> Result<Vec<Proof>> {
        let (Some(app), Some(inbound)) = (&self.place.app, &stats.inbound) else { return Ok(Vec::new()) };
        let workload = self.place.factors.mtls;
        let shown = |mode: Option<Mtls>| mode.map_or_else(|| "not served".to_owned(), |mode| mode.to_string());
        let mut proofs = Vec::new();
        for (at, port) in app.ports.iter().enumerate() {
            let expected = if at == 0 { self.place.mode() } else { workload };
            let found = inbound.ports.iter().find(|p| p.port == *port).map(|p| p.mtls);
            proofs.push(self.says(&format!("mode of port {port}"), &expected, &shown(found))?);
        }
        if let Stand::Pod(_) = self.place.stand {
            proofs.push(self.says("mode of all other ports", &workload, &shown(inbound.other_ports))?);
        }
        Ok(proofs)
    }

    /// How the requests to each callee are split: as at first, or as they were shifted since.
    fn splits(&self, stats: &Stats) -> Result<Vec<Proof>> {
        let mut proofs = Vec::new();
        for callee in self.place.callees.iter().filter(|callee| callee.subsets.len() > 1) {
            let of = |name: &str, weight: Option<u32>| {
                weight.map_or_else(|| format!("{name}=differs"), |weight| format!("{name}={weight}"))
            };
            let first = callee.subsets.iter().map(|s| of(&s.name, Some(s.weight))).collect::<Vec<_>>().join(",");
            let shifts = self.place.factors.canary.iter().flat_map(|canary| &canary.shifts);
            let mut told = vec![first];
            told.extend(shifts.map(|shift| sorted(&shift.weights, callee)));
            let found = stats.outbound.iter().find(|o| o.service == callee.service);
            let found = found.iter().flat_map(|o| &o.subsets).map(|s| of(&s.name, s.weight)).collect::<Vec<_>>();
            let (found, expected) = (found.join(","), told.join(" or "));
            let what = format!("weights outbound to {}", callee.service);
            proofs.push(held(told.contains(&found), self.part.name(), &what, &expected, &found, &self.source)?);
        }
        Ok(proofs)
    }

    /// That no connection carried more requests than it was to.
    fn bounds(&self, stats: &Stats) -> Result<Vec<Proof>> {
        let most = u64::from(self.place.factors.requests_per_connection);
        if most == 0 {
            return Ok(Vec::new());
        }
        let one = |name: &str, found: u64| {
            let what = format!("most requests on one connection {name}");
            let expected = format!("{most} or fewer");
            held(found <= most, self.part.name(), &what, &expected, &found.to_string(), &self.source)
        };
        let mut proofs = Vec::new();
        if let Some(inbound) = stats.inbound.as_ref().filter(|_| self.place.app.is_some()) {
            proofs.push(one("to the service", inbound.most_requests_on_one)?);
        }
        for out in &stats.outbound {
            proofs.push(one(&format!("to {}", out.service), out.most_requests_on_one)?);
        }
        Ok(proofs)
    }

    /// That the certificate it shows is that of its identity's files.
    fn certificate(&self, stats: &Stats) -> Result<Option<Proof>> {
        let Some(identity) = &self.place.identity else { return Ok(None) };
        let certificate = CertificateDer::from_pem_file(&identity.chain).ok();
        let serial = certificate.and_then(|c| serial_of(&c)).unwrap_or_default();
        let found = stats.serial.clone().unwrap_or_default();
        self.says("serial number of its certificate", &serial, &found).map(Some)
    }

    /// What was written for requests, and that it arrived where it should.
    fn log(&self) -> Result<Vec<Proof>> {
        let factors = &self.place.factors;
        let deadline = Deadline::after(Duration::from_nanos(factors.log_flush_ns) + WRITTEN_WITHIN);
        loop {
            let stats = stats(self.place, self.part, self.admin)?;
            let Some(log) = &stats.access_log else {
                let expected = factors.access_log == AccessLog::Off;
                let what = if expected { "off" } else { "on" };
                return Ok(vec![self.says("access log", &what, &"off")?]);
            };
            let (arrived, to) = self.arrived();
            let out = log.bytes == log.written_bytes && arrived == log.bytes;
            if out || deadline.left().is_zero() {
                return self.logged(log, lines_due(self.place, &stats), arrived, &to);
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn logged(&self, log: &LogStats, due: u64, arrived: u64, to: &str) -> Result<Vec<Proof>> {
        let factors = &self.place.factors;
        let LogStats { form, file: _, flush_ns, flush_kb, lines, bytes, written_bytes: _, writes: _ } = log;
        let all = claim(self.part.name(), "bytes of its access log", &bytes.to_string(), &arrived.to_string(), to)?;
        let some = *lines > 0 || due == 0;
        let expected = if some { due.to_string() } else { format!("{due}, and more than 0") };
        Ok(vec![
            self.says("access log", &factors.access_log, form)?,
            self.says("access log flush interval, ns", &factors.log_flush_ns, flush_ns)?,
            self.says("access log buffer, KiB", &factors.log_flush_kb, flush_kb)?,
            self.says("access log lines, one for each request", &expected, lines)?,
            all,
        ])
    }

    /// The bytes that came out at its standard output, which its log goes to, and where that is.
    fn arrived(&self) -> (u64, String) {
        match self.part.drained() {
            Some(bytes) => (bytes, "its stdout, a pipe".to_owned()),
            None => {
                let link = format!("/proc/{}/fd/1", self.part.pid());
                let path = std::fs::read_link(&link).map_or_else(|_| link.clone(), |path| path.display().to_string());
                (std::fs::metadata(&link).map_or(0, |file| file.size()), path)
            }
        }
    }
}

/// How many lines there should be: a gateway passes on what came in, and says so once.
fn lines_due(place: &Place, stats: &Stats) -> u64 {
    let inbound = stats.inbound.as_ref().map_or(0, |inbound| inbound.requests);
    let outbound: u64 = stats.outbound.iter().map(|out| out.requests).sum();
    if place.door.is_some() { inbound } else { inbound + outbound }
}

/// Weights in the order of a callee's subsets.
fn sorted(weights: &Weights, callee: &crate::proxy::Callee) -> String {
    let weight = |name: &str| weights.subsets().iter().find(|(n, _)| n == name).map_or(0, |(_, weight)| *weight);
    let subsets = callee.subsets.iter().map(|s| format!("{}={}", s.name, weight(&s.name)));
    subsets.collect::<Vec<_>>().join(",")
}
