//! A scenario: what to measure, read from TOML; lists of values make a matrix.

mod cells;
mod field;
mod read;
mod rules;

use record::{Arrival, CpuQuantity, Dataplane, Mtls, Pace, Timing};

use crate::{Error, Result};
use field::{Fault, Field, Length};

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
    /// How long the phases of each trial are.
    pub timing: Timing,
    /// How often, and in which order.
    pub plan: PlanSettings,
}

/// The services of a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainFactors {
    /// Services in the chain.
    pub services: Vec<u32>,
    /// CPU work of each service for each request.
    pub work_us: Vec<u64>,
    /// Body bytes of each response.
    pub response_bytes: Vec<u64>,
}

/// The load of a scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadFactors {
    /// Requests per second into the chain.
    pub rate: Vec<f64>,
    /// Connections of the generator.
    pub connections: Vec<u32>,
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
    /// The CPU limit of each proxy.
    pub cpu_limit: Vec<Option<CpuQuantity>>,
    /// Worker threads of each proxy.
    pub workers: Vec<u32>,
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
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            name: "unnamed".to_owned(),
            teaches: String::new(),
            chain: ChainFactors { services: vec![3], work_us: vec![0], response_bytes: vec![1024] },
            load: LoadFactors {
                rate: vec![500.0],
                connections: vec![16],
                arrival: vec![Arrival::Constant],
                pace: vec![Pace::Hybrid],
            },
            mesh: MeshFactors {
                dataplane: vec![Dataplane::None, Dataplane::Embedded],
                mtls: vec![Mtls::Strict],
                cpu_limit: vec![None],
                workers: vec![2],
            },
            timing: Timing {
                settle_ns: 300_000_000,
                warm_up_ns: 2_000_000_000,
                measure_ns: 15_000_000_000,
                cool_down_ns: 500_000_000,
            },
            plan: PlanSettings { repeats: 5, seed: 1, level: 0.95, aa: false },
        }
    }
}

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
        let Self { name, teaches, chain, load, mesh, timing, plan } = self;
        v.one(("", "name"), name, rules::name)?;
        v.one(("", "teaches"), teaches, rules::any)?;
        let ChainFactors { services, work_us, response_bytes } = chain;
        v.many(("chain", "services"), services, rules::services)?;
        v.many(("chain", "work_us"), work_us, rules::work_us)?;
        v.many(("chain", "response_bytes"), response_bytes, rules::response_bytes)?;
        let LoadFactors { rate, connections, arrival, pace } = load;
        v.many(("load", "rate"), rate, rules::rate)?;
        v.many(("load", "connections"), connections, rules::connections)?;
        v.many(("load", "arrival"), arrival, rules::any)?;
        v.many(("load", "pace"), pace, rules::any)?;
        let MeshFactors { dataplane, mtls, cpu_limit, workers } = mesh;
        v.many(("mesh", "dataplane"), dataplane, rules::any)?;
        v.many(("mesh", "mtls"), mtls, rules::any)?;
        v.many(("mesh", "cpu_limit"), cpu_limit, rules::cpu_limit)?;
        v.many(("mesh", "workers"), workers, rules::workers)?;
        let Timing { settle_ns, warm_up_ns, measure_ns, cool_down_ns } = timing;
        visit_length(v, ("trial", "settle"), settle_ns, rules::phase)?;
        visit_length(v, ("trial", "warm_up"), warm_up_ns, rules::phase)?;
        visit_length(v, ("trial", "measure"), measure_ns, rules::measure)?;
        visit_length(v, ("trial", "cool_down"), cool_down_ns, rules::phase)?;
        let PlanSettings { repeats, seed, level, aa } = plan;
        v.one(("plan", "repeats"), repeats, rules::repeats)?;
        v.one(("plan", "seed"), seed, rules::seed)?;
        v.one(("plan", "level"), level, rules::level)?;
        v.one(("plan", "aa"), aa, rules::any)
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
        ("cpu-limits", include_str!("../library/cpu-limits.toml")),
        ("depth", include_str!("../library/depth.toml")),
    ]
}
