//! Raw counters of a node at one instant, as read; rates are made from two samples when read, never stored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::gaps::GapCounters;
use crate::network::NetworkSample;
use crate::slow_sample::SlowSample;
use crate::window::ReadWindows;
use crate::{ProcessState, Reading, SoftirqCounters, SoftnetCounters};

/// One round of the probe; a line of `samples.jsonl`.
///
/// Sources are read in tiers: some in every round, some at most five times a second, some once a second. What was not
/// due in a round is left out of its line; the first round holds everything.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
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
    /// The watched cgroups, by the name they were given, and the groups around them, by their paths.
    pub cgroups: BTreeMap<String, CgroupSample>,
    /// The watched processes, by the name they were given.
    pub processes: BTreeMap<String, ProcessSample>,
    /// The probe itself.
    pub own: OwnCost,
    /// Network namespaces: "host" is the probe's own, others go by the first watched process in them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub networks: BTreeMap<String, NetworkSample>,
    /// What is read once a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow: Option<SlowSample>,
    /// When each of the node's sources was read.
    #[serde(default)]
    pub reads: ReadWindows,
    /// Time lost and speed as a sensor of short bursts saw them, where one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensor: Option<GapCounters>,
}

/// The machine's counters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NodeSample {
    /// All CPUs together, /proc/stat's first line.
    #[serde(default, skip_serializing_if = "Reading::is_unread")]
    pub cpu: Reading<CpuTimes>,
    /// Each CPU by its kernel number; offline ones are missing.
    #[serde(default, skip_serializing_if = "Reading::is_unread")]
    pub cpus: Reading<BTreeMap<u32, CpuTimes>>,
    /// Context switches since boot.
    #[serde(default, skip_serializing_if = "Reading::is_unread")]
    pub context_switches: Reading<u64>,
    /// Processes created since boot.
    #[serde(default, skip_serializing_if = "Reading::is_unread")]
    pub forks: Reading<u64>,
    /// Processes runnable now.
    #[serde(default, skip_serializing_if = "Reading::is_unread")]
    pub procs_running: Reading<u64>,
    /// Processes blocked on I/O now.
    #[serde(default, skip_serializing_if = "Reading::is_unread")]
    pub procs_blocked: Reading<u64>,
    /// The disk under the run directory.
    pub disk: Reading<DiskCounters>,
    /// CPU pressure.
    #[serde(default, skip_serializing_if = "Reading::is_unread")]
    pub psi_cpu: Reading<PressureSample>,
    /// I/O pressure.
    #[serde(default, skip_serializing_if = "Reading::is_unread")]
    pub psi_io: Reading<PressureSample>,
    /// Memory pressure.
    #[serde(default, skip_serializing_if = "Reading::is_unread")]
    pub psi_memory: Reading<PressureSample>,
    /// Interrupt pressure (`full` only; 6.1 and later).
    #[serde(default, skip_serializing_if = "Reading::is_unread")]
    pub psi_irq: Reading<PressureSample>,
    /// Load averages.
    #[serde(default, skip_serializing_if = "Reading::is_unread")]
    pub load: Reading<LoadAverage>,
    /// Soft interrupts handled.
    #[serde(default, skip_serializing_if = "Reading::is_unread")]
    pub softirqs: Reading<SoftirqCounters>,
    /// Packets through the backlog.
    #[serde(default, skip_serializing_if = "Reading::is_unread")]
    pub softnet: Reading<SoftnetCounters>,
    /// Waiting for a CPU, all tasks on all CPUs.
    #[serde(default, skip_serializing_if = "Reading::is_unread")]
    pub run_queue: Reading<RunQueueCounters>,
}

/// /proc/schedstat (version 15 and later), all CPUs together; needs CONFIG_SCHEDSTATS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RunQueueCounters {
    /// Time tasks ran.
    pub run_ns: u64,
    /// Time tasks were runnable and waited for a CPU; credited when they get one.
    pub run_delay_ns: u64,
    /// Times a task was put on a CPU.
    pub timeslices: u64,
}

/// One line of /proc/stat, every field, in USER_HZ ticks (10 ms as a rule: the quantum of all of them).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
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

/// A pressure file: microseconds stalled since boot. Never read above five times a second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PressureSample {
    /// Some task waited.
    pub some: Option<PressureLine>,
    /// All tasks waited; absent for cpu on old kernels.
    pub full: Option<PressureLine>,
}

/// One line of a pressure file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PressureLine {
    /// Percent over 10 s, as the kernel averages it.
    pub avg10: f64,
    /// Microseconds in all.
    pub total_us: u64,
}

/// /proc/loadavg.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
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
    #[serde(default, skip_serializing_if = "Reading::is_unread")]
    pub psi_cpu_some_us: Reading<u64>,
    /// How long reading it took, from `read_ns` on; pressure and the limit come after that.
    #[serde(default)]
    pub took_ns: u64,
    /// The group around it, by its key among the sample's groups; none for one that is at the top.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Its bandwidth limit.
    #[serde(default, skip_serializing_if = "Reading::is_unread")]
    pub limit: Reading<CpuBandwidth>,
    /// I/O pressure of its tasks.
    #[serde(default, skip_serializing_if = "Reading::is_unread")]
    pub psi_io: Reading<PressureSample>,
    /// Memory pressure of its tasks.
    #[serde(default, skip_serializing_if = "Reading::is_unread")]
    pub psi_memory: Reading<PressureSample>,
}

/// The bandwidth limit of a cgroup: cpu.max, or cpu.cfs_quota_us and cpu.cfs_period_us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CpuBandwidth {
    /// CPU time in each period, over all CPUs; none where it is not limited.
    pub quota_ns: Option<u64>,
    /// The period.
    pub period_ns: u64,
}

/// Where the run times of a process come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Accounts {
    /// One answer of the kernel for the whole process (taskstats, TGID), threads that ended included.
    Taskstats,
    /// The sum over /proc/PID/task/*/schedstat, threads that ended included as last seen.
    Threads,
}

/// Counters of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ProcessSample {
    /// Its process id.
    pub pid: u32,
    /// When it was read, CLOCK_MONOTONIC.
    pub read_ns: u64,
    /// User CPU time in USER_HZ ticks, all threads.
    #[serde(default, skip_serializing_if = "Reading::is_unread")]
    pub user_ticks: Reading<u64>,
    /// Kernel CPU time in USER_HZ ticks, all threads.
    #[serde(default, skip_serializing_if = "Reading::is_unread")]
    pub system_ticks: Reading<u64>,
    /// Resident memory (shared pages counted).
    #[serde(default, skip_serializing_if = "Reading::is_unread")]
    pub rss_bytes: Reading<u64>,
    /// CPU time in nanoseconds, all threads, threads that ended included (see `accounts`).
    pub run_ns: Reading<u64>,
    /// Time runnable and waiting for a CPU, all threads (schedstat of each); credited on arrival, and a
    /// quota's throttling is in it.
    pub run_delay_ns: Reading<u64>,
    /// Threads now.
    #[serde(default, skip_serializing_if = "Reading::is_unread")]
    pub threads: Reading<u64>,
    /// How long reading its run times took, from `read_ns` on; ticks and memory come after that.
    #[serde(default)]
    pub took_ns: u64,
    /// Times one of its threads was put on a CPU.
    #[serde(default, skip_serializing_if = "Reading::is_unread")]
    pub timeslices: Reading<u64>,
    /// Where its run times come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accounts: Option<Accounts>,
    /// Its cgroup, by its key among the sample's groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<String>,
    /// Times a thread gave up its CPU to wait for something.
    #[serde(default, skip_serializing_if = "Reading::is_unread")]
    pub voluntary_switches: Reading<u64>,
    /// Times a thread was taken off its CPU.
    #[serde(default, skip_serializing_if = "Reading::is_unread")]
    pub involuntary_switches: Reading<u64>,
    /// Time its threads waited for block I/O; needs kernel.task_delayacct=1 before they started.
    #[serde(default, skip_serializing_if = "Reading::is_unread")]
    pub block_io_delay_ns: Reading<u64>,
    /// What its main thread was doing; read once a second, and in every round before which none of its threads was put
    /// on a CPU. Of several processes of one part, that of the one held up most.
    #[serde(default, skip_serializing_if = "Reading::is_unread")]
    pub state: Reading<ProcessState>,
}

/// What the probe itself used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
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
    /// The least time between two reads of a pressure file: reading bends what every reader of it sees, so figures of
    /// pressure are comparable only at one cadence.
    #[serde(default)]
    pub pressure_every_ns: u64,
}
