//! Two readings of a counter make a rate, with how far off it can be; one that they cannot carry is none.
//!
//! A counter is doubted twice: in time, since it was read at some moment between two stamps, and in value, since it
//! moves in steps: by ticks, or when a wait has ended. What a window cannot support is not worth printing.

use record::Reading;

/// The widest doubt of a share that is still printed: five points of a hundred.
const WIDEST_SHARE: f64 = 0.05;

/// Nanoseconds in a second.
const SECOND_NS: f64 = 1e9;

/// A reading of a counter that never goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// What it said, in the counter's unit.
    pub value: u64,
    /// Before it was read, CLOCK_MONOTONIC.
    pub before_ns: u64,
    /// After it was read.
    pub after_ns: u64,
}

/// A figure, and how far off it can be either way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Doubted {
    /// The figure.
    pub value: f64,
    /// The truth is at most so far from it.
    pub error: f64,
}

impl Doubted {
    /// The middle of a range, which is all that is known.
    pub fn between(low: f64, high: f64) -> Self {
        Self { value: f64::midpoint(low, high), error: (high - low) / 2.0 }
    }

    /// As a share of something known.
    pub fn of(self, whole: f64) -> Self {
        Self { value: self.value / whole, error: self.error / whole }
    }

    /// What it is at least; nothing that is counted is below zero.
    pub fn low(self) -> f64 {
        (self.value - self.error).max(0.0)
    }

    /// What it is at most.
    pub fn high(self) -> f64 {
        self.value + self.error
    }
}

/// How a counter grew, for each second.
///
/// `quantum` is what either reading can be short of the truth, in the counter's unit: the step that it moves in, or
/// what is credited to it later.
///
/// The growth is known to within a quantum either way, and the time to within both windows; the error is the larger of
/// what that leaves on the two sides.
pub fn rate(first: Point, last: Point, quantum: u64) -> Reading<Doubted> {
    let Some(grown) = last.value.checked_sub(first.value) else {
        return Reading::absent(format!(
            "the counter went backwards, by {} from {}",
            first.value - last.value,
            first.value
        ));
    };
    let shortest = last.before_ns.saturating_sub(first.after_ns);
    let longest = last.after_ns.saturating_sub(first.before_ns);
    if shortest == 0 {
        return Reading::absent("no time passed between its two readings");
    }
    let (shortest, longest) = (shortest as f64 / SECOND_NS, longest as f64 / SECOND_NS);
    let (grown, quantum) = (grown as f64, quantum as f64);
    let value = grown / f64::midpoint(shortest, longest);
    let (low, high) = ((grown - quantum).max(0.0) / longest, (grown + quantum) / shortest);
    Reading::Seen(Doubted { value, error: (high - value).max(value - low) })
}

/// The share of the time in which a counter of nanoseconds grew: 1 for one CPU all the time.
///
/// None where the window cannot carry it: with steps of 10 ms, 100 ms say no more than ten points either way.
pub fn share(first: Point, last: Point, quantum_ns: u64) -> Reading<Doubted> {
    match rate(first, last, quantum_ns) {
        Reading::Absent { absent } => Reading::absent(absent),
        Reading::Seen(per_second) => {
            let share = per_second.of(SECOND_NS);
            let allowed = WIDEST_SHARE * share.value.max(1.0);
            if share.error <= allowed {
                return Reading::Seen(share);
            }
            let window = last.before_ns.saturating_sub(first.after_ns);
            Reading::absent(format!(
                "{:.0} ms are too short for it: it moves in steps of up to {:.1} ms, so {:.0} points either way",
                window as f64 / 1e6,
                quantum_ns as f64 / 1e6,
                share.error * 100.0
            ))
        }
    }
}

/// The time that runnable threads waited for others, without what a quota made them wait; as shares of the time.
///
/// Throttling is run delay too: a thread that is held back is runnable. `delay` is summed over `threads`, and
/// `throttled` over CPUs: one throttled CPU holds back one thread at least, and all of them at most. So what is left
/// for contention is a range; with one thread it is a figure.
pub fn contention(delay: Doubted, throttled: Doubted, threads: u64) -> Doubted {
    let most = (delay.value - throttled.value).max(0.0);
    let least = (delay.value - throttled.value * threads.max(1) as f64).max(0.0);
    let range = Doubted::between(least, most);
    // Both are credited at the same moment, when the quota is filled up again: they are off together, and only by what
    // the windows of their readings differ.
    Doubted { error: range.error + (delay.error - throttled.error).abs(), ..range }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn point(value: u64, at_ms: u64, took_ms: u64) -> Point {
        Point { value, before_ns: at_ms * MS, after_ns: (at_ms + took_ms) * MS }
    }

    fn seen(reading: Reading<Doubted>) -> Doubted {
        *reading.seen().unwrap_or_else(|| panic!("{reading:?}"))
    }

    #[test]
    fn a_rate_is_as_sure_as_its_windows_and_its_steps() {
        let exact = seen(rate(point(100, 0, 0), point(300, 1000, 0), 0));
        assert_eq!(exact, Doubted { value: 200.0, error: 0.0 });
        // Two windows of 10 ms: between 990 and 1010 ms passed.
        let timed = seen(rate(point(100, 0, 10), point(300, 1000, 10), 0));
        assert!((timed.value - 200.0).abs() < 1e-9 && (timed.high() - 200.0 / 0.99).abs() < 1e-9, "{timed:?}");
        let stepped = seen(rate(point(100, 0, 0), point(300, 1000, 0), 5));
        assert_eq!(stepped, Doubted { value: 200.0, error: 5.0 });
        let both = seen(rate(point(0, 0, 10), point(3, 1000, 10), 5));
        assert!(both.low() == 0.0 && both.high() >= 8.0 / 0.99, "{both:?}");
    }

    #[test]
    fn the_truth_lies_within_the_error_however_a_tick_counter_cuts_it() {
        // A CPU that is busy `busy` of 100 of the time, counted in whole ticks of 10 ms, read at any two moments.
        let ticks = |busy: u64, at_ms: u64| (at_ms * busy / 100) / 10 * 10 * MS;
        for busy in [0, 1, 37, 50, 99, 100] {
            for start in 0..40 {
                for window in [500, 730, 1000] {
                    let (from, to) = (start * 7, start * 7 + window);
                    let found = share(point(ticks(busy, from), from, 0), point(ticks(busy, to), to, 0), 10 * MS);
                    let (found, truth) = (seen(found), busy as f64 / 100.0);
                    assert!((found.value - truth).abs() <= found.error + 1e-9, "{busy} {from} {to}: {found:?}");
                }
            }
        }
    }

    #[test]
    fn a_window_that_cannot_carry_a_share_says_so() {
        let short = share(point(0, 0, 0), point(50 * MS, 100, 0), 10 * MS);
        assert!(
            short.reason().unwrap().contains("100 ms are too short") && short.reason().unwrap().contains("10 points")
        );
        assert!(share(point(0, 0, 0), point(500 * MS, 1000, 0), 10 * MS).seen().is_some());
        // Three threads that wait two seconds a second: the error is judged by the size of the figure.
        assert!(share(point(0, 0, 0), point(2000 * MS, 1000, 0), 80 * MS).seen().is_some());
        assert!(rate(point(0, 5, 5), point(5, 8, 2), 0).reason().unwrap().contains("no time passed"));
    }

    #[test]
    fn a_counter_that_went_backwards_is_kept_apart_with_its_values() {
        let said = rate(point(812, 0, 0), point(790, 1000, 0), 0);
        assert_eq!(said.reason(), Some("the counter went backwards, by 22 from 812"));
    }

    #[test]
    fn what_a_quota_took_is_no_contention() {
        let sure = |value| Doubted { value, error: 0.0 };
        // One thread held back 80 ms in each 100: all of its delay is throttling.
        assert_eq!(contention(sure(0.80), sure(0.80), 1), sure(0.0));
        let some = contention(sure(0.90), sure(0.80), 1);
        assert!((some.value - 0.1).abs() < 1e-9 && some.error < 1e-9, "{some:?}");
        // Three on one CPU: at least 2.4 - 3 * 0.8, at most 2.4 - 0.8.
        let range = contention(sure(2.4), sure(0.8), 3);
        assert!(range.low() < 1e-9 && (range.high() - 1.6).abs() < 1e-9, "{range:?}");
        assert_eq!(contention(sure(0.5), sure(0.0), 3), sure(0.5), "without a quota it is the delay itself");
    }
}
