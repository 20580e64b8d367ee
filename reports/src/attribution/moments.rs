//! The windows of one trial: how much time above the quiet level ended in each, and while which stretch it built up.

use record::INTERVAL_NS;

use crate::gather::{TrialData, Window};
use crate::stats::Track;
use crate::usage::{Span, Step};

/// A moment of the tracks; as long as the windows of the load.
pub(super) const MOMENT_NS: u64 = INTERVAL_NS;
/// A tenth of a moment; shorter overlaps are not counted, since samples lie a little beside the windows.
pub(super) const GRAZE_NS: u64 = MOMENT_NS / 10;

/// The longest request of a window: the stretch in which it was out, which is longer than it was where that is not known
/// closely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Longest {
    pub(super) span: Span,
    pub(super) length_ns: u64,
}

/// The moments of one trial, each a window of the load.
#[derive(Debug)]
pub(super) struct Moments {
    /// The time above the quiet level of all requests that ended in it.
    pub(super) excess_ns: Vec<f64>,
    /// The same time where it passed instead of where it ended: while a chain stands still nothing ends, and all wait.
    pub(super) waiting_ns: Vec<f64>,
    /// Its longest request; none where none was above the quiet level.
    pub(super) longest: Vec<Option<Longest>>,
    /// How many moments before it its requests reach back.
    pub(super) reach: Vec<usize>,
    pub(super) quiet_ns: f64,
    pub(super) start_ns: u64,
}

/// The level that most requests stay below in quiet moments: the lower quartile of the p99 of each window.
pub(super) fn quiet_level(windows: &[Window]) -> Option<f64> {
    let mut levels: Vec<u64> = windows.iter().filter(|w| !w.response.is_empty()).map(|w| w.p99_ns).collect();
    levels.sort_unstable();
    levels.get(levels.len() / 4).map(|ns| *ns as f64)
}

impl Moments {
    /// None where no request was above the quiet level.
    pub(super) fn of(trial: &TrialData, quiet_ns: f64) -> Option<Self> {
        let start_ns = trial.measured.start_ns;
        let place = |w: &Window| (w.span.start_ns.saturating_sub(start_ns) / MOMENT_NS) as usize;
        let n = trial.windows.iter().map(place).max()? + 1;
        let mut m = Self {
            excess_ns: vec![0.0; n],
            waiting_ns: vec![0.0; n],
            longest: vec![None; n],
            reach: vec![0; n],
            quiet_ns,
            start_ns,
        };
        for w in &trial.windows {
            let t = place(w);
            let above = |(ns, count): &(u64, u64)| (*ns as f64 - quiet_ns).max(0.0) * *count as f64;
            m.excess_ns[t] += w.response.iter().map(above).sum::<f64>();
            w.response.iter().for_each(|bucket| m.wait(w, *bucket));
            m.reach[t] = m.reach[t].max((w.max_ns / MOMENT_NS) as usize);
            if w.max_ns as f64 > quiet_ns {
                m.longest[t] = Some(longest(trial, w));
            }
        }
        (m.excess_ns.iter().sum::<f64>() > 0.0).then_some(m)
    }

    pub(super) fn len(&self) -> usize {
        self.excess_ns.len()
    }

    pub(super) fn total_ns(&self) -> f64 {
        self.excess_ns.iter().sum()
    }

    /// Spreads what such requests waited over the time in which they were out; they ended in the middle of the window, for
    /// all that is known.
    fn wait(&mut self, window: &Window, (response_ns, count): (u64, u64)) {
        let above = (response_ns as f64 - self.quiet_ns) * count as f64;
        if above <= 0.0 {
            return;
        }
        let end_ns = u64::midpoint(window.span.start_ns, window.span.end_ns).saturating_sub(self.start_ns);
        let start_ns = end_ns.saturating_sub(response_ns);
        for t in start_ns / MOMENT_NS..end_ns.div_ceil(MOMENT_NS) {
            let within = end_ns.min((t + 1) * MOMENT_NS) - start_ns.max(t * MOMENT_NS);
            if let Some(waiting) = self.waiting_ns.get_mut(t as usize) {
                *waiting += above * within as f64 / response_ns as f64;
            }
        }
    }

    /// A signal beside the time that was waited in each moment.
    pub(super) fn waits(&self, on: Vec<bool>) -> Track {
        Track { on, reach: vec![0; self.len()], badness: self.waiting_ns.clone() }
    }

    /// A signal beside what ended in each moment, which reaches back to when that was due.
    pub(super) fn ends(&self, on: Vec<bool>) -> Track {
        Track { on, reach: self.reach.clone(), badness: self.excess_ns.clone() }
    }

    /// The moments that any of the steps touches, wholly or in part.
    pub(super) fn touched_by<'s>(&self, steps: impl Iterator<Item = &'s Step>) -> Vec<bool> {
        let mut on = vec![false; self.len()];
        for Step { span, .. } in steps {
            let begin = (span.start_ns + GRAZE_NS).saturating_sub(self.start_ns);
            let end = span.end_ns.saturating_sub(GRAZE_NS).saturating_sub(self.start_ns);
            let last = (end.div_ceil(MOMENT_NS) as usize).min(on.len());
            if let Some(moments) = on.get_mut((begin / MOMENT_NS) as usize..last) {
                moments.fill(true);
            }
        }
        on
    }
}

/// The longest request of a window as it was kept; where it was not, it may have ended at any time of the window.
fn longest(trial: &TrialData, w: &Window) -> Longest {
    match trial.kept.get(&w.span.start_ns) {
        Some(kept) if kept.response_ns as f64 >= 0.9 * w.max_ns as f64 => {
            Longest { span: kept.span(), length_ns: kept.response_ns }
        }
        _ => Longest {
            span: Span { start_ns: w.span.start_ns.saturating_sub(w.max_ns), end_ns: w.span.end_ns },
            length_ns: w.max_ns,
        },
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn known(start_ns: u64, end_ns: u64) -> Longest {
        Longest { span: Span { start_ns, end_ns }, length_ns: end_ns - start_ns }
    }

    /// Moments from a second on, with an excess and a longest request for each: its start and end after that second.
    pub(in super::super) fn moments(of: &[(f64, Option<(u64, u64)>)]) -> Moments {
        let at = |ms: u64| 1_000 * MS + ms * MS;
        Moments {
            excess_ns: of.iter().map(|(ms, _)| ms * MS as f64).collect(),
            waiting_ns: vec![0.0; of.len()],
            longest: of.iter().map(|(_, l)| l.map(|(a, b)| known(at(a), at(b)))).collect(),
            reach: of.iter().map(|(_, l)| l.map_or(0, |(a, b)| ((b - a) / 100) as usize)).collect(),
            quiet_ns: 2e6,
            start_ns: at(0),
        }
    }

    /// A step of so many milliseconds in a stretch counted from the same second.
    pub(in super::super) fn step(from: u64, to: u64, by: u64) -> Step {
        Step { span: Span { start_ns: (1_000 + from) * MS, end_ns: (1_000 + to) * MS }, by: by * MS }
    }

    #[test]
    fn what_was_waited_is_spread_over_the_time_in_which_it_was() {
        let mut m = moments(&[(0.0, None); 4]);
        let span = Span { start_ns: m.start_ns + 300 * MS, end_ns: m.start_ns + 400 * MS };
        let window = Window { span, response: vec![], p50_ns: 0, p99_ns: 0, max_ns: 0, lag_ours_max_ns: 0 };
        // Two that ended at 350 ms and were due at 150 ms: 198 ms each above the quiet level.
        m.wait(&window, (200 * MS, 2));
        m.wait(&window, (MS, 5));
        let ms: Vec<f64> = m.waiting_ns.iter().map(|ns| ns / MS as f64).collect();
        assert_eq!(ms, [0.0, 99.0, 198.0, 99.0]);
    }

    #[test]
    fn moments_are_touched_wholly_or_in_part() {
        let m = moments(&[(0.0, None); 4]);
        let touched = |steps: &[Step]| m.touched_by(steps.iter());
        assert_eq!(touched(&[step(150, 200, 1)]), [false, true, false, false]);
        assert_eq!(touched(&[step(150, 209, 1)]), [false, true, false, false]);
        assert_eq!(touched(&[step(150, 220, 1)]), [false, true, true, false]);
        assert_eq!(touched(&[step(0, 20, 1), step(350, 9999, 1)]), [true, false, false, true]);
        assert_eq!(touched(&[step(0, 5, 1), step(195, 205, 1)]), [false; 4]);
    }
}
