//! What a run says: every figure with its interval, the tax of each cell, the causes named and the doubts.

mod answer;
mod canary;
pub(crate) mod cell;
mod events;
mod headline;
mod pairs;
mod proofs;
mod repeat;
mod slowest;
mod stall;
mod sweep;
pub(crate) mod tax;
mod timeline;

use std::collections::BTreeMap;

use record::{End, Factors, Host, IstioReading, Lack, LeftOut, Reading, RunDirectory, Source, WarningKind};
use serde::{Deserialize, Serialize};

use crate::gather::Gathered;
use crate::hosts::HostsFindings;
use crate::stats::Estimate;
use crate::{Result, attribution, explain, validity};

pub(crate) use answer::person_name;
pub use canary::{CanaryFindings, ShiftFindings, Stretch, SubsetFindings, SubsetShare};
pub use events::EventFindings;
pub use headline::Headline;
pub(crate) use headline::host_name;
pub(crate) use pairs::Pairs;
pub use proofs::ProofLine;
pub use repeat::Repeat;
pub(crate) use slowest::candidates;
pub use slowest::{SlowestHop, SlowestRequest};
pub use stall::{Attribution, Cause, Known, LedgerLine, PartShare, SlowWindows, WorstWindow};
pub use sweep::{LimitPoint, LimitSweep};
pub(crate) use tax::unlimited;
pub use timeline::Timeline;
pub(crate) use timeline::{TIMELINES, typical};

/// A figure with its interval, or why there is none.
pub type Figure = Reading<Estimate>;

/// All that a run says; `findings.json`. Units stand in the names; a share is 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Findings {
    /// The file format.
    pub schema: u32,
    /// The way figures are made.
    pub method: u32,
    /// The run's name.
    pub run: String,
    /// When it began, RFC 3339, UTC.
    pub started: String,
    /// The program that measured.
    pub program: String,
    /// The scenario's name.
    pub scenario: String,
    /// The level asked for of intervals; each interval says which it reached.
    pub level: f64,
    /// How long each trial measures, in nanoseconds; absent in older findings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measure_ns: Option<u64>,
    /// Blocks planned: each holds each cell once.
    pub blocks: u32,
    /// Trials planned.
    pub trials_planned: usize,
    /// Trials sealed: those that the figures are of.
    pub trials_sealed: usize,
    /// Why it ended with trials of its plan left, if it did; it is not to be resumed then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<End>,
    /// Whether what was measured could end it. The intervals of the comparisons then hold their level although they were
    /// looked at after each block, and are wider for it; those of single cells do not allow for it.
    #[serde(default)]
    pub sequential: bool,
    /// How to make the trials that are missing, if any are.
    pub resume: Option<String>,
    /// What was measured, as version control knows it; absent where it knows nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// Programs used and their versions.
    #[serde(default)]
    pub versions: BTreeMap<String, String>,
    /// The machine.
    pub host: Host,
    /// The hosts of the run, where they were more than one: `host` is then the one with the services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosts: Option<HostsFindings>,
    /// How a user's Istio configuration was read, where the run is of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub istio: Option<IstioReading>,
    /// The answer in one figure; absent where the run has no mesh to compare, and in older findings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headline: Option<Headline>,
    /// The answer in sentences, the most important first.
    pub answer: Vec<String>,
    /// The cells, in the order of the plan.
    pub cells: Vec<CellFindings>,
    /// Combinations that were asked for and cannot be: they have no cell.
    #[serde(default)]
    pub left_out: Vec<LeftOut>,
    /// Each cell against what it is compared with, paired within blocks.
    pub taxes: Vec<Tax>,
    /// Where the tail of each cell comes from: the causes named, the largest first, and what is left.
    pub attribution: Vec<Attribution>,
    /// Every cause that was looked for in each cell, and how it is known.
    #[serde(default)]
    pub ledger: Vec<LedgerLine>,
    /// The worst windows of each cell, the worst first.
    #[serde(default)]
    pub worst_windows: Vec<WorstWindow>,
    /// CPU limits that were swept, and the knee of each sweep.
    #[serde(default)]
    pub limits: Vec<LimitSweep>,
    /// The slowest requests of each cell, hop by hop, the slowest first.
    #[serde(default)]
    pub slowest: Vec<SlowestRequest>,
    /// A typical trial of each of the first twelve cells over its time.
    #[serde(default)]
    pub timelines: Vec<Timeline>,
    /// What was read back of each cell's configuration.
    #[serde(default)]
    pub proofs: Vec<ProofLine>,
    /// How to measure the same again; absent in older findings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<Repeat>,
    /// What is doubted.
    pub warnings: Vec<FoundWarning>,
}

/// One thing for each of the five points of a distribution that are reported.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PerQuantile<T> {
    /// Half are at or below.
    pub p50: T,
    /// Nine tenths are at or below.
    pub p90: T,
    /// 99 of 100 are at or below.
    pub p99: T,
    /// 999 of 1000 are at or below.
    pub p999: T,
    /// The largest of a trial.
    pub max: T,
}

impl<T> PerQuantile<T> {
    /// One thing made from each quantile's value.
    pub(crate) fn make(of: impl Fn(fn(&record::Quantiles) -> u64) -> T) -> Self {
        Self { p50: of(|q| q.p50), p90: of(|q| q.p90), p99: of(|q| q.p99), p999: of(|q| q.p999), max: of(|q| q.max) }
    }

    /// Each with its name in files, rising.
    pub fn named(&self) -> [(&'static str, &T); 5] {
        [("p50", &self.p50), ("p90", &self.p90), ("p99", &self.p99), ("p999", &self.p999), ("max", &self.max)]
    }
}

/// What the trials of one cell say together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct CellFindings {
    /// The cell's id.
    pub id: String,
    /// What it is, naming only what varies in the run.
    pub label: String,
    /// Its factors.
    pub factors: Factors,
    /// Sealed trials of it.
    pub trials: usize,
    /// Those of them whose load generator calls its own figures invalid.
    pub invalid_trials: usize,
    /// Requests over all its trials.
    pub requests: Requests,
    /// Answers a second.
    pub answered_per_second: Figure,
    /// From intended to done: what a user waits.
    pub response_ns: PerQuantile<Figure>,
    /// The mean of the same.
    pub response_mean_ns: Figure,
    /// From sent to done: what the chain took.
    pub service_ns: PerQuantile<Figure>,
    /// The mean of the same.
    pub service_mean_ns: Figure,
    /// The generator's own lag at p99, part of the response time.
    pub lag_ours_p99_ns: Figure,
    /// Its proxies: sidecars, a gateway, a proxy of the node.
    pub proxies: Costs,
    /// All of them together.
    pub all_proxies: AllProxies,
    /// Its services.
    pub services: Costs,
    /// Its noisy neighbour, which is neither; empty without one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub neighbours: BTreeMap<String, PartCosts>,
    /// The machine while it was measured.
    pub node: NodeFindings,
    /// How its canary went; absent where it has none.
    pub canary: Option<CanaryFindings>,
    /// What else was done under load; absent where nothing was.
    pub events: Option<EventFindings>,
    /// What its dataplane does not do of what Istio's does, so that its cost is in no figure.
    pub lacks: Vec<Lack>,
}

/// All proxies of a cell together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AllProxies {
    /// How many there are; the most of a trial.
    pub count: usize,
    /// Worker threads found in them, each number once.
    pub worker_threads: Vec<u32>,
    /// Thousandths of a core for 1000 requests a second into the chain, as a sum: what dataplanes are compared by, since one
    /// may have a proxy for each service and another one for all.
    pub cpu_millicores_per_1000_rps: Figure,
    /// Resident memory, as a sum.
    pub rss_bytes: Figure,
    /// Thousandths of a core in use while nothing was asked of them, as a sum.
    pub idle_millicores: Figure,
    /// How far off one trial's sum can be, since counters of CPU time move in steps: the most of a trial.
    pub idle_error_millicores: Reading<f64>,
}

/// Requests of the measured phases, over all trials of a cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Requests {
    /// Due by the schedule.
    pub due: u64,
    /// With a whole response.
    pub answered: u64,
    /// With no connection, a broken one, or none within the timeout.
    pub failed: u64,
    /// Answered with a status outside 200 to 399.
    pub error_statuses: u64,
    /// Without an end before the trial's end.
    pub censored: u64,
    /// Failed, answered with an error or censored, of those due; 0 to 1.
    pub error_rate: f64,
}

/// What the parts of one role cost: the mean over such parts of a trial, estimated over trials.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Costs {
    /// Thousandths of a core for each 1000 answers a second of the chain: also CPU microseconds a request.
    pub cpu_millicores_per_1000_rps: Figure,
    /// Resident memory.
    pub rss_bytes: Figure,
    /// Time throttled by the quota in a measured phase, summed over CPUs.
    pub throttled_ns: Figure,
    /// Quota periods with throttling in a measured phase.
    pub throttled_periods: Figure,
    /// Of the quota periods in which it ran, the share with throttling.
    pub throttled_period_share: Figure,
    /// Time its threads waited for a CPU in each second, summed over threads.
    pub run_delay_ns_per_s: Figure,
    /// Each part on its own.
    pub parts: BTreeMap<String, PartCosts>,
}

/// What one part cost, estimated over trials.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PartCosts {
    /// Thousandths of a core in use.
    pub cpu_millicores: Figure,
    /// Resident memory.
    pub rss_bytes: Figure,
    /// Time throttled by the quota in a measured phase, summed over CPUs.
    pub throttled_ns: Figure,
    /// Quota periods with throttling in a measured phase.
    pub throttled_periods: Figure,
    /// Time its threads waited for a CPU in each second, summed over threads.
    pub run_delay_ns_per_s: Figure,
}

/// The machine in the measured phases of a cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NodeFindings {
    /// CPU time that the hypervisor gave to others while we had work.
    pub steal_share: Figure,
    /// CPU time idle with I/O pending.
    pub iowait_share: Figure,
    /// CPU time in use, by whomever.
    pub cpu_busy_share: Figure,
    /// CPU time in soft interrupts: most of the network's work.
    pub softirq_share: Figure,
    /// Time in which some task waited for a CPU.
    pub psi_cpu_some_share: Figure,
    /// Time in which some task waited for I/O.
    pub psi_io_some_share: Figure,
    /// Time in which some task waited for memory.
    pub psi_memory_some_share: Figure,
    /// Tasks running or runnable, on average.
    pub run_queue_length: Figure,
    /// What the probe itself used, of one core.
    pub probe_cpu_share: Figure,
    /// Of the time in which a sensor wanted a CPU, what it lost and no counter of this kernel explains: a hypervisor that
    /// does not tell, as a rule. Short bursts see less of it than there is.
    pub unexplained_loss_share: Figure,
    /// How much longer a fixed piece of work took than at its best: interference that no counter shows.
    pub work_slowdown: Figure,
}

/// Why two cells are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum TaxKind {
    /// Meshed against unmeshed.
    Mesh,
    /// With a CPU limit against the same without.
    Limit,
    /// The unmeshed cell against itself: the difference is noise.
    Aa,
}

/// A cell against another one, paired within blocks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Tax {
    /// The cell's id.
    pub cell: String,
    /// The id of what it is compared with.
    pub baseline: String,
    /// Why they are compared.
    pub kind: TaxKind,
    /// Pairs of trials, one for each block that holds both.
    pub pairs: usize,
    /// Of the response times.
    pub response_ns: PerQuantile<TaxAt>,
    /// Of the service times.
    pub service_ns: PerQuantile<TaxAt>,
}

/// A tax at one quantile.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TaxAt {
    /// What is added, in nanoseconds.
    pub difference: Estimate,
    /// How many times as long.
    pub ratio: Estimate,
    /// What is added for each hop, in nanoseconds.
    pub per_hop: Estimate,
    /// The smallest change of the ratio that so many pairs, which scatter as these do, tell from none in 8 of 10 runs: 0.1 is
    /// 10 %. Absent where there is no interval.
    #[serde(default)]
    pub detectable: Option<f64>,
}

/// A doubt, and what it is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct FoundWarning {
    /// The trial it is about; absent where it is about the whole run or a cell.
    pub trial: Option<String>,
    /// The cell it is about; absent where it is about the whole run.
    pub cell: Option<String>,
    /// What is doubted.
    pub kind: WarningKind,
    /// What was seen, with its figures.
    pub evidence: String,
    /// What to do about it.
    pub remedy: String,
}

impl Findings {
    /// A cell by its id.
    pub fn cell(&self, id: &str) -> Option<&CellFindings> {
        self.cells.iter().find(|c| c.id == id)
    }

    pub(crate) fn of(gathered: &Gathered, dir: &RunDirectory) -> Self {
        let run = &gathered.run;
        let cells: Vec<CellFindings> = run.cells.iter().map(|c| cell::of(gathered, c)).collect();
        let (taxes, mut warnings) = tax::all(gathered);
        warnings.extend(validity::warnings(gathered));
        for cell in &cells {
            warnings.extend(cell.canary.iter().flat_map(|found| canary::warnings(&cell.id, cell.trials, found)));
        }
        let attribution::Ledger { attribution, lines, worst } = attribution::of(gathered, &taxes);
        let complete = gathered.trials.len() >= run.trials.len() || gathered.end.is_some();
        let mut findings = Self {
            schema: record::SCHEMA,
            method: run.method,
            run: run.id.clone(),
            started: run.started.clone(),
            program: run.program.clone(),
            scenario: run.scenario.clone(),
            level: run.level,
            measure_ns: Some(run.timing.measure_ns),
            blocks: run.repeats,
            trials_planned: run.trials.len(),
            trials_sealed: gathered.trials.len(),
            hosts: gathered.hosts.clone(),
            istio: gathered.istio.clone(),
            ended: gathered.end.clone(),
            sequential: gathered.is_sequential(),
            resume: (!complete).then(|| format!("meshtax resume {}", dir.path().display())),
            source: run.source.clone(),
            versions: run.versions.clone(),
            host: run.host.clone(),
            headline: None,
            answer: Vec::new(),
            limits: sweep::limits(gathered, &cells, &tax::Intervals::of(gathered)),
            slowest: slowest::of(gathered),
            timelines: timeline::of(gathered),
            proofs: proofs::of(gathered),
            repeat: Some(Repeat::of(run, dir)),
            cells,
            left_out: run.left_out.clone(),
            taxes,
            attribution,
            ledger: lines,
            worst_windows: worst,
            warnings,
        };
        findings.headline = headline::of(&findings);
        findings.answer = answer::sentences(&findings);
        findings
    }
}

/// Explains a run from its directory and nothing else.
///
/// Trials that are missing (the run was cut off) are counted and said; the figures are of those sealed.
///
/// # Errors
/// When the directory cannot be read or does not hold together, or holds no sealed trial; and
/// [`crate::Error::Platforms`] and [`crate::Error::Disagree`] where it holds what must not be compared.
pub fn findings(dir: &RunDirectory) -> Result<Findings> {
    Ok(explain(dir)?.findings)
}
