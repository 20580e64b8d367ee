//! The line on a terminal while a load runs: how far, how fast, how long answers take now.

use std::collections::VecDeque;
use std::io::IsTerminal as _;
use std::time::Duration;

use record::{INTERVAL_NS, Interval};

use crate::progress::draw;

/// Intervals that the figures are taken from: a second.
const SHOWN: usize = 10;

/// The line. It is drawn by the writer's thread from what is handed on anyway.
pub(crate) struct Live {
    length: Duration,
    start_ns: Option<u64>,
    last: VecDeque<Interval>,
    seen: u64,
}

impl Live {
    /// For a load of this length, warm-up and all; none where nobody would see it.
    pub(crate) fn new(length: Duration, quiet: bool) -> Option<Self> {
        let watched = !quiet && std::io::stderr().is_terminal();
        watched.then(|| Self { length, start_ns: None, last: VecDeque::with_capacity(SHOWN + 1), seen: 0 })
    }

    /// Takes the next interval, and draws every other time.
    pub(crate) fn see(&mut self, interval: &Interval) {
        let start_ns = *self.start_ns.get_or_insert(interval.start_ns);
        let oldest = if self.last.len() >= SHOWN { self.last.pop_front() } else { None };
        let mut kept = oldest.unwrap_or_else(|| interval.clone());
        kept.clone_from(interval);
        self.last.push_back(kept);
        self.seen += 1;
        if self.seen.is_multiple_of(2) {
            let passed = Duration::from_nanos(interval.start_ns + interval.length_ns - start_ns);
            draw(&format!("\r{}\x1b[K", self.line(passed)));
        }
    }

    fn line(&self, passed: Duration) -> String {
        let Some(first) = self.last.front() else { return String::new() };
        let mut all = first.clone();
        for interval in self.last.iter().skip(1) {
            // Of one load they always fit.
            let _ = all.add(interval);
        }
        let seconds = all.length_ns.max(INTERVAL_NS) as f64 / 1e9;
        let errors = all.outcomes.failed() + all.outcomes.error_statuses();
        let ms = |quantile| all.response.quantile(quantile) as f64 / 1e6;
        format!(
            "{:.0} of {:.0} s: {:.0} answers/s, response p50 {:.3} p99 {:.3} max {:.3} ms, errors {errors}",
            passed.as_secs_f64(),
            self.length.as_secs_f64(),
            all.outcomes.answered_total() as f64 / seconds,
            ms(0.5),
            ms(0.99),
            ms(1.0),
        )
    }

    /// Takes the line away.
    pub(crate) fn clear(&mut self) {
        if self.seen > 1 {
            draw("\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::{Outcome, Phase};

    #[test]
    fn the_line_tells_of_the_last_second() {
        let mut live = Live { length: Duration::from_secs(10), start_ns: Some(0), last: VecDeque::new(), seen: 1 };
        for i in 0..20u64 {
            let mut interval = Interval::empty(Phase::Measure, i * INTERVAL_NS, INTERVAL_NS);
            for _ in 0..50 {
                interval.response.record(if i < 10 { 900_000_000 } else { 2_000_000 });
                interval.outcomes.count(if i == 19 { Outcome::Reset } else { Outcome::Answered(200) });
            }
            live.last.push_back(interval);
            if live.last.len() > SHOWN {
                live.last.pop_front();
            }
        }
        let line = live.line(Duration::from_secs(2));
        assert_eq!(line, "2 of 10 s: 450 answers/s, response p50 2.000 p99 2.000 max 2.001 ms, errors 50");
        assert!(line.len() < 110);
    }
}
