//! When a source was read: the doubt in time of what it said.

use serde::{Deserialize, Serialize};

/// From before the read to after it, in nanoseconds since the sample's `before_ns`; in JSON `[before, after]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct ReadWindow(pub u64, pub u64);

/// The windows of the node's sources; none of what was not read in this round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ReadWindows {
    /// The disk's counters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<ReadWindow>,
    /// /proc/softirqs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub softirqs: Option<ReadWindow>,
    /// /proc/net/softnet_stat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub softnet: Option<ReadWindow>,
    /// /proc/stat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stat: Option<ReadWindow>,
    /// /proc/schedstat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_queue: Option<ReadWindow>,
    /// All of /proc/pressure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pressure: Option<ReadWindow>,
    /// /proc/loadavg.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<ReadWindow>,
    /// /proc/meminfo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<ReadWindow>,
    /// /proc/vmstat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vm: Option<ReadWindow>,
    /// /proc/interrupts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interrupts: Option<ReadWindow>,
}
