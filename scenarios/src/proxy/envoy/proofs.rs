//! What runs, read back from a running Envoy: a proof for each factor.

use std::os::unix::fs::MetadataExt as _;

use record::{AccessLog, Mtls, Proof, Protocol, Weights};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;

use super::admin::{Admin, Counters};
use super::dump::{self, Dump};
use super::{names, sheet};
use crate::Result;
use crate::proxy::proof::{claim, held};
use crate::proxy::{Callee, Place, Subset};

/// The filters on a request's way, in Istio's order as far as a stock Envoy has them.
const HTTP_FILTERS: &str = "grpc_stats, fault, cors, router";

/// What is offered on the way to another sidecar.
const OFFERS: &str = "istio-http/1.1, istio, http/1.1";

const RETRY_OUT: &str = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";
const RETRY_IN: &str = "reset-before-request";

/// One proof for each factor that can be read back.
///
/// # Errors
/// [`crate::Error::Unproven`] for the first that is not as it should be.
pub(super) fn prove(admin: &Admin<'_>) -> Result<Vec<Proof>> {
    let counters = admin.counters()?;
    let asked = Asked { admin, place: admin.place, dump: Dump::read(&admin.json("/config_dump")?), counters };
    let mut proofs = asked.inbound()?;
    for callee in &asked.place.callees {
        proofs.extend(asked.outbound(callee)?);
    }
    proofs.extend(asked.log()?);
    proofs.extend(asked.certificate()?);
    Ok(proofs)
}

/// What was asked of it.
struct Asked<'a> {
    admin: &'a Admin<'a>,
    place: &'a Place,
    dump: Dump,
    counters: Counters,
}

impl Asked<'_> {
    fn claim(&self, what: &str, expected: impl ToString, found: impl ToString, path: &str) -> Result<Proof> {
        let source = format!("{}{path}", self.admin.address);
        claim(self.admin.part.name(), what, &expected.to_string(), &found.to_string(), &source)
    }

    /// A claim about what is configured.
    fn says(&self, what: &str, expected: impl ToString, found: impl ToString) -> Result<Proof> {
        self.claim(what, expected, found, "/config_dump")
    }

    /// Each port of the service.
    fn inbound(&self) -> Result<Vec<Proof>> {
        let (Some(app), factors) = (&self.place.app, &self.place.factors) else { return Ok(Vec::new()) };
        let pod = sheet::redirected(self.place);
        let mut proofs = Vec::new();
        for port in app.ports.iter().copied() {
            let chains = self.dump.chains(names::INBOUND, pod.then_some(port));
            let mode = if port == app.address.port() { self.place.mode() } else { factors.mtls };
            let found = dump::mode(&chains).map_or_else(|| "no chains".to_owned(), |mode| mode.to_string());
            proofs.push(self.says(&format!("mTLS of port {port}"), mode, found)?);
            let expected = chains_of(mode, factors.protocol);
            proofs.push(self.says(&format!("filter chains of port {port}"), expected, chains.len())?);
            proofs.push(self.says(&format!("protocol of port {port}"), factors.protocol, dump::protocol(&chains))?);
            for manager in chains.iter().filter_map(|chain| dump::manager(chain)) {
                proofs.extend(self.manager(&format!("inbound to port {port}"), manager)?);
                let route = dump::own_route(manager);
                proofs.push(self.retries(&format!("inbound to port {port}"), route, RETRY_IN)?);
            }
            proofs.push(self.bound(&format!("inbound to port {port}"), &names::inbound_cluster(port))?);
        }
        proofs.dedup();
        Ok(proofs)
    }

    /// The way out to a callee.
    fn outbound(&self, callee: &Callee) -> Result<Vec<Proof>> {
        let factors = &self.place.factors;
        let way = names::way(self.place, callee);
        let to = format!("outbound to {}", callee.service);
        let mut proofs = Vec::new();
        if self.place.door.is_none() {
            let looks = self.dump.listener_filters(&way).iter().any(|filter| filter == "http_inspector");
            let found = if looks { Protocol::Auto } else { Protocol::Http };
            proofs.push(self.says(&format!("protocol {to}"), factors.protocol, found)?);
        }
        for manager in self.dump.chains(&way, None).into_iter().filter_map(dump::manager) {
            proofs.extend(self.manager(&to, manager)?);
        }
        let host = format!("{}:{}", names::host(&callee.service), callee.address.port());
        let route = self.dump.route(names::routes(&way), &host);
        proofs.push(self.retries(&to, route, RETRY_OUT)?);
        for subset in &callee.subsets {
            let cluster = names::cluster(callee, subset);
            let offered = self.dump.offers(&cluster).map_or_else(|| "no TLS".to_owned(), |all| all.join(", "));
            let expected = if callee.secured { OFFERS } else { "no TLS" };
            proofs.push(self.says(&format!("ALPN {to}"), expected, offered)?);
            proofs.push(self.bound(&to, &cluster)?);
        }
        if callee.subsets.len() > 1 {
            proofs.extend(self.weights(callee, &host, route)?);
        }
        proofs.dedup();
        Ok(proofs)
    }

    /// The filters of a connection manager and its log.
    fn manager(&self, way: &str, manager: &Value) -> Result<[Proof; 2]> {
        let filters = dump::http_filters(manager).join(", ");
        let log = dump::access_log(manager);
        Ok([
            self.says(&format!("HTTP filters {way}"), HTTP_FILTERS, filters)?,
            self.says(&format!("access log {way}"), self.place.factors.access_log, log)?,
        ])
    }

    fn retries(&self, way: &str, route: Option<&Value>, on: &str) -> Result<Proof> {
        let shown = |retries: u64, on: &str| if retries == 0 { "0".to_owned() } else { format!("{retries} on {on}") };
        let found = route.map(dump::retries).map_or_else(|| "no route".to_owned(), |(n, on)| shown(n, &on));
        self.says(&format!("retries {way}"), shown(self.place.factors.retries.into(), on), found)
    }

    fn bound(&self, way: &str, cluster: &str) -> Result<Proof> {
        let found = self.dump.requests_per_connection(cluster);
        let found = found.map_or_else(|| format!("no cluster {cluster}"), |n| n.to_string());
        self.says(&format!("requests per connection {way}"), self.place.factors.requests_per_connection, found)
    }

    /// The weights that run are those that it was told last, which are the first ones or those of one of the shifts.
    fn weights(&self, callee: &Callee, host: &str, route: Option<&Value>) -> Result<[Proof; 2]> {
        // Always in the order of the subsets, whatever the order in which they were told.
        let shown = |weight: &dyn Fn(&Subset) -> u64| {
            let all = callee.subsets.iter().map(|subset| format!("{}={}", subset.name, weight(subset)));
            all.collect::<Vec<_>>().join(",")
        };
        let of_route = |route: &Value| {
            let weights = dump::weights(route);
            let of = |subset: &Subset| {
                let name = names::cluster(callee, subset);
                weights.iter().find(|(cluster, _)| *cluster == name).map_or(0, |(_, weight)| *weight)
            };
            shown(&of)
        };
        let of_shift = |weights: &Weights| {
            let of = |subset: &Subset| weights.subsets().iter().find(|(name, _)| *name == subset.name).map(|(_, w)| *w);
            shown(&|subset| of(subset).unwrap_or(0).into())
        };
        let found = route.map_or_else(|| "no route".to_owned(), of_route);
        let managers = self.dump.chains(&names::way(self.place, callee), None);
        let file = managers.into_iter().filter_map(dump::manager).find_map(dump::routes_file);
        let last = file.and_then(|file| dump::route_in_file(&std::fs::read_to_string(file).ok()?, host));
        let last = last.as_ref().map_or_else(|| "no route in a file".to_owned(), of_route);
        let what = format!("weights outbound to {}", callee.service);
        let running = self.says(&what, &last, &found)?;
        let mut asked = vec![shown(&|subset| subset.weight.into())];
        let canary = self.place.factors.canary.iter().filter(|canary| canary.service == callee.service);
        asked.extend(canary.flat_map(|canary| &canary.shifts).map(|shift| of_shift(&shift.weights)));
        let source = file.map_or_else(String::new, |file| file.display().to_string());
        let (part, known) = (self.admin.part.name(), asked.contains(&last));
        Ok([running, held(known, part, &format!("{what}, as told last"), &asked.join(" or "), &last, &source)?])
    }

    /// What was written for requests, and how often it is written out.
    fn log(&self) -> Result<Vec<Proof>> {
        let factors = &self.place.factors;
        let counter = |name: &str| self.counters.get(&format!("filesystem.{name}")).copied().unwrap_or(0);
        let lines = counter("write_buffered");
        let written = self.written();
        if factors.access_log == AccessLog::Off {
            let lines = self.claim("access log lines", 0, lines, "/stats filesystem.write_buffered")?;
            return Ok(vec![lines]);
        }
        let part = self.admin.part.name();
        let requests = self.requests();
        let some = lines > 0 && lines <= requests;
        let expected = format!("1 to {requests}, one for each request");
        let source = format!("{}/stats filesystem.write_buffered", self.admin.address);
        let mut proofs = vec![held(some, part, "access log lines", &expected, &lines.to_string(), &source)?];
        let (bytes, source) = written;
        // What is not yet due to be written out is not yet written.
        let waiting = counter("write_total_buffered");
        let found = format!("{bytes}, and {waiting} to be written out");
        proofs.push(held(bytes + waiting > 0, part, "access log bytes", "more than 0", &found, &source)?);
        let options = self.admin.json("/server_info")?;
        let flush = options.pointer("/command_line_options/file_flush_interval").and_then(Value::as_str);
        let every_ms = (factors.log_flush_ns / 1_000_000).max(1);
        let found = flush.and_then(milliseconds).map_or_else(|| format!("{flush:?}"), |ms| ms.to_string());
        proofs.push(self.claim("access log flush interval, ms", every_ms, found, "/server_info")?);
        if let Some(kb) = options.pointer("/command_line_options/file_flush_min_size_kb").and_then(Value::as_u64) {
            proofs.push(self.claim("access log buffer, KiB", factors.log_flush_kb, kb, "/server_info")?);
        }
        Ok(proofs)
    }

    /// Requests on all ways but those to its admin port.
    fn requests(&self) -> u64 {
        let http = |name: &str| {
            name.strip_prefix("http.").is_some_and(|n| !n.starts_with("admin.") && n.ends_with(".downstream_rq_total"))
        };
        self.counters.iter().filter(|(name, _)| http(name)).map(|(_, value)| value).sum()
    }

    /// The bytes that came out at its stdout, which its log goes to.
    fn written(&self) -> (u64, String) {
        match self.admin.part.drained() {
            Some(bytes) => (bytes, "its stdout, a pipe".to_owned()),
            None => {
                let link = format!("/proc/{}/fd/1", self.admin.part.pid());
                let path = std::fs::read_link(&link).map_or_else(|_| link.clone(), |path| path.display().to_string());
                (std::fs::metadata(&link).map_or(0, |file| file.size()), path)
            }
        }
    }

    /// The certificate that it shows is that of its identity's files.
    fn certificate(&self) -> Result<Option<Proof>> {
        let Some(identity) = &self.place.identity else { return Ok(None) };
        let way_in = self.place.app.is_some() && (self.place.mode(), self.place.factors.mtls) != CLEAR;
        if !way_in && !self.place.callees.iter().any(|callee| callee.secured) {
            return Ok(None);
        }
        let certificate = CertificateDer::from_pem_file(&identity.chain);
        let serial = certificate.ok().and_then(|c| crate::onlooker::serial_of(&c)).unwrap_or_default();
        let all = self.admin.json("/certs")?;
        let chains = all.get("certificates").and_then(Value::as_array).into_iter().flatten();
        let chains = chains.filter_map(|c| c.get("cert_chain")?.as_array()).flatten();
        let mut shown: Vec<&str> = chains.filter_map(|c| c.get("serial_number")?.as_str()).collect();
        shown.sort_unstable();
        shown.dedup();
        // Those of before live as long as their connections.
        let found = if shown.contains(&serial.as_str()) { serial.clone() } else { shown.join(", ") };
        self.claim("serial number of its certificate", serial, found, "/certs").map(Some)
    }
}

/// A way in without any TLS, by the mode of its own port and that of the workload.
const CLEAR: (Mtls, Mtls) = (Mtls::Disable, Mtls::Disable);

/// How many filter chains a port has, by its mode and what is known of it.
fn chains_of(mode: Mtls, protocol: Protocol) -> u32 {
    match (protocol, mode) {
        (Protocol::Http, Mtls::Disable | Mtls::Strict) => 1,
        (Protocol::Http, Mtls::Permissive) | (Protocol::Auto, Mtls::Disable | Mtls::Strict) => 2,
        (Protocol::Auto, Mtls::Permissive) => 5,
    }
}

/// "0.050s" is 50.
fn milliseconds(text: &str) -> Option<u64> {
    let seconds: f64 = text.strip_suffix('s')?.parse().ok()?;
    // Whole milliseconds were given, and a number of seconds that small is exact enough to get them back.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rounded, and never negative")]
    (seconds >= 0.0).then(|| (seconds * 1000.0).round() as u64)
}
