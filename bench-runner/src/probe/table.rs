//! Two samples as a table of rates for a person, each with its doubt; a rate that cannot be made says why.

mod machine;
mod watched;

use std::fmt::Write as _;

use record::{Reading, Sample};
use reports::rates::{Doubted, Point};

/// What is needed to make rates, besides two samples.
pub(super) struct Facts {
    /// USER_HZ.
    pub(super) ticks_per_second: u64,
    /// CPUs online.
    pub(super) cpus: u64,
    /// Whether a steal of zero means anything.
    pub(super) steal_known: Reading<bool>,
}

impl Facts {
    fn tick_ns(&self) -> u64 {
        record::quantum::tick_ns(self.ticks_per_second)
    }
}

/// The last sample, and what is needed to make rates from it and the next.
pub(super) struct Table {
    previous: Option<Sample>,
    facts: Facts,
}

impl Table {
    pub(super) fn new(facts: Facts) -> Self {
        Self { previous: None, facts }
    }

    /// The table of what went on since the sample before; none for the first.
    pub(super) fn next(&mut self, sample: &Sample) -> Option<String> {
        let before = self.previous.replace(sample.clone())?;
        Some(render(&before, sample, &self.facts))
    }
}

fn render(before: &Sample, after: &Sample, facts: &Facts) -> String {
    let seconds = after.before_ns.saturating_sub(before.before_ns) as f64 / 1e9;
    let mut out = String::new();
    let _ = writeln!(out, "over the last {seconds:.1} s");
    machine::lines(&mut out, before, after, facts);
    watched::process_lines(&mut out, before, after, facts);
    watched::cgroup_lines(&mut out, before, after);
    let own = after.own.cpu_ns.saturating_sub(before.own.cpu_ns) as f64 / 1e9 / seconds;
    let (late, missed) = (after.own.late_ns as f64 / 1e6, after.own.missed_rounds);
    let _ = writeln!(out, "probe     {:.2} % of one CPU, {late:.1} ms late, {missed} rounds missed", own * 100.0);
    out
}

/// Something made from a counter's readings in both samples.
fn pair<T>(
    before: &Reading<u64>,
    after: &Reading<u64>,
    windows: [(u64, u64); 2],
    make: impl FnOnce(Point, Point) -> Reading<T>,
) -> Reading<T> {
    match (before, after) {
        (Reading::Seen(first), Reading::Seen(last)) => {
            let [first, last] = [(first, windows[0]), (last, windows[1])].map(|(value, (before_ns, after_ns))| Point {
                value: *value,
                before_ns,
                after_ns,
            });
            make(first, last)
        }
        (_, Reading::Absent { absent }) | (Reading::Absent { absent }, _) => Reading::absent(absent),
    }
}

/// "30.0 % ±1.0", or "n/a (reason)".
fn percent(share: &Reading<Doubted>) -> String {
    cell(share, |s| format!("{:.1} % ±{:.1}", s.value * 100.0, s.error * 100.0))
}

/// "250 ms/s ±10", or "n/a (reason)".
fn ms_per_s(share: &Reading<Doubted>) -> String {
    cell(share, |s| format!("{:.1} ms/s ±{:.1}", s.value * 1e3, s.error * 1e3))
}

/// "120/s", or "n/a (reason)".
fn per_second(rate: &Reading<Doubted>) -> String {
    cell(rate, |r| format!("{:.0}/s", r.value))
}

/// A figure, or "n/a (reason)".
fn cell<T>(reading: &Reading<T>, show: impl FnOnce(&T) -> String) -> String {
    match reading {
        Reading::Seen(value) => show(value),
        Reading::Absent { absent } => format!("n/a ({absent})"),
    }
}

#[cfg(test)]
mod tests;
