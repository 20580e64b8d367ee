//! Which sources are read in which round: every round, five times a second at most, once a second.
//!
//! Reading costs, and reading some files often bends them: each read of a pressure file makes the kernel fold what
//! every CPU stalled since anybody's last read, weighted by whole jiffies of non-idle time. Every few milliseconds that
//! multiplies by zero, for this reader and for all others (psi.c, collect_percpu_times).

/// The least time between two reads of the middle tier, pressure among it. Nothing in it is finer than a tick of 10 ms
/// or means much over less than half a second, so that more often would only cost.
pub(crate) const MEDIUM_NS: u64 = 200_000_000;

/// The least time between two reads of the slow tier.
pub(crate) const SLOW_NS: u64 = 1_000_000_000;

/// What is due in a round, besides what always is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) medium: bool,
    pub(crate) slow: bool,
}

/// Decides round by round.
#[derive(Debug)]
pub(crate) struct Tiers {
    medium: Gate,
    slow: Gate,
}

impl Default for Tiers {
    fn default() -> Self {
        Self { medium: Gate::every(MEDIUM_NS), slow: Gate::every(SLOW_NS) }
    }
}

impl Tiers {
    /// What is due in the round that was due then and is made now. The first has everything.
    pub(crate) fn due(&mut self, due_ns: u64, now_ns: u64) -> Due {
        Due { medium: self.medium.opens(due_ns, now_ns), slow: self.slow.opens(due_ns, now_ns) }
    }
}

/// Lets a round through if one was not let through shortly before.
#[derive(Debug)]
struct Gate {
    spacing_ns: u64,
    last: Option<(u64, u64)>,
}

impl Gate {
    fn every(spacing_ns: u64) -> Self {
        Self { spacing_ns, last: None }
    }

    /// A read that came late pushes the next one away at least half the spacing.
    fn opens(&mut self, due_ns: u64, now_ns: u64) -> bool {
        let open = self.last.is_none_or(|(due, now)| {
            due_ns.saturating_sub(due) >= self.spacing_ns && now_ns.saturating_sub(now) >= self.spacing_ns / 2
        });
        if open {
            self.last = Some((due_ns, now_ns));
        }
        open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn the_middle_tier_is_read_five_times_a_second_at_most() {
        let opened = |every: u64, rounds: u64| {
            let mut gate = Gate::every(MEDIUM_NS);
            (0..rounds).filter(|k| gate.opens(k * every, k * every + 30_000)).count()
        };
        assert_eq!(opened(100 * MS, 10), 5, "10 Hz: every second");
        assert_eq!(opened(250 * MS, 8), 8, "slower: every round");
        assert_eq!(opened(10 * MS, 100), 5, "100 Hz: every twentieth");
        assert_eq!(opened(30 * MS, 34), 5, "33 Hz: every seventh");
        assert_eq!(opened(MS, 1000), 5, "1 kHz: every two-hundredth");
    }

    #[test]
    fn a_late_read_does_not_draw_the_next_one_near() {
        let mut gate = Gate::every(MEDIUM_NS);
        assert!(gate.opens(0, 190 * MS), "190 ms late");
        assert!(!gate.opens(200 * MS, 200 * MS), "10 ms after it");
        assert!(gate.opens(400 * MS, 400 * MS));
    }

    #[test]
    fn the_first_round_has_everything_and_each_tier_its_own_pace() {
        let mut tiers = Tiers::default();
        let rounds: Vec<Due> = (0..41).map(|k| tiers.due(k * 50 * MS, k * 50 * MS)).collect();
        assert_eq!(rounds[0], Due { medium: true, slow: true });
        assert_eq!(rounds[1], Due { medium: false, slow: false });
        assert_eq!(rounds.iter().filter(|d| d.medium).count(), 11);
        assert_eq!(rounds.iter().filter(|d| d.slow).count(), 3);
    }
}
