//! The factors of a cell: everything that is set on purpose.

use std::fmt::Display;

use serde::{Deserialize, Serialize};

use crate::{
    AccessLog, Arrival, Canary, CpuQuantity, Dataplane, Entry, LogSink, MemoryQuantity, Mtls, Neighbour, Pace,
    Platform, Protocol, Sidecars, WorkerRule,
};

/// The factors of a cell. Two cells are compared only if they differ in what is declared to differ.
///
/// A field that older files lack reads as what was so before it could be set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Factors {
    /// The shape's name: "chain3", "fan-out5", "tree7", or that of a topology.
    pub chain: String,
    /// Services in it.
    pub services: u32,
    /// Edges on a request's longest way, the one into the first service counted: hops that carry the tax.
    pub hops: u32,
    /// What stands between two services.
    pub dataplane: Dataplane,
    /// How sidecars speak with one another.
    pub mtls: Mtls,
    /// The mode of the services' own port, where it differs from that of the workload.
    #[serde(default, with = "or_none")]
    #[cfg_attr(feature = "schemas", schemars(with = "String"))]
    pub port_mtls: Option<Mtls>,
    /// How the load enters the chain; means nothing without proxies.
    #[serde(default = "default::entry")]
    pub entry: Entry,
    /// On which sides of a hop there is a sidecar.
    #[serde(default = "default::sidecars")]
    pub sidecars: Sidecars,
    /// What proxies know of a port beforehand.
    #[serde(default = "default::protocol")]
    pub protocol: Protocol,
    /// Tries that a proxy adds when one fails in a way that Istio's default policy names; 0 without proxies.
    #[serde(default = "default::retries")]
    pub retries: u32,
    /// Requests after which a proxy closes its connection to the next; 0 is no bound.
    #[serde(default = "default::requests_per_connection")]
    pub requests_per_connection: u32,
    /// How often certificates are replaced under load; 0 is never.
    #[serde(default = "default::rotate_ns")]
    pub rotate_ns: u64,
    /// Whether proxies write a line for each request.
    #[serde(default = "default::access_log")]
    pub access_log: AccessLog,
    /// Where the lines go.
    #[serde(default = "default::access_log_to")]
    pub access_log_to: LogSink,
    /// The directory of log files; empty is that of the trial.
    #[serde(default = "default::access_log_dir")]
    pub access_log_dir: String,
    /// How often a proxy writes out what it has buffered of its log.
    #[serde(default = "default::log_flush_ns")]
    pub log_flush_ns: u64,
    /// How much it buffers at most, in units of 1024 bytes.
    #[serde(default = "default::log_flush_kb")]
    pub log_flush_kb: u32,
    /// How often each proxy's counters are asked for, as Prometheus does; 0 is never.
    #[serde(default = "default::stats_scrape_ns")]
    pub stats_scrape_ns: u64,
    /// The CPU limit of each proxy, as Kubernetes writes it; none is no limit.
    #[serde(with = "or_none")]
    #[cfg_attr(feature = "schemas", schemars(with = "String"))]
    pub cpu_limit: Option<CpuQuantity>,
    /// The CPU request of each proxy, which is its weight when there is too little; none is the kernel's default
    /// weight.
    #[serde(default, with = "or_none")]
    #[cfg_attr(feature = "schemas", schemars(with = "String"))]
    pub cpu_request: Option<CpuQuantity>,
    /// The memory limit of each proxy; none is no limit.
    #[serde(default, with = "or_none")]
    #[cfg_attr(feature = "schemas", schemars(with = "String"))]
    pub memory_limit: Option<MemoryQuantity>,
    /// Worker threads of each proxy; 0 without proxies.
    pub workers: u32,
    /// Where the number of worker threads is from.
    #[serde(default = "default::worker_rule")]
    pub worker_rule: WorkerRule,
    /// One service in several subsets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
    /// CPU work of each service for each request, where the shape names none.
    pub work_us: u64,
    /// Body bytes of each response, where the shape names none.
    pub response_bytes: u64,
    /// Of requests to each service: the share that it fails, where the shape names none.
    #[serde(default = "default::error_rate")]
    pub error_rate: f64,
    /// Requests per second into the chain.
    pub rate_per_second: f64,
    /// Connections of the load generator.
    pub connections: u32,
    /// Whether its connections carry more than one request.
    #[serde(default = "yes")]
    pub keepalive: bool,
    /// How arrivals are drawn.
    pub arrival: Arrival,
    /// How the generator waits.
    pub pace: Pace,
    /// Who else is at work on the host.
    #[serde(default = "default::neighbour")]
    pub neighbour: Neighbour,
    /// Where it runs.
    pub platform: Platform,
    /// Which services of the chain stand together: "together" for all of them, else those of each host, as "s1+s3/s2".
    #[serde(default = "default::placement")]
    pub placement: String,
    /// 0, and 1 for the second of two equal cells of an A/A pair.
    pub twin: u32,
}

fn yes() -> bool {
    true
}

/// What older files mean by saying nothing.
mod default {
    use super::*;

    pub(super) fn entry() -> Entry {
        Factors::unmeshed().entry
    }
    pub(super) fn sidecars() -> Sidecars {
        Factors::unmeshed().sidecars
    }
    pub(super) fn protocol() -> Protocol {
        Factors::unmeshed().protocol
    }
    pub(super) fn retries() -> u32 {
        Factors::unmeshed().retries
    }
    pub(super) fn requests_per_connection() -> u32 {
        Factors::unmeshed().requests_per_connection
    }
    pub(super) fn rotate_ns() -> u64 {
        Factors::unmeshed().rotate_ns
    }
    pub(super) fn access_log() -> AccessLog {
        Factors::unmeshed().access_log
    }
    pub(super) fn access_log_to() -> LogSink {
        Factors::unmeshed().access_log_to
    }
    pub(super) fn access_log_dir() -> String {
        Factors::unmeshed().access_log_dir
    }
    pub(super) fn log_flush_ns() -> u64 {
        Factors::unmeshed().log_flush_ns
    }
    pub(super) fn log_flush_kb() -> u32 {
        Factors::unmeshed().log_flush_kb
    }
    pub(super) fn stats_scrape_ns() -> u64 {
        Factors::unmeshed().stats_scrape_ns
    }
    pub(super) fn worker_rule() -> WorkerRule {
        Factors::unmeshed().worker_rule
    }
    pub(super) fn error_rate() -> f64 {
        Factors::unmeshed().error_rate
    }
    pub(super) fn neighbour() -> Neighbour {
        Factors::unmeshed().neighbour
    }
    pub(super) fn placement() -> String {
        Factors::unmeshed().placement
    }
}

mod or_none {
    //! `none` or a value.
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer};

    #[allow(clippy::ref_option)] // serde calls it with this shape
    pub(super) fn serialize<T: Display, S: Serializer>(value: &Option<T>, s: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => s.collect_str(value),
            None => s.serialize_str("none"),
        }
    }

    pub(super) fn deserialize<'de, T, D: Deserializer<'de>>(d: D) -> Result<Option<T>, D::Error>
    where
        T: FromStr,
        T::Err: Display,
    {
        let text = String::deserialize(d)?;
        if text == "none" {
            return Ok(None);
        }
        text.parse().map(Some).map_err(serde::de::Error::custom)
    }
}

impl Factors {
    /// The placement of a chain of which all services stand together.
    pub const TOGETHER: &str = "together";

    /// No mesh, no services and no load: what every cell begins as.
    pub fn unmeshed() -> Self {
        Self {
            chain: String::new(),
            services: 0,
            hops: 0,
            dataplane: Dataplane::None,
            mtls: Mtls::Disable,
            port_mtls: None,
            entry: Entry::Sidecar,
            sidecars: Sidecars::Both,
            protocol: Protocol::Http,
            retries: 0,
            requests_per_connection: 0,
            rotate_ns: 0,
            access_log: AccessLog::Off,
            access_log_to: LogSink::File,
            access_log_dir: String::new(),
            log_flush_ns: 1_000_000_000,
            log_flush_kb: 64,
            stats_scrape_ns: 0,
            cpu_limit: None,
            cpu_request: None,
            memory_limit: None,
            workers: 0,
            worker_rule: WorkerRule::Fixed(0),
            canary: None,
            work_us: 0,
            response_bytes: 0,
            error_rate: 0.0,
            rate_per_second: 0.0,
            connections: 0,
            keepalive: true,
            arrival: Arrival::Constant,
            pace: Pace::Hybrid,
            neighbour: Neighbour::default(),
            platform: Platform::Processes,
            placement: Self::TOGETHER.to_owned(),
            twin: 0,
        }
    }

    /// Whether there are proxies.
    pub fn meshed(&self) -> bool {
        self.dataplane != Dataplane::None
    }

    /// The mode of the services' own port.
    pub fn own_port_mtls(&self) -> Mtls {
        self.port_mtls.unwrap_or(self.mtls)
    }

    /// The factors of the unmeshed cell that this one is compared with: the same services, load and neighbours.
    pub fn baseline(&self) -> Factors {
        let plain = Factors::unmeshed();
        Factors {
            dataplane: plain.dataplane,
            mtls: plain.mtls,
            port_mtls: plain.port_mtls,
            entry: plain.entry,
            sidecars: plain.sidecars,
            protocol: plain.protocol,
            retries: plain.retries,
            requests_per_connection: plain.requests_per_connection,
            rotate_ns: plain.rotate_ns,
            access_log: plain.access_log,
            access_log_to: plain.access_log_to,
            access_log_dir: plain.access_log_dir,
            log_flush_ns: plain.log_flush_ns,
            log_flush_kb: plain.log_flush_kb,
            stats_scrape_ns: plain.stats_scrape_ns,
            cpu_limit: plain.cpu_limit,
            cpu_request: plain.cpu_request,
            memory_limit: plain.memory_limit,
            workers: plain.workers,
            worker_rule: plain.worker_rule,
            canary: plain.canary,
            twin: plain.twin,
            ..self.clone()
        }
    }

    /// The factors in which two cells differ, by name, with both values.
    pub fn differences(&self, other: &Factors) -> Vec<(&'static str, String, String)> {
        // Destructured, so that a new factor does not compile until it is compared here.
        let Factors {
            chain,
            services,
            hops,
            dataplane,
            mtls,
            port_mtls,
            entry,
            sidecars,
            protocol,
            retries,
            requests_per_connection,
            rotate_ns,
            access_log,
            access_log_to,
            access_log_dir,
            log_flush_ns,
            log_flush_kb,
            stats_scrape_ns,
            cpu_limit,
            cpu_request,
            memory_limit,
            workers,
            worker_rule,
            canary,
            work_us,
            response_bytes,
            error_rate,
            rate_per_second,
            connections,
            keepalive,
            arrival,
            pace,
            neighbour,
            platform,
            placement,
            twin,
        } = self;
        let all = [
            ("chain", chain.clone(), other.chain.clone()),
            ("services", services.to_string(), other.services.to_string()),
            ("hops", hops.to_string(), other.hops.to_string()),
            ("dataplane", dataplane.to_string(), other.dataplane.to_string()),
            ("mtls", mtls.to_string(), other.mtls.to_string()),
            ("port_mtls", or_none(port_mtls.as_ref()), or_none(other.port_mtls.as_ref())),
            ("entry", entry.to_string(), other.entry.to_string()),
            ("sidecars", sidecars.to_string(), other.sidecars.to_string()),
            ("protocol", protocol.to_string(), other.protocol.to_string()),
            ("retries", retries.to_string(), other.retries.to_string()),
            ("requests_per_connection", requests_per_connection.to_string(), other.requests_per_connection.to_string()),
            ("rotate_ns", rotate_ns.to_string(), other.rotate_ns.to_string()),
            ("access_log", access_log.to_string(), other.access_log.to_string()),
            ("access_log_to", access_log_to.to_string(), other.access_log_to.to_string()),
            ("access_log_dir", access_log_dir.clone(), other.access_log_dir.clone()),
            ("log_flush_ns", log_flush_ns.to_string(), other.log_flush_ns.to_string()),
            ("log_flush_kb", log_flush_kb.to_string(), other.log_flush_kb.to_string()),
            ("stats_scrape_ns", stats_scrape_ns.to_string(), other.stats_scrape_ns.to_string()),
            ("cpu_limit", or_none(cpu_limit.as_ref()), or_none(other.cpu_limit.as_ref())),
            ("cpu_request", or_none(cpu_request.as_ref()), or_none(other.cpu_request.as_ref())),
            ("memory_limit", or_none(memory_limit.as_ref()), or_none(other.memory_limit.as_ref())),
            ("workers", workers.to_string(), other.workers.to_string()),
            ("worker_rule", worker_rule.to_string(), other.worker_rule.to_string()),
            ("canary", canary_text(canary.as_ref()), canary_text(other.canary.as_ref())),
            ("work_us", work_us.to_string(), other.work_us.to_string()),
            ("response_bytes", response_bytes.to_string(), other.response_bytes.to_string()),
            ("error_rate", error_rate.to_string(), other.error_rate.to_string()),
            ("rate_per_second", rate_per_second.to_string(), other.rate_per_second.to_string()),
            ("connections", connections.to_string(), other.connections.to_string()),
            ("keepalive", keepalive.to_string(), other.keepalive.to_string()),
            ("arrival", arrival.to_string(), other.arrival.to_string()),
            ("pace", pace.to_string(), other.pace.to_string()),
            ("neighbour", neighbour.to_string(), other.neighbour.to_string()),
            ("platform", platform.to_string(), other.platform.to_string()),
            ("placement", placement.clone(), other.placement.clone()),
            ("twin", twin.to_string(), other.twin.to_string()),
        ];
        all.into_iter().filter(|(_, a, b)| a != b).collect()
    }
}

fn or_none<T: Display>(value: Option<&T>) -> String {
    value.map_or_else(|| "none".to_owned(), T::to_string)
}

fn canary_text(canary: Option<&Canary>) -> String {
    let Some(Canary { service, weights, work_us, error_rate, shifts }) = canary else { return "none".to_owned() };
    let mut text = format!("{service}: {weights}, {work_us} us, errors {error_rate}");
    for shift in shifts {
        text.push_str(&format!(", {} from {} ns", shift.weights, shift.at_ns));
    }
    text
}
