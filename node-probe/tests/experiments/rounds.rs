//! Rounds in time: the schedule, rounds missed, the end, and the probe's own account.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use node_probe::{Sampler, Watch, watch_until};
use record::{Sample, monotonic_ns};
use rustix::time::{ClockId, clock_gettime};

const MS: u64 = 1_000_000;

fn sampler() -> Sampler {
    Sampler::new(Watch::default()).unwrap()
}

fn clock_ns(clock: ClockId) -> u64 {
    let t = clock_gettime(clock);
    u64::try_from(t.tv_sec).unwrap() * 1_000_000_000 + u64::try_from(t.tv_nsec).unwrap()
}

#[test]
fn own_cpu_time_is_that_of_the_process() {
    let mut sampler = sampler();
    let from = clock_ns(ClockId::ProcessCPUTime);
    let first = sampler.sample(monotonic_ns()).own;
    let start = clock_ns(ClockId::ThreadCPUTime);
    while clock_ns(ClockId::ThreadCPUTime) < start + 50 * MS {
        std::hint::spin_loop();
    }
    let second = sampler.sample(monotonic_ns()).own;
    let to = clock_ns(ClockId::ProcessCPUTime);
    assert!(from <= first.cpu_ns && second.cpu_ns <= to, "{from} {first:?} {second:?} {to}");
    assert!(second.cpu_ns - first.cpu_ns >= 50 * MS, "{first:?} {second:?}");
    assert!(second.rss_bytes > 100_000, "{second:?}");
}

#[test]
fn rounds_stay_on_their_schedule_and_the_missed_are_counted() {
    let mut samples: Vec<Sample> = Vec::new();
    let (every, stop) = (Duration::from_millis(20), AtomicBool::new(false));
    let result = watch_until(&mut sampler(), every, &stop, None, |sample| {
        // The third round holds the schedule up for five rounds.
        if samples.len() == 2 {
            std::thread::sleep(Duration::from_millis(110));
        }
        samples.push(sample.clone());
        stop.store(samples.len() == 10, Ordering::Relaxed);
        Ok::<(), Infallible>(())
    });
    assert!(result.is_ok());
    assert_eq!(samples.len(), 10);
    let start = samples[0].due_ns;
    for sample in &samples {
        assert_eq!(sample.due_ns, start + sample.round * 20 * MS, "never moved by a late round");
        assert!(sample.before_ns >= sample.due_ns && sample.after_ns >= sample.before_ns);
        assert_eq!(sample.own.late_ns, sample.before_ns - sample.due_ns);
    }
    let held = samples[3].round - samples[2].round;
    assert!(held >= 5, "110 ms hold up at least 4 rounds of 20 ms, but {held}");
    let last = samples.last().unwrap();
    assert_eq!(last.own.missed_rounds, last.round + 1 - samples.len() as u64, "every gap is counted");
}

#[test]
fn the_deadline_ends_the_watch_and_nothing_else_does() {
    let mut sampler = sampler();
    let every = Duration::from_millis(20);
    let deadline = monotonic_ns() + 100 * MS;
    let result = watch_until(&mut sampler, every, &AtomicBool::new(false), Some(deadline), |sample| {
        assert!(sample.due_ns <= deadline);
        Ok::<(), Infallible>(())
    });
    assert!(result.is_ok());
    // The round that would have come next was due after it.
    assert!(monotonic_ns() + 20 * MS > deadline);
}

#[test]
fn the_flag_ends_a_long_wait_promptly() {
    let stop = AtomicBool::new(false);
    let mut count = 0;
    let mut asked = 0;
    std::thread::scope(|scope| {
        let (first, rest) = std::sync::mpsc::channel();
        let stop = &stop;
        let asker = scope.spawn(move || {
            rest.recv().unwrap();
            let now = monotonic_ns();
            stop.store(true, Ordering::Relaxed);
            now
        });
        let result = watch_until(&mut sampler(), Duration::from_secs(3600), stop, None, |_| {
            count += 1;
            first.send(())
        });
        assert!(result.is_ok());
        asked = asker.join().unwrap();
    });
    let waited = monotonic_ns() - asked;
    assert_eq!(count, 1);
    assert!(waited < 5_000 * MS, "an hour's wait took {waited} ns to end");
}

#[test]
fn an_error_of_the_sink_ends_the_watch() {
    let every = Duration::from_millis(1);
    let mut left = 3;
    let result = watch_until(&mut sampler(), every, &AtomicBool::new(false), None, |_| {
        left -= 1;
        if left == 0 { Err("the disk is full") } else { Ok(()) }
    });
    assert_eq!(result, Err("the disk is full"));
}
