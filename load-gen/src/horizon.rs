//! When to stop: the end of the schedule, the end of the patience after it, and being told to.

use std::sync::atomic::{AtomicBool, Ordering};

/// The ends of a load, CLOCK_MONOTONIC.
#[derive(Debug)]
pub(crate) struct Horizon<'a> {
    measure_from_ns: u64,
    due_until_ns: u64,
    drain_ns: u64,
    stopped: bool,
    signals: [&'a AtomicBool; 2],
}

impl<'a> Horizon<'a> {
    /// `signals`: any of them set ends the load early.
    pub(crate) fn new(measure_from_ns: u64, duration_ns: u64, drain_ns: u64, signals: [&'a AtomicBool; 2]) -> Self {
        Self { measure_from_ns, due_until_ns: measure_from_ns + duration_ns, drain_ns, stopped: false, signals }
    }

    /// Requests fall due before this.
    #[inline]
    pub(crate) fn due_until_ns(&self) -> u64 {
        self.due_until_ns
    }

    /// After this nothing more is waited for.
    #[inline]
    pub(crate) fn give_up_ns(&self) -> u64 {
        self.due_until_ns + self.drain_ns
    }

    /// How long requests of the measured phase were due for.
    pub(crate) fn measured_ns(&self) -> u64 {
        self.due_until_ns.saturating_sub(self.measure_from_ns)
    }

    /// Whether the load was told to stop before its end.
    #[inline]
    pub(crate) fn stopped(&self) -> bool {
        self.stopped
    }

    /// Looks at the signals; true once, when one was found set before the schedule was over.
    #[inline]
    pub(crate) fn stops_now(&mut self, now_ns: u64) -> bool {
        let told = self.signals.iter().any(|s| s.load(Ordering::Relaxed));
        if !told || self.stopped || now_ns >= self.due_until_ns {
            return false;
        }
        self.stopped = true;
        self.due_until_ns = now_ns;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_moves_the_ends_and_happens_once() {
        let (stop, broken) = (AtomicBool::new(false), AtomicBool::new(false));
        let mut h = Horizon::new(100, 1000, 50, [&stop, &broken]);
        assert_eq!((h.due_until_ns(), h.give_up_ns(), h.measured_ns()), (1100, 1150, 1000));
        assert!(!h.stops_now(400));
        stop.store(true, Ordering::Relaxed);
        assert!(h.stops_now(500) && h.stopped() && !h.stops_now(501));
        assert_eq!((h.due_until_ns(), h.give_up_ns(), h.measured_ns()), (500, 550, 400));
    }

    #[test]
    fn a_stop_in_the_warm_up_leaves_nothing_measured_and_one_in_the_drain_changes_nothing() {
        let stop = AtomicBool::new(true);
        let mut early = Horizon::new(100, 1000, 50, [&stop, &stop]);
        assert!(early.stops_now(60) && early.measured_ns() == 0);
        let mut late = Horizon::new(100, 1000, 50, [&stop, &stop]);
        assert!(!late.stops_now(1100) && !late.stopped() && late.measured_ns() == 1000);
    }
}
