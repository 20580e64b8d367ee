//! The whole test, short and small, on the disk that this tree is on.

use std::fs;

use record::Quantiles;

use super::*;

/// A directory on a disk: the temporary one may be in memory.
fn place() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap()
}

fn short(path: &Path, arms: &[DiskArmKind], engine: Engine) -> Config {
    Config {
        size_bytes: Some(8 << 20),
        length: Duration::from_millis(300),
        arms: arms.to_vec(),
        seed: Some(7),
        engine,
        ..Config::new(path)
    }
}

fn made(config: &Config) -> DiskTest {
    run(config, &AtomicBool::new(false), |_| ()).unwrap()
}

/// What must hold of every arm, whatever the disk.
fn adds_up(arm: &DiskArm) {
    // On a disk that is busy with others an operation may take longer than the arm.
    assert!(arm.operations + arm.unfinished > 0 && arm.errors == 0, "{arm:#?}");
    assert_eq!((arm.measured_ns, arm.windows.len()), (300_000_000, 3));
    assert_eq!(arm.windows.iter().map(|w| w.operations).sum::<u64>(), arm.operations);
    assert!((arm.iops - arm.operations as f64 / 0.3).abs() < 1e-6, "{arm:#?}");
    assert_eq!(arm.thirds, Some([arm.windows[0].operations, arm.windows[2].operations]));
    let rising = |q: &Quantiles| [q.p50, q.p90, q.p99, q.p999, q.max].is_sorted();
    let any = arm.operations > 0;
    assert!(rising(&arm.gross_ns) && (arm.gross_ns.p50 > 0) == any, "{:?}", arm.gross_ns);
    if let Some(net) = arm.net_ns.seen() {
        assert!(rising(net) && net.p50 <= arm.gross_ns.p50 && net.max <= arm.gross_ns.max, "{arm:#?}");
    }
    if let Some(net) = arm.iops_net.seen() {
        assert!(*net >= arm.iops, "{arm:#?}");
    }
    assert_eq!(
        arm.flush_ns.is_some(),
        any && matches!(arm.kind, DiskArmKind::WriteFdatasync | DiskArmKind::AppendFdatasync)
    );
    assert!(arm.flush_ns.is_none_or(|flush| flush.p50 <= arm.gross_ns.p50));
    assert_eq!(arm.late_ns.is_some(), any && arm.kind.is_paced());
    if arm.kind.is_paced() {
        assert!(arm.operations <= 15, "one each 20 ms: {}", arm.operations);
    }
}

#[test]
fn every_arm_adds_up_and_nothing_is_left() {
    let place = place();
    let mut told = Vec::new();
    let config = short(place.path(), &DiskArmKind::ALL, Engine::Auto);
    let test = run(&config, &AtomicBool::new(false), |progress| {
        if let Progress::Arm { kind, number, of } = progress {
            told.push((kind, number, of));
        }
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0, "the file has no name while it is there either");
    })
    .unwrap();
    assert!(!test.cut_off && test.file.written_in_ns.is_some());
    assert_eq!((test.seed, test.file.bytes, test.ramp_ns), (7, 8 << 20, 60_000_000));
    test.arms.iter().for_each(adds_up);
    let order: Vec<DiskArmKind> = test.arms.iter().map(|arm| arm.kind).collect();
    let number_of = |kind: &DiskArmKind| order.iter().position(|k| k == kind).unwrap() + 1;
    assert_eq!(told, order.iter().map(|kind| (*kind, number_of(kind), 8)).collect::<Vec<_>>());
    let mut sorted = order.clone();
    sorted.sort_unstable();
    assert!(sorted == DiskArmKind::ALL && order != sorted, "all of them, shuffled: {order:?}");
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    assert!(test.warnings.iter().any(|w| w.evidence.contains("8 MiB only")), "{:?}", test.warnings);
}

#[test]
fn one_seed_makes_one_order() {
    let place = place();
    let arms = [DiskArmKind::ReadQd1, DiskArmKind::WriteQd1, DiskArmKind::PacedReadQd1, DiskArmKind::ReadQd1];
    let config = Config { length: Duration::from_millis(100), ..short(place.path(), &arms, Engine::Auto) };
    let order = |seed| -> Vec<DiskArmKind> {
        made(&Config { seed: Some(seed), ..config.clone() }).arms.iter().map(|arm| arm.kind).collect()
    };
    let first = order(1);
    assert_eq!((first.len(), &first), (3, &order(1)), "each once, and again the same");
    assert_ne!(
        made(&Config { seed: None, arms: vec![], ..config.clone() }).seed,
        made(&Config { seed: None, arms: vec![], ..config }).seed
    );
}

#[test]
fn threads_do_the_same_and_say_why() {
    let place = place();
    let test = made(&short(place.path(), &[DiskArmKind::ReadQd32, DiskArmKind::WriteQd32], Engine::Threads));
    assert_eq!(test.arms.len(), 2);
    for arm in &test.arms {
        adds_up(arm);
        assert_eq!((arm.engine, arm.engine_reason.as_deref()), (DiskEngine::Threads, Some("threads were asked for")));
        assert!(arm.iops_net.reason().is_some() && arm.net_ns.seen().is_some());
    }
    assert!(!test.warnings.iter().any(|w| w.kind == WarningKind::NotPermitted), "it was asked for");
}

#[test]
fn a_blocked_io_uring_is_told_from_a_missing_one() {
    let says = |errno: Errno| blocked(&errno.into());
    assert!(says(Errno::PERM).contains("kernel.io_uring_disabled"));
    assert!(says(Errno::NOSYS).contains("has no io_uring"));
    assert!(says(Errno::NOMEM).contains("Cannot allocate memory"));
}

#[test]
fn a_test_that_is_told_to_stop_is_a_part_and_says_so() {
    let place = place();
    let stop = AtomicBool::new(false);
    let config = short(place.path(), &[DiskArmKind::ReadQd1, DiskArmKind::WriteQd1], Engine::Auto);
    let test = run(&config, &stop, |progress| {
        if let Progress::Arm { number: 2, .. } = progress {
            stop.store(true, Ordering::Relaxed);
        }
    })
    .unwrap();
    assert!(test.cut_off && test.arms.len() == 1, "{test:#?}");
    let early = run(&config, &AtomicBool::new(true), |_| ()).unwrap();
    assert_eq!((early.cut_off, early.file.written_in_ns, early.arms.len()), (true, None, 0));
}

#[test]
fn doubts_have_their_evidence() {
    let place = place();
    let calm = made(&short(place.path(), &[DiskArmKind::ReadQd1], Engine::Auto)).arms.remove(0);
    let calm = DiskArm {
        operations: 900,
        waiting_share: Reading::Seen(0.1),
        run_delay_ns: Reading::Seen(1_000_000),
        thirds: Some([300, 300]),
        device: Reading::Seen(record::DiskArmDevice { reads: 1000, ..Default::default() }),
        ..calm
    };
    let said = |arm: &DiskArm| -> Vec<(WarningKind, String)> {
        let named = Ground { disk: Reading::absent("no mount"), ..Ground::look(place.path()).unwrap() };
        let doubts = doubts(&named, 1 << 30, std::slice::from_ref(arm));
        assert!(doubts[0].evidence.contains("cannot be named: no mount"), "{doubts:?}");
        doubts.into_iter().skip(1).map(|w| (w.kind, w.evidence)).collect()
    };
    assert_eq!(said(&calm), []);
    let one = |arm: DiskArm, kind, words: &str| match &said(&arm)[..] {
        [(found, evidence)] => assert!(*found == kind && evidence.contains(words), "{found:?} {evidence}"),
        other => panic!("{other:?}"),
    };
    one(
        DiskArm { waiting_share: Reading::Seen(0.9), ..calm.clone() },
        WarningKind::BusyMachine,
        "was 90 % of read_qd1",
    );
    one(DiskArm { thirds: Some([300, 200]), ..calm.clone() }, WarningKind::NotStationary, "200 operations in the last");
    one(
        DiskArm { errors: 3, first_error: Some("I/O".into()), ..calm.clone() },
        WarningKind::RequestsFailed,
        "with: I/O",
    );
    let unasked = Reading::Seen(record::DiskArmDevice { reads: 5, ..Default::default() });
    one(DiskArm { device: unasked, ..calm.clone() }, WarningKind::Unproven, "of 900 operations the disk did 5");
    let blocked = Some("io_uring is not permitted".to_owned());
    one(DiskArm { engine_reason: blocked, ..calm }, WarningKind::NotPermitted, "by 1 threads, as io_uring");
}
