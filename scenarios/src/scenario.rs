//! A scenario: what to measure, read from TOML; lists of values make a matrix.

mod cells;
mod change;
mod field;
mod form;
mod length;
mod names;
mod possible;
mod read;
mod rules;
mod shorten;

use record::{
    AccessLog, Arrival, CpuQuantity, Dataplane, Entry, LogSink, MemoryQuantity, Mtls, Neighbour, Pace, Platform,
    Protocol, Sidecars, Timing, Weights, WorkerRule,
};

use crate::{Error, Result};
pub use cells::Matrix;
pub(crate) use cells::cpus;
pub use change::Change;
use field::{Fault, Field};
pub use form::Form;
pub use length::Length;

/// What to measure: every field of the chain, the load and the mesh has one value or several.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// A short name; it stands in the run.
    pub name: String,
    /// What one learns from it, in a sentence.
    pub teaches: String,
    /// The services.
    pub chain: ChainFactors,
    /// The requests.
    pub load: LoadFactors,
    /// What stands between the services.
    pub mesh: MeshFactors,
    /// One service in several subsets.
    pub canary: CanaryFactors,
    /// What else goes on on the host.
    pub host: HostFactors,
    /// How long the phases of each trial are.
    pub timing: Timing,
    /// How often, and in which order.
    pub plan: PlanSettings,
}

/// The services of a scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct ChainFactors {
    /// How services call one another.
    pub shape: Vec<Form>,
    /// Services in the shape.
    pub services: Vec<u32>,
    /// A topology in isotope's YAML, in place of shape and services; empty is none.
    pub topology: String,
    /// CPU work of each service for each request.
    pub work_us: Vec<u64>,
    /// Body bytes of each response.
    pub response_bytes: Vec<u64>,
    /// The share of its requests that each service fails.
    pub error_rate: Vec<f64>,
}

/// The load of a scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadFactors {
    /// Requests per second into the chain.
    pub rate: Vec<f64>,
    /// Connections of the generator.
    pub connections: Vec<u32>,
    /// Whether they carry more than one request.
    pub keepalive: Vec<bool>,
    /// How arrivals are drawn.
    pub arrival: Vec<Arrival>,
    /// How the generator waits.
    pub pace: Vec<Pace>,
}

/// The mesh of a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeshFactors {
    /// What stands between two services.
    pub dataplane: Vec<Dataplane>,
    /// How sidecars speak with one another.
    pub mtls: Vec<Mtls>,
    /// The mode of the services' own port; none is that of the workload.
    pub port_mtls: Vec<Option<Mtls>>,
    /// How the load enters.
    pub entry: Vec<Entry>,
    /// On which sides there are sidecars.
    pub sidecars: Vec<Sidecars>,
    /// What proxies know of a port beforehand.
    pub protocol: Vec<Protocol>,
    /// Tries that a proxy adds.
    pub retries: Vec<u32>,
    /// Requests after which a proxy closes its connection to the next; 0 is no bound.
    pub requests_per_connection: Vec<u32>,
    /// How often certificates are replaced; 0 is never.
    pub rotate: Vec<Length>,
    /// Whether proxies write a line for each request.
    pub access_log: Vec<AccessLog>,
    /// Where the lines go.
    pub access_log_to: Vec<LogSink>,
    /// The directory of log files; empty is that of the trial.
    pub access_log_dir: Vec<String>,
    /// How often they are written out.
    pub log_flush: Vec<Length>,
    /// How much is buffered at most, in units of 1024 bytes.
    pub log_flush_kb: Vec<u32>,
    /// How often counters are asked for; 0 is never.
    pub stats_scrape: Vec<Length>,
    /// The CPU limit of each proxy.
    pub cpu_limit: Vec<Option<CpuQuantity>>,
    /// The CPU request of each proxy.
    pub cpu_request: Vec<Option<CpuQuantity>>,
    /// The memory limit of each proxy.
    pub memory_limit: Vec<Option<MemoryQuantity>>,
    /// Worker threads of each proxy.
    pub workers: Vec<WorkerRule>,
}

/// The canary of a scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct CanaryFactors {
    /// The service; empty is the last one.
    pub service: String,
    /// How its requests are split; none is no canary.
    pub weights: Vec<Option<Weights>>,
    /// CPU work of the other subsets beyond that of the first.
    pub work_us: Vec<u64>,
    /// The share of requests that they fail.
    pub error_rate: Vec<f64>,
    /// How the weights change under load.
    pub shift: Vec<Change>,
}

/// What else goes on on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFactors {
    /// Who else is at work.
    pub neighbour: Vec<Neighbour>,
}

/// How a scenario is repeated.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanSettings {
    /// Blocks: each holds each cell once.
    pub repeats: u32,
    /// The seed of the order and of the arrivals.
    pub seed: u64,
    /// The level asked for of intervals.
    pub level: f64,
    /// Whether each unmeshed cell gets a twin to be compared with.
    pub aa: bool,
    /// Where it runs.
    pub platform: Platform,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            name: "unnamed".to_owned(),
            teaches: String::new(),
            chain: ChainFactors {
                shape: vec![Form::Chain],
                services: vec![3],
                topology: String::new(),
                work_us: vec![0],
                response_bytes: vec![1024],
                error_rate: vec![0.0],
            },
            load: LoadFactors {
                rate: vec![500.0],
                connections: vec![16],
                keepalive: vec![true],
                arrival: vec![Arrival::Constant],
                pace: vec![Pace::Hybrid],
            },
            mesh: MeshFactors::default(),
            canary: CanaryFactors {
                service: String::new(),
                weights: vec![None],
                work_us: vec![0],
                error_rate: vec![0.0],
                shift: vec![],
            },
            host: HostFactors { neighbour: vec![Neighbour::default()] },
            timing: Timing {
                settle_ns: 300_000_000,
                warm_up_ns: 2_000_000_000,
                measure_ns: 15_000_000_000,
                cool_down_ns: 500_000_000,
            },
            plan: PlanSettings { repeats: 5, seed: 1, level: 0.95, aa: false, platform: Platform::Processes },
        }
    }
}

impl Default for MeshFactors {
    /// As Istio has it, where meshtax need not choose otherwise.
    fn default() -> Self {
        let plain = record::Factors::unmeshed();
        Self {
            dataplane: vec![Dataplane::None, Dataplane::Embedded],
            mtls: vec![Mtls::Strict],
            port_mtls: vec![None],
            entry: vec![plain.entry],
            sidecars: vec![plain.sidecars],
            protocol: vec![plain.protocol],
            retries: vec![ISTIO_RETRIES],
            requests_per_connection: vec![0],
            rotate: vec![Length { ns: 0 }],
            access_log: vec![plain.access_log],
            access_log_to: vec![plain.access_log_to],
            access_log_dir: vec![plain.access_log_dir],
            log_flush: vec![Length { ns: plain.log_flush_ns }],
            log_flush_kb: vec![plain.log_flush_kb],
            stats_scrape: vec![Length { ns: 0 }],
            cpu_limit: vec![None],
            cpu_request: vec![None],
            memory_limit: vec![None],
            workers: vec![WorkerRule::Fixed(2)],
        }
    }
}

/// What Istio adds to a try that fails, by its default policy.
const ISTIO_RETRIES: u32 = 2;

/// Goes over every field once, with the place it has in a file and the rule it obeys.
trait Visitor {
    fn one<T: Field>(&mut self, at: At, value: &mut T, rule: fn(&T) -> Checked) -> Result<()>;

    fn many<T: Field>(&mut self, at: At, values: &mut Vec<T>, rule: fn(&T) -> Checked) -> Result<()>;
}

type Checked = std::result::Result<(), Fault>;

/// The place of a field: the table it is in ("" is the top) and its key.
type At = (&'static str, &'static str);

impl Scenario {
    /// The one list of fields: reading, writing, checking and the list of known keys all go over it.
    fn visit(&mut self, v: &mut impl Visitor) -> Result<()> {
        // Destructured, so that a new field does not compile until it has its place here.
        let Self { name, teaches, chain, load, mesh, canary, host, timing, plan } = self;
        v.one(("", "name"), name, rules::name)?;
        v.one(("", "teaches"), teaches, rules::any)?;
        visit_chain(v, chain)?;
        let LoadFactors { rate, connections, keepalive, arrival, pace } = load;
        v.many(("load", "rate"), rate, rules::rate)?;
        v.many(("load", "connections"), connections, rules::connections)?;
        v.many(("load", "keepalive"), keepalive, rules::any)?;
        v.many(("load", "arrival"), arrival, rules::any)?;
        v.many(("load", "pace"), pace, rules::any)?;
        visit_mesh(v, mesh)?;
        let CanaryFactors { service, weights, work_us, error_rate, shift } = canary;
        v.one(("canary", "service"), service, rules::service)?;
        v.many(("canary", "weights"), weights, rules::any)?;
        v.many(("canary", "work_us"), work_us, rules::work_us)?;
        v.many(("canary", "error_rate"), error_rate, rules::share)?;
        v.one(("canary", "shift"), shift, rules::shift)?;
        let HostFactors { neighbour } = host;
        v.many(("host", "neighbour"), neighbour, rules::any)?;
        let Timing { settle_ns, warm_up_ns, measure_ns, cool_down_ns } = timing;
        visit_length(v, ("trial", "settle"), settle_ns, rules::phase)?;
        visit_length(v, ("trial", "warm_up"), warm_up_ns, rules::phase)?;
        visit_length(v, ("trial", "measure"), measure_ns, rules::measure)?;
        visit_length(v, ("trial", "cool_down"), cool_down_ns, rules::phase)?;
        let PlanSettings { repeats, seed, level, aa, platform } = plan;
        v.one(("plan", "repeats"), repeats, rules::repeats)?;
        v.one(("plan", "seed"), seed, rules::seed)?;
        v.one(("plan", "level"), level, rules::level)?;
        v.one(("plan", "aa"), aa, rules::any)?;
        v.one(("plan", "platform"), platform, rules::any)
    }

    /// Reads a scenario; what it does not name keeps its default.
    ///
    /// # Errors
    /// [`Error::Scenario`] with file, line and column of an unknown key, a wrong type or a value out of range.
    pub fn parse(text: &str, origin: &str) -> Result<Self> {
        read::scenario(text, origin)
    }

    /// Checks every value against its rule; needed after values were set otherwise than by [`Self::parse`].
    ///
    /// # Errors
    /// [`Error::Value`] with the field's name.
    pub fn check(&self) -> Result<()> {
        self.clone().visit(&mut Checker)
    }

    /// The scenario as a file that reads back to the same.
    pub fn to_toml(&self) -> String {
        let mut writer = Writer { text: String::new(), section: "" };
        // Writing cannot fail; what it visits is a copy.
        let _ = self.clone().visit(&mut writer);
        writer.text
    }
}

fn visit_chain(v: &mut impl Visitor, chain: &mut ChainFactors) -> Result<()> {
    let ChainFactors { shape, services, topology, work_us, response_bytes, error_rate } = chain;
    v.many(("chain", "shape"), shape, rules::any)?;
    v.many(("chain", "services"), services, rules::services)?;
    v.one(("chain", "topology"), topology, rules::any)?;
    v.many(("chain", "work_us"), work_us, rules::work_us)?;
    v.many(("chain", "response_bytes"), response_bytes, rules::response_bytes)?;
    v.many(("chain", "error_rate"), error_rate, rules::share)
}

fn visit_mesh(v: &mut impl Visitor, mesh: &mut MeshFactors) -> Result<()> {
    let MeshFactors {
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
    } = mesh;
    v.many(("mesh", "dataplane"), dataplane, rules::any)?;
    v.many(("mesh", "mtls"), mtls, rules::any)?;
    v.many(("mesh", "port_mtls"), port_mtls, rules::any)?;
    v.many(("mesh", "entry"), entry, rules::any)?;
    v.many(("mesh", "sidecars"), sidecars, rules::any)?;
    v.many(("mesh", "protocol"), protocol, rules::any)?;
    v.many(("mesh", "retries"), retries, rules::retries)?;
    v.many(("mesh", "requests_per_connection"), requests_per_connection, rules::any)?;
    v.many(("mesh", "rotate"), rotate, rules::rotate)?;
    v.many(("mesh", "access_log"), access_log, rules::any)?;
    v.many(("mesh", "access_log_to"), access_log_to, rules::any)?;
    v.many(("mesh", "access_log_dir"), access_log_dir, rules::any)?;
    v.many(("mesh", "log_flush"), log_flush, rules::log_flush)?;
    v.many(("mesh", "log_flush_kb"), log_flush_kb, rules::log_flush_kb)?;
    v.many(("mesh", "stats_scrape"), stats_scrape, rules::scrape)?;
    v.many(("mesh", "cpu_limit"), cpu_limit, rules::cpu_limit)?;
    v.many(("mesh", "cpu_request"), cpu_request, rules::cpu_limit)?;
    v.many(("mesh", "memory_limit"), memory_limit, rules::memory_limit)?;
    v.many(("mesh", "workers"), workers, rules::workers)
}

fn visit_length(v: &mut impl Visitor, at: At, ns: &mut u64, rule: fn(&Length) -> Checked) -> Result<()> {
    let mut length = Length { ns: *ns };
    v.one(at, &mut length, rule)?;
    *ns = length.ns;
    Ok(())
}

struct Checker;

impl Visitor for Checker {
    fn one<T: Field>(&mut self, at: At, value: &mut T, rule: fn(&T) -> Checked) -> Result<()> {
        let (section, key) = at;
        rule(value).map_err(|Fault { problem, remedy }| {
            let what = if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") };
            Error::Value { what, problem, remedy }
        })
    }

    fn many<T: Field>(&mut self, at: At, values: &mut Vec<T>, rule: fn(&T) -> Checked) -> Result<()> {
        if values.is_empty() {
            let (section, key) = at;
            let problem = "the list is empty".to_owned();
            return Err(Error::Value {
                what: format!("{section}.{key}"),
                problem,
                remedy: "at least one value".into(),
            });
        }
        values.iter_mut().try_for_each(|value| self.one(at, value, rule))
    }
}

struct Writer {
    text: String,
    section: &'static str,
}

impl Writer {
    fn line(&mut self, (section, key): At, value: &str) {
        if section != self.section {
            self.section = section;
            self.text.push_str(&format!("\n[{section}]\n"));
        }
        self.text.push_str(&format!("{key} = {value}\n"));
    }
}

impl Visitor for Writer {
    fn one<T: Field>(&mut self, at: At, value: &mut T, _: fn(&T) -> Checked) -> Result<()> {
        self.line(at, &value.write());
        Ok(())
    }

    fn many<T: Field>(&mut self, at: At, values: &mut Vec<T>, _: fn(&T) -> Checked) -> Result<()> {
        let written: Vec<String> = values.iter().map(Field::write).collect();
        match written.as_slice() {
            [one] => self.line(at, one),
            several => self.line(at, &format!("[{}]", several.join(", "))),
        }
        Ok(())
    }
}

/// The scenarios that ship in the program: name and text. The first is the default.
pub fn library() -> Vec<(&'static str, &'static str)> {
    vec![
        ("first-look", include_str!("../library/first-look.toml")),
        ("quick", include_str!("../library/quick.toml")),
        ("envoy", include_str!("../library/envoy.toml")),
        ("seven-services", include_str!("../library/seven-services.toml")),
        ("fifty-sidecars", include_str!("../library/fifty-sidecars.toml")),
        ("mtls-modes", include_str!("../library/mtls-modes.toml")),
        ("canary-90-10", include_str!("../library/canary-90-10.toml")),
        ("access-logs", include_str!("../library/access-logs.toml")),
        ("cpu-limits", include_str!("../library/cpu-limits.toml")),
        ("workers", include_str!("../library/workers.toml")),
        ("noisy-neighbour", include_str!("../library/noisy-neighbour.toml")),
        ("ingress-gateway", include_str!("../library/ingress-gateway.toml")),
        ("cert-rotation", include_str!("../library/cert-rotation.toml")),
        ("connection-churn", include_str!("../library/connection-churn.toml")),
        ("payload-sizes", include_str!("../library/payload-sizes.toml")),
        ("depth", include_str!("../library/depth.toml")),
        ("partial-mesh", include_str!("../library/partial-mesh.toml")),
        ("dataplanes", include_str!("../library/dataplanes.toml")),
    ]
}
