//! Raw counters of a node at one instant, as read; rates are made from two samples when read, never stored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Reading;

/// One round of the probe; a line of `samples.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// The round, from 0; a gap is a missed round.
    pub round: u64,
    /// When it was due, CLOCK_MONOTONIC.
    pub due_ns: u64,
    /// Before the first read.
    pub before_ns: u64,
    /// After the last read.
    pub after_ns: u64,
    /// The machine.
    pub node: NodeSample,
    /// The watched cgroups, by the name they were given.
    pub cgroups: BTreeMap<String, CgroupSample>,
    /// The watched processes, by the name they were given.
    pub processes: BTreeMap<String, ProcessSample>,
    /// The probe itself.
    pub own: OwnCost,
}

/// The machine's counters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeSample {
    /// All CPUs together, /proc/stat's first line.
    pub cpu: Reading<CpuTimes>,
    /// Each CPU by its kernel number; offline ones are missing.
    pub cpus: Reading<BTreeMap<u32, CpuTimes>>,
    /// Context switches since boot.
    pub context_switches: Reading<u64>,
    /// Processes created since boot.
    pub forks: Reading<u64>,
    /// Processes runnable now.
    pub procs_running: Reading<u64>,
    /// Processes blocked on I/O now.
    pub procs_blocked: Reading<u64>,
    /// The disk under the run directory.
    pub disk: Reading<DiskCounters>,
    /// CPU pressure.
    pub psi_cpu: Reading<PressureSample>,
    /// I/O pressure.
    pub psi_io: Reading<PressureSample>,
    /// Memory pressure.
    pub psi_memory: Reading<PressureSample>,
    /// Interrupt pressure (`full` only; 6.1 and later).
    pub psi_irq: Reading<PressureSample>,
    /// Load averages.
    pub load: Reading<LoadAverage>,
}

/// One line of /proc/stat, every field, in USER_HZ ticks (10 ms as a rule: the quantum of all of them).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CpuTimes {
    /// User, guests included.
    pub user_ticks: u64,
    /// Niced user, niced guests included.
    pub nice_ticks: u64,
    /// Kernel.
    pub system_ticks: u64,
    /// Idle.
    pub idle_ticks: u64,
    /// Idle with I/O pending somewhere; unreliable by design.
    pub iowait_ticks: Option<u64>,
    /// Hardware interrupts.
    pub irq_ticks: Option<u64>,
    /// Soft interrupts.
    pub softirq_ticks: Option<u64>,
    /// Runnable, while the hypervisor ran something else.
    pub steal_ticks: Option<u64>,
    /// Running a guest; already inside user.
    pub guest_ticks: Option<u64>,
    /// Running a niced guest; already inside nice.
    pub guest_nice_ticks: Option<u64>,
}

/// Counters of a block device (/sys/block/X/stat). `util` is left out: it misleads on virtio and NVMe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiskCounters {
    /// The device: "vda".
    pub device: String,
    /// Reads completed.
    pub reads: u64,
    /// 512-byte sectors read.
    pub read_sectors: u64,
    /// Time all reads took together.
    pub read_ms: u64,
    /// Writes completed.
    pub writes: u64,
    /// 512-byte sectors written.
    pub write_sectors: u64,
    /// Time all writes took together.
    pub write_ms: u64,
    /// I/Os in the queue now.
    pub in_flight: u64,
    /// Queue length integrated over time.
    pub weighted_ms: u64,
    /// Flushes completed (5.5 and later).
    pub flushes: Option<u64>,
    /// Time all flushes took together (5.5 and later).
    pub flush_ms: Option<u64>,
}

/// A pressure file: microseconds stalled since boot. Never read above 10 times a second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PressureSample {
    /// Some task waited.
    pub some: Option<PressureLine>,
    /// All tasks waited; absent for cpu on old kernels.
    pub full: Option<PressureLine>,
}

/// One line of a pressure file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PressureLine {
    /// Percent over 10 s, as the kernel averages it.
    pub avg10: f64,
    /// Microseconds in all.
    pub total_us: u64,
}

/// /proc/loadavg.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadAverage {
    /// Over one minute.
    pub one: f64,
    /// Over five minutes.
    pub five: f64,
    /// Over fifteen minutes.
    pub fifteen: f64,
}

/// CPU counters of a cgroup, v1 or v2, in nanoseconds either way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CgroupSample {
    /// When it was read, CLOCK_MONOTONIC.
    pub read_ns: u64,
    /// CPU time used.
    pub usage_ns: Reading<u64>,
    /// Bandwidth periods in which it ran.
    pub periods: Reading<u64>,
    /// Periods in which it was throttled.
    pub throttled_periods: Reading<u64>,
    /// Time throttled, summed over CPUs; credited when throttling ends.
    pub throttled_ns: Reading<u64>,
    /// Microseconds some task of it waited for CPU.
    pub psi_cpu_some_us: Reading<u64>,
}

/// Counters of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProcessSample {
    /// Its process id.
    pub pid: u32,
    /// When it was read, CLOCK_MONOTONIC.
    pub read_ns: u64,
    /// User CPU time in USER_HZ ticks, all threads.
    pub user_ticks: Reading<u64>,
    /// Kernel CPU time in USER_HZ ticks, all threads.
    pub system_ticks: Reading<u64>,
    /// Resident memory (shared pages counted).
    pub rss_bytes: Reading<u64>,
    /// CPU time in nanoseconds, all threads, threads that ended included as last seen.
    pub run_ns: Reading<u64>,
    /// Time runnable and waiting for a CPU, all threads (schedstat of each); credited on arrival, and a
    /// quota's throttling is in it.
    pub run_delay_ns: Reading<u64>,
    /// Threads now.
    pub threads: Reading<u64>,
}

/// What the probe itself used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnCost {
    /// CPU time since it started.
    pub cpu_ns: u64,
    /// How late this round began.
    pub late_ns: u64,
    /// Rounds missed since it started; they are not made up for.
    pub missed_rounds: u64,
    /// Resident memory.
    pub rss_bytes: u64,
}
