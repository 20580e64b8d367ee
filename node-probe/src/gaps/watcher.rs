//! What both forms of the detector share: the clock's cost, the thread's counters, and what to do at a gap.

use std::cmp::Reverse;

use record::{GapLosses, Reading, monotonic_ns};

use super::account::{Account, Accounts};
use super::attribute::{Growth, Rules, attribute};
use crate::Result;
use crate::host::steal::LeftOut;

/// A gap is seen when it is longer than this, or than many looks at a slow clock.
const SEEN_FROM_NS: u64 = 2_000;
/// Shorter gaps are interrupts by their length: reading the counters would cost as much.
const ATTRIBUTED_FROM_NS: u64 = 20_000;
/// Interrupts of one machine are no longer than so many times what they take as a rule, nearly all of them.
const BOUND_OVER_USUAL: u64 = 4;
/// Where the bound may lie.
const BOUND_NS: std::ops::RangeInclusive<u64> = ATTRIBUTED_FROM_NS..=100_000;
/// Fewer gaps have no quartile worth the name.
const ENOUGH_GAPS: usize = 8;
/// So many readings in a row are interrupted before one is taken as it is.
const READINGS: usize = 8;
/// How long the counters stand without a gap before they are read again: the clocks drift apart slowly.
pub(super) const REFRESH_NS: u64 = 10_000_000;

/// Takes gaps in, for the thread that opened it.
#[derive(Debug)]
pub(super) struct Watcher {
    accounts: Accounts,
    base: Account,
    rules: Rules,
    /// Time from one look at the clock to the next.
    pub(super) look_ns: u64,
    /// Gaps longer than this are seen.
    pub(super) seen_from_ns: u64,
    /// Gaps longer than this are asked about.
    pub(super) attributed_from_ns: u64,
    /// Time that was spent reading counters.
    pub(super) reading_ns: u64,
    /// What one reading takes, interrupted ones left out.
    reading_cost_ns: u64,
}

impl Watcher {
    /// For the calling thread.
    ///
    /// # Errors
    /// When this kernel does not count run delay.
    pub(super) fn open(left_out: LeftOut) -> Result<Self> {
        let mut accounts = Accounts::open()?;
        let look_ns = median(&mut times(2_000, || {}));
        let reading_cost_ns = median(&mut times(50, || {
            accounts.read();
        }));
        let seen_from_ns = SEEN_FROM_NS.max(20 * look_ns);
        let attributed_from_ns = ATTRIBUTED_FROM_NS.max(2 * seen_from_ns);
        Ok(Self {
            base: accounts.read(),
            accounts,
            rules: Rules {
                left_out,
                interrupt_usual_ns: attributed_from_ns / BOUND_OVER_USUAL,
                interrupt_bound_ns: attributed_from_ns,
            },
            look_ns,
            seen_from_ns,
            attributed_from_ns,
            reading_ns: 0,
            reading_cost_ns,
        })
    }

    /// The longest that an interrupt is taken to be.
    pub(super) fn interrupt_bound_ns(&self) -> u64 {
        self.rules.interrupt_bound_ns
    }

    /// What an interrupt takes as a rule.
    pub(super) fn interrupt_usual_ns(&self) -> u64 {
        self.rules.interrupt_usual_ns
    }

    /// The cgroups whose throttled time is read.
    pub(super) fn quota_watched(&self) -> &Reading<Vec<String>> {
        self.accounts.quota_watched()
    }

    /// CPU time of the thread, as it was read last.
    pub(super) fn cpu_ns(&self) -> u64 {
        self.base.cpu_ns
    }

    /// Spins for so long to see how long the interrupts of this CPU are, and says how many gaps that was made from.
    pub(super) fn fit_interrupts(&mut self, length_ns: u64) -> usize {
        let nothing = Rules { interrupt_usual_ns: 0, interrupt_bound_ns: 0, ..self.rules };
        let mut unexplained = Vec::new();
        let mut last = self.start();
        let end = last.saturating_add(length_ns);
        while last < end {
            let now = monotonic_ns();
            if now - last <= self.seen_from_ns {
                last = now;
                continue;
            }
            let part = attribute(now - last, &mut self.read(), &nothing);
            // What the CPU clock leaves out may be an interrupt; only waiting is surely none.
            let rest = part.unexplained_ns + part.interrupt_ns;
            if rest > self.seen_from_ns {
                unexplained.push(rest);
            }
            last = monotonic_ns();
        }
        if unexplained.len() >= ENOUGH_GAPS {
            let lowest = self.attributed_from_ns.max(*BOUND_NS.start());
            let highest = lowest.max(*BOUND_NS.end());
            // A hypervisor that takes much makes most of these gaps; the ticks are the short ones among them.
            let usual = quartile(&mut unexplained);
            self.rules.interrupt_bound_ns = (BOUND_OVER_USUAL * usual).clamp(lowest, highest);
            self.rules.interrupt_usual_ns = usual.min(self.rules.interrupt_bound_ns / BOUND_OVER_USUAL);
        }
        unexplained.len()
    }

    /// Reads the counters and begins to look: what came before is nobody's gap.
    pub(super) fn start(&mut self) -> u64 {
        self.base = self.accounts.read();
        monotonic_ns()
    }

    /// Takes in a gap that began at `start_ns` and is over now, and hands it to `each` with its parts; the time that
    /// looking goes on from. With no length it brings the counters up to date only.
    ///
    /// Reading the counters can be interrupted as well; that is a gap of its own. What was read about one is of no use alone then:
    /// it may fall between two counters that are compared, as a quota does that runs out in a reading of the CPU clock, which is
    /// where the kernel charges it. So the counters are read until nothing comes between, and the gaps share what they grew by,
    /// the longest first.
    pub(super) fn take(&mut self, start_ns: u64, length_ns: u64, each: &mut impl FnMut(u64, u64, GapLosses)) -> u64 {
        if length_ns > 0 && length_ns <= self.attributed_from_ns {
            each(start_ns, length_ns, GapLosses { interrupt_ns: length_ns, ..GapLosses::default() });
            return monotonic_ns();
        }
        let begun_ns = monotonic_ns();
        let accounts = &mut self.accounts;
        // With cold caches a reading takes a few times as long.
        let usual_ns = 4 * self.reading_cost_ns + self.attributed_from_ns;
        let read = Settled::read(begun_ns, self.reading_cost_ns, usual_ns, || (accounts.read(), monotonic_ns()));
        let growth = read.account.since(&self.base);
        self.base = read.account;
        read.share((start_ns, length_ns), growth, &self.rules, each);
        let (ended_ns, beyond_ns) = (read.ended_ns, read.beyond_ns());
        // Handing them over can be interrupted too: the next look sees that.
        let handed_ns = monotonic_ns();
        let goes_on_ns = if handed_ns - ended_ns <= self.attributed_from_ns { handed_ns } else { ended_ns };
        self.reading_ns += goes_on_ns - begun_ns - beyond_ns;
        goes_on_ns
    }

    /// Attributes what a thread that slept was late by, since it read its counters before it slept. The CPU clock
    /// says nothing of a sleep, so only waiting is asked about.
    pub(super) fn woken(&mut self, late_ns: u64) -> GapLosses {
        attribute(late_ns, &mut self.read(), &Rules { left_out: LeftOut::Nothing, ..self.rules })
    }

    fn read(&mut self) -> Growth {
        let now = self.accounts.read();
        let growth = now.since(&self.base);
        self.base = now;
        growth
    }
}

/// Counters that were read with nothing in between, after the gaps that readings before them had.
#[derive(Debug)]
struct Settled {
    account: Account,
    ended_ns: u64,
    /// Start and length of each; the first `count` of them.
    gaps: [(u64, u64); READINGS],
    count: usize,
}

impl Settled {
    /// Reads until a reading takes no longer than `usual_ns`; of a longer one, all but `cost_ns` is a gap. `read` gives the counters
    /// and the time after them.
    fn read(begun_ns: u64, cost_ns: u64, usual_ns: u64, mut read: impl FnMut() -> (Account, u64)) -> Self {
        let mut settled = Self { account: Account::default(), ended_ns: begun_ns, gaps: [(0, 0); READINGS], count: 0 };
        while settled.count < READINGS {
            let before_ns = settled.ended_ns;
            (settled.account, settled.ended_ns) = read();
            let took_ns = settled.ended_ns - before_ns;
            if took_ns <= usual_ns {
                break;
            }
            settled.gaps[settled.count] = (before_ns, took_ns - cost_ns);
            settled.count += 1;
        }
        settled
    }

    /// Time in gaps of the readings.
    fn beyond_ns(&self) -> u64 {
        self.gaps[..self.count].iter().map(|(_, length_ns)| length_ns).sum()
    }

    /// Hands the gap that was looked into, if it has a length, and those of the readings to `each`, the longest first.
    fn share(
        &self,
        looked_into: (u64, u64),
        mut growth: Growth,
        rules: &Rules,
        each: &mut impl FnMut(u64, u64, GapLosses),
    ) {
        let mut gaps = [looked_into; READINGS + 1];
        gaps[1..=self.count].copy_from_slice(&self.gaps[..self.count]);
        let gaps = &mut gaps[..=self.count];
        gaps.sort_unstable_by_key(|&(_, length_ns)| Reverse(length_ns));
        for &mut (start_ns, length_ns) in gaps {
            if length_ns > 0 {
                each(start_ns, length_ns, attribute(length_ns, &mut growth, rules));
            }
        }
    }
}

/// How long something takes, so many times; each with one look at the clock.
fn times(count: usize, mut what: impl FnMut()) -> Vec<u64> {
    let mut last = monotonic_ns();
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        what();
        let now = monotonic_ns();
        times.push(now - last);
        last = now;
    }
    times
}

/// The value that a quarter are below; zero of none.
fn quartile(values: &mut [u64]) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 4).copied().unwrap_or(0)
}

/// The value in the middle; zero of none.
pub(crate) fn median(values: &mut [u64]) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_none_is_zero_and_of_some_the_one_in_the_middle() {
        assert_eq!(median(&mut []), 0);
        assert_eq!(median(&mut [9, 1, 5]), 5);
        assert_eq!((quartile(&mut [9, 1, 5, 7]), quartile(&mut [])), (5, 0));
    }

    #[test]
    fn what_falls_into_a_reading_is_attributed_by_one_that_nothing_falls_into() {
        const US: u64 = 1_000;
        const MS: u64 = 1_000_000;
        let account =
            |run_delay_ns, throttled_ns, wall_ns, cpu_ns| Account { wall_ns, cpu_ns, run_delay_ns, throttled_ns };
        // A tick of 30 us is looked into; a quota runs out when the waiting was read and the throttled time was not.
        let between = account(0, 80 * MS, 81 * MS, MS);
        let clean = account(80 * MS, 80 * MS, 81 * MS + 10 * US, MS + 10 * US);
        for first in [between, account(80 * MS, 80 * MS, 81 * MS, MS), account(0, 0, 81 * MS, MS)] {
            let mut readings = [(first, 81 * MS), (clean, 81 * MS + 10 * US)].into_iter();
            let read = Settled::read(MS - 10 * US, 10 * US, 60 * US, || readings.next().unwrap());
            assert_eq!((read.account, read.beyond_ns()), (clean, 80 * MS));
            let rules = Rules { left_out: LeftOut::Nothing, interrupt_usual_ns: 15 * US, interrupt_bound_ns: 60 * US };
            let mut seen = Vec::new();
            let growth = clean.since(&Account::default());
            read.share((900 * US, 30 * US), growth, &rules, &mut |at, length, parts| seen.push((at, length, parts)));
            let quota = GapLosses { quota_ns: 80 * MS, ..GapLosses::default() };
            let tick = GapLosses { interrupt_ns: 30 * US, ..GapLosses::default() };
            assert_eq!(seen, [(990 * US, 80 * MS, quota), (900 * US, 30 * US, tick)]);
        }
    }

    #[test]
    fn readings_that_are_all_interrupted_come_to_an_end() {
        let mut now_ns = 0;
        let read = Settled::read(0, 10, 60, || {
            now_ns += 100;
            (Account { run_delay_ns: now_ns, ..Account::default() }, now_ns)
        });
        assert_eq!((read.count, read.ended_ns, read.beyond_ns()), (READINGS, 800, 720));
        assert_eq!(read.account.run_delay_ns, 800, "the last one stands");
    }

    #[test]
    fn the_thresholds_follow_the_clock_and_short_gaps_are_not_asked_about() {
        let mut watcher = Watcher::open(LeftOut::Nothing).unwrap();
        assert!(watcher.look_ns > 0 && watcher.seen_from_ns >= SEEN_FROM_NS.max(20 * watcher.look_ns), "{watcher:?}");
        assert!(watcher.attributed_from_ns >= 2 * watcher.seen_from_ns);
        let mut seen = Vec::new();
        let start = watcher.start();
        let after = watcher.take(start, 5_000, &mut |at, length, parts| seen.push((at, length, parts)));
        assert!(after >= start);
        assert_eq!(seen, [(start, 5_000, GapLosses { interrupt_ns: 5_000, ..GapLosses::default() })]);
    }

    #[test]
    fn the_bound_of_interrupts_stays_where_it_may_lie() {
        let mut watcher = Watcher::open(LeftOut::Nothing).unwrap();
        watcher.fit_interrupts(20_000_000);
        let bound = watcher.interrupt_bound_ns();
        assert!(bound >= watcher.attributed_from_ns && bound <= (*BOUND_NS.end()).max(watcher.attributed_from_ns));
    }
}
