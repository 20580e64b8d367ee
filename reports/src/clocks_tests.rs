//! Clocks whose offset and drift are known, seen over ways whose delays are not.

use record::ClockExchange;

use super::*;

const SECOND: u64 = 1_000_000_000;

/// Numbers that scatter, the same in every run.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A delay: a base, and a tail of exponential length.
    fn delay_ns(&mut self, base: f64, tail: f64) -> u64 {
        (base - tail * (1.0 - self.next()).ln()) as u64
    }
}

/// A clock that is ahead by `offset` at the start and gains `ppm`.
#[derive(Clone, Copy)]
struct Bent {
    offset_ns: i64,
    ppm: f64,
    start_ns: u64,
}

impl Bent {
    fn ahead(&self, at_ns: u64) -> f64 {
        self.offset_ns as f64 + (at_ns as f64 - self.start_ns as f64) * self.ppm * 1e-6
    }

    fn shows(&self, at_ns: u64) -> u64 {
        at_ns.saturating_add_signed(self.ahead(at_ns) as i64)
    }
}

/// An exchange every second, the way there twice as long as the way back.
fn exchanges(clock: Bent, seconds: u64, seed: u64) -> Vec<ClockExchange> {
    let mut chance = Chance(seed | 1);
    let one = |k: u64| {
        let asked_ns = clock.start_ns + k * SECOND;
        let received = asked_ns + chance.delay_ns(200_000.0, 400_000.0);
        let answered = received + chance.delay_ns(20_000.0, 10_000.0);
        let heard_ns = answered + chance.delay_ns(100_000.0, 200_000.0);
        ClockExchange {
            host: "a".into(),
            boot: "1".into(),
            asked_ns,
            received_ns: clock.shows(received),
            answered_ns: clock.shows(answered),
            heard_ns,
            agent_realtime_ns: clock.shows(answered) + 1_700_000_000 * SECOND + 250_000_000,
            runner_realtime_ns: heard_ns + 1_700_000_000 * SECOND,
        }
    };
    (0..seconds).map(one).collect()
}

fn only(exchanges: &[ClockExchange]) -> HostClock {
    let mut clocks = HostClock::of(exchanges);
    assert_eq!(clocks.len(), 1);
    clocks.remove(0)
}

fn holds(found: Bounded, truth: f64, what: &str) {
    // A nanosecond for the rounding of the bent stamps.
    assert!((found.value - truth).abs() <= found.error + 1.5, "{what}: {found:?} does not hold {truth}");
}

#[test]
fn offsets_of_five_seconds_and_drifts_of_100_ppm_are_found_within_the_bound() {
    for (seed, offset_s) in [(1, -5.0), (2, -1.3), (3, 0.0), (4, 0.02), (5, 5.0)] {
        for ppm in [-100.0, -3.0, 0.0, 100.0] {
            let clock = Bent { offset_ns: (offset_s * 1e9) as i64, ppm, start_ns: 7_000 * SECOND };
            let seen = only(&exchanges(clock, 300, seed * 7919));
            for at_s in [0, 1, 60, 150, 299, 301] {
                let at_ns = clock.start_ns + at_s * SECOND;
                let found = seen.ahead_ns(at_ns).unwrap();
                holds(found, clock.ahead(at_ns), &format!("{offset_s} s, {ppm} ppm, after {at_s} s"));
                // Half of the mean round trip of 900 us: whoever took the middle of any exchange would be as wrong.
                assert!(found.error < 450_000.0, "{found:?}");
            }
            let drift = seen.drift_ppm().unwrap();
            holds(drift, ppm, "the drift");
            assert!(drift.error < 5.0, "{drift:?}");
            let day = seen.day_ahead_ns().unwrap();
            holds(day, clock.ahead(clock.start_ns + 299 * SECOND) + 250_000_000.0, "the time of day");
        }
    }
}

#[test]
fn few_exchanges_have_wide_bounds_that_hold() {
    let clock = Bent { offset_ns: 3_000_000_000, ppm: 100.0, start_ns: 50 * SECOND };
    for count in [1, 2, 3] {
        let seen = only(&exchanges(clock, count, 17));
        let later = clock.start_ns + 10 * SECOND;
        let found = seen.ahead_ns(later).unwrap();
        holds(found, clock.ahead(later), "from few");
        holds(seen.drift_ppm().unwrap(), 100.0, "the drift from few");
    }
    assert!(HostClock::of(&[]).is_empty());
    assert_eq!(only(&exchanges(clock, 3, 17)).ahead_ns(clock.start_ns + 3 * REACH_NS), None, "too long ago");
}

#[test]
fn a_rate_that_changes_widens_the_bound_and_a_restart_is_another_clock() {
    // 0 ppm for 30 s, then 200: what NTP does when it slews.
    let still = Bent { offset_ns: 0, ppm: 0.0, start_ns: SECOND };
    let slewed = Bent { offset_ns: 0, ppm: 200.0, start_ns: 31 * SECOND };
    let mut all = exchanges(still, 30, 3);
    all.extend(exchanges(slewed, 30, 4));
    let seen = only(&all);
    for at_s in [5, 29, 32, 45, 60] {
        let at_ns = at_s * SECOND;
        let truth = if at_s <= 31 { 0.0 } else { slewed.ahead(at_ns) };
        holds(seen.ahead_ns(at_ns).unwrap(), truth, &format!("after {at_s} s"));
    }
    let mut again = exchanges(Bent { offset_ns: -40, ..still }, 3, 5);
    again.iter_mut().for_each(|e| e.boot = "2".into());
    all.extend(again);
    let boots: Vec<String> = HostClock::of(&all).into_iter().map(|c| c.boot).collect();
    assert_eq!(boots, ["1", "2"]);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 48, failure_persistence: None, ..Default::default() })]

    #[test]
    fn wherever_a_clock_is_and_however_it_drifts_the_bound_holds_it(
        offset_ns in -2_000_000_000_000_i64..2_000_000_000_000, ppm in -80.0_f64..80.0, start_s in 3_000_u64..100_000,
        seconds in 2_u64..90, seed in proptest::prelude::any::<u64>(),
    ) {
        let clock = Bent { offset_ns, ppm, start_ns: start_s * SECOND };
        let known = HostClock::of(&exchanges(clock, seconds, seed));
        proptest::prop_assert_eq!((known.len(), known[0].exchanges() as u64 <= seconds), (1, true));
        for at in (0..seconds * 4).map(|quarter| clock.start_ns + quarter * SECOND / 4) {
            if let Some(found) = known[0].ahead_ns(at) {
                let truth = clock.ahead(at);
                // The clock of the test shows whole nanoseconds.
                proptest::prop_assert!((found.value - truth).abs() <= found.error + 2.0, "{:?} for {}", found, truth);
            }
        }
        if let Some(drift) = known[0].drift_ppm() {
            proptest::prop_assert!((drift.value - ppm).abs() <= drift.error + 0.01, "{:?} for {}", drift, ppm);
        }
    }
}
