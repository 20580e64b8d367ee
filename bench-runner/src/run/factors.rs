//! The factors on the command line: each replaces what the scenario says, and a list makes a matrix.

use std::path::PathBuf;
use std::str::FromStr;

use record::{
    AccessLog, Arrival, CpuQuantity, Dataplane, Entry, LogSink, MemoryQuantity, Mtls, Neighbour, Pace, Platform,
    Protocol, Sidecars, Weights, WorkerRule,
};
use scenarios::{Form, Length, Scenario};

use super::topology;

/// The factors.
#[derive(clap::Args, Debug, Default, PartialEq)]
#[command(next_help_heading = "Factors (a list makes a matrix)")]
pub(crate) struct FactorArgs {
    /// What stands between services.
    #[arg(long, value_delimiter = ',')]
    dataplane: Vec<Dataplane>,
    /// How sidecars speak with one another.
    #[arg(long, value_delimiter = ',')]
    mtls: Vec<Mtls>,
    /// The mode of the services' own port, where it differs from the workload's: same, or a mode. Platform pods.
    #[arg(long, value_delimiter = ',', value_parser = or_same, value_name = "MODE")]
    port_mtls: Vec<OrNone<Mtls>>,
    /// How the load enters: by a sidecar of its own, plain, or an ingress gateway that terminates TLS.
    #[arg(long, value_delimiter = ',')]
    entry: Vec<Entry>,
    /// On which sides of a hop there is a sidecar.
    #[arg(long, value_delimiter = ',', value_name = "SIDES")]
    sidecars: Vec<Sidecars>,
    /// What proxies know of a port: http, or auto to have them look at the first bytes.
    #[arg(long, value_delimiter = ',')]
    protocol: Vec<Protocol>,
    /// Tries that a proxy adds when one fails.
    #[arg(long, value_delimiter = ',', value_name = "N")]
    retries: Vec<u32>,
    /// Requests after which a proxy closes its connection to the next; 0 is no bound.
    #[arg(long, value_delimiter = ',', value_name = "N")]
    requests_per_connection: Vec<u32>,
    /// How often certificates are replaced under load; none is never.
    #[arg(long, value_delimiter = ',', value_parser = time, value_name = "TIME")]
    rotate: Vec<Time>,
    /// Whether proxies write a line for each request.
    #[arg(long, value_delimiter = ',', value_name = "FORM")]
    access_log: Vec<AccessLog>,
    /// Where the lines go.
    #[arg(long, value_delimiter = ',', value_name = "SINK")]
    access_log_to: Vec<LogSink>,
    /// The directory of log files, to choose the disk.
    #[arg(long, value_delimiter = ',', value_name = "DIR")]
    access_log_dir: Vec<String>,
    /// How often a proxy writes out its log.
    #[arg(long, value_delimiter = ',', value_parser = time, value_name = "TIME")]
    log_flush: Vec<Time>,
    /// How many KiB of its log it buffers at most.
    #[arg(long, value_delimiter = ',', value_name = "KIB")]
    log_flush_kb: Vec<u32>,
    /// How often each proxy's counters are asked for, as Prometheus does; none is never.
    #[arg(long, value_delimiter = ',', value_parser = time, value_name = "TIME")]
    stats_scrape: Vec<Time>,
    /// CPU limit of each proxy: none, 500m, 1.5.
    #[arg(long, value_delimiter = ',', value_parser = or_none::<CpuQuantity>)]
    cpu_limit: Vec<OrNone<CpuQuantity>>,
    /// CPU request of each proxy, its weight when there is too little: none, 100m.
    #[arg(long, value_delimiter = ',', value_parser = or_none::<CpuQuantity>)]
    cpu_request: Vec<OrNone<CpuQuantity>>,
    /// Memory limit of each proxy: none, 128Mi.
    #[arg(long, value_delimiter = ',', value_parser = or_none::<MemoryQuantity>)]
    memory_limit: Vec<OrNone<MemoryQuantity>>,
    /// Worker threads of each proxy: a number, or the rule of istio, envoy or linkerd.
    #[arg(long, value_delimiter = ',')]
    workers: Vec<WorkerRule>,
    /// Split the requests of a service among subsets: v1=90,v2=10. Given again, it makes a matrix.
    #[arg(long, value_parser = or_none::<Weights>, value_name = "WEIGHTS")]
    canary: Vec<OrNone<Weights>>,
    /// How services call one another: chain, fan-out, tree.
    #[arg(long, value_delimiter = ',')]
    shape: Vec<Form>,
    /// Services in the chain.
    #[arg(long, value_delimiter = ',')]
    services: Vec<u32>,
    /// CPU work of each service for each request, in microseconds.
    #[arg(long, value_delimiter = ',', value_name = "US")]
    work_us: Vec<u64>,
    /// Body bytes of each response.
    #[arg(long, value_delimiter = ',', value_name = "BYTES")]
    response_bytes: Vec<u64>,
    /// The share of its requests that each service fails.
    #[arg(long, value_delimiter = ',', value_name = "SHARE")]
    error_rate: Vec<f64>,
    /// Requests per second into the chain, in total.
    #[arg(long, value_delimiter = ',')]
    rate: Vec<f64>,
    /// Connections of the load generator, in total.
    #[arg(long, value_delimiter = ',')]
    connections: Vec<u32>,
    /// Whether they carry more than one request: true, false.
    #[arg(long, value_delimiter = ',', action = clap::ArgAction::Append, value_name = "BOOL")]
    keepalive: Vec<bool>,
    /// How arrivals are drawn.
    #[arg(long, value_delimiter = ',')]
    arrival: Vec<Arrival>,
    /// How the generator waits for the next due time.
    #[arg(long, value_delimiter = ',')]
    pace: Vec<Pace>,
    /// Who else is at work on the host: none, cpu:2, disk:1, memory:1, or several joined by +.
    #[arg(long, value_delimiter = ',')]
    neighbour: Vec<Neighbour>,
    /// A topology in isotope's YAML instead of shape and services.
    #[arg(long, value_name = "FILE")]
    topology: Option<PathBuf>,
    /// Where it runs: processes on loopback, or pods with Istio's interception (root).
    #[arg(long)]
    platform: Option<Platform>,
}

/// A value that may be none: clap takes an Option for "not given".
#[derive(Clone, Debug, PartialEq)]
struct OrNone<T>(Option<T>);

/// A length of time, or none for never.
type Time = Length;

fn or_none<T>(text: &str) -> Result<OrNone<T>, String>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    if text == "none" {
        return Ok(OrNone(None));
    }
    text.parse().map(|value| OrNone(Some(value))).map_err(|e: T::Err| e.to_string())
}

fn or_same(text: &str) -> Result<OrNone<Mtls>, String> {
    if text == "same" { Ok(OrNone(None)) } else { text.parse().map(|mode| OrNone(Some(mode))) }
}

fn time(text: &str) -> Result<Time, String> {
    if text == "none" {
        return Ok(Length { ns: 0 });
    }
    let length = crate::duration::parse(text)?;
    Ok(Length { ns: u64::try_from(length.as_nanos()).unwrap_or(u64::MAX) })
}

fn put<T: Clone>(given: &[T], field: &mut Vec<T>) {
    if !given.is_empty() {
        *field = given.to_vec();
    }
}

fn put_each<T: Clone>(given: &[OrNone<T>], field: &mut Vec<Option<T>>) {
    let values: Vec<Option<T>> = given.iter().map(|value| value.0.clone()).collect();
    put(&values, field);
}

impl FactorArgs {
    /// What was given on the command line replaces what the scenario says.
    pub(crate) fn override_in(&self, scenario: &mut Scenario) -> anyhow::Result<()> {
        // Destructured, so that a new flag does not compile until it has its place here.
        let Self {
            dataplane,
            mtls,
            port_mtls,
            entry,
            sidecars,
            protocol,
            retries,
            requests_per_connection,
            rotate,
            access_log,
            access_log_to,
            access_log_dir,
            log_flush,
            log_flush_kb,
            stats_scrape,
            cpu_limit,
            cpu_request,
            memory_limit,
            workers,
            canary,
            shape,
            services,
            work_us,
            response_bytes,
            error_rate,
            rate,
            connections,
            keepalive,
            arrival,
            pace,
            neighbour,
            topology: file,
            platform,
        } = self;
        let Scenario { chain, load, mesh, canary: split, host, plan, .. } = scenario;
        put(dataplane, &mut mesh.dataplane);
        put(mtls, &mut mesh.mtls);
        put_each(port_mtls, &mut mesh.port_mtls);
        put(entry, &mut mesh.entry);
        put(sidecars, &mut mesh.sidecars);
        put(protocol, &mut mesh.protocol);
        put(retries, &mut mesh.retries);
        put(requests_per_connection, &mut mesh.requests_per_connection);
        put(rotate, &mut mesh.rotate);
        put(access_log, &mut mesh.access_log);
        put(access_log_to, &mut mesh.access_log_to);
        put(access_log_dir, &mut mesh.access_log_dir);
        put(log_flush, &mut mesh.log_flush);
        put(log_flush_kb, &mut mesh.log_flush_kb);
        put(stats_scrape, &mut mesh.stats_scrape);
        put_each(cpu_limit, &mut mesh.cpu_limit);
        put_each(cpu_request, &mut mesh.cpu_request);
        put_each(memory_limit, &mut mesh.memory_limit);
        put(workers, &mut mesh.workers);
        put_each(canary, &mut split.weights);
        put(shape, &mut chain.shape);
        put(services, &mut chain.services);
        put(work_us, &mut chain.work_us);
        put(response_bytes, &mut chain.response_bytes);
        put(error_rate, &mut chain.error_rate);
        put(rate, &mut load.rate);
        put(connections, &mut load.connections);
        put(keepalive, &mut load.keepalive);
        put(arrival, &mut load.arrival);
        put(pace, &mut load.pace);
        put(neighbour, &mut host.neighbour);
        if let Some(file) = file {
            chain.topology = topology(&file.to_string_lossy(), None)?;
        }
        plan.platform = platform.unwrap_or(plan.platform);
        Ok(())
    }
}
