//! `meshtax probe --gaps`, as a script and as a person use it.

use std::process::Stdio;
use std::time::{Duration, Instant};

use record::{GapCause, GapReport};
use rustix::process::{Pid, Signal, kill_process};

use crate::program::{Answer, alone, call, meshtax};

#[test]
fn the_report_for_programs_adds_up() {
    let _alone = alone();
    let answer = call(&["probe", "--gaps", "1s", "--format", "json"]).done();
    let report: GapReport = serde_json::from_str(&answer.stdout).unwrap();
    assert!(report.whole && report.wall_ns >= 1_000_000_000, "{report:#?}");
    let parts: u64 = report.causes.values().map(|cause| cause.lost_ns).sum();
    assert_eq!((report.causes.len(), parts), (GapCause::ALL.len(), report.lost_ns));
    assert_eq!(report.causes.values().map(|cause| cause.gaps).sum::<u64>(), report.gaps);
    assert!(report.lost_ns <= report.wall_ns && report.looks > 1_000, "{report:#?}");
}

#[test]
fn ctrl_c_prints_what_was_seen_until_then() {
    let _alone = alone();
    let child = meshtax(&["probe", "--gaps", "10m"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Its thread is there once it listens for signals.
    let start = Instant::now();
    let watches = || {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", child.id())).unwrap();
        tasks.flatten().any(|task| std::fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name == "gaps\n"))
    };
    while !watches() {
        assert!(start.elapsed() < Duration::from_secs(60), "it does not begin");
        std::thread::sleep(Duration::from_millis(20));
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let answer = Answer::from(child.wait_with_output().unwrap());
    assert_eq!(answer.code, Some(130), "{answer:#?}");
    let first = answer.stdout.lines().next().unwrap();
    assert!(first.ends_with("s, cut off") && answer.stdout.contains("unexplained"), "{answer:#?}");
}

#[test]
fn what_does_not_go_together_is_refused() {
    for (args, want) in [
        (&["probe", "--gaps", "2s", "--format", "csv"][..], "--format text or json"),
        (&["probe", "--format", "json"], "jsonl, csv or table"),
        (&["probe", "--gaps", "2s", "--pid", "1"], "cannot be used with"),
        (&["probe", "--cpu", "0"], "--gaps"),
        (&["probe", "--gaps", "5ms"], "1s or more"),
    ] {
        let answer = call(args);
        assert!(answer.code == Some(64) && answer.stderr.contains(want), "{args:?}: {answer:#?}");
    }
}
