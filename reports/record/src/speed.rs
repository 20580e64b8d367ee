//! How fast a machine does a fixed piece of work, and whether its CPUs slow one another down.

use serde::{Deserialize, Serialize};

use crate::Reading;

/// The time of a fixed piece of integer work, the same on every machine: in short bursts, one window each.
///
/// The median of a window is free of what other threads of this machine took, so what is left of the spread is
/// frequency, a busy sibling or a neighbour on the host.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SpeedCard {
    /// The fastest chunk of all.
    pub best_ns: u64,
    /// The median of the windows' medians.
    pub median_ns: u64,
    /// 95 of 100 windows have a median at or below this.
    pub p95_ns: u64,
    /// Standard deviation of the windows' medians over their mean.
    pub variation: f64,
    /// Windows.
    pub windows: u64,
    /// Chunks in all.
    pub chunks: u64,
}

/// Whether two CPUs slow one another down as siblings of one core do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SiblingVerdict {
    /// They do.
    ShareACore,
    /// They do not.
    DoNot,
    /// The rounds do not agree.
    CannotTell,
}

/// The work on one CPU while another spins, over the same while it does not: paired, and repeated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SiblingCheck {
    /// The CPU that was measured.
    pub cpu: u32,
    /// The CPU that spun.
    pub other: u32,
    /// Median of the pairs' ratios; 1 is no effect.
    pub ratio: f64,
    /// The smallest of the middle half of the ratios.
    pub ratio_low: f64,
    /// The largest of the middle half of the ratios.
    pub ratio_high: f64,
    /// Pairs.
    pub pairs: u64,
    /// What follows from them.
    pub verdict: SiblingVerdict,
    /// Whether this kernel's topology calls them siblings (thread_siblings_list).
    pub topology_says: Reading<bool>,
}
