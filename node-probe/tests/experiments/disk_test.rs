//! The disk test beside a loop on the same CPU: the loop is in the gross figures and not in the net ones.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use node_probe::disk_test::{self, Config};
use record::{DiskArm, DiskArmKind};
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::busy::Shell;

/// One at a time, read from the disk that this tree is on.
fn reads() -> DiskArm {
    let place = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    let config = Config {
        size_bytes: Some(16 << 20),
        length: Duration::from_millis(700),
        arms: vec![DiskArmKind::ReadQd1],
        ..Config::new(place.path())
    };
    let mut test = disk_test::run(&config, &AtomicBool::new(false), |_| ()).unwrap();
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    let arm = test.arms.remove(0);
    assert_eq!(arm.errors, 0, "{arm:#?}");
    if let Some(device) = arm.device.seen() {
        assert!(device.reads >= arm.operations, "the disk did them, not a cache: {arm:#?}");
    }
    arm
}

fn median(mut figures: [f64; 3]) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures[1]
}

#[test]
fn a_loop_on_the_same_cpu_is_taken_off_again() {
    let mut cpus = CpuSet::new();
    let allowed = sched_getaffinity(None).unwrap();
    cpus.set((0..CpuSet::MAX_CPU).find(|&cpu| allowed.is_set(cpu)).unwrap());
    // A thread of its own, so that those of other tests stay where they are.
    let rounds = std::thread::spawn(move || {
        sched_setaffinity(None, &cpus).unwrap();
        [(); 3].map(|()| {
            let alone = reads();
            let shell = Shell::spin();
            let pid = Pid::from_raw(i32::try_from(shell.0.id()).unwrap()).unwrap();
            sched_setaffinity(Some(pid), &cpus).unwrap();
            (alone, reads())
        })
    })
    .join()
    .unwrap();
    let mut ratios = [0.0; 3];
    for (ratio, (alone, beside)) in ratios.iter_mut().zip(&rounds) {
        let net = |arm: &DiskArm| *arm.iops_net.seen().unwrap();
        let waited = *beside.run_delay_ns.seen().unwrap() as f64 / beside.measured_ns as f64;
        let said = format!(
            "gross {:.0} -> {:.0}, net {:.0} -> {:.0}, waited {waited:.2}",
            alone.iops,
            beside.iops,
            net(alone),
            net(beside)
        );
        eprintln!("{said}");
        assert!(waited > 0.02 && net(beside) > beside.iops, "the loop is seen: {said}");
        *ratio = net(beside) / net(alone);
    }
    // Caches that the loop shares, and other tests at work, are still in it; what waits for a CPU is not.
    assert!((0.5..2.0).contains(&median(ratios)), "{ratios:?}");
}
