//! Gaps added up: by cause, with the lengths of each and the longest of all.

use std::collections::BTreeMap;

use record::{CauseGaps, GapCause, GapLosses, Histogram, LongGap};

/// What was seen so far.
#[derive(Debug)]
pub(super) struct Tally {
    lost: GapLosses,
    lengths: [Histogram; GapCause::ALL.len()],
    longest: Vec<LongGap>,
    keep: usize,
}

impl Tally {
    /// Keeps so many of the longest gaps.
    pub(super) fn new(keep: usize) -> Self {
        let lengths = std::array::from_fn(|_| Histogram::new());
        Self { lost: GapLosses::default(), lengths, longest: Vec::with_capacity(keep + 1), keep }
    }

    /// Takes in a gap that began so long after the start.
    pub(super) fn add(&mut self, at_ns: u64, length_ns: u64, parts: GapLosses) {
        self.lost += parts;
        let cause = parts.main();
        self.lengths[cause as usize].record(length_ns);
        let is_long = self.longest.last().is_none_or(|shortest| length_ns > shortest.length_ns);
        if is_long || self.longest.len() < self.keep {
            let place = self.longest.partition_point(|gap| gap.length_ns >= length_ns);
            self.longest.insert(place, LongGap { at_ns, length_ns, cause, parts });
            self.longest.truncate(self.keep);
        }
    }

    /// Calls so much of the unexplained time steal that was told; returns how much of it there was.
    pub(super) fn tell_steal(&mut self, ns: u64) -> u64 {
        let moved = ns.min(self.lost.unexplained_ns);
        self.lost.unexplained_ns -= moved;
        self.lost.known_steal_ns += moved;
        moved
    }

    /// Time lost, by cause.
    pub(super) fn lost(&self) -> GapLosses {
        self.lost
    }

    /// Gaps in all.
    pub(super) fn gaps(&self) -> u64 {
        self.lengths.iter().map(Histogram::count).sum()
    }

    /// Each cause, with shares of the time watched.
    pub(super) fn causes(&self, wall_ns: u64) -> BTreeMap<GapCause, CauseGaps> {
        let of = |(cause, lost_ns): (GapCause, u64)| {
            let lengths = &self.lengths[cause as usize];
            let gaps =
                CauseGaps { lost_ns, share: share(lost_ns, wall_ns), gaps: lengths.count(), length_ns: lengths.into() };
            (cause, gaps)
        };
        self.lost.parts().map(of).into()
    }

    /// The longest gaps, the longest first.
    pub(super) fn longest(self) -> Vec<LongGap> {
        self.longest
    }
}

/// A part of the time watched; nothing of nothing is nothing.
pub(super) fn share(part_ns: u64, wall_ns: u64) -> f64 {
    if wall_ns == 0 { 0.0 } else { part_ns as f64 / wall_ns as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waited(ns: u64) -> GapLosses {
        GapLosses { own_run_delay_ns: ns, ..GapLosses::default() }
    }

    #[test]
    fn sums_lengths_and_the_longest_are_those_of_the_gaps() {
        let mut tally = Tally::new(2);
        for (at, ns) in [(10, 500), (20, 100), (30, 900), (40, 500)] {
            tally.add(at, ns, waited(ns));
        }
        tally.add(50, 400, GapLosses { unexplained_ns: 350, interrupt_ns: 50, ..GapLosses::default() });
        assert_eq!((tally.gaps(), tally.lost().total_ns()), (5, 2400));
        let causes = tally.causes(24_000);
        let own = causes[&GapCause::OwnRunDelay];
        assert_eq!((own.gaps, own.lost_ns, own.length_ns.max), (4, 2000, 900));
        assert_eq!(causes[&GapCause::Unexplained].length_ns.max, 400, "the whole length, at its main cause");
        assert_eq!((causes[&GapCause::Interrupt].gaps, causes[&GapCause::Interrupt].lost_ns), (0, 50));
        assert!((causes.values().map(|c| c.share).sum::<f64>() - 0.1).abs() < 1e-12);
        assert_eq!(causes.len(), 5, "a cause without gaps is there, with zeros");
        let longest: Vec<_> = tally.longest().iter().map(|gap| (gap.at_ns, gap.length_ns)).collect();
        assert_eq!(longest, [(30, 900), (10, 500)]);
    }

    #[test]
    fn steal_that_was_told_is_taken_from_the_unexplained_and_from_nothing_else() {
        let mut tally = Tally::new(0);
        tally.add(0, 80, waited(80));
        tally.add(0, 50, GapLosses { unexplained_ns: 50, ..GapLosses::default() });
        assert_eq!(tally.tell_steal(30), 30);
        assert_eq!(tally.tell_steal(30), 20);
        let lost = tally.lost();
        assert_eq!((lost.known_steal_ns, lost.unexplained_ns, lost.own_run_delay_ns), (50, 0, 80));
        assert!(tally.longest().is_empty());
    }

    #[test]
    fn no_time_has_no_share() {
        assert_eq!(share(0, 0), 0.0);
    }
}
