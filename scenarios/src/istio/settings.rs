//! What a directory sets: the factors of a mesh as Istio would have them.

use record::{AccessLog, CpuQuantity, LogSink, MemoryQuantity, Mtls, Protocol, Sidecars, Weights, WorkerRule};

use crate::scenario::{Length, MeshFactors, Scenario};

/// The factors that Istio's configuration decides.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Settings {
    pub(super) mtls: Mtls,
    pub(super) port_mtls: Option<Mtls>,
    pub(super) sidecars: Sidecars,
    /// None where no Service says how its port is named: the scenario's is kept.
    pub(super) protocol: Option<Protocol>,
    pub(super) retries: u32,
    pub(super) requests_per_connection: u32,
    pub(super) access_log: AccessLog,
    pub(super) access_log_to: LogSink,
    pub(super) log_flush: Length,
    pub(super) log_flush_kb: u32,
    pub(super) cpu_limit: Option<CpuQuantity>,
    pub(super) cpu_request: Option<CpuQuantity>,
    pub(super) memory_limit: Option<MemoryQuantity>,
    pub(super) workers: WorkerRule,
    pub(super) weights: Option<Weights>,
}

impl Settings {
    /// Puts them in the place of what a scenario says.
    pub(super) fn put_in(&self, scenario: &mut Scenario) {
        // Destructured, so that a new setting does not compile until it has its place here.
        let Self {
            mtls,
            port_mtls,
            sidecars,
            protocol,
            retries,
            requests_per_connection,
            access_log,
            access_log_to,
            log_flush,
            log_flush_kb,
            cpu_limit,
            cpu_request,
            memory_limit,
            workers,
            weights,
        } = self;
        let mesh = &mut scenario.mesh;
        mesh.mtls = vec![*mtls];
        mesh.port_mtls = vec![*port_mtls];
        mesh.sidecars = vec![*sidecars];
        mesh.protocol = protocol.map_or_else(|| mesh.protocol.clone(), |protocol| vec![protocol]);
        mesh.retries = vec![*retries];
        mesh.requests_per_connection = vec![*requests_per_connection];
        mesh.access_log = vec![*access_log];
        mesh.access_log_to = vec![*access_log_to];
        mesh.log_flush = vec![*log_flush];
        mesh.log_flush_kb = vec![*log_flush_kb];
        mesh.cpu_limit = vec![*cpu_limit];
        mesh.cpu_request = vec![*cpu_request];
        mesh.memory_limit = vec![*memory_limit];
        mesh.workers = vec![*workers];
        scenario.canary.weights = vec![weights.clone()];
    }
}

/// The factors of a scenario that Istio's configuration decides, by name, as text.
pub(super) fn texts(scenario: &Scenario) -> Vec<(&'static str, String)> {
    let MeshFactors {
        // What no field of Istio's sets.
        dataplane: _,
        entry: _,
        rotate: _,
        access_log_dir: _,
        stats_scrape: _,
        mtls,
        port_mtls,
        sidecars,
        protocol,
        retries,
        requests_per_connection,
        access_log,
        access_log_to,
        log_flush,
        log_flush_kb,
        cpu_limit,
        cpu_request,
        memory_limit,
        workers,
    } = &scenario.mesh;
    vec![
        ("mtls", listed(mtls)),
        ("port_mtls", listed_or(port_mtls, "same")),
        ("sidecars", listed(sidecars)),
        ("protocol", listed(protocol)),
        ("retries", listed(retries)),
        ("requests_per_connection", listed(requests_per_connection)),
        ("access_log", listed(access_log)),
        ("access_log_to", listed(access_log_to)),
        ("log_flush", log_flush.iter().map(|l| length(*l)).collect::<Vec<_>>().join(", ")),
        ("log_flush_kb", listed(log_flush_kb)),
        ("cpu_limit", listed_or(cpu_limit, "none")),
        ("cpu_request", listed_or(cpu_request, "none")),
        ("memory_limit", listed_or(memory_limit, "none")),
        ("workers", listed(workers)),
        ("canary", listed_or(&scenario.canary.weights, "none")),
    ]
}

/// A length of time, for people.
pub(super) fn length(length: Length) -> String {
    format!("{} ms", length.ns as f64 / 1e6)
}

fn listed<T: ToString>(values: &[T]) -> String {
    values.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

fn listed_or<T: ToString>(values: &[Option<T>], without: &str) -> String {
    let text = |value: &Option<T>| value.as_ref().map_or_else(|| without.to_owned(), T::to_string);
    values.iter().map(text).collect::<Vec<_>>().join(", ")
}
