//! What a comparison of runs says; the form of its JSON.

use std::collections::BTreeMap;

use record::{Factors, Reading, Source};
use serde::{Deserialize, Serialize};

use super::point::{PerPoint, Point};
use crate::findings::{Figure, PerQuantile};
use crate::host_card::HostCard;
use crate::stats::Estimate;
use crate::stats::components;

/// Several runs side by side; what `meshtax compare --format json` writes. The first run is that which the others are
/// compared with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Comparison {
    /// The file format.
    pub schema: u32,
    /// The way figures are made; that of the first run, where others are allowed.
    pub method: u32,
    /// The program that compared.
    pub program: String,
    /// The point of the distribution that the answer, the effects and the variance are about.
    pub at: Point,
    /// The level of intervals that is asked for.
    pub level: f64,
    /// The answer in sentences, the most important first.
    pub answer: Vec<String>,
    /// The runs, in the order in which they were named.
    pub runs: Vec<ComparedRun>,
    /// By how much runs of one machine differ from time to time.
    pub between_runs: PerPoint<Scatter>,
    /// The cells that all runs have, in the order of the first run's plan.
    pub cells: Vec<ComparedCell>,
    /// Which run has the smallest tax, by cell with a mesh.
    pub smallest: Vec<Smallest>,
    /// The main effect of each factor that differs between cells or runs, at `at`.
    pub effects: Vec<Effect>,
    /// How much of the variance of the logarithm at `at` is of what, the largest part first.
    pub variance: Reading<Vec<VariancePart>>,
    /// What differs between the runs' machines, programs and plans.
    pub differences: Vec<Difference>,
    /// What may have bent the figures of a run.
    pub flags: Vec<Flag>,
    /// What was allowed for, left out or could not be told.
    pub notes: Vec<String>,
}

/// One of the runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct ComparedRun {
    /// What it is called here: by the user, by its label, or by what tells it from the others.
    pub name: String,
    /// The run's own name.
    pub run: String,
    /// Its directory.
    pub path: String,
    /// When it began, RFC 3339, UTC.
    pub started: String,
    /// The scenario's name.
    pub scenario: String,
    /// The program that measured.
    pub program: String,
    /// Programs used and their versions.
    pub versions: BTreeMap<String, String>,
    /// What was measured, as version control knows it; absent where it knows nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// Its machine, as far as it tells one kind from another.
    pub host: HostCard,
    /// Runs with the same number are of one kind of machine; from 1.
    pub machine: usize,
    /// Sealed trials.
    pub trials: usize,
    /// CPU time that the hypervisor gave to others.
    pub steal_share: Figure,
    /// Of the time in which a sensor wanted a CPU, what it lost and no counter explains.
    pub unexplained_loss_share: Figure,
    /// How many times as long a fixed piece of work took as at its best in the same trial.
    pub work_slowdown: Figure,
    /// How long that work took, in nanoseconds: how fast the machine was while measuring.
    pub work_ns: Figure,
    /// Its last third beside its first, or why they cannot be compared.
    pub thirds: Reading<Thirds>,
}

/// The last third of a run's trials against the first. Trials are compared with others of their own cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Thirds {
    /// Trials in each of them.
    pub trials: usize,
    /// Which cells `p50` is of: those without a mesh, where there are any.
    pub of: String,
    /// The response time at p50: how many times as long in the last third.
    pub p50: Figure,
    /// A fixed piece of work: how many times as long.
    pub work: Figure,
    /// The share of CPU time that was stolen: by how much it rose.
    pub steal_rise: Figure,
    /// The share that was lost and no counter explains: by how much it rose.
    pub loss_rise: Figure,
}

/// By how much runs of one machine differ from time to time, as the standard deviation of a logarithm.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Scatter {
    /// The standard deviation.
    pub sd: f64,
    /// Degrees of freedom, where it was measured on runs of one kind of machine; absent where it is assumed.
    pub degrees: Option<usize>,
    /// Of the variance, what comes from the scatter of trials; 0 where it is assumed.
    pub of_trials: f64,
}

/// A cell that all runs have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct ComparedCell {
    /// Its id in the first run.
    pub id: String,
    /// What it is, as the first run has it.
    pub label: String,
    /// Its factors in the first run.
    pub factors: Factors,
    /// The id of the unmeshed cell that its tax is taken against; absent without one.
    pub baseline: Option<String>,
    /// The cell in each run, in their order.
    pub runs: Vec<CellInRun>,
}

/// A cell in one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct CellInRun {
    /// The name of the run.
    pub run: String,
    /// The cell's id in that run.
    pub cell: String,
    /// Sealed trials of it.
    pub trials: usize,
    /// From due to answered.
    pub response_ns: PerQuantile<Figure>,
    /// How many times as long as in the first run; absent for that one, and where a run has no figure.
    pub ratio: PerPoint<Option<Contrast>>,
    /// What the mesh adds, paired within blocks; absent without a mesh or a baseline.
    pub tax_ns: Option<PerPoint<Figure>>,
    /// By how much that is more than in the first run, in nanoseconds.
    pub tax_over_first_ns: Option<PerPoint<Option<Contrast>>>,
    /// Thousandths of a core of all proxies for 1000 answers a second.
    pub cpu_millicores_per_1000_rps: Figure,
    /// Resident memory of all proxies.
    pub rss_bytes: Figure,
}

/// A run against the first. Their trials are not paired; `n` counts those of both.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Contrast {
    /// Of these two runs as they were: what their trials tell.
    pub these_runs: Estimate,
    /// The same value, with what runs of one machine differ by from time to time: what two such runs made again might
    /// show.
    pub made_again: Estimate,
    /// What follows.
    pub told: Told,
}

/// Whether two are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// By more than runs of one machine differ from time to time.
    Apart,
    /// The two runs differ, but runs of one machine may differ as much.
    OnlyTheseRuns,
    /// They cannot be told apart.
    Not,
}

/// Which run has the smallest tax.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Smallest {
    /// The cell's id.
    pub cell: String,
    /// The name of the run with the smallest figure.
    pub run: String,
    /// The names of all runs that may have the smallest: with the level of the comparison, the true one is among them.
    pub may_be: Vec<String>,
}

/// What kind of thing an effect is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum EffectOf {
    /// One run against the first: the machine, and all else that differs between them.
    Run,
    /// A factor that differs between the cells of each run.
    Factor,
}

/// The main effect of a factor: over all shared cells that differ in nothing else, each run alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Effect {
    /// What it is of.
    pub of: EffectOf,
    /// The factor: "host", "dataplane", "cpu_limit".
    pub factor: String,
    /// From this value of it.
    pub from: String,
    /// To this one.
    pub to: String,
    /// How many times as long. Within a run trials are paired in their blocks; `n` counts blocks over all runs.
    pub ratio: Estimate,
    /// The same in each run; empty for an effect that is between runs.
    pub by_run: Vec<EffectInRun>,
    /// Pairs of cells behind it in each run.
    pub pairs: usize,
    /// For an effect between runs: with what runs of one machine differ by from time to time.
    pub made_again: Option<Estimate>,
    /// For an effect between runs: whether it is told apart.
    pub told: Option<Told>,
}

/// An effect within one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct EffectInRun {
    /// The name of the run.
    pub run: String,
    /// How many times as long.
    pub ratio: Estimate,
}

/// A part of the variance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct VariancePart {
    /// What it is of.
    pub source: components::Source,
    /// Its standard deviation, of the logarithm: 0.1 is about 10 %.
    pub sd: f64,
    /// Its share of the whole variance, 0 to 1; `n` counts trials.
    pub share: Estimate,
    /// Degrees of freedom: how many independent things tell of it.
    pub degrees: usize,
}

/// Something that is not the same in all runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Difference {
    /// What.
    pub what: String,
    /// Its value in each run, in their order.
    pub values: Vec<String>,
}

/// What may have bent a run's figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum FlagKind {
    /// The hypervisor gave CPU time to others.
    Steal,
    /// CPU time went and no counter says where: a neighbour, where the kernel is not told of steal.
    UnexplainedLoss,
    /// Fixed work took longer than at its best: a neighbour on the core or the memory, or a changing clock.
    SlowWork,
    /// The last third was slower, and so was the machine: as when burst credits run out.
    BurstCredits,
    /// The last third was slower, and nothing that is measured of the machine says why.
    Drift,
    /// Trials are missing.
    Incomplete,
    /// Doubts of the run's own report about its trials.
    Doubts,
}

impl FlagKind {
    /// Beside a figure: a word or two.
    pub fn word(self) -> &'static str {
        match self {
            Self::Steal => "steal",
            Self::UnexplainedLoss => "lost CPU",
            Self::SlowWork => "slow work",
            Self::BurstCredits => "credits?",
            Self::Drift => "drift",
            Self::Incomplete => "cut off",
            Self::Doubts => "doubts",
        }
    }
}

/// A flag on a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Flag {
    /// The name of the run.
    pub run: String,
    /// What.
    pub kind: FlagKind,
    /// What was seen, with its figures.
    pub evidence: String,
    /// What to do about it.
    pub remedy: String,
}
