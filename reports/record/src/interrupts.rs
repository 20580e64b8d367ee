//! Counters of soft interrupts and of the network's backlog.

use serde::{Deserialize, Serialize};

/// /proc/softirqs, all CPUs together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SoftirqCounters {
    /// Expired timers.
    pub timer: u64,
    /// Packets to send.
    pub net_tx: u64,
    /// Packets received.
    pub net_rx: u64,
    /// Finished block I/O.
    pub block: u64,
    /// Balancing of run queues.
    pub sched: u64,
    /// Deferred freeing.
    pub rcu: u64,
    /// All others.
    pub other: u64,
}

/// /proc/net/softnet_stat, all CPUs together, in 64 bits: the kernel's 32-bit counters wrap, and their growth is added
/// up from the first reading on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SoftnetCounters {
    /// Packets processed.
    pub processed: u64,
    /// Packets dropped since the backlog was full.
    pub dropped: u64,
    /// Times a soft interrupt had to stop with packets left.
    pub time_squeeze: u64,
    /// Packets that came from another CPU (RPS).
    pub received_rps: u64,
    /// Packets dropped by the flow limit.
    pub flow_limit: u64,
    /// Packets in the backlog now (5.10 and later).
    pub backlog: Option<u64>,
}
