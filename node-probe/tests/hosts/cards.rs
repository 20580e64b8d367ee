//! The host's card of each machine.

use std::path::Path;

use node_probe::host;
use record::{CpuQuota, CpuTopology, Host, MemoryLimit, Reading};

use crate::laid::Laid;

fn card(tree: &str) -> Host {
    host(Laid::tree(tree).path(), Path::new("/runs"))
}

fn seen<T: Clone>(reading: &Reading<T>) -> T {
    reading.seen().unwrap_or_else(|| panic!("absent: {:?}", reading.reason())).clone()
}

/// The reason has these words.
fn says<T>(reading: &Reading<T>, words: &str) {
    let reason = reading.reason().unwrap_or_else(|| panic!("not absent, but '{words}' was to be said"));
    assert!(reason.contains(words), "{words:?} is not in {reason:?}");
}

#[test]
fn centos_7_on_kvm() {
    let host = card("centos-7");
    assert_eq!(host.kernel, "3.10.0-1160.119.1.el7.x86_64");
    assert_eq!(seen(&host.distribution), "CentOS Linux 7 (Core)");
    assert_eq!((seen(&host.virtual_machine), seen(&host.container)), ("KVM".to_owned(), "none".to_owned()));
    assert_eq!((seen(&host.clock_source), seen(&host.cgroups)), ("kvm-clock".to_owned(), "v1".to_owned()));
    says(&host.psi, "no PSI");

    let kernel = &host.kernel_traits;
    assert_eq!((seen(&kernel.tick_hz), seen(&kernel.preemption)), (1000, "voluntary".to_owned()));
    assert_eq!((seen(&kernel.irq_time_accounting), seen(&kernel.paravirt_time_accounting)), (true, true));
    assert_eq!((seen(&kernel.schedstat_version), seen(&kernel.schedstats)), (15, false));
    says(&kernel.delay_accounting, "before Linux 5.14");
    says(&kernel.io_uring, "6.6");
    assert_eq!(seen(&kernel.boot_options), [("elevator".to_owned(), "noop".to_owned())].into());
    assert_eq!(seen(&kernel.vulnerabilities)["meltdown"], "Mitigation: PTI");

    let memory = &host.memory_traits;
    assert_eq!(seen(&memory.available_bytes), 3_012_004 * 1024);
    assert_eq!((seen(&memory.swap_bytes), seen(&memory.swap_used_bytes)), (2_097_148 * 1024, 1020 * 1024));
    assert_eq!(seen(&memory.transparent_huge_pages), "always");

    let group = "system.slice/meshtax.service";
    let quota =
        CpuQuota { cgroup: format!("/sys/fs/cgroup/cpu,cpuacct/{group}"), quota_us: 150_000, period_us: 100_000 };
    assert_eq!(seen(&host.cgroup_limits.cpu), [quota]);
    let limit = MemoryLimit { cgroup: format!("/sys/fs/cgroup/memory/{group}"), bytes: 1 << 30 };
    assert_eq!(seen(&host.cgroup_limits.memory), [limit]);
    assert_eq!(seen(&host.cgroup_limits.cpus), [0, 1]);
    assert_eq!(seen(&host.time_sync.daemons), ["chronyd"]);
    says(&host.time_sync.hardware_clocks, "sys/class/ptp");
    assert_eq!(seen(&host.topology).sockets, 2, "this hypervisor tells each CPU as a socket");
}

#[test]
fn ubuntu_on_xen() {
    let host = card("ubuntu-xen");
    assert_eq!((seen(&host.virtual_machine), seen(&host.clock_source)), ("Xen".to_owned(), "xen".to_owned()));
    assert_eq!((seen(&host.cgroups), seen(&host.psi)), ("hybrid".to_owned(), true));
    let kernel = &host.kernel_traits;
    assert_eq!((seen(&kernel.tick_hz), seen(&kernel.irq_time_accounting)), (250, false));
    assert!(seen(&kernel.schedstats));
    assert_eq!(seen(&host.cgroup_limits.cpu), [], "no quota on either group");
    assert_eq!(seen(&host.cgroup_limits.memory), []);
    assert_eq!((seen(&host.time_sync.reached), seen(&host.time_sync.daemons)), (true, vec!["systemd-timesyn".into()]));
    assert_eq!(seen(&host.memory_traits.swap_bytes), 0, "none is seen and not absent");
    let disk = seen(&host.disk);
    assert_eq!((disk.name.as_str(), seen(&disk.driver).as_str()), ("xvda", "vbd"));
    assert_eq!(seen(&host.caches).last().map(|l3| (l3.size_bytes, l3.shared_by)), Some((46_080 << 10, 2)));
}

#[test]
fn a_pod_on_a_kubernetes_node() {
    let host = card("kubernetes-node");
    assert_eq!((seen(&host.virtual_machine), seen(&host.container)), ("KVM".to_owned(), "kubernetes".to_owned()));
    let topology = CpuTopology { sockets: 1, cores: 4, threads_per_core: 2, numa_nodes: Some(1), offline: Vec::new() };
    assert_eq!(seen(&host.topology), topology);
    says(&host.kernel_traits.tick_hz, "no /boot/config-6.1.0-21-cloud-amd64");
    says(&host.kernel_traits.preemption, "build options are not shown");

    // Innermost first; each of them holds.
    let quotas: Vec<u64> = seen(&host.cgroup_limits.cpu).iter().map(|quota| quota.quota_us).collect();
    assert_eq!(quotas, [50_000, 150_000]);
    let limits = seen(&host.cgroup_limits.memory);
    assert_eq!(limits.iter().map(|l| l.bytes).collect::<Vec<_>>(), [256 << 20, 768 << 20, 31_001_468_928]);
    assert!(limits[0].cgroup.ends_with(".scope") && limits[2].cgroup == "/sys/fs/cgroup/kubepods.slice", "{limits:?}");
    assert_eq!(seen(&host.cgroup_limits.cpus), (0..8).collect::<Vec<_>>());
    assert_eq!(seen(&host.time_sync.hardware_clocks), ["ena-ptp-0000:00:05.0"]);
}

#[test]
fn ubuntu_on_bare_metal_with_half_of_its_cpus_off() {
    let host = card("ubuntu-raid");
    assert_eq!((seen(&host.virtual_machine), seen(&host.container)), ("none".to_owned(), "none".to_owned()));
    assert_eq!(host.cpus_online, [0, 1, 4, 5]);
    let topology =
        CpuTopology { sockets: 1, cores: 2, threads_per_core: 2, numa_nodes: Some(1), offline: vec![2, 3, 6, 7] };
    assert_eq!(seen(&host.topology), topology);
    let kernel = &host.kernel_traits;
    assert_eq!((seen(&kernel.preemption), seen(&kernel.io_uring)), ("voluntary".to_owned(), "nobody".to_owned()));
    assert_eq!((seen(&kernel.delay_accounting), seen(&kernel.irq_time_accounting)), (true, true));
    let options = seen(&kernel.boot_options);
    assert_eq!(options.keys().collect::<Vec<_>>(), ["isolcpus", "mitigations", "nohz_full"]);
    assert_eq!((seen(&host.governor), seen(&host.steal_known)), ("schedutil".to_owned(), true));
    assert_eq!(seen(&host.cgroup_limits.cpu), []);
    assert_eq!(seen(&host.cgroup_limits.cpus), [0, 1, 4, 5]);
}

#[test]
fn a_container_of_lxc_says_what_is_not_the_kernels_own() {
    let host = card("lxc");
    assert_eq!(seen(&host.container), "lxc");
    let replaced = seen(&host.proc_view.replaced);
    assert_eq!(replaced.len(), 8);
    assert_eq!(replaced["/proc/stat"], "fuse.lxcfs");
    assert_eq!(seen(&host.proc_view.hidepid), None);
    says(&host.steal_known, "lxcfs");
    says(&host.disk, "zfs pool");
    says(&host.topology, "does not say where this CPU is");
    assert_eq!(host.cpus_online, [0, 1], "as lxcfs numbers them");
    assert_eq!(seen(&host.cgroup_limits.cpus), [3, 17], "as they are numbered outside");
    assert_eq!(seen(&host.cgroup_limits.cpu)[0].quota_us, 200_000);
    assert_eq!(seen(&host.memory_traits.swap_bytes), 512 << 20);
    says(&host.kernel_traits.schedstat_version, "CONFIG_SCHEDSTATS");
}

#[test]
fn a_micro_virtual_machine_without_firmware_tables() {
    let host = card("micro-vm");
    assert_eq!((seen(&host.virtual_machine), seen(&host.cgroups)), ("KVM".to_owned(), "hybrid".to_owned()));
    assert_eq!((seen(&host.kernel_traits.tick_hz), seen(&host.kernel_traits.preemption)), (250, "none".to_owned()));
    says(&host.kernel_traits.schedstat_version, "CONFIG_SCHEDSTATS");
    let options = seen(&host.kernel_traits.boot_options);
    assert_eq!(options["mitigations"], "auto,no_guest_host,no_guest_guest");
    assert!(!options.contains_key("--addr"), "what is for the first process is not the kernel's: {options:?}");
    let limit = MemoryLimit { cgroup: "/sys/fs/cgroup/memory/guest/s1".into(), bytes: 16 << 30 };
    assert_eq!(seen(&host.cgroup_limits.memory), [limit], "a path of its own for each controller");
    assert_eq!(seen(&host.caches).len(), 4);
    says(&host.governor, "no frequency scaling");
}

#[test]
fn a_proc_that_hides_processes_says_so() {
    let tree = Laid::tree("ubuntu-raid");
    let mounts = tree.path().join("proc/self/mountinfo");
    let text = std::fs::read_to_string(&mounts).unwrap().replace("- proc proc rw", "- proc proc rw,hidepid=invisible");
    std::fs::write(&mounts, text).unwrap();
    let card = host(tree.path(), Path::new("/runs"));
    assert_eq!(seen(&card.proc_view.hidepid).as_deref(), Some("invisible"));
}

#[test]
fn this_machine_itself_has_a_card() {
    let card = host(Path::new("/"), Path::new("."));
    assert!(!seen(&card.disk_chain).is_empty());
    assert!(seen(&card.memory_traits.available_bytes) > 0);
}
