//! The gap detector with a truth that is known: a spinner on the same CPU, a quota, and the sensor's own cost.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use node_probe::{GapSensor, GapWatch, SensorConfig, watch_gaps};
use record::{GapCause, GapReport};
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::busy::{Shell, last_cpu};
use crate::groups::skip;
use crate::quota::Group;

/// Whoever takes the last CPU does so alone: another's spinner would be its loss.
static LAST_CPU: Mutex<()> = Mutex::new(());

/// A shell that spins on one CPU.
fn spinner_on(cpu: u32) -> Shell {
    let shell = Shell::spin();
    let mut set = CpuSet::new();
    set.set(cpu as usize);
    sched_setaffinity(Pid::from_raw(i32::try_from(shell.0.id()).unwrap()), &set).unwrap();
    shell
}

fn watch(length: Duration, cpu: u32) -> GapReport {
    watch_gaps(&GapWatch { length, cpu: Some(cpu), longest: 5 }, &AtomicBool::new(false)).unwrap()
}

/// A cause's part of all that was lost, in hundredths, without what the host took from this machine meanwhile: that is not the
/// test's to decide. What may be taken for it is bounded by the kernel's own counter of it, which is told in ticks.
fn hundredths(report: &GapReport, cause: GapCause) -> u64 {
    let stolen = report.causes.get(&GapCause::KnownSteal).map_or(0, |steal| steal.lost_ns);
    let counted = report.steal_counter_ns.seen().copied().unwrap_or(0);
    assert!(stolen <= counted * 5 / 4 + 20_000_000, "more than the counter of steal says: {report:#?}");
    report.causes[&cause].lost_ns * 100 / (report.lost_ns - stolen).max(1)
}

#[test]
fn what_a_spinner_on_the_same_cpu_takes_is_own_run_delay() {
    let _alone = LAST_CPU.lock().unwrap_or_else(PoisonError::into_inner);
    let cpu = last_cpu();
    let _spinner = spinner_on(cpu);
    let report = watch(Duration::from_millis(1500), cpu);
    assert!(report.whole && report.wall_ns >= 1_500_000_000, "{report:#?}");
    assert!(report.share > 0.25, "two on one CPU have half each: {report:#?}");
    // The rest is what interrupts took of its own half: on a guest of a busy host that is some hundredths.
    assert!(hundredths(&report, GapCause::OwnRunDelay) >= 85, "{report:#?}");
    assert_eq!(report.longest.len(), 5);
    assert!(report.longest.iter().all(|gap| gap.length_ns > 500_000), "slices of a scheduler: {report:#?}");
}

#[test]
fn a_watch_that_is_stopped_says_so() {
    let stop = AtomicBool::new(true);
    let report = watch_gaps(&GapWatch { length: Duration::from_secs(60), cpu: None, longest: 1 }, &stop).unwrap();
    assert!(!report.whole && report.wall_ns < 10_000_000_000, "{report:#?}");
}

/// Set in the environment of this test binary when it is started to watch itself.
const WATCH: &str = "PROBE_TEST_GAPS";

/// Not a test: a program that waits to be put into a cgroup, and then watches.
#[test]
#[ignore = "started by the test of the quota"]
fn watcher() {
    if std::env::var_os(WATCH).is_none() {
        return;
    }
    println!("\nwatcher: ready");
    std::io::stdin().lock().lines().next().unwrap().unwrap();
    let report = watch(Duration::from_secs(2), last_cpu());
    println!("\nwatcher: {}", serde_json::to_string(&report).unwrap());
}

#[test]
fn what_a_quota_takes_is_the_quotas() {
    let _alone = LAST_CPU.lock().unwrap_or_else(PoisonError::into_inner);
    let group = match Group::make("gaps") {
        Ok(group) => group,
        Err(why) => return skip(&format!("no cgroup with a quota ({why})")),
    };
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "gaps::watcher", "--ignored", "--nocapture"])
        .env(WATCH, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Ended when dropped, before the group is removed.
    let mut child = Shell(child);
    let mut answers = BufReader::new(child.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut answer = || answers.find_map(|line| line.strip_prefix("watcher: ").map(str::to_owned));
    assert_eq!(answer().as_deref(), Some("ready"));
    group.take_in(child.0.id());
    child.0.stdin.take().unwrap().write_all(b"go\n").unwrap();
    let report: GapReport = serde_json::from_str(&answer().unwrap()).unwrap();
    child.0.wait().unwrap();
    assert!(report.share > 0.5, "20 ms in each 100 ms: {report:#?}");
    assert!(hundredths(&report, GapCause::Quota) >= 85, "{report:#?}");
    let quota = &report.causes[&GapCause::Quota];
    assert!((10..=25).contains(&quota.gaps) && quota.length_ns.p50 > 40_000_000, "80 ms in each period: {report:#?}");
}

#[test]
fn the_sensor_counts_all_the_time_and_costs_what_it_says() {
    let sensor = GapSensor::start(&SensorConfig::default()).unwrap();
    let start = Instant::now();
    let first = sensor.read();
    std::thread::sleep(Duration::from_millis(1500));
    let second = sensor.read();
    let wall_ns = u64::try_from(start.elapsed().as_nanos()).unwrap();
    let periods = second.bursts + second.missed_bursts - first.bursts - first.missed_bursts;
    // It gives way to everything else, so on a busy machine it may come late; it never comes too often.
    assert!(periods <= wall_ns / 100_000_000 + 1, "{first:?} {second:?}");
    assert!(second.cpu_ns - first.cpu_ns <= wall_ns / 20, "2 % of a core and the readings: {first:?} {second:?}");
    assert!(second.lost.total_ns() <= second.burst_ns, "{second:?}");
    let before = Instant::now();
    drop(sensor);
    assert!(before.elapsed() < Duration::from_secs(10), "it ends when it is dropped");
}

#[test]
fn a_sensor_beside_a_spinner_loses_its_time_to_own_run_delay() {
    let cpu = last_cpu();
    let calibration = Duration::from_millis(500);
    let _spinner = spinner_on(cpu);
    let sensor = GapSensor::start(&SensorConfig { cpu: Some(cpu), calibration, ..SensorConfig::default() }).unwrap();
    let full = sensor.calibration().unwrap();
    assert!((full.cpu, full.whole) == (cpu, true) && full.share > 0.2, "{full:#?}");
    // As it gives way to the spinner, its bursts take as long as the scheduler pleases.
    let start = Instant::now();
    while sensor.read().lost.own_run_delay_ns < 20_000_000 && start.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(50));
    }
    let seen = sensor.read();
    let lost_here = seen.lost.total_ns() - seen.lost.known_steal_ns;
    assert!(seen.lost.own_run_delay_ns * 100 >= lost_here * 85 && lost_here > 0 && seen.gaps > 0, "{seen:?}");
    assert!(seen.chunk_best_ns > 0 && seen.chunk_median_sum_ns >= seen.chunk_best_ns * seen.bursts, "{seen:?}");
}
