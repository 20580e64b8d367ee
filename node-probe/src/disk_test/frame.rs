//! When an arm ramps up, is measured, and ends.

use std::time::Duration;

/// The length of a window.
pub(super) const WINDOW_NS: u64 = 100_000_000;

/// The times of an arm, CLOCK_MONOTONIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) begin_ns: u64,
    pub(super) measure_ns: u64,
    pub(super) end_ns: u64,
}

impl Frame {
    /// From now on.
    pub(super) fn from_now(ramp_ns: u64, length_ns: u64) -> Self {
        let begin_ns = record::monotonic_ns();
        let measure_ns = begin_ns + ramp_ns;
        Self { begin_ns, measure_ns, end_ns: measure_ns + length_ns }
    }

    /// How long it measures.
    pub(super) fn length_ns(&self) -> u64 {
        self.end_ns - self.measure_ns
    }

    /// The window a moment of the measured time is in.
    pub(super) fn window(&self, at_ns: u64) -> Option<usize> {
        (self.measure_ns..self.end_ns).contains(&at_ns).then(|| ((at_ns - self.measure_ns) / WINDOW_NS) as usize)
    }

    /// Windows in all.
    pub(super) fn windows(&self) -> usize {
        self.length_ns().div_ceil(WINDOW_NS) as usize
    }
}

/// A length as whole windows, at least one.
pub(super) fn whole_windows_ns(length: Duration) -> u64 {
    let windows = (length.as_secs_f64() * 1e9 / WINDOW_NS as f64).round() as u64;
    windows.max(1) * WINDOW_NS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_of_the_measured_time_are_in_a_window_and_others_in_none() {
        let frame = Frame { begin_ns: 0, measure_ns: 1000, end_ns: 1000 + 3 * WINDOW_NS };
        let window = |at_ns| frame.window(at_ns);
        assert_eq!((window(999), window(1000), window(1000 + WINDOW_NS)), (None, Some(0), Some(1)));
        assert_eq!((window(999 + 3 * WINDOW_NS), window(1000 + 3 * WINDOW_NS)), (Some(2), None));
        assert_eq!(frame.windows(), 3);
    }

    #[test]
    fn lengths_are_whole_windows() {
        let ns = |seconds| whole_windows_ns(Duration::from_secs_f64(seconds));
        assert_eq!((ns(5.0), ns(0.26), ns(0.01)), (5_000_000_000, 300_000_000, 100_000_000));
    }
}
