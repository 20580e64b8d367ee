//! Stretches of slow windows that hang together: a backlog is one delay, however many windows it takes to end.

use super::moments::{Longest, Moments};
use crate::usage::Span;

/// Windows next to one another whose longest requests were out at the same time.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Episode {
    /// The windows, by their place in the trial.
    pub(super) windows: std::ops::Range<usize>,
    /// From when the first of its requests was due until the last one ended, at most.
    pub(super) span: Span,
    /// How long it lasted.
    pub(super) length_ns: u64,
    /// The time above the quiet level that ended in it.
    pub(super) excess_ns: f64,
}

/// The episodes of a trial in the order of time. Every window with a delay is in one.
pub(super) fn of(m: &Moments) -> Vec<Episode> {
    let mut episodes: Vec<Episode> = Vec::new();
    for (t, longest) in m.longest.iter().enumerate() {
        let Some(Longest { span, length_ns }) = *longest else { continue };
        let excess_ns = m.excess_ns[t];
        match episodes.last_mut() {
            // A request that was due before the last one ended waits behind it, or for the same.
            Some(last) if last.windows.end == t && span.end_ns.saturating_sub(length_ns) < last.span.end_ns => {
                let later = span.end_ns.saturating_sub(last.span.end_ns);
                last.windows.end = t + 1;
                last.length_ns = (last.length_ns + later).max(length_ns);
                last.span.start_ns = last.span.start_ns.min(span.start_ns);
                last.span.end_ns = last.span.end_ns.max(span.end_ns);
                last.excess_ns += excess_ns;
            }
            _ => episodes.push(Episode { windows: t..t + 1, span, length_ns, excess_ns }),
        }
    }
    episodes
}

#[cfg(test)]
mod tests {
    use super::super::moments::tests::moments;
    use super::*;

    #[test]
    fn a_backlog_is_one_episode_and_two_stalls_are_two() {
        let m = moments(&[
            (50.0, Some((10, 95))),
            (90.0, Some((20, 190))),
            (20.0, Some((150, 210))),
            (0.0, None),
            (30.0, Some((360, 400))),
            (30.0, Some((440, 470))),
        ]);
        let found = of(&m);
        let windows: Vec<_> = found.iter().map(|e| e.windows.clone()).collect();
        assert_eq!(windows, [0..3, 4..5, 5..6]);
        assert_eq!(found[1].length_ns, 40_000_000);
        assert_eq!((found[0].length_ns, found[0].excess_ns), (200_000_000, 160e6));
    }

    #[test]
    fn where_the_longest_request_was_not_kept_only_what_is_sure_hangs_together() {
        let mut m = moments(&[(50.0, Some((0, 0))); 3]);
        for (t, length_ms) in [60, 60, 150].into_iter().enumerate() {
            let end_ns = m.start_ns + (t as u64 + 1) * 100_000_000;
            let length_ns = length_ms * 1_000_000;
            let span = Span { start_ns: end_ns - 100_000_000 - length_ns, end_ns };
            m.longest[t] = Some(Longest { span, length_ns });
        }
        let found: Vec<_> = of(&m).into_iter().map(|e| (e.windows, e.length_ns / 1_000_000)).collect();
        // The last one was due before the window before it ended; that of the second may not have been.
        assert_eq!(found, [(0..1, 60), (1..3, 160)]);
    }
}
