//! What a plan takes from a run: each trial with its rate, its setup, how long it took and what its proxies used.

use std::path::Path;

use record::{CpuQuantity, Dataplane, Factors, Quantiles, Reading, Role, RunDirectory, Verdict, WorkerRule};

use crate::gather::{Gathered, TrialData};
use crate::usage::PartUsage;
use crate::{Error, Result, agreement};

use super::prices::Named;

/// What is chosen among: the limit of each proxy and its workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Setup {
    /// The dataplane.
    pub dataplane: Dataplane,
    /// The CPU limit of each proxy.
    pub limit: Option<CpuQuantity>,
    /// Worker threads of each proxy.
    pub workers: u32,
}

/// A proxy in a trial.
#[derive(Clone, Debug)]
pub struct ProxySeen {
    /// The part's name.
    pub name: String,
    /// Cores in use.
    pub cores: Reading<f64>,
    /// Cores in use before the load.
    pub idle_cores: Reading<f64>,
    /// Variance over mean of its CPU time in windows of a quota period, in nanoseconds.
    pub burst_ns: Reading<f64>,
    /// Resident memory, in bytes.
    pub rss_bytes: Reading<f64>,
}

/// A trial, as a plan sees it.
#[derive(Clone, Debug)]
pub struct TrialSeen {
    /// The setup.
    pub setup: Setup,
    /// Requests due a second.
    pub rate_per_second: f64,
    /// Answers a second.
    pub answered_per_second: f64,
    /// The block.
    pub block: u32,
    /// Response times.
    pub response_ns: Quantiles,
    /// Failed, answered with an error or censored, of those due; 0 to 1.
    pub error_rate: f64,
    /// Whether answers kept up with what was due.
    pub kept_up: bool,
    /// Whether the load generator calls its own figures invalid.
    pub invalid: bool,
    /// Cores that the load generator used, on the same host.
    pub generator_cores: f64,
    /// The proxies.
    pub proxies: Vec<ProxySeen>,
    /// Cores in use by each service, on average, and its memory.
    pub service_cores: Reading<f64>,
    /// See `service_cores`; in bytes.
    pub service_rss_bytes: Reading<f64>,
}

/// A run, as a plan sees it.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Its name.
    pub run: String,
    /// Its directory, as it was given.
    pub path: String,
    /// What the user calls it.
    pub label: Option<String>,
    /// CPUs of its host.
    pub cores: usize,
    /// Memory of its host, in bytes.
    pub memory_bytes: Option<u64>,
    /// CPU model of its host.
    pub cpu_model: Option<String>,
    /// The level asked for of intervals.
    pub level: f64,
    /// How figures were made.
    pub method: u32,
    /// What all its meshed cells have in common: their factors but for rate, limits and workers.
    pub factors: Factors,
    /// The trials.
    pub trials: Vec<TrialSeen>,
}

/// More than this share of what was due without an answer when the last is due is not keeping up.
const MAY_BE_MISSING: f64 = 0.03;
/// So many may be missing however few are due, as in a search for the highest rate.
const MAY_BE_MISSING_ALWAYS: f64 = 10.0;

/// Whether answers kept up with what was due, given how many of them came while requests were due.
fn keeps_up(due: f64, answered: f64) -> bool {
    due - answered <= (MAY_BE_MISSING * due).max(MAY_BE_MISSING_ALWAYS)
}

impl Measured {
    /// Reads a run. Of several dataplanes it takes the one asked for, and what has no mesh.
    ///
    /// # Errors
    /// When the run cannot be read, holds no trial, or does not hold together; and [`Error::PlanRuns`] where it lacks the
    /// dataplane or has cells that differ in more than a plan can choose.
    pub fn read(dir: &RunDirectory, dataplane: Option<Dataplane>) -> Result<Self> {
        let gathered = Gathered::read(dir)?;
        agreement::check(&gathered)?;
        let run = &gathered.run;
        let dataplane = the_dataplane(&gathered, dir.path(), dataplane)?;
        let common = common(&gathered, dataplane)?;
        let host = &run.host;
        let trials = gathered.trials.iter().filter_map(|trial| {
            let factors = &run.cell(&trial.trial.cell)?.factors;
            let wanted = factors.dataplane == dataplane || !factors.meshed();
            (wanted && factors.twin == 0).then(|| TrialSeen::of(trial, factors))
        });
        Ok(Self {
            run: run.id.clone(),
            path: dir.path().display().to_string(),
            label: run.source.as_ref().and_then(|s| s.label.clone()),
            cores: host.cpus_online.len(),
            memory_bytes: host.memory_bytes.seen().copied(),
            cpu_model: host.cpu_model.seen().cloned(),
            level: run.level,
            method: run.method,
            factors: common,
            trials: trials.collect(),
        })
    }

    /// What the price list knows it by.
    pub fn named(&self) -> Named<'_> {
        Named {
            id: &self.run,
            path: Path::new(&self.path),
            label: self.label.as_deref(),
            cores: self.cores,
            memory_bytes: self.memory_bytes,
        }
    }

    /// Shows that the same was measured as in another run.
    ///
    /// # Errors
    /// [`Error::Methods`], [`Error::PlanRuns`] with the first factor that differs.
    pub fn like(&self, other: &Measured) -> Result<()> {
        if self.method != other.method {
            return Err(Error::Methods {
                one: self.run.clone(),
                method: self.method,
                other: other.run.clone(),
                other_method: other.method,
            });
        }
        let differing = self.factors.differences(&other.factors);
        let Some((factor, one, two)) = differing.first() else { return Ok(()) };
        Err(Error::PlanRuns {
            problem: format!("the runs {} and {} differ in {factor}: {one} and {two}", self.run, other.run),
            remedy: "runs of one scenario on each host; a plan can choose limit and workers, and nothing else"
                .to_owned(),
        })
    }
}

/// The dataplane that is planned with.
fn the_dataplane(gathered: &Gathered, path: &Path, asked: Option<Dataplane>) -> Result<Dataplane> {
    let mut meshed: Vec<Dataplane> =
        gathered.run.cells.iter().filter(|c| c.factors.meshed()).map(|c| c.factors.dataplane).collect();
    meshed.sort_unstable();
    meshed.dedup();
    let words: Vec<String> = meshed.iter().map(Dataplane::to_string).collect();
    let refuse = |problem: String, remedy: String| Err(Error::PlanRuns { problem, remedy });
    match (asked, meshed.as_slice()) {
        (Some(asked), found) if found.contains(&asked) => Ok(asked),
        (None, [one]) => Ok(*one),
        (None, []) => refuse(
            format!("{} has no cell with a mesh", path.display()),
            "meshtax run --dataplane none,envoy --rate 250,500,1000,2000 --cpu-limit none,500m".to_owned(),
        ),
        (None, _) => refuse(
            format!("{} has cells of several dataplanes: {}", path.display(), words.join(", ")),
            format!("--dataplane {}", words.join(", or --dataplane ")),
        ),
        (Some(asked), _) => refuse(
            format!("{} has no cell of the dataplane '{asked}'", path.display()),
            format!("meshtax run --dataplane none,{asked} --rate 250,500,1000,2000 --cpu-limit none,500m"),
        ),
    }
}

/// What the cells of a dataplane have in common; they may differ in what a plan chooses.
fn common(gathered: &Gathered, dataplane: Dataplane) -> Result<Factors> {
    let mut cells = gathered.run.cells.iter().filter(|c| c.factors.dataplane == dataplane && c.factors.twin == 0);
    let Some(first) = cells.next() else {
        return Err(Error::PlanRuns {
            problem: format!("the run {} has no cell of '{dataplane}'", gathered.run.id),
            remedy: format!("meshtax run --dataplane none,{dataplane}"),
        });
    };
    let common = without_choices(&first.factors);
    if common.placement != Factors::TOGETHER {
        return Err(Error::PlanRuns {
            problem: format!(
                "the chain of the run {} stood on several hosts ({}), and a plan is of what one holds",
                gathered.run.id, common.placement
            ),
            remedy: "a run with all services on one host, as with --each".to_owned(),
        });
    }
    for cell in cells {
        if let Some((factor, one, other)) = common.differences(&without_choices(&cell.factors)).first() {
            return Err(Error::PlanRuns {
                problem: format!(
                    "the run {} has cells with {factor} {one} and with {factor} {other}: a plan can be of one",
                    gathered.run.id
                ),
                remedy: "a run of one scenario, with lists of --rate, --cpu-limit and --workers only".to_owned(),
            });
        }
    }
    Ok(common)
}

/// Factors without those that a plan chooses.
fn without_choices(factors: &Factors) -> Factors {
    Factors {
        rate_per_second: 0.0,
        cpu_limit: None,
        cpu_request: None,
        memory_limit: None,
        workers: 0,
        worker_rule: WorkerRule::Fixed(0),
        twin: 0,
        ..factors.clone()
    }
}

impl TrialSeen {
    fn of(trial: &TrialData, factors: &Factors) -> Self {
        let load = &trial.trial.load;
        let seconds = load.duration_ns.max(1) as f64 / 1e9;
        let bad = load.outcomes.failed() + load.outcomes.error_statuses() + load.censored;
        let parts = || trial.usage.parts.iter();
        Self {
            setup: Setup { dataplane: factors.dataplane, limit: factors.cpu_limit, workers: factors.workers },
            rate_per_second: factors.rate_per_second,
            answered_per_second: trial.answered_per_second,
            block: trial.trial.block,
            response_ns: trial.response,
            error_rate: if load.due == 0 { 0.0 } else { bad as f64 / load.due as f64 },
            kept_up: keeps_up(load.due as f64, trial.answered_per_second * seconds),
            invalid: load.verdict == Verdict::Invalid,
            generator_cores: load.cpu_seconds / seconds,
            proxies: parts().filter(|(_, p)| p.role.is_proxy()).map(|(name, p)| ProxySeen::of(name, p)).collect(),
            service_cores: mean_of_services(trial, |p| &p.cores),
            service_rss_bytes: mean_of_services(trial, |p| &p.rss_bytes),
        }
    }

    /// The proxy that used most.
    pub fn busiest(&self) -> Option<&ProxySeen> {
        let cores = |p: &ProxySeen| p.cores.seen().copied().unwrap_or(0.0);
        self.proxies.iter().max_by(|a, b| cores(a).total_cmp(&cores(b)))
    }
}

impl ProxySeen {
    fn of(name: &str, part: &PartUsage) -> Self {
        Self {
            name: name.to_owned(),
            cores: part.cores.clone(),
            idle_cores: part.idle.clone().map(|idle| idle.cores),
            burst_ns: part.burst_ns.clone(),
            rss_bytes: part.rss_bytes.clone(),
        }
    }
}

fn mean_of_services(trial: &TrialData, pick: fn(&PartUsage) -> &Reading<f64>) -> Reading<f64> {
    let services = || trial.usage.parts.values().filter(|p| p.role == Role::Service);
    let values: Vec<f64> = services().filter_map(|p| pick(p).seen().copied()).collect();
    match services().find_map(|p| pick(p).reason()) {
        Some(reason) => Reading::absent(reason),
        None if values.is_empty() => Reading::absent("no services of ours in this cell"),
        None => Reading::Seen(values.iter().sum::<f64>() / values.len() as f64),
    }
}
