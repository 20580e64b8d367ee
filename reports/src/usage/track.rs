//! A counter or gauge, sample by sample, and what it did over a stretch of time.

use record::Reading;

/// A stretch of time on CLOCK_MONOTONIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start_ns: u64,
    pub(crate) end_ns: u64,
}

impl Span {
    /// The share of it that lies within another, 0 to 1.
    pub(crate) fn share_within(&self, other: &Span) -> f64 {
        let length = self.end_ns.saturating_sub(self.start_ns);
        if length == 0 { 0.0 } else { self.shared_ns(other) as f64 / length as f64 }
    }

    /// How long it and another last both.
    fn shared_ns(&self, other: &Span) -> u64 {
        self.end_ns.min(other.end_ns).saturating_sub(self.start_ns.max(other.start_ns))
    }

    fn holds(&self, at_ns: u64) -> bool {
        (self.start_ns..=self.end_ns).contains(&at_ns)
    }

    pub(crate) fn overlaps(&self, other: &Span) -> bool {
        self.start_ns < other.end_ns && other.start_ns < self.end_ns
    }
}

/// A rise of a counter between two samples next to one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// From the one sample to the other.
    pub(crate) span: Span,
    /// By how much.
    pub(crate) by: u64,
}

/// What a counter showed, sample by sample.
#[derive(Clone, Debug, Default)]
pub(super) struct Track {
    points: Vec<(u64, u64)>,
    reason: Option<String>,
}

impl Track {
    pub(super) fn note(&mut self, at_ns: u64, value: &Reading<u64>) {
        match value {
            Reading::Seen(v) => self.points.push((at_ns, *v)),
            // It was not due in that round.
            unread if unread.is_unread() => {}
            Reading::Absent { absent } => self.reason = Some(absent.clone()),
        }
    }

    pub(super) fn inside(&self, span: Span) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.points.iter().copied().filter(move |(at, _)| span.holds(*at))
    }

    /// The span up to the first sample at its end or after it: what was late at the end is told by that one.
    pub(super) fn to_the_next(&self, span: Span) -> Span {
        let next = self.points.iter().map(|(at, _)| *at).find(|at| *at >= span.end_ns);
        Span { end_ns: next.unwrap_or(span.end_ns), ..span }
    }

    /// Of delays that ended at their samples: the longest of them that lies within the span, or as much of it as does.
    pub(super) fn longest_delay(&self, span: Span) -> u64 {
        let within =
            |(at, delay): &(u64, u64)| span.shared_ns(&Span { start_ns: at.saturating_sub(*delay), end_ns: *at });
        self.points.iter().map(within).max().unwrap_or(0)
    }

    /// By how much the samples end before the span does; 0 where they do not, or where there are none.
    pub(super) fn short_of(&self, span: Span) -> u64 {
        self.points.last().map_or(0, |(at, _)| span.end_ns.saturating_sub((*at).max(span.start_ns)))
    }

    /// Why there is no figure of it.
    fn missing<T>(&self) -> Reading<T> {
        let fallback = if self.points.is_empty() { "not watched" } else { "fewer than two samples while measuring" };
        Reading::absent(self.reason.as_deref().unwrap_or(fallback))
    }

    /// By how much the counter rose between the first and the last sample inside, and in what time.
    pub(super) fn rise(&self, span: Span) -> Reading<(u64, u64)> {
        let (mut first, mut last) = (None, None);
        for (at, value) in self.inside(span) {
            if let Some((_, before)) = last
                && value < before
            {
                return Reading::absent(format!("the counter went backwards, from {before} to {value}"));
            }
            first = first.or(Some((at, value)));
            last = Some((at, value));
        }
        match (first, last) {
            (Some((from, low)), Some((to, high))) if to > from => Reading::Seen((high - low, to - from)),
            _ => self.missing(),
        }
    }

    /// The first fall of the counter inside: from what, to what.
    pub(super) fn fall(&self, span: Span) -> Option<(u64, u64)> {
        let mut last = None;
        for (_, value) in self.inside(span) {
            if let Some(before) = last.replace(value)
                && value < before
            {
                return Some((before, value));
            }
        }
        None
    }

    pub(super) fn total(&self, span: Span) -> Reading<f64> {
        // The samples inside end up to a round short of the phase on either side.
        self.rise(span).map(|(by, over)| match (self.at(span.start_ns), self.at(span.end_ns)) {
            (Some(low), Some(high)) => high - low,
            _ => by as f64 * span.end_ns.saturating_sub(span.start_ns) as f64 / over as f64,
        })
    }

    /// The counter at a moment between two samples, on the line between them; none before the first or after the
    /// last.
    fn at(&self, ns: u64) -> Option<f64> {
        let after = self.points.iter().position(|(at, _)| *at >= ns)?;
        let (to, high) = self.points[after];
        if to == ns {
            return Some(high as f64);
        }
        let (from, low) = *self.points.get(after.checked_sub(1)?)?;
        let share = (ns - from) as f64 / (to - from) as f64;
        (high >= low).then(|| low as f64 + share * (high - low) as f64)
    }

    /// What the counter rose by in windows of about `window_ns`: its variance over its mean, in the counter's unit. Windows
    /// differ a little in length, so that each counts as what it would be at the typical one.
    pub(super) fn dispersion(&self, span: Span, window_ns: u64) -> Reading<f64> {
        /// Fewer windows say nothing of a variance.
        const FEWEST: usize = 10;
        let mut rises: Vec<f64> = Vec::new();
        let mut from: Option<(u64, u64)> = None;
        for (at, value) in self.inside(span) {
            let Some((since, low)) = from else {
                from = Some((at, value));
                continue;
            };
            // A round that came a little early closes the window as well. Stamps that go back are within none.
            let length = at.saturating_sub(since);
            if length < window_ns - window_ns / 8 {
                continue;
            }
            from = Some((at, value));
            match value.checked_sub(low) {
                Some(by) => rises.push(by as f64 * window_ns as f64 / length as f64),
                None => return Reading::absent("the counter went backwards"),
            }
        }
        let n = rises.len();
        if n < FEWEST {
            return Reading::absent(format!("{n} windows are too few for a variance"));
        }
        let mean = rises.iter().sum::<f64>() / n as f64;
        let variance = rises.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / (n - 1) as f64;
        if mean > 0.0 { Reading::Seen(variance / mean) } else { Reading::absent("no CPU time was used") }
    }

    pub(super) fn per_ns(&self, span: Span) -> Reading<f64> {
        self.rise(span).map(|(by, over)| by as f64 / over as f64)
    }

    pub(super) fn mean(&self, span: Span) -> Reading<f64> {
        let (mut sum, mut n) = (0.0, 0u32);
        for (_, value) in self.inside(span) {
            sum += value as f64;
            n += 1;
        }
        if n == 0 { self.missing() } else { Reading::Seen(sum / f64::from(n)) }
    }

    /// The rises between neighbours that touch the span; a counter that went backwards has no step there.
    pub(super) fn steps(&self, span: Span) -> Vec<Step> {
        self.points
            .windows(2)
            .filter(|w| w[1].1 > w[0].1)
            .map(|w| Step { span: Span { start_ns: w[0].0, end_ns: w[1].0 }, by: w[1].1 - w[0].1 })
            .filter(|s| s.span.overlaps(&span))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Span = Span { start_ns: 100, end_ns: 500 };

    fn track(points: &[(u64, u64)]) -> Track {
        Track { points: points.to_vec(), reason: None }
    }

    #[test]
    fn rates_are_of_the_samples_inside_the_phase() {
        let t = track(&[(50, 0), (150, 10), (300, 25), (450, 40), (510, 999)]);
        assert_eq!(t.rise(SPAN), Reading::Seen((30, 300)));
        assert_eq!(t.per_ns(SPAN), Reading::Seen(0.1));
        assert_eq!(t.mean(SPAN), Reading::Seen(25.0));
    }

    #[test]
    fn what_is_late_at_the_end_of_a_span_is_told_by_the_next_sample_or_by_none() {
        let span = Span { start_ns: 100, end_ns: 200 };
        let track = track(&[(90, 1), (150, 2), (230, 3), (260, 4)]);
        assert_eq!(track.inside(track.to_the_next(span)).map(|(at, _)| at).collect::<Vec<_>>(), [150, 230]);
        assert_eq!(track.short_of(span), 0);
        let later = Span { start_ns: 300, end_ns: 400 };
        assert_eq!((track.to_the_next(later), track.short_of(later)), (later, 100));
        assert_eq!(track.short_of(Span { start_ns: 200, end_ns: 290 }), 30);
        assert_eq!(Track::default().short_of(span), 0);
    }

    #[test]
    fn a_delay_counts_as_far_as_it_lies_within_the_span() {
        let span = Span { start_ns: 100, end_ns: 200 };
        assert_eq!(track(&[(110, 30), (150, 5), (190, 7)]).longest_delay(span), 10, "10 ns of 30");
        assert_eq!(track(&[(110, 3), (900, 760)]).longest_delay(span), 60, "from 140 to the end");
        assert_eq!(track(&[(90, 50), (900, 650)]).longest_delay(span), 0, "before it and after it");
        assert_eq!(track(&[(900, 850)]).longest_delay(span), 100, "all of it");
        assert_eq!(Track::default().longest_delay(span), 0);
    }

    #[test]
    fn a_counter_that_goes_backwards_is_absent_with_its_values() {
        let t = track(&[(150, 10), (300, 812), (400, 790), (450, 900)]);
        assert_eq!(t.rise(SPAN), Reading::absent("the counter went backwards, from 812 to 790"));
        assert_eq!((t.fall(SPAN), track(&[(150, 10), (300, 812)]).fall(SPAN)), (Some((812, 790)), None));
        assert_eq!(t.steps(SPAN).iter().map(|s| s.by).collect::<Vec<_>>(), [802, 110]);
    }

    #[test]
    fn what_was_not_seen_says_why() {
        let mut t = Track::default();
        assert_eq!(t.rise(SPAN).reason(), Some("not watched"));
        t.note(150, &Reading::Seen(4));
        assert_eq!(t.rise(SPAN).reason(), Some("fewer than two samples while measuring"));
        t.note(250, &Reading::absent("exited"));
        assert_eq!(t.rise(SPAN).reason(), Some("exited"));
    }

    #[test]
    fn dispersion_is_that_of_windows_and_not_of_rounds() {
        // Rounds of 50 with rises of 10 and 30 in turn: windows of 100 hold 40 each.
        let even: Vec<(u64, u64)> = (0..40).map(|i| (i * 50, i / 2 * 40 + i % 2 * 10)).collect();
        let span = Span { start_ns: 0, end_ns: 2000 };
        assert_eq!(track(&even).dispersion(span, 100), Reading::Seen(0.0));
        // Windows of 20 and 60 in turn: mean 40, variance 400 n/(n-1).
        let uneven: Vec<(u64, u64)> = (0..=20).map(|i| (i * 100, i / 2 * 80 + i % 2 * 20)).collect();
        let found = *track(&uneven).dispersion(span, 100).seen().unwrap();
        assert!((found - 400.0 * 20.0 / 19.0 / 40.0).abs() < 1e-9, "{found}");
        assert_eq!(track(&even[..8]).dispersion(span, 100).reason(), Some("3 windows are too few for a variance"));
        // A part's own stamps can be older than those of the sample before.
        let back = [&[(700, 0), (100, 0)], &even[2..]].concat();
        assert_eq!(
            track(&back).dispersion(span, 100),
            track(&[&[(700, 0)], &even[14..]].concat()).dispersion(span, 100)
        );
    }

    #[test]
    fn a_sample_that_was_skipped_between_two_does_not_break_the_rate() {
        let mut t = track(&[(150, 10)]);
        t.note(200, &Reading::default());
        t.note(250, &Reading::Seen(20));
        assert_eq!(t.rise(SPAN), Reading::Seen((10, 100)));
        let never = track(&[]);
        t.note(200, &Reading::default());
        assert_eq!(never.rise(SPAN).reason(), Some("not watched"), "what is never due is not watched");
    }
}
