//! Rounds on an absolute schedule: start + k * every, none of them made up for.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use record::Sample;
use rustix::thread::{clock_nanosleep_absolute, current_timer_slack, set_current_timer_slack};
use rustix::time::{ClockId, Timespec};

use crate::Sampler;

/// The longest sleep before the stop flag is looked at again. A signal wakes a sleep at once, but one that
/// arrives between the look and the sleep, or that another thread takes, does not.
const LONGEST_SLEEP_NS: u64 = 100_000_000;

/// Takes samples every so often, from now on, until `stop` is set or the next round would be due after
/// `deadline_ns` (CLOCK_MONOTONIC); hands each to `sink`.
///
/// Rounds stay where they were due however late one is; those that have passed by then are counted as missed
/// and not made up for.
///
/// # Errors
/// Whatever `sink` returns ends the watch.
pub fn watch_until<E>(
    sampler: &mut Sampler,
    every: Duration,
    stop: &AtomicBool,
    deadline_ns: Option<u64>,
    mut sink: impl FnMut(&Sample) -> Result<(), E>,
) -> Result<(), E> {
    let _slack = SmallSlack::set();
    let every_ns = u64::try_from(every.as_nanos()).unwrap_or(u64::MAX).max(1);
    let start_ns = record::monotonic_ns();
    let mut round: u64 = 0;
    loop {
        let due_ns = start_ns.saturating_add(every_ns.saturating_mul(round));
        if deadline_ns.is_some_and(|deadline| due_ns > deadline) || !sleep_until(due_ns, stop) {
            return Ok(());
        }
        sink(&sampler.sample(due_ns))?;
        let next = next_round(round, start_ns, every_ns, record::monotonic_ns());
        sampler.miss(next - round - 1);
        round = next;
    }
}

/// The round after this one that is not past yet: one is past when the one after it is due as well.
pub(crate) fn next_round(round: u64, start_ns: u64, every_ns: u64, now_ns: u64) -> u64 {
    let due_by_now = now_ns.saturating_sub(start_ns) / every_ns;
    due_by_now.max(round + 1)
}

/// Sleeps until then; false as soon as `stop` is set.
pub(crate) fn sleep_until(due_ns: u64, stop: &AtomicBool) -> bool {
    while !stop.load(Ordering::Relaxed) {
        let now = record::monotonic_ns();
        if now >= due_ns {
            return true;
        }
        let until = due_ns.min(now + LONGEST_SLEEP_NS);
        let until = Timespec { tv_sec: (until / 1_000_000_000) as i64, tv_nsec: (until % 1_000_000_000) as i64 };
        // Woken early by a signal or not: the clock and the flag are looked at again either way.
        let _ = clock_nanosleep_absolute(ClockId::Monotonic, &until);
    }
    false
}

/// Timer slack of one nanosecond while it lives: by default the kernel adds up to 50 us to every sleep.
pub(crate) struct SmallSlack(Option<NonZeroU64>);

impl SmallSlack {
    pub(crate) fn set() -> Self {
        let before = current_timer_slack().ok().and_then(NonZeroU64::new);
        let _ = set_current_timer_slack(NonZeroU64::new(1));
        Self(before)
    }
}

impl Drop for SmallSlack {
    fn drop(&mut self) {
        let _ = set_current_timer_slack(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_that_passed_are_missed_and_the_one_that_is_due_is_made() {
        assert_eq!(next_round(0, 1000, 100, 1000), 1, "in time");
        assert_eq!(next_round(0, 1000, 100, 1099), 1, "just in time");
        assert_eq!(next_round(0, 1000, 100, 1100), 1, "due now");
        assert_eq!(next_round(0, 1000, 100, 1199), 1, "late, but not past");
        assert_eq!(next_round(0, 1000, 100, 1200), 2, "one missed");
        assert_eq!(next_round(3, 1000, 100, 1950), 9, "five missed");
    }

    #[test]
    fn a_set_flag_ends_a_sleep_of_hours() {
        let stop = AtomicBool::new(true);
        assert!(!sleep_until(u64::MAX / 2, &stop));
        assert!(sleep_until(0, &AtomicBool::new(false)), "the past needs no sleep");
    }
}
