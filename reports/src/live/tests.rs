//! A trial that grows line by line, and what a look says of it.

use std::collections::BTreeMap;

use record::{
    CgroupSample, CpuTimes, INTERVAL_NS, Interval, LineWriter, NodeSample, Outcome, Phase, ProcessSample, Reading,
    Sample, TrialDirectory,
};

use super::*;

const MS: u64 = 1_000_000;

fn interval(phase: Phase, at: u64, response_ms: u64) -> Interval {
    let mut interval = Interval::empty(phase, at * INTERVAL_NS, INTERVAL_NS);
    interval.due = 50;
    for i in 0..50 {
        interval.outcomes.count(if i == 0 && at == 15 { Outcome::Reset } else { Outcome::Answered(200) });
        interval.response.record(response_ms * MS);
    }
    interval
}

/// Two CPUs, of which half the time is in use and a tenth stolen; three parts, of which the two sidecars use a fifth of a
/// core each, in a cgroup that is throttled in every other period from the first second on.
fn sample(round: u64) -> Sample {
    let (at_ns, ticks) = (round * 50 * MS, round * 5);
    let cpu = CpuTimes {
        user_ticks: ticks,
        idle_ticks: ticks - ticks / 5,
        steal_ticks: Some(ticks / 5),
        ..CpuTimes::default()
    };
    let process = |run_ns| ProcessSample { run_ns: Reading::Seen(run_ns), ..ProcessSample::default() };
    let group = CgroupSample {
        periods: Reading::Seen(round / 2),
        throttled_periods: Reading::Seen(round.saturating_sub(20) / 4),
        ..CgroupSample::default()
    };
    let node = NodeSample {
        // Read five times a second.
        cpu: if round.is_multiple_of(4) { Reading::Seen(cpu) } else { Reading::default() },
        ..NodeSample::default()
    };
    Sample {
        round,
        before_ns: at_ns,
        after_ns: at_ns,
        node,
        processes: BTreeMap::from([
            ("s1".to_owned(), process(at_ns / 10)),
            ("s1-sidecar".to_owned(), process(at_ns / 5)),
            ("entry-sidecar".to_owned(), process(at_ns / 5)),
        ]),
        cgroups: BTreeMap::from([("s1-sidecar".to_owned(), group.clone()), ("s1".to_owned(), group)]),
        ..Sample::default()
    }
}

struct Growing {
    _folder: tempfile::TempDir,
    trial: TrialDirectory,
    intervals: LineWriter<Interval>,
    samples: LineWriter<Sample>,
}

fn growing() -> Growing {
    let folder = tempfile::tempdir().unwrap();
    let trial = TrialDirectory::at(folder.path());
    let (intervals, samples) =
        (LineWriter::open(&trial.intervals_path()).unwrap(), LineWriter::open(&trial.samples_path()).unwrap());
    Growing { _folder: folder, trial, intervals, samples }
}

#[test]
fn a_look_tells_the_last_second_and_all_that_is_measured() {
    let mut growing = growing();
    let mut follower = Follower::of(growing.trial.path(), 2, Reading::Seen(true));
    assert_eq!(follower.look(), Now::default(), "nothing is written yet");
    for at in 0..5 {
        growing.intervals.append(&interval(Phase::WarmUp, at, 900)).unwrap();
    }
    let now = follower.look();
    assert_eq!((now.phase, now.so_far), (Some(Phase::WarmUp), None));
    for at in 5..25 {
        growing.intervals.append(&interval(Phase::Measure, at, if at < 15 { 8 } else { 2 })).unwrap();
    }
    let now = follower.look();
    let (second, all) = (now.last_second.unwrap(), now.so_far.unwrap());
    assert_eq!((second.length_ns, all.length_ns), (1_000_000_000, 2_000_000_000));
    assert_eq!((second.due_per_second, second.answered_per_second, second.errors), (500.0, 499.0, 1));
    assert_eq!((all.due_per_second, all.answered_per_second, all.errors), (500.0, 499.5, 1));
    let near = |ns: u64, ms: u64| ns.abs_diff(ms * MS) <= ms * MS / 1000;
    let (second, all) = (second.response_ns.unwrap(), all.response_ns.unwrap());
    assert!(near(second.p50, 2) && near(second.max, 2), "{second:?}");
    assert!(near(all.p50, 2) && near(all.p99, 8) && near(all.max, 8), "the warm-up does not count: {all:?}");
    let course: Vec<_> = follower.course().map(|t| (t.at_ns / INTERVAL_NS, t.measured)).collect();
    assert_eq!((course.len(), course[0], course[24]), (25, (0, false), (24, true)));
    assert!(near(follower.course().last().unwrap().p99_ns.unwrap(), 2));
}

#[test]
fn the_machine_is_told_by_what_its_counters_grew_by() {
    let mut growing = growing();
    let mut follower = Follower::of(growing.trial.path(), 2, Reading::Seen(true));
    for round in 0..=5 {
        growing.samples.append(&sample(round)).unwrap();
    }
    assert_eq!(follower.look().machine, None, "a fifth of a second carries no share of ticks");
    for round in 6..=40 {
        growing.samples.append(&sample(round)).unwrap();
    }
    let now = follower.look().machine.unwrap();
    let seen = |reading: &Reading<f64>| *reading.seen().unwrap();
    assert!((seen(&now.cpu_busy_share) - 0.5).abs() < 0.01, "{now:?}");
    assert!((seen(&now.steal_share) - 0.1).abs() < 0.01, "{now:?}");
    assert!((seen(&now.proxy_cores) - 0.4).abs() < 0.001, "services are no proxies: {now:?}");
    assert!((seen(&now.proxy_throttled_share) - 0.5).abs() < 0.001, "of the last second: {now:?}");
}

#[test]
fn what_cannot_be_told_is_absent_with_its_reason() {
    let mut growing = growing();
    let mut follower = Follower::of(growing.trial.path(), 2, Reading::absent("gVisor shows no steal"));
    for round in 0..=40 {
        let mut sample = sample(round);
        // Ticks that miss what the parts' own clocks count.
        sample.node.cpu = sample.node.cpu.map(|cpu| CpuTimes { user_ticks: cpu.user_ticks / 20, ..cpu });
        sample.processes.retain(|name, _| name == "s1");
        sample.processes.values_mut().for_each(|p| p.run_ns = Reading::Seen(sample.before_ns));
        sample.cgroups.clear();
        growing.samples.append(&sample).unwrap();
    }
    let now = follower.look().machine.unwrap();
    assert!(now.cpu_busy_share.reason().unwrap().contains("goes unseen"), "{now:?}");
    assert_eq!(now.steal_share.reason(), Some("gVisor shows no steal"));
    assert_eq!(now.proxy_cores.reason(), Some("there is no proxy"));
    assert_eq!(now.proxy_throttled_share.reason(), Some("no cgroup of a proxy tells"));
}

#[test]
fn a_broken_line_is_passed_over() {
    let mut growing = growing();
    let mut follower = Follower::of(growing.trial.path(), 2, Reading::Seen(true));
    growing.intervals.append(&interval(Phase::Measure, 0, 1)).unwrap();
    let mut text = std::fs::read_to_string(growing.trial.intervals_path()).unwrap();
    text = format!("{{\"phase\":7}}\nnonsense\n{text}");
    std::fs::write(growing.trial.intervals_path(), text).unwrap();
    assert_eq!(follower.look().so_far.unwrap().due_per_second, 500.0);
}
