//! Facts about the machine a run was measured on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    BlockLayer, CgroupLimits, CpuCache, CpuTopology, KernelTraits, MemoryTraits, ProcView, Reading, SiblingCheck,
    SpeedCard, TimeSync,
};

/// What a machine is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Host {
    /// Kernel release: "6.1.0-21-cloud-amd64".
    pub kernel: String,
    /// Hardware name: "x86_64".
    pub arch: String,
    /// "Debian GNU/Linux 12 (bookworm)".
    pub distribution: Reading<String>,
    /// CPU model.
    pub cpu_model: Reading<String>,
    /// CPUs online, by their kernel numbers.
    pub cpus_online: Vec<u32>,
    /// CPUs this program may run on.
    pub cpus_allowed: u32,
    /// Memory in all.
    pub memory_bytes: Reading<u64>,
    /// The hypervisor by its interface or its maker ("KVM ABI", "VMware"), or "none" on bare metal.
    pub virtual_machine: Reading<String>,
    /// The container around us, or "none".
    pub container: Reading<String>,
    /// Whether this guest's kernel can know about steal, and how we know.
    pub steal_known: Reading<bool>,
    /// How we know, in words.
    #[serde(default)]
    pub steal_evidence: Reading<String>,
    /// The clock source: "tsc", "kvm-clock".
    pub clock_source: Reading<String>,
    /// USER_HZ: ticks per second of the counters in /proc/stat.
    pub clock_ticks_per_second: u64,
    /// The scaling governor of CPU 0.
    pub governor: Reading<String>,
    /// "v1", "v2", "hybrid".
    pub cgroups: Reading<String>,
    /// Whether PSI can be read.
    pub psi: Reading<bool>,
    /// The disk under the run directory.
    pub disk: Reading<BlockDevice>,
    /// Limits of this process: "nofile" -> "1024/1048576".
    pub limits: BTreeMap<String, String>,
    /// How the CPUs are arranged.
    #[serde(default)]
    pub topology: Reading<CpuTopology>,
    /// The caches of the first CPU.
    #[serde(default)]
    pub caches: Reading<Vec<CpuCache>>,
    /// What the kernel was built and booted with.
    #[serde(default)]
    pub kernel_traits: KernelTraits,
    /// Memory, besides how much there is.
    #[serde(default)]
    pub memory_traits: MemoryTraits,
    /// What the cgroups around this program allow it.
    #[serde(default)]
    pub cgroup_limits: CgroupLimits,
    /// Who keeps the time of day right.
    #[serde(default)]
    pub time_sync: TimeSync,
    /// How true the /proc is that this program sees.
    #[serde(default)]
    pub proc_view: ProcView,
    /// Everything between the run directory and the disks under it, down to where the kernel shows no more.
    #[serde(default)]
    pub disk_chain: Reading<Vec<BlockLayer>>,
    /// How fast it does a fixed piece of work.
    #[serde(default)]
    pub speed: Reading<SpeedCard>,
    /// Whether its CPUs slow one another down as siblings of one core do, a few pairs of them.
    #[serde(default)]
    pub smt_siblings: Reading<Vec<SiblingCheck>>,
}

/// A block device behind a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct BlockDevice {
    /// The whole disk's kernel name: "vda".
    pub name: String,
    /// Major and minor number of the whole disk: "254:0".
    pub number: String,
    /// Its driver: "virtio_blk", "nvme".
    pub driver: Reading<String>,
    /// Its model, where it says one.
    pub model: Reading<String>,
    /// Whether it says it rotates.
    pub rotational: Reading<bool>,
    /// The file system the path is on: "ext4".
    pub filesystem: Reading<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_before_the_card_is_read_with_everything_new_absent() {
        let old = r#"{"kernel":"6.1.0","arch":"x86_64","distribution":{"absent":"x"},"cpu_model":"AMD EPYC",
            "cpus_online":[0,1],"cpus_allowed":2,"memory_bytes":1024,"virtual_machine":"KVM","container":"none",
            "steal_known":true,"clock_source":"tsc","clock_ticks_per_second":100,"governor":{"absent":"x"},
            "cgroups":"v2","psi":true,"disk":{"absent":"x"},"limits":{}}"#;
        let host: Host = serde_json::from_str(old).unwrap();
        assert_eq!(host.cpus_online, [0, 1]);
        for reason in [
            host.topology.reason(),
            host.kernel_traits.tick_hz.reason(),
            host.cgroup_limits.cpu.reason(),
            host.proc_view.hidepid.reason(),
            host.disk_chain.reason(),
        ] {
            assert_eq!(reason, Some("not read"));
        }
        let again: Host = serde_json::from_str(&serde_json::to_string(&host).unwrap()).unwrap();
        assert_eq!(again, host);
    }
}
