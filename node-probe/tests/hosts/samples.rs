//! What the sampler reads on each machine.

use std::path::PathBuf;

use node_probe::{Sampler, Watch};
use record::{PressureLine, Reading, Sample};

use crate::laid::Laid;

/// One round on a tree; the process and the cgroup of the same name.
fn sample(tree: &Laid, process: Option<u32>, cgroups: &[&str]) -> Sample {
    let directories: Vec<PathBuf> = cgroups.iter().map(|group| tree.path().join("sys/fs/cgroup").join(group)).collect();
    let watch = Watch {
        root: tree.root(),
        processes: process.map(|pid| ("p".to_owned(), pid)).into_iter().collect(),
        cgroups: if directories.is_empty() { Vec::new() } else { vec![("g".to_owned(), directories)] },
        disk_path: Some("/runs".into()),
        ..Watch::default()
    };
    Sampler::new(watch).unwrap().sample(record::monotonic_ns())
}

fn seen<T: Clone>(reading: &Reading<T>) -> T {
    reading.seen().unwrap_or_else(|| panic!("absent: {:?}", reading.reason())).clone()
}

#[test]
fn centos_7_on_kvm() {
    let group = "system.slice/meshtax.service";
    let s = sample(&Laid::tree("centos-7"), Some(812), &[&format!("cpu,cpuacct/{group}")]);
    let all = seen(&s.node.cpu);
    assert_eq!((all.user_ticks, all.steal_ticks), (178_321, Some(1923)));
    assert_eq!(seen(&s.node.cpus).len(), 2);
    for psi in [&s.node.psi_cpu, &s.node.psi_io, &s.node.psi_memory, &s.node.psi_irq] {
        assert!(psi.reason().unwrap().starts_with("no PSI"), "{psi:?}");
    }
    let disk = seen(&s.node.disk);
    assert_eq!((disk.device.as_str(), disk.writes, disk.flushes), ("vda", 29_163, None), "11 fields, no flushes");
    let p = &s.processes["p"];
    assert_eq!((seen(&p.threads), seen(&p.run_ns), seen(&p.run_delay_ns)), (3, 18_006_000_000, 720_000_000));
    let g = &s.cgroups["g"];
    assert_eq!((seen(&g.usage_ns), seen(&g.throttled_ns)), (18_002_340_123, 3_120_017_456));
    assert_eq!((seen(&g.periods), seen(&g.throttled_periods)), (812, 97));
}

#[test]
fn ubuntu_on_xen() {
    let groups = ["cpu,cpuacct/user.slice", "unified/user.slice"];
    let s = sample(&Laid::tree("ubuntu-xen"), Some(2212), &groups);
    assert_eq!(seen(&s.node.cpu).steal_ticks, Some(8108));
    let some = PressureLine { avg10: 1.34, total_us: 21_155_299 };
    let cpu = seen(&s.node.psi_cpu);
    assert_eq!((cpu.some, cpu.full), (Some(some), None), "no full line before 5.13");
    assert!(s.node.psi_irq.reason().unwrap().starts_with("no interrupt pressure"));
    let disk = seen(&s.node.disk);
    assert_eq!((disk.device.as_str(), disk.in_flight, disk.flushes), ("xvda", 2, None), "15 fields");
    assert_eq!(seen(&s.processes["p"].run_delay_ns), 4_083_000_000);
    let g = &s.cgroups["g"];
    assert_eq!((seen(&g.usage_ns), seen(&g.throttled_ns), seen(&g.psi_cpu_some_us)), (812_340_123, 0, 77_001));
}

#[test]
fn a_pod_on_a_kubernetes_node() {
    let tree = Laid::tree("kubernetes-node");
    let own = std::fs::read_to_string(tree.path().join("proc/4711/cgroup")).unwrap();
    let scope = own.trim().strip_prefix("0::/").unwrap();
    let s = sample(&tree, Some(4711), &[scope]);
    assert_eq!(seen(&s.node.cpus).keys().copied().collect::<Vec<_>>(), (0..8).collect::<Vec<_>>());
    assert_eq!(seen(&s.node.psi_io).full.unwrap().total_us, 6_874_379);
    let disk = seen(&s.node.disk);
    assert_eq!((disk.device.as_str(), disk.flushes, disk.flush_ms), ("nvme1n1", Some(3375), Some(3335)));
    let p = &s.processes["p"];
    assert_eq!((seen(&p.threads), seen(&p.run_ns)), (3, 18_006_000_000), "the leader alone would say 2 s");
    let g = &s.cgroups["g"];
    assert_eq!((seen(&g.throttled_ns), seen(&g.psi_cpu_some_us)), (3_632_017_000, 3_998_123));

    // The quota of the pod throttles as well: each ancestor has counters of its own.
    let pod = scope.rsplit_once('/').unwrap().0;
    let above = sample(&tree, None, &[pod]);
    assert_eq!(seen(&above.cgroups["g"].throttled_ns), 1_120_017_000);
}

#[test]
fn ubuntu_on_bare_metal_with_half_of_its_cpus_off() {
    let s = sample(&Laid::tree("ubuntu-raid"), Some(4711), &["system.slice/meshtax.service"]);
    let cpus = seen(&s.node.cpus);
    assert_eq!(cpus.keys().copied().collect::<Vec<_>>(), [0, 1, 4, 5]);
    assert_eq!(cpus[&4].user_ticks, 91_204 + 4 * 911);
    assert_eq!(seen(&s.node.cpu).guest_ticks, Some(4 * 412));
    let irq = seen(&s.node.psi_irq);
    assert_eq!((irq.some, irq.full.unwrap().total_us), (None, 912_044));
    assert_eq!(seen(&s.node.disk).device, "md0", "of several drives, the array is the disk");
    assert_eq!(seen(&s.cgroups["g"].throttled_ns), 0, "seen to be none, and not absent");
}

#[test]
fn a_container_of_lxc() {
    let s = sample(&Laid::tree("lxc"), None, &[""]);
    assert_eq!(seen(&s.node.cpu).user_ticks, 31_204);
    assert!(s.node.disk.reason().unwrap().contains("zfs"));
    assert_eq!(seen(&s.cgroups["g"].throttled_ns), 80_021_000);
}

#[test]
fn a_micro_virtual_machine_of_real_text() {
    let s = sample(&Laid::tree("micro-vm"), Some(4711), &["cpu", "cpuacct", "unified"]);
    let all = seen(&s.node.cpu);
    assert_eq!((all.nice_ticks, all.steal_ticks, all.guest_ticks), (389_683, Some(1082), Some(0)));
    assert_eq!(seen(&s.node.context_switches), 64_352_239);
    let p = &s.processes["p"];
    assert_eq!(seen(&p.run_delay_ns), 4_080_150_000, "the leader alone waited for 0.15 ms of it");
    let g = &s.cgroups["g"];
    assert_eq!((seen(&g.usage_ns), seen(&g.psi_cpu_some_us)), (12_562_122_003_311, 2_637_394_309));
    assert_eq!(seen(&s.node.disk).flush_ms, Some(111));
}
