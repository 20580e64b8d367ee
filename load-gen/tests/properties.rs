//! Laws of due times: whatever the draw and the profile, they rise, there are as many as the rate says, and those who share
//! a load make it whole.

// In a test a panic is the report.
#![allow(clippy::expect_used)]

use std::time::Duration;

use load_gen::schedule::{NEVER, Schedule};
use load_gen::{Arrivals, Draw, Profile};
use proptest::collection::vec;
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;

fn draw() -> impl Strategy<Value = Draw> {
    prop_oneof![Just(Draw::Constant), Just(Draw::Poisson), (1_u32..50).prop_map(Draw::Burst)]
}

fn rate() -> impl Strategy<Value = f64> {
    prop_oneof![1.0..50.0, 50.0..1500.0]
}

/// A profile, its length, and how many requests are due in it on average.
fn profile() -> impl Strategy<Value = (Profile, u64, f64)> {
    let flat = (rate(), 1_u64..5).prop_map(|(rate, s)| (Profile::Flat(rate), s * SECOND, rate * s as f64));
    let ramp = (rate(), rate(), 1_u64..5)
        .prop_map(|(from, to, s)| (Profile::Ramp { from, to }, s * SECOND, f64::midpoint(from, to) * s as f64));
    let steps = vec((rate(), 1_u64..3000), 1..5).prop_map(|steps| {
        let length: u64 = steps.iter().map(|(_, ms)| ms * 1_000_000).sum();
        let due = steps.iter().map(|(rate, ms)| rate * *ms as f64 / 1000.0).sum();
        let steps = steps.into_iter().map(|(rate, ms)| (rate, Duration::from_millis(ms))).collect();
        (Profile::Steps(steps), length, due)
    });
    prop_oneof![flat, ramp, steps]
}

fn due(mut schedule: Schedule, end_ns: u64) -> Vec<u64> {
    std::iter::repeat_with(|| schedule.next_offset_ns()).take_while(|at| *at < end_ns).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn requests_fall_due_in_order_and_as_many_as_the_rate_says(
        draw in draw(), (profile, length_ns, count) in profile(), warm_up_ms in 0_u64..1500, seed in any::<u64>(),
    ) {
        let warm_up_ns = warm_up_ms * 1_000_000;
        let first = match &profile {
            Profile::Flat(rate) | Profile::Ramp { from: rate, .. } => *rate,
            Profile::Steps(steps) => steps[0].0,
        };
        let arrivals = Arrivals::Open { draw, profile };
        let all = due(Schedule::new(&arrivals, warm_up_ns, length_ns, seed), warm_up_ns + length_ns);
        prop_assert!(all.is_sorted());
        let measured = all.iter().filter(|at| **at >= warm_up_ns).count() as f64;
        let warming = all.len() as f64 - measured;
        // A request at each end is on either side of it; a burst comes whole; of Poisson draws six standard errors.
        let slack = |mean: f64| match draw {
            Draw::Constant => 2.0,
            Draw::Poisson => 6.0 * mean.sqrt() + 6.0,
            Draw::Burst(size) => f64::from(size) + 2.0,
        };
        let warm_up_count = first * warm_up_ms as f64 / 1000.0;
        prop_assert!((measured - count).abs() <= slack(count), "{} for {}", measured, count);
        prop_assert!((warming - warm_up_count).abs() <= slack(warm_up_count), "{} for {}", warming, warm_up_count);
        // The same again, from the same seed.
        prop_assert_eq!(&due(Schedule::new(&arrivals, warm_up_ns, length_ns, seed), warm_up_ns + length_ns), &all);
    }

    #[test]
    fn those_who_share_a_load_make_every_request_of_it_once(
        draw in draw(), (profile, length_ns, _) in profile(), of in 1_usize..9, seed in any::<u64>(),
    ) {
        let arrivals = Arrivals::Open { draw, profile };
        let whole = due(Schedule::new(&arrivals, 0, length_ns, seed), length_ns);
        // Each draws the whole plan and takes every of-th of it, as threads and generators do.
        let portion = |at: usize| {
            let own = due(Schedule::new(&arrivals, 0, length_ns, seed), length_ns);
            own.into_iter().enumerate().filter(move |(index, _)| index % of == at).collect::<Vec<_>>()
        };
        let mut together: Vec<(usize, u64)> = (0..of).flat_map(portion).collect();
        together.sort_unstable();
        prop_assert_eq!(together, whole.into_iter().enumerate().collect::<Vec<_>>());
    }

    #[test]
    fn a_replay_is_due_as_it_was_recorded(mut offsets in vec(0..10 * SECOND, 1..200), warm_up_ns in 0..2 * SECOND) {
        offsets.sort_unstable();
        let arrivals = Arrivals::Replay(offsets.clone().into());
        let mut schedule = Schedule::new(&arrivals, warm_up_ns, 10 * SECOND, 1);
        for offset in &offsets {
            prop_assert_eq!(schedule.next_offset_ns(), warm_up_ns + offset);
        }
        prop_assert_eq!(schedule.next_offset_ns(), NEVER);
        let within = |from: u64| offsets.iter().filter(|at| (from..from + SECOND).contains(*at)).count();
        let most = offsets.iter().map(|from| within(*from)).max().expect("one at least");
        prop_assert_eq!(arrivals.highest(), Some(most as f64));
    }
}
