//! What the load generator says of a whole trial, and `meshtax load --format json` prints.

use serde::{Deserialize, Serialize};

use crate::{Arrival, Histogram, Outcomes, Pace, Warning};

/// Whether the generator's figures can be taken for the target's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// They can.
    Valid,
    /// There is a doubt, named in the reasons.
    Suspect,
    /// They cannot, for the reasons named.
    Invalid,
}

/// Five points of a distribution, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Quantiles {
    /// Half are at or below.
    pub p50: u64,
    /// Nine tenths are at or below.
    pub p90: u64,
    /// 99 of 100 are at or below.
    pub p99: u64,
    /// 999 of 1000 are at or below.
    pub p999: u64,
    /// The largest.
    pub max: u64,
}

impl From<&Histogram> for Quantiles {
    fn from(h: &Histogram) -> Self {
        Self {
            p50: h.quantile(0.5),
            p90: h.quantile(0.9),
            p99: h.quantile(0.99),
            p999: h.quantile(0.999),
            max: h.max(),
        }
    }
}

/// Send lag, by whose it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lag {
    /// The generator was late though a connection was free.
    pub ours: Quantiles,
    /// No connection was free.
    pub theirs: Quantiles,
}

/// The result of one load, over its measured phase; `load.json` of a trial.
///
/// `due = answered + failed + censored`, and `censored = unsent + outcomes.cut_by_deadline`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LoadSummary {
    /// The file format.
    pub schema: u32,
    /// The way the figures are made.
    pub method: u32,
    /// Whether the figures can be taken for the target's.
    pub verdict: Verdict,
    /// Why not, if not.
    pub reasons: Vec<String>,
    /// What was loaded.
    pub url: String,
    /// Requests per second asked for, in total.
    pub rate_per_second: f64,
    /// Connections asked for, in total.
    pub connections: u32,
    /// How arrivals were drawn.
    pub arrival: Arrival,
    /// How the generator waited.
    pub pace: Pace,
    /// The seed of the arrivals.
    pub seed: u64,
    /// When the first request of the measured phase was due (its start), CLOCK_MONOTONIC.
    pub start_ns: u64,
    /// How long requests were due for.
    pub duration_ns: u64,
    /// When the last one ended or was given up, CLOCK_MONOTONIC.
    pub end_ns: u64,
    /// Requests due.
    pub due: u64,
    /// Requests written to a connection.
    pub sent: u64,
    /// Whole responses.
    pub answered: u64,
    /// Due, and never written before the end.
    pub unsent: u64,
    /// Due, and with no end before the end: counted as at least their age.
    pub censored: u64,
    /// How they ended.
    pub outcomes: Outcomes,
    /// Answered, over the measured time.
    pub achieved_per_second: f64,
    /// From intended to done.
    pub response_ns: Quantiles,
    /// From sent to done.
    pub service_ns: Quantiles,
    /// From intended to sent.
    pub lag_ns: Lag,
    /// CPU time of the generator, warm-up and all.
    pub cpu_seconds: f64,
    /// Doubts, with their evidence and remedy.
    pub warnings: Vec<Warning>,
}
