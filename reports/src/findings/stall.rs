//! The stall ledger: what a cell's slow moments coincide with, how it is known, and the worst of them in full.

use std::collections::BTreeMap;

use record::Reading;
use serde::{Deserialize, Serialize};

use crate::stats::Estimate;

/// What slow requests coincide with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The load generator itself was late.
    Generator,
    /// A proxy had used up its CPU quota.
    Throttling,
    /// The hypervisor had taken a CPU away.
    Steal,
    /// A part was stopped, and nothing of it ran or wanted to.
    Stopped,
    /// A part waited for a disk.
    Disk,
    /// TCP sent segments again, or an interface dropped packets.
    Network,
    /// A part was ready to run, and others had the CPUs.
    RunQueue,
    /// None of those that were looked at.
    Unexplained,
}

impl Cause {
    /// Those that are looked for. Where two tell of the same time the first has it: what stands still as a whole does not
    /// also wait for a CPU, and what is counted once a second has what the others leave.
    pub const ALL: [Self; 7] =
        [Self::Stopped, Self::Disk, Self::Throttling, Self::Steal, Self::Generator, Self::RunQueue, Self::Network];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Generator => "generator",
            Self::Throttling => "throttling",
            Self::Steal => "steal",
            Self::Stopped => "stopped",
            Self::Disk => "disk",
            Self::Network => "network",
            Self::RunQueue => "run queue",
            Self::Unexplained => "unexplained",
        }
    }
}

/// How something is known. The three are never mixed: what cannot be measured is not zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Known {
    /// A counter or a state of the kernel, or a stamp, said so.
    #[default]
    Measured,
    /// It follows from what was measured: a sensor's loss that nothing explains.
    Inferred,
    /// This machine, or what was recorded, cannot tell.
    NotMeasurable,
}

impl Known {
    /// The words for it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Inferred => "inferred",
            Self::NotMeasurable => "not measurable here",
        }
    }
}

/// A share of a cell's tail: of the time that requests took above the quiet level.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Attribution {
    /// The cell's id.
    pub cell: String,
    /// What it coincides with.
    pub cause: Cause,
    /// The share, 0 to 1.
    pub share_of_tail: Estimate,
    /// What it rests on, with its figures.
    pub evidence: String,
    /// How the cause is known.
    #[serde(default)]
    pub known: Known,
    /// The part that it held up most; absent where it is none's, and in findings made before there was this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// The share by part, 0 to 1, the largest first; together they are the whole share.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<PartShare>,
    /// The windows that it was found in; absent for what is unexplained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windows: Option<SlowWindows>,
    /// The probability that chance alone makes it coincide as much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chance: Option<f64>,
    /// The quiet level that the tail lies above, the median over trials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet_ns: Option<f64>,
}

/// What one part has of a cause's share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PartShare {
    /// The part: "s2-sidecar".
    pub part: String,
    /// Of the cell's tail, 0 to 1.
    pub share_of_tail: f64,
}

/// The fewest windows that hold nine tenths of a tail, over all trials of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SlowWindows {
    /// How many they are.
    pub slow: usize,
    /// In how many of them the cause was on while their requests were out.
    pub with_cause: usize,
    /// In how many it would be if it came at other times.
    pub by_chance: f64,
}

/// A cause that was looked for in a cell, whether it is named or not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LedgerLine {
    /// The cell's id.
    pub cell: String,
    /// The cause.
    pub cause: Cause,
    /// How it is known, if it is.
    pub known: Known,
    /// Whether it is named.
    pub named: bool,
    /// Why it is named, why it is not, or why that cannot be known.
    pub evidence: String,
}

/// One of a cell's worst windows of 100 ms, with everything that is known of it.
///
/// Counters are those of the time in which its longest request was out; run delay is above what the part has as a rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct WorstWindow {
    /// The cell's id.
    pub cell: String,
    /// The trial's id.
    pub trial: String,
    /// When it begins, since the measured phase began.
    pub at_ns: u64,
    /// Of the cell's tail, the share that ended in it, 0 to 1.
    pub share_of_tail: f64,
    /// Requests that ended in it over the quiet level.
    pub requests_over: u64,
    /// The longest of them.
    pub worst_response_ns: u64,
    /// The causes named in this cell that have a share in it.
    pub causes: Vec<Cause>,
    /// Throttled time by part.
    pub throttled_ns: BTreeMap<String, u64>,
    /// Waiting for a CPU, by part.
    pub run_delay_ns: BTreeMap<String, u64>,
    /// Stopped, by part.
    pub stopped_ns: BTreeMap<String, u64>,
    /// Waiting for a disk or what else no signal ends, by part.
    pub blocked_ns: BTreeMap<String, u64>,
    /// Stolen by the hypervisor, over all CPUs, by the kernel's counter.
    pub steal_ns: Reading<u64>,
    /// What the gap sensor lost without a reason, in its bursts alone.
    pub lost_ns: Reading<u64>,
    /// What reads, writes and flushes of the run's disk took together.
    pub disk_ns: Reading<u64>,
    /// Some task waited for I/O.
    pub io_pressure_ns: Reading<u64>,
    /// Segments sent again; counted once a second.
    pub retransmits: Reading<u64>,
    /// The latest that the generator itself was.
    pub generator_lag_ns: u64,
    /// Where the slowest request that was kept spent its time; absent where none was kept.
    pub slowest_at: Option<String>,
}
