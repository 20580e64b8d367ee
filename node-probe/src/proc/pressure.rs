//! /proc/pressure/* and cpu.pressure: time stalled for a resource (kernel document accounting/psi).
//!
//! `procfs` wants both lines, which fails for cpu before 5.13 (no `full`) and for irq (no `some`), and keeps
//! averages as f32, so this is read here.
//!
//! Each read makes the kernel fold what every CPU stalled since anybody's last read, weighted by whole
//! jiffies of non-idle time: reading every few milliseconds multiplies by zero, for this reader and for all
//! others (psi.c, collect_percpu_times). Hence [`Gate`].

use std::path::Path;

use record::{PressureLine, PressureSample, Reading};

use crate::absence;
use crate::source::{Page, Source};

/// At most this many nanoseconds of schedule pass between two reads of the same pressure file.
const SPACING_NS: u64 = 100_000_000;

/// And a read that came late pushes the next one away at least this far.
const LEAST_NS: u64 = SPACING_NS / 2;

/// Said of pressure in the rounds between: an old value must not look like a new one.
pub(crate) const BETWEEN: &str = "read at most 10 times a second";

/// Lets pressure be read 10 times a second at most, however often samples are taken.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    last: Option<(u64, u64)>,
}

impl Gate {
    /// Whether the round that was due then and is made now may read pressure.
    pub(crate) fn opens(&mut self, due_ns: u64, now_ns: u64) -> bool {
        let open = self.last.is_none_or(|(due, now)| {
            due_ns.saturating_sub(due) >= SPACING_NS && now_ns.saturating_sub(now) >= LEAST_NS
        });
        if open {
            self.last = Some((due_ns, now_ns));
        }
        open
    }
}

/// Reads a pressure file, or says why not.
pub(crate) fn read(source: &Reading<Source>, path: &Path, page: &mut Page) -> Reading<PressureSample> {
    match source {
        Reading::Absent { absent } => Reading::absent(absent),
        Reading::Seen(source) => match source.read(page) {
            Err(errno) => Reading::absent(absence::no_pressure(path, errno)),
            Ok(text) => parse(text)
                .map_or_else(|| Reading::absent(format!("{} is not as it should be", path.display())), Reading::Seen),
        },
    }
}

/// The lines there are; none if there is neither, or one is broken.
pub(crate) fn parse(text: &str) -> Option<PressureSample> {
    let mut sample = PressureSample::default();
    for line in text.lines() {
        let (word, values) = line.split_once(' ')?;
        match word {
            "some" => sample.some = Some(parse_line(values)?),
            "full" => sample.full = Some(parse_line(values)?),
            _ => {}
        }
    }
    (sample.some.is_some() || sample.full.is_some()).then_some(sample)
}

fn parse_line(values: &str) -> Option<PressureLine> {
    let (mut avg10, mut total_us) = (None, None);
    for pair in values.split_ascii_whitespace() {
        match pair.split_once('=')? {
            ("avg10", value) => avg10 = Some(value.parse().ok()?),
            ("total", value) => total_us = Some(value.parse().ok()?),
            _ => {}
        }
    }
    Some(PressureLine { avg10: avg10?, total_us: total_us? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_line_may_be_missing() {
        let some = "some avg10=1.34 avg60=3.56 avg300=2.63 total=21155299\n";
        let full = "full avg10=0.29 avg60=0.06 avg300=0.14 total=6874379\n";
        let some_line = PressureLine { avg10: 1.34, total_us: 21_155_299 };
        let full_line = PressureLine { avg10: 0.29, total_us: 6_874_379 };
        assert_eq!(parse(some), Some(PressureSample { some: Some(some_line), full: None }));
        assert_eq!(parse(full), Some(PressureSample { some: None, full: Some(full_line) }));
        let both = PressureSample { some: Some(some_line), full: Some(full_line) };
        assert_eq!(parse(&format!("{some}{full}")), Some(both));
    }

    #[test]
    fn what_is_no_pressure_is_none() {
        for text in
            ["", "some\n", "some avg10=1.34\n", "some total=1\n", "some avg10=x total=1\n", "half avg10=1 total=1\n"]
        {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn pressure_is_read_ten_times_a_second_at_most() {
        let opened = |every: u64, rounds: u64| {
            let mut gate = Gate::default();
            (0..rounds).filter(|k| gate.opens(k * every, k * every + 30_000)).count()
        };
        const MS: u64 = 1_000_000;
        assert_eq!(opened(100 * MS, 10), 10, "10 Hz: every round");
        assert_eq!(opened(250 * MS, 8), 8, "slower: every round");
        assert_eq!(opened(10 * MS, 100), 10, "100 Hz: every tenth");
        assert_eq!(opened(30 * MS, 34), 9, "33 Hz: every fourth");
        assert_eq!(opened(MS, 1000), 10, "1 kHz: every hundredth");
    }

    #[test]
    fn a_late_read_does_not_draw_the_next_one_near() {
        const MS: u64 = 1_000_000;
        let mut gate = Gate::default();
        assert!(gate.opens(0, 90 * MS), "90 ms late");
        assert!(!gate.opens(100 * MS, 100 * MS), "10 ms after it");
        assert!(gate.opens(200 * MS, 200 * MS));
    }
}
