//! What a gate says; `gate.json`. Units stand in the names; shares, limits and changes are 0.05 for 5 %.

use std::collections::BTreeMap;

use record::Run;
use serde::{Deserialize, Serialize};

use super::Metric;
use crate::host_card::HostCard;
use crate::stats::Estimate;

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum GateVerdict {
    /// It is proven to be within the limit.
    Pass,
    /// Neither is proven.
    Inconclusive,
    /// It is proven to be worse, and by the limit or more as far as can be told.
    Fail,
}

impl GateVerdict {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Inconclusive => "inconclusive",
            Self::Fail => "fail",
        }
    }
}

/// How the two were brought together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// In pairs of trials made for the gate, each in random order: what drifts hits both.
    SideBySide,
    /// A run against one or more of another time: what drifted in between is in the difference.
    Stored,
    /// A run against its limits, with no baseline.
    Alone,
}

/// What the gate was for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// To judge a candidate.
    #[default]
    Gate,
    /// To measure the noise of the baseline against itself: `--aa`.
    NoiseFloor,
    /// To show that a delay put into the candidate is found: `--self-test`.
    SelfTest,
}

/// What may be spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Budget {
    /// Pairs of trials at most; in a gate on stored runs those that there are.
    pub pairs: usize,
    /// Time at most; none is no bound but the pairs.
    pub time_ns: Option<u64>,
}

/// One of the two that are compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Side {
    /// What it is called: a scenario's name or file, a run, a folder of runs.
    pub label: String,
    /// The run's name; of several, that of the latest.
    pub run: String,
    /// When that began, RFC 3339, UTC.
    pub started: String,
    /// The scenario's name.
    pub scenario: String,
    /// The program that measured.
    pub program: String,
    /// Programs used and their versions.
    pub versions: BTreeMap<String, String>,
    /// Where.
    pub host: HostCard,
    /// Runs behind it.
    pub runs: usize,
    /// Sealed trials behind it, over all its cells.
    pub trials: usize,
}

impl Side {
    /// One run with so many sealed trials.
    pub fn of(run: &Run, label: String, trials: usize) -> Self {
        Self {
            label,
            run: run.id.clone(),
            started: run.started.clone(),
            scenario: run.scenario.clone(),
            program: run.program.clone(),
            versions: run.versions.clone(),
            host: HostCard::of(&run.host),
            runs: 1,
            trials,
        }
    }
}

/// What is asked about a metric.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// Whether it became worse than the baseline.
    Regress {
        /// The change from which on it fails: 0.05 is 5 %.
        limit: f64,
        /// The change up to which nothing is wrong: it must be proven to be over this to fail.
        tolerance: f64,
    },
    /// Whether it is within a bound of its own.
    Slo {
        /// The bound, in the metric's unit.
        limit: f64,
    },
}

/// Where most of the scatter of the differences comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum NoiseSource {
    /// CPU that the hypervisor took.
    Steal,
    /// The load generator's own lag.
    Generator,
    /// Waiting for a CPU that other work of this machine had.
    CpuPressure,
    /// What changed between two times at which was measured.
    Drift,
    /// What differs from one fresh start to the next and no counter explains.
    RunToRun,
    /// Too few requests in a trial for this quantile.
    Sampling,
}

/// The largest source of noise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Noise {
    /// Which.
    pub source: NoiseSource,
    /// Its share of the variance, 0 to 1, as far as it can be told.
    pub share: Option<f64>,
    /// Standard deviation of the logarithm of one difference: 0.1 is about 10 %.
    pub sd: f64,
    /// In words, with what helps.
    pub evidence: String,
}

/// The verdict with the hypervisor's steal accounted for, where that was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct StealAdjusted {
    /// The verdict on adjusted differences; absent where the guard refused it.
    pub verdict: Option<GateVerdict>,
    /// The change with the steal accounted for.
    pub change: Option<Estimate>,
    /// By which power of the steal's ratio the metric's ratio was divided.
    pub slope: Option<f64>,
    /// The chance of candidates' and baselines' steal to differ as they do if the candidate does not change it.
    pub guard_p: Option<f64>,
    /// Whether it stands for the metric; if not, the raw verdict does.
    pub used: bool,
    /// Why, or why not.
    pub reason: String,
}

/// Requests counted for a rate of errors.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Counted {
    /// Failed, answered with an error, or without an end.
    pub bad: u64,
    /// Due.
    pub due: u64,
    /// How many times as much as independent requests the count scatters from trial to trial; 1 where it doesn't.
    pub clustering: f64,
}

/// What is said about one metric of one cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct MetricVerdict {
    /// The candidate's cell.
    pub cell: String,
    /// The baseline's cell; absent where there is no baseline.
    pub baseline_cell: Option<String>,
    /// The cell for people.
    pub label: String,
    /// Which.
    pub metric: Metric,
    /// Its unit.
    pub unit: String,
    /// What was asked.
    pub question: Question,
    /// Whether it is the first that was named, in the first cell: most of the error that is allowed for is its.
    pub primary: bool,
    /// The answer. Where steal is accounted for and the guard permits it, that on adjusted differences.
    pub verdict: GateVerdict,
    /// The answer on the differences as they were measured.
    pub raw_verdict: GateVerdict,
    /// Pairs (against a bound of its own: trials; against stored runs: runs) behind it.
    pub n: usize,
    /// After how many of them it was decided; absent while it is not.
    pub decided_at: Option<usize>,
    /// Candidate over baseline (or over the bound) less 1; the interval holds its level under repeated looks.
    pub change: Option<Estimate>,
    /// The candidate's value, in the unit.
    pub candidate: Option<Estimate>,
    /// The baseline's value, in the unit.
    pub baseline: Option<Estimate>,
    /// Requests counted; for errors only.
    pub counted: Option<Counted>,
    /// The chance of such differences if it were no worse than the tolerance; valid under repeated looks.
    pub p_slower: Option<f64>,
    /// The chance of such differences if it were as bad as the limit; valid under repeated looks.
    pub p_below: Option<f64>,
    /// The same, corrected for how many metrics are asked about (Holm): it fails at alpha.
    pub p_slower_adjusted: Option<f64>,
    /// The change that would be found in four of five gates like this one.
    pub minimum_detectable: Option<f64>,
    /// Pairs that would settle the question if nothing changed; of the differences seen.
    pub pairs_needed: Option<usize>,
    /// The smallest limit that this budget can settle, with this noise.
    pub smallest_limit: Option<f64>,
    /// The largest source of noise.
    pub noise: Option<Noise>,
    /// With the steal accounted for, where that was asked for.
    pub steal_adjusted: Option<StealAdjusted>,
    /// A sentence.
    pub reason: String,
}

impl MetricVerdict {
    /// What is said before anything is known.
    pub(super) fn blank(cell: &str, label: &str, metric: Metric, question: Question) -> Self {
        Self {
            cell: cell.to_owned(),
            baseline_cell: None,
            label: label.to_owned(),
            metric,
            unit: metric.unit().to_owned(),
            question,
            primary: false,
            verdict: GateVerdict::Inconclusive,
            raw_verdict: GateVerdict::Inconclusive,
            n: 0,
            decided_at: None,
            change: None,
            candidate: None,
            baseline: None,
            counted: None,
            p_slower: None,
            p_below: None,
            p_slower_adjusted: None,
            minimum_detectable: None,
            pairs_needed: None,
            smallest_limit: None,
            noise: None,
            steal_adjusted: None,
            reason: String::new(),
        }
    }
}

/// All that a gate says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct GateReport {
    /// The file format.
    pub schema: u32,
    /// The way figures are made.
    pub method: u32,
    /// The gate's name: that of its directory, or of the run that was judged.
    pub id: String,
    /// When it was made, RFC 3339, UTC.
    pub started: String,
    /// The program that judged.
    pub program: String,
    /// What it was for.
    pub purpose: Purpose,
    /// How the two were brought together.
    pub way: Way,
    /// What is judged.
    pub candidate: Side,
    /// What it is judged against; absent where it is judged alone.
    pub baseline: Option<Side>,
    /// The chance to fail a candidate that is no worse than the tolerance, over all metrics.
    pub alpha: f64,
    /// The chance to pass a candidate that is as bad as a limit.
    pub beta: f64,
    /// What might be spent.
    pub budget: Budget,
    /// The seed of the order within pairs; absent where nothing was measured.
    pub seed: Option<u64>,
    /// Whole pairs of trials that count, or trials judged alone.
    pub pairs: usize,
    /// The answer: a fail if any metric fails, a pass if all pass.
    pub verdict: GateVerdict,
    /// The answer in a sentence.
    pub answer: String,
    /// Each metric of each cell; the primary first.
    pub metrics: Vec<MetricVerdict>,
    /// What would decide what is not decided.
    pub deciders: Vec<String>,
    /// What is doubted.
    pub doubts: Vec<String>,
    /// What else is to be known: how a stored baseline was used, what was left out.
    pub notes: Vec<String>,
}

impl GateReport {
    /// The primary metric's verdict.
    pub fn primary(&self) -> Option<&MetricVerdict> {
        self.metrics.iter().find(|metric| metric.primary)
    }
}
