//! Short sleeps of a closed loop, through which several answers come.
//!
//! A server that is kept busy answers every few microseconds, and each answer to a generator that waits for it is a wake-up,
//! which costs on the server's CPU as well. Who sleeps through a few of them, while most of what is under way still waits
//! at the server, costs neither of them that. What is under way divided by the rate is the time that each takes, wherever it
//! waits (Little's law), but a stamp is late by up to the nap: this is for the economy pace. Naps that lower the rate are given up.

use record::Histogram;

/// Fewer answers than this are not worth a sleep.
const EXPECTED: f64 = 4.0;
/// Of what is under way no more than this is answered meanwhile, so that the server has the rest to do.
const PART: f64 = 0.25;
/// From falling asleep to looking again.
const LONGEST_NS: f64 = 100_000.0;
/// A timer that wakes sooner than this after it was set is none.
const SHORTEST_NS: f64 = 5_000.0;
/// How late a machine wakes, until it has been seen.
const FIRST_LATE_NS: f64 = 60_000.0;

/// So long it is done one way, to see at what rate answers come.
const TURN_NS: u64 = 50_000_000;
/// One of so many turns is the way that was seen to be the slower one.
const TURNS: u32 = 16;
/// Naps may lower the rate by this and stay: less cannot be told in turns as short as these.
const ALLOWED: f64 = 0.03;

/// Decides when a thread sleeps through answers, and for how long.
#[derive(Debug)]
pub(crate) struct Naps {
    /// Smoothed.
    gap_ns: f64,
    late_ns: f64,
    looked_ns: u64,
    answers: u32,
    turns: Turns,
    slept: Histogram,
}

impl Naps {
    pub(crate) fn new() -> Self {
        let (turns, slept) = (Turns::new(), Histogram::new());
        Self { gap_ns: 0.0, late_ns: FIRST_LATE_NS, looked_ns: 0, answers: 0, turns, slept }
    }

    /// Takes in an answer.
    #[inline]
    pub(crate) fn answered(&mut self) {
        self.answers += 1;
    }

    /// How long to sleep now, with so many requests under way; none where answers are to be waited for.
    #[inline]
    pub(crate) fn next_ns(&mut self, now_ns: u64, under_way: u32) -> Option<u64> {
        if self.answers > 0 {
            let gap_ns = now_ns.saturating_sub(self.looked_ns) as f64 / f64::from(self.answers);
            if self.looked_ns > 0 {
                let weight = if self.gap_ns > 0.0 { 1.0 / 16.0 } else { 1.0 };
                self.gap_ns += weight * (gap_ns - self.gap_ns);
                self.turns.take(now_ns, self.answers);
            }
            (self.looked_ns, self.answers) = (now_ns, 0);
        }
        let away_ns = (PART * f64::from(under_way) * self.gap_ns).min(LONGEST_NS);
        let asleep_ns = away_ns - self.late_ns;
        let worth = away_ns >= EXPECTED * self.gap_ns && asleep_ns >= SHORTEST_NS;
        (worth && self.turns.napping).then_some(asleep_ns as u64)
    }

    /// Notes that `asked_ns` were to be slept and `took_ns` were.
    #[inline]
    pub(crate) fn slept(&mut self, asked_ns: u64, took_ns: u64) {
        // Who was kept from the CPU for long says nothing of timers.
        let late_ns = (took_ns.saturating_sub(asked_ns) as f64).min(LONGEST_NS);
        self.late_ns += (late_ns - self.late_ns) / 16.0;
        self.slept.record(took_ns);
    }

    /// The naps there were.
    pub(crate) fn into_lengths(self) -> Histogram {
        self.slept
    }
}

/// Which way the rate is the higher one.
#[derive(Debug)]
struct Turns {
    napping: bool,
    /// What was seen to be no slower.
    better: bool,
    number: u32,
    began_ns: u64,
    answers: u64,
    /// Answers a nanosecond, smoothed, without naps and with them; 0 before any turn.
    rates: [f64; 2],
}

impl Turns {
    fn new() -> Self {
        Self { napping: false, better: true, number: 0, began_ns: 0, answers: 0, rates: [0.0; 2] }
    }

    fn take(&mut self, now_ns: u64, answers: u32) {
        self.answers += u64::from(answers);
        if self.began_ns == 0 {
            (self.began_ns, self.answers) = (now_ns, 0);
        }
        let took_ns = now_ns.saturating_sub(self.began_ns);
        if took_ns < TURN_NS {
            return;
        }
        let rate = self.answers as f64 / took_ns as f64;
        let seen = &mut self.rates[usize::from(self.napping)];
        *seen = if *seen > 0.0 { 0.8 * *seen + 0.2 * rate } else { rate };
        let [plain, napping] = self.rates;
        if plain > 0.0 && napping > 0.0 {
            self.better = napping >= plain * (1.0 - ALLOWED);
        }
        self.number = (self.number + 1) % TURNS;
        self.napping = if self.number == 0 { !self.better } else { self.better };
        (self.began_ns, self.answers) = (now_ns, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: u64 = 1_000;

    /// A server that answers one request after another, each in `work_ns`, or each by itself after so long; a wake-up keeps it
    /// from its work, and a sleeper wakes `late_ns` late. Gives the share of time slept and the answers in `length_ns`.
    fn simulate(under_way: u32, work_ns: u64, one_by_one: bool, length_ns: u64) -> (f64, u64) {
        let (wakes_ns, late_ns) = (3 * US, 50 * US);
        let mut naps = Naps::new();
        let (mut now_ns, mut slept_ns, mut answered) = (US, 0, 0_u64);
        // When each that is under way is answered.
        let mut ends: std::collections::VecDeque<u64> =
            (1..=u64::from(under_way)).map(|at| now_ns + if one_by_one { at * work_ns } else { work_ns }).collect();
        let mut server_free_ns = ends.back().copied().unwrap_or(0);
        while now_ns < length_ns {
            match naps.next_ns(now_ns, under_way) {
                Some(ns) => {
                    now_ns += ns + late_ns;
                    slept_ns += ns + late_ns;
                    naps.slept(ns, ns + late_ns);
                }
                None if ends[0] > now_ns => {
                    now_ns = ends[0] + late_ns / 2;
                    server_free_ns += wakes_ns;
                    if one_by_one {
                        ends.iter_mut().skip(1).for_each(|end| *end += wakes_ns);
                    }
                }
                None => {}
            }
            while ends[0] <= now_ns {
                ends.pop_front();
                naps.answered();
                answered += 1;
                // Two microseconds to read it and to ask again.
                now_ns += 2 * US;
                server_free_ns = if one_by_one { server_free_ns.max(now_ns) + work_ns } else { now_ns + work_ns };
                ends.push_back(server_free_ns);
            }
        }
        (slept_ns as f64 / length_ns as f64, answered)
    }

    #[test]
    fn a_busy_server_is_slept_at_and_answers_no_less() {
        let (slept, answered) = simulate(32, 14 * US, true, 4_000_000_000);
        assert!(slept > 0.4, "{slept}");
        assert!(answered > 4_000_000 / 14 * 98 / 100, "it is never without work: {answered}");
    }

    #[test]
    fn a_few_connections_and_a_slow_server_are_waited_for() {
        for (under_way, work_ns) in [(1, 100 * US), (8, 14 * US), (32, 2_000 * US)] {
            assert_eq!(simulate(under_way, work_ns, true, 1_000_000_000).0, 0.0, "{under_way} at {work_ns}");
        }
    }

    #[test]
    fn naps_that_lower_the_rate_are_given_up() {
        // Answers that come by themselves after 400 us: who looks late asks late.
        let waiting = 32.0 * 4_000_000.0 / (400.0 + 25.0 + 2.0);
        let (slept, answered) = simulate(32, 400 * US, false, 4_000_000_000);
        assert!(slept < 0.2, "{slept}");
        assert!(answered as f64 > waiting * 0.9, "{answered} of {waiting}");
    }

    #[test]
    fn each_way_is_tried_again() {
        let mut turns = Turns::new();
        let mut tried = [0; 2];
        let mut now_ns = 1;
        for turn in 0..400 {
            tried[usize::from(turns.napping)] += 1;
            // For the first half naps are worse, then they are better.
            let rate = if turns.napping == (turn < 200) { 1_000 } else { 2_000 };
            turns.take(now_ns, 0);
            now_ns += TURN_NS;
            turns.take(now_ns, rate);
        }
        assert!(turns.better && tried[0] > 170 && tried[1] > 170, "{tried:?}");
    }
}
