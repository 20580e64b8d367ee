//! The full form: a thread pinned to a CPU looks at the clock all the time, and says what each gap was.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use record::{GapReport, Reading, SCHEMA, monotonic_ns};

use super::place::{choose, pin};
use super::tally::{Tally, share};
use super::watcher::{REFRESH_NS, Watcher};
use crate::host::steal::{LeftOut, Steal, told_here};
use crate::proc::stat;
use crate::{Error, Result};

/// How long interrupts are looked at before the watch begins, at the most and as a part of the watch.
const FIT_NS: u64 = 200_000_000;
const FIT_PART: u64 = 10;

/// What to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GapWatch {
    /// How long.
    pub length: Duration,
    /// The CPU; none for the least busy one.
    pub cpu: Option<u32>,
    /// How many of the longest gaps are kept.
    pub longest: usize,
}

/// Spins on one CPU for so long, or until `stop` is set, and attributes every gap.
///
/// It uses a whole CPU, on a thread of its own; the caller waits. A fifth of a second (or a tenth of the length) goes
/// before it, to learn how long the interrupts of this CPU are, and another where the CPU is to be chosen.
///
/// # Errors
/// When the CPU is not allowed, or this kernel does not count run delay.
pub fn watch_gaps(watch: &GapWatch, stop: &AtomicBool) -> Result<GapReport> {
    let (cpu, chosen) = choose(watch.cpu)?;
    let spin = || {
        pin(cpu)?;
        spin(watch, cpu, chosen, stop)
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("gaps".to_owned()).spawn_scoped(scope, spin);
        let thread = thread.map_err(|e| Error::Gaps { reason: format!("no thread can be started: {e}") })?;
        thread.join().unwrap_or_else(|_| Err(Error::Gaps { reason: "its thread has failed".to_owned() }))
    })
}

/// On the thread that is pinned.
fn spin(watch: &GapWatch, cpu: u32, cpu_chosen: String, stop: &AtomicBool) -> Result<GapReport> {
    let length_ns = u64::try_from(watch.length.as_nanos()).unwrap_or(u64::MAX);
    let (told, steal) = told_here();
    let left_out = LeftOut::here(told);
    let mut watcher = Watcher::open(left_out)?;
    let fitted = watcher.fit_interrupts(FIT_NS.min(length_ns / FIT_PART));
    watcher.reading_ns = 0;
    let mut tally = Tally::new(watch.longest);
    let steal_before = steal_ns(cpu);

    let start_ns = watcher.start();
    let end_ns = start_ns.saturating_add(length_ns);
    let (mut last_ns, mut looks) = (start_ns, 0u64);
    let mut refresh_ns = start_ns + REFRESH_NS;
    let mut each = |at_ns: u64, length_ns, parts| tally.add(at_ns - start_ns, length_ns, parts);
    while last_ns < end_ns && !stop.load(Ordering::Relaxed) {
        let now_ns = monotonic_ns();
        looks += 1;
        let length_ns = now_ns - last_ns;
        if length_ns > watcher.seen_from_ns {
            last_ns = watcher.take(last_ns, length_ns, &mut each);
        } else if now_ns >= refresh_ns {
            last_ns = watcher.take(now_ns, 0, &mut each);
            refresh_ns = last_ns + REFRESH_NS;
        } else {
            last_ns = now_ns;
        }
    }
    let wall_ns = last_ns - start_ns;

    let steal_counter_ns = match (told, steal_before, steal_ns(cpu)) {
        (false, ..) => Reading::absent(why_not(&steal)),
        (true, Some(before), Some(after)) => Reading::Seen(after.saturating_sub(before)),
        (true, ..) => Reading::absent("/proc/stat does not show this CPU"),
    };
    // A clock that leaves steal out has told of it already, and to the nanosecond.
    let steal_from_counter_ns = match (left_out, &steal_counter_ns) {
        (LeftOut::Nothing | LeftOut::Interrupts, Reading::Seen(ns)) => tally.tell_steal(*ns),
        _ => 0,
    };
    Ok(GapReport {
        schema: SCHEMA,
        cpu,
        cpu_chosen,
        whole: last_ns >= end_ns,
        wall_ns,
        reading_ns: watcher.reading_ns,
        looks,
        look_ns: watcher.look_ns,
        seen_from_ns: watcher.seen_from_ns,
        attributed_from_ns: watcher.attributed_from_ns,
        interrupt_bound_ns: watcher.interrupt_bound_ns(),
        interrupt_usual_ns: watcher.interrupt_usual_ns(),
        interrupt_bound_from: format!(
            "four times the lower quartile of {fitted} gaps before the watch, between 20 and 100 us"
        ),
        gaps: tally.gaps(),
        lost_ns: tally.lost().total_ns(),
        share: share(tally.lost().total_ns(), wall_ns),
        causes: tally.causes(wall_ns),
        longest: tally.longest(),
        steal_counter_ns,
        steal_from_counter_ns,
        quota_watched: watcher.quota_watched().clone(),
        clock_leaves_out: left_out.words().to_owned(),
        bias: bias(told, &watcher),
    })
}

/// What the figures bend, for this machine.
fn bias(told: bool, watcher: &Watcher) -> Vec<String> {
    let [bound, usual] = [watcher.interrupt_bound_ns(), watcher.interrupt_usual_ns()].map(|ns| ns as f64 / 1e3);
    let mut bias = vec![
        "it keeps one CPU busy: what competes for a CPU competes with it, and a hypervisor that takes from the busy \
         takes more from it than from a CPU that is mostly idle"
            .to_owned(),
        format!(
            "an interrupt is known by its length: one longer than {bound:.0} us counts as unexplained but for {usual:.0} us, \
             and a hypervisor's gap shorter than that counts as an interrupt"
        ),
    ];
    if !told {
        bias.push("this kernel is told of no steal: what a hypervisor takes is in the unexplained part".to_owned());
    }
    bias
}

fn why_not(steal: &Steal) -> String {
    let evidence = steal.evidence.seen().cloned();
    evidence.or_else(|| steal.known.reason().map(str::to_owned)).unwrap_or_default()
}

/// The steal counter of a CPU, in nanoseconds.
fn steal_ns(cpu: u32) -> Option<u64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let ticks = stat::parse(&text).ok()?.cpus.get(&cpu)?.steal_ticks?;
    ticks.checked_mul(1_000_000_000)?.checked_div(rustix::param::clock_ticks_per_second())
}
