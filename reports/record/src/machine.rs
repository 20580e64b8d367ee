//! The parts of a host's card: processor, kernel, memory, limits and clocks, each as the machine tells it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Reading;

/// How the CPUs are arranged, as this kernel is told. In a virtual machine that is what its host chose to
/// tell, and need not be how they really lie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct CpuTopology {
    /// Packages with a CPU that is online.
    pub sockets: u32,
    /// Cores with a CPU that is online, of all packages together.
    pub cores: u32,
    /// The most CPUs that one core has.
    pub threads_per_core: u32,
    /// Memory nodes with a CPU, if the kernel shows any.
    pub numa_nodes: Option<u32>,
    /// CPUs that the machine could have and has switched off, by their kernel numbers.
    pub offline: Vec<u32>,
}

/// A cache of the first CPU that is online.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct CpuCache {
    /// From 1, the nearest.
    pub level: u32,
    /// "Data", "Instruction", "Unified".
    pub kind: String,
    /// Its size.
    pub size_bytes: u64,
    /// How many CPUs share it.
    pub shared_by: u32,
}

/// What this kernel was built and booted with, as far as it decides which readings exist and how fine they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct KernelTraits {
    /// Scheduler ticks a second (CONFIG_HZ); not USER_HZ, in which /proc/stat counts.
    pub tick_hz: Reading<u32>,
    /// What may interrupt the kernel: "none", "voluntary", "full", "lazy", "rt".
    pub preemption: Reading<String>,
    /// Whether time in interrupts is measured and not sampled at the tick (CONFIG_IRQ_TIME_ACCOUNTING).
    pub irq_time_accounting: Reading<bool>,
    /// Whether steal also counts where a task's own time is made (CONFIG_PARAVIRT_TIME_ACCOUNTING).
    pub paravirt_time_accounting: Reading<bool>,
    /// The version of /proc/schedstat, which has the run-queue wait of each CPU.
    pub schedstat_version: Reading<u32>,
    /// Whether the costlier statistics of the scheduler are on (kernel.sched_schedstats).
    pub schedstats: Reading<bool>,
    /// Whether delays of tasks are counted (kernel.task_delayacct; always so before 5.14).
    pub delay_accounting: Reading<bool>,
    /// Who may use io_uring (kernel.io_uring_disabled): "everyone", "a group", "nobody".
    pub io_uring: Reading<String>,
    /// Options of the command line that bend figures: "mitigations" -> "off"; empty value for a bare word.
    pub boot_options: Reading<BTreeMap<String, String>>,
    /// What the kernel does about each flaw of the processor: "spectre_v2" -> "Mitigation: Retpolines".
    pub vulnerabilities: Reading<BTreeMap<String, String>>,
}

/// Memory, besides how much there is in all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct MemoryTraits {
    /// What could be had without swapping when this was read (MemAvailable).
    pub available_bytes: Reading<u64>,
    /// Swap in all; 0 is none.
    pub swap_bytes: Reading<u64>,
    /// Swap in use when this was read.
    pub swap_used_bytes: Reading<u64>,
    /// When huge pages are used unasked: "always", "madvise", "never".
    pub transparent_huge_pages: Reading<String>,
}

/// What the cgroups around this program allow it; those of all ancestors hold at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct CgroupLimits {
    /// CPU quotas from the innermost group outwards; empty when no group that is seen has one.
    pub cpu: Reading<Vec<CpuQuota>>,
    /// Memory limits from the innermost group outwards; empty when no group that is seen has one.
    pub memory: Reading<Vec<MemoryLimit>>,
    /// CPUs that the group may use, by their kernel numbers.
    pub cpus: Reading<Vec<u32>>,
}

/// A CPU quota of a cgroup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct CpuQuota {
    /// The group's directory.
    pub cgroup: String,
    /// CPU time in each period.
    pub quota_us: u64,
    /// The period.
    pub period_us: u64,
}

/// A memory limit of a cgroup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct MemoryLimit {
    /// The group's directory.
    pub cgroup: String,
    /// Memory it may use, page cache included.
    pub bytes: u64,
}

/// Who keeps the time of day right, from files and names: the kernel's own word for it needs a system call
/// that has no safe form. Stamps of a run come from CLOCK_MONOTONIC, which is slewed but never set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct TimeSync {
    /// Programs seen at work: "chronyd".
    pub daemons: Reading<Vec<String>>,
    /// Whether one says that it has reached its source; only systemd-timesyncd leaves a file that does.
    pub reached: Reading<bool>,
    /// Hardware clocks on offer: "KVM virtual PTP".
    pub hardware_clocks: Reading<Vec<String>>,
}

/// How true the /proc is that this program sees.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ProcView {
    /// The value of `hidepid`, if it hides processes of other users.
    pub hidepid: Reading<Option<String>>,
    /// Files of /proc that something other than the kernel makes, with what: "/proc/stat" -> "fuse.lxcfs".
    pub replaced: Reading<BTreeMap<String, String>>,
}
