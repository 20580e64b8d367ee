//! Counters of the machine that are read once a second: memory, paging, interrupts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Reading;

/// What is read once a second.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SlowSample {
    /// /proc/meminfo.
    pub memory: Reading<MemorySample>,
    /// /proc/vmstat.
    pub vm: Reading<VmCounters>,
    /// /proc/interrupts, all CPUs together, by the word at the beginning of the line ("LOC", "24"), followed by the
    /// name of a device where there is one ("24 virtio1-req.0").
    pub interrupts: Reading<BTreeMap<String, u64>>,
}

/// Memory of the machine now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MemorySample {
    /// All of it.
    pub total_bytes: u64,
    /// Unused.
    pub free_bytes: u64,
    /// What could be had without swapping (3.14 and later).
    pub available_bytes: Option<u64>,
    /// Page cache.
    pub cached_bytes: u64,
    /// Waiting to be written back.
    pub dirty_bytes: u64,
    /// Being written back.
    pub writeback_bytes: u64,
    /// Swap in all.
    pub swap_total_bytes: u64,
    /// Swap unused.
    pub swap_free_bytes: u64,
}

/// Paging since boot. Names in /proc/vmstat are in brackets; none where this kernel lacks one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct VmCounters {
    /// Page faults (pgfault).
    pub page_faults: Option<u64>,
    /// Page faults that had to read (pgmajfault).
    pub major_page_faults: Option<u64>,
    /// Pages swapped in (pswpin).
    pub swapped_in_pages: Option<u64>,
    /// Pages swapped out (pswpout).
    pub swapped_out_pages: Option<u64>,
    /// Pages looked at by tasks that had to free memory themselves (pgscan_direct).
    pub direct_scan_pages: Option<u64>,
    /// Times a task had to free memory before it got some (allocstall, all zones).
    pub allocation_stalls: Option<u64>,
    /// Times a task waited for memory to be moved together (compact_stall).
    pub compaction_stalls: Option<u64>,
    /// Processes killed for want of memory (oom_kill, 4.13 and later).
    pub oom_kills: Option<u64>,
}
