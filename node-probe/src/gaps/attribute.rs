//! What a gap was: its length, given to causes in turn, to each no more than its counter says.

use record::GapLosses;

use crate::host::steal::LeftOut;

/// What a thread's own counters grew by, from the reading before the gap to the one after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Growth {
    /// CLOCK_MONOTONIC.
    pub(super) wall_ns: u64,
    /// CLOCK_THREAD_CPUTIME_ID.
    pub(super) cpu_ns: u64,
    /// schedstat's second field: credited when the thread runs again, so it is there after the gap.
    pub(super) run_delay_ns: u64,
    /// Throttled time of the cgroup and those above it, added up: credited when throttling ends, before the thread
    /// runs again. It is summed over CPUs, so it may be more than the gap.
    pub(super) throttled_ns: u64,
}

/// What holds for every gap of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    /// What the CPU clock leaves out besides waiting.
    pub(super) left_out: LeftOut,
    /// What an interrupt takes as a rule.
    pub(super) interrupt_usual_ns: u64,
    /// What one may take at the most.
    pub(super) interrupt_bound_ns: u64,
}

/// The clock that is steered by NTP may run faster than the CPU clock by this part (500 ppm) without any loss.
const STEERED: u64 = 2_000;

/// Gives a gap to its causes; their parts add up to its length. What it took of the growth is taken off, so that another gap of
/// the same growth takes what is left.
///
/// Waiting for a CPU goes first, because the kernel counts it to the nanosecond. A quota shows as waiting too, and
/// its throttled time says so. Then what the CPU clock left out of the time that was not waited: steal or interrupts,
/// as `rules` say. What no counter explains is an interrupt if it is no longer than one may be. If it is longer, an
/// interrupt took of it what interrupts take as a rule, and the rest is unexplained.
pub(super) fn attribute(length_ns: u64, growth: &mut Growth, rules: &Rules) -> GapLosses {
    let mut left = length_ns;
    let mut take = |most: u64| {
        let part = most.min(left);
        left -= part;
        part
    };
    let waited = take(growth.run_delay_ns);
    let quota_ns = waited.min(growth.throttled_ns);
    let not_counted = growth
        .wall_ns
        .saturating_sub(growth.cpu_ns)
        .saturating_sub(growth.run_delay_ns)
        .saturating_sub(growth.wall_ns / STEERED);
    let (counted_interrupt, known_steal_ns) = match rules.left_out {
        LeftOut::Nothing => (0, 0),
        LeftOut::Interrupts => (take(not_counted), 0),
        LeftOut::Steal => (0, take(not_counted)),
        LeftOut::Both => {
            let interrupt = take(not_counted.min(rules.interrupt_bound_ns));
            (interrupt, take(not_counted - interrupt))
        }
    };
    growth.run_delay_ns -= waited;
    growth.throttled_ns -= quota_ns;
    growth.wall_ns = growth.wall_ns.saturating_sub(waited + counted_interrupt + known_steal_ns);
    let by_length = if left <= rules.interrupt_bound_ns { left } else { rules.interrupt_usual_ns.min(left) };
    GapLosses {
        own_run_delay_ns: waited - quota_ns,
        quota_ns,
        known_steal_ns,
        interrupt_ns: counted_interrupt + by_length,
        unexplained_ns: left - by_length,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: u64 = 1_000;
    const MS: u64 = 1_000_000;

    fn rules(left_out: LeftOut) -> Rules {
        Rules { left_out, interrupt_usual_ns: 15 * US, interrupt_bound_ns: 60 * US }
    }

    /// A gap in the middle of 10 ms of spinning, of which the CPU clock counted `cpu`.
    fn growth(cpu_ns: u64, run_delay_ns: u64, throttled_ns: u64) -> Growth {
        Growth { wall_ns: 10 * MS, cpu_ns, run_delay_ns, throttled_ns }
    }

    #[test]
    fn another_thread_took_it_and_the_switches_are_interrupt() {
        let parts = attribute(4_010 * US, &mut growth(6 * MS, 4 * MS, 0), &rules(LeftOut::Nothing));
        let want = GapLosses { own_run_delay_ns: 4 * MS, interrupt_ns: 10 * US, ..GapLosses::default() };
        assert_eq!(parts, want);
    }

    #[test]
    fn a_quota_explains_waiting_and_only_waiting() {
        let whole = attribute(
            80 * MS,
            &mut Growth { wall_ns: 90 * MS, ..growth(10 * MS, 80 * MS, 80 * MS) },
            &rules(LeftOut::Nothing),
        );
        assert_eq!(whole, GapLosses { quota_ns: 80 * MS, ..GapLosses::default() });
        let some = attribute(80 * MS, &mut growth(MS, 80 * MS, 60 * MS), &rules(LeftOut::Nothing));
        assert_eq!(some, GapLosses { quota_ns: 60 * MS, own_run_delay_ns: 20 * MS, ..GapLosses::default() });
        let of_others = attribute(3 * MS, &mut growth(10 * MS, 0, 500 * MS), &rules(LeftOut::Nothing));
        assert_eq!((of_others.quota_ns, of_others.unexplained_ns), (0, 3 * MS - 15 * US), "others were throttled");
        let two_levels = attribute(80 * MS, &mut growth(MS, 80 * MS, 160 * MS), &rules(LeftOut::Nothing));
        assert_eq!(two_levels.quota_ns, 80 * MS, "throttled twice is lost once");
    }

    #[test]
    fn what_no_counter_knows_is_an_interrupt_up_to_the_bound_and_unexplained_beyond() {
        let tick = attribute(40 * US, &mut growth(10 * MS, 0, 0), &rules(LeftOut::Nothing));
        assert_eq!(tick, GapLosses { interrupt_ns: 40 * US, ..GapLosses::default() });
        let hidden = attribute(4 * MS, &mut growth(10 * MS, 0, 0), &rules(LeftOut::Nothing));
        assert_eq!((hidden.interrupt_ns, hidden.unexplained_ns), (15 * US, 4 * MS - 15 * US));
    }

    #[test]
    fn what_the_cpu_clock_left_out_is_steal_or_interrupt_as_the_kernel_accounts() {
        let lost = growth(8 * MS, 0, 0);
        let steal = attribute(2 * MS, &mut lost.clone(), &rules(LeftOut::Steal));
        assert_eq!((steal.known_steal_ns, steal.interrupt_ns), (2 * MS - 5 * US, 5 * US), "but for what NTP may steer");
        let interrupt = attribute(2 * MS, &mut lost.clone(), &rules(LeftOut::Interrupts));
        assert_eq!(interrupt, GapLosses { interrupt_ns: 2 * MS, ..GapLosses::default() });
        let both = attribute(2 * MS, &mut lost.clone(), &rules(LeftOut::Both));
        assert_eq!((both.interrupt_ns, both.known_steal_ns), (65 * US, 2 * MS - 65 * US));
        let nothing = attribute(2 * MS, &mut lost.clone(), &rules(LeftOut::Nothing));
        assert_eq!(nothing.known_steal_ns, 0, "a clock that leaves nothing out proves nothing");
    }

    #[test]
    fn two_gaps_of_one_growth_take_from_it_once() {
        let mut both = Growth { wall_ns: 90 * MS, cpu_ns: 6 * MS, run_delay_ns: 80 * MS, throttled_ns: 80 * MS };
        let quota = attribute(80 * MS, &mut both, &rules(LeftOut::Steal));
        assert_eq!(quota, GapLosses { quota_ns: 80 * MS, ..GapLosses::default() });
        let steal = attribute(4 * MS, &mut both, &rules(LeftOut::Steal));
        let steered = 10 * MS / STEERED;
        assert_eq!((steal.known_steal_ns, steal.interrupt_ns), (4 * MS - steered, steered));
        let none = attribute(MS, &mut both, &rules(LeftOut::Steal));
        assert_eq!((none.quota_ns, none.own_run_delay_ns), (0, 0));
        assert!(none.known_steal_ns < 10 * US && none.unexplained_ns > 0, "{none:?}");
    }

    #[test]
    fn the_parts_add_up_to_the_length_whatever_the_counters_say() {
        let values = [0, 1, 59 * US, 61 * US, 5 * MS, u64::MAX / 4];
        let triples = || values.iter().flat_map(|a| values.iter().flat_map(|b| values.map(|c| (*a, *b, c))));
        for left_out in [LeftOut::Nothing, LeftOut::Interrupts, LeftOut::Steal, LeftOut::Both] {
            for length in values {
                for (cpu, delay, throttled) in triples() {
                    let mut growth = Growth { wall_ns: length, ..growth(cpu, delay, throttled) };
                    let said = format!("{growth:?}");
                    assert_eq!(attribute(length, &mut growth, &rules(left_out)).total_ns(), length, "{said}");
                }
            }
        }
    }
}
