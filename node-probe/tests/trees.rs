//! The sampler on trees of /proc and /sys text, where every answer is known.

#[path = "hosts/laid.rs"]
mod laid;

use std::path::Path;

use laid::Laid;
use node_probe::{Error, Sampler, Watch};
use record::{DiskCounters, LoadAverage, PressureLine, PressureSample, Reading};

#[test]
fn a_machine_with_offline_cpus_nvme_under_a_mapping_and_an_old_pressure_file() {
    let tree = Laid::tree("offline");
    let cgroup = Laid::tree("cgroup/v2/s1");
    let watch = Watch {
        root: tree.root(),
        processes: vec![("s1-sidecar".into(), 4711)],
        cgroups: vec![("s1-sidecar".into(), vec![cgroup.root()])],
        disk_path: Some("/runs".into()),
        ..Watch::default()
    };
    let sample = Sampler::new(watch).unwrap().sample(record::monotonic_ns());

    let node = &sample.node;
    assert_eq!(node.cpus.seen().unwrap().keys().copied().collect::<Vec<_>>(), [0, 1, 8]);
    assert_eq!(node.cpu.seen().unwrap().steal_ticks, Some(30));
    assert_eq!((&node.context_switches, &node.procs_blocked), (&Reading::Seen(605_733), &Reading::Seen(1)));
    assert_eq!(node.load, Reading::Seen(LoadAverage { one: 1.42, five: 1.27, fifteen: 0.64 }));
    let some = PressureLine { avg10: 1.34, total_us: 21_155_299 };
    assert_eq!(node.psi_cpu, Reading::Seen(PressureSample { some: Some(some), full: None }));
    assert_eq!(node.psi_io.seen().unwrap().full.unwrap().total_us, 6_874_379);
    assert!(node.psi_irq.reason().unwrap().starts_with("no interrupt pressure"), "{:?}", node.psi_irq);
    let disk = DiskCounters {
        device: "nvme0n1".into(),
        reads: 97988,
        read_sectors: 5_384_882,
        read_ms: 56995,
        writes: 29163,
        write_sectors: 6_321_608,
        write_ms: 15919,
        in_flight: 2,
        weighted_ms: 73764,
        flushes: None,
        flush_ms: None,
    };
    assert_eq!(node.disk, Reading::Seen(disk));

    let process = &sample.processes["s1-sidecar"];
    assert_eq!((process.pid, &process.threads), (4711, &Reading::Seen(2)));
    assert_eq!((&process.user_ticks, &process.system_ticks), (&Reading::Seen(1234), &Reading::Seen(567)));
    assert_eq!(process.rss_bytes, Reading::Seen(6789 * rustix::param::page_size() as u64));
    assert_eq!(process.run_ns, Reading::Seen(18_002_000_000), "of both threads");
    assert_eq!(process.run_delay_ns, Reading::Seen(4_083_000_000), "of both threads");
    assert_eq!(sample.cgroups["s1-sidecar"].throttled_ns, Reading::Seen(3_632_017_000));
}

#[test]
fn a_kernel_without_pressure_and_a_tree_without_a_disk_say_so() {
    let tree = Laid::tree("no-psi");
    let mut sampler = Sampler::new(Watch { root: tree.root(), ..Watch::default() }).unwrap();
    let node = sampler.sample(record::monotonic_ns()).node;
    for psi in [&node.psi_cpu, &node.psi_io, &node.psi_memory, &node.psi_irq] {
        let reason = psi.reason().unwrap();
        assert!(reason.starts_with("no PSI:") && reason.contains("psi=0"), "{reason}");
    }
    assert_eq!(node.disk.reason(), Some("no disk was asked for"));
    assert!(node.load.reason().unwrap().contains("loadavg does not exist"), "{:?}", node.load);
    assert!(node.cpu.seen().is_some());
}

#[test]
fn what_is_not_due_in_a_round_is_left_out_of_it() {
    let tree = Laid::tree("offline");
    let mut sampler = Sampler::new(Watch { root: tree.root(), ..Watch::default() }).unwrap();
    let now = record::monotonic_ns();
    let first = sampler.sample(now);
    assert!(first.node.psi_cpu.seen().is_some() && first.slow.is_some() && !first.networks.is_empty());
    let second = sampler.sample(now + 20_000_000);
    assert!(second.node.psi_cpu.is_unread() && second.node.cpu.is_unread() && second.node.psi_irq.is_unread());
    assert!(second.slow.is_none() && second.networks.is_empty());
    let text = serde_json::to_string(&second).unwrap();
    assert!(!text.contains("psi_cpu") && text.contains("softirqs"), "{text}");
    assert_eq!(serde_json::from_str::<record::Sample>(&text).unwrap(), second);
}

#[test]
fn the_machine_of_a_tree_has_its_disk() {
    let tree = Laid::tree("offline");
    let host = node_probe::host(tree.path(), Path::new("/runs"));
    let disk = host.disk.seen().unwrap();
    assert_eq!((disk.name.as_str(), disk.number.as_str()), ("nvme0n1", "259:0"));
    assert_eq!((&disk.driver, &disk.filesystem), (&Reading::Seen("nvme".into()), &Reading::Seen("ext4".into())));
    assert_eq!(disk.model, Reading::Seen("Amazon Elastic Block Store".into()));
    assert_eq!(disk.rotational, Reading::Seen(false));
    assert_eq!((host.cgroups, host.cpus_online), (Reading::Seen("v2".into()), vec![0, 1, 8]));
    assert_eq!(host.steal_known, Reading::Seen(true), "the counter has moved");
    let memory = node_probe::host(tree.path(), Path::new("/tmp/runs")).disk;
    assert_eq!(memory.reason(), Some("no block device: tmpfs keeps its files in memory"));
}

#[test]
fn what_cannot_be_watched_is_an_error_at_the_start() {
    let tree = Laid::tree("offline");
    let watch = Watch { root: tree.root(), ..Watch::default() };
    let twice = vec![("s1".to_owned(), 4711), ("s1".to_owned(), 4711)];
    let error = Sampler::new(Watch { processes: twice, ..watch.clone() }).unwrap_err();
    assert!(matches!(&error, Error::SameName { kind: "processes", name } if name == "s1"), "{error}");
    let error = Sampler::new(Watch { processes: vec![("s2".into(), 4712)], ..watch.clone() }).unwrap_err();
    assert!(matches!(error, Error::Process { pid: 4712, .. }), "{error}");
    let none = vec![("s1".to_owned(), vec![tree.path().join("none")])];
    let error = Sampler::new(Watch { cgroups: none, ..watch }).unwrap_err();
    assert!(matches!(error, Error::Cgroup { .. }), "{error}");
}
