//! Due times of every draw along every profile, against what is known of them.

use std::time::Duration;

use super::*;

const SECOND: u64 = 1_000_000_000;

fn open(draw: Draw, profile: Profile) -> Arrivals {
    Arrivals::Open { draw, profile }
}

fn offsets(arrivals: &Arrivals, seed: u64, n: usize) -> Vec<u64> {
    let mut s = Schedule::new(arrivals, 0, 10 * SECOND, seed);
    (0..n).map(|_| s.next_offset_ns()).collect()
}

fn constant(rate: f64, n: usize) -> Vec<u64> {
    offsets(&Arrivals::constant(rate), 1, n)
}

fn poisson(rate: f64, seed: u64, n: usize) -> Vec<u64> {
    offsets(&open(Draw::Poisson, Profile::Flat(rate)), seed, n)
}

fn until(mut schedule: Schedule, end: u64) -> Vec<u64> {
    std::iter::repeat_with(|| schedule.next_offset_ns()).take_while(|o| *o < end).collect()
}

#[test]
fn constant_arrivals_are_exact_after_any_time() {
    let o = constant(1000.0, 5001);
    assert!(o.iter().enumerate().all(|(i, o)| *o == i as u64 * 1_000_000));
    // A day at 10 000 a second: still on the nanosecond.
    let mut curve = Curve::new(&Profile::Flat(10_000.0), 0.0, 1e9);
    assert_eq!(curve.time_ns(864_000_000.0), 86_400_000_000_000);
    // Rates that do not divide a second: every third request falls on the second.
    assert_eq!(constant(3.0, 4), [0, 333_333_333, 666_666_666, SECOND]);
    // Less than one a second.
    assert_eq!(constant(0.5, 3), [0, 2 * SECOND, 4 * SECOND]);
}

#[test]
fn so_many_are_due_in_a_time_as_the_rate_says() {
    for (rate, seconds) in [(1.0, 7u64), (7.0, 3), (1000.0, 5), (2000.0, 10), (33_333.0, 2)] {
        let due = until(Schedule::new(&Arrivals::constant(rate), 0, seconds * SECOND, 1), seconds * SECOND).len();
        assert_eq!(due as f64, rate * seconds as f64, "rate {rate}");
    }
}

#[test]
fn poisson_gaps_have_the_mean_the_variance_and_the_shape_of_the_exponential() {
    let n = 200_000;
    let o = poisson(1000.0, 7, n + 1);
    let gaps: Vec<f64> = o.windows(2).map(|w| (w[1] - w[0]) as f64 / 1e6).collect(); // in ms, mean 1
    let mean = gaps.iter().sum::<f64>() / n as f64;
    let variance = gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / n as f64;
    // Five standard errors: of the mean 1/sqrt(n), of the variance sqrt(8/n).
    assert!((mean - 1.0).abs() < 5.0 / (n as f64).sqrt(), "mean {mean}");
    assert!((variance - 1.0).abs() < 5.0 * (8.0 / n as f64).sqrt(), "variance {variance}");
    // P(gap > x) = exp(-x), each within five standard errors of a share.
    for x in [0.1f64, 0.693, 1.0, 2.0, 4.0] {
        let want = (-x).exp();
        let got = gaps.iter().filter(|g| **g > x).count() as f64 / n as f64;
        assert!((got - want).abs() < 5.0 * (want * (1.0 - want) / n as f64).sqrt(), "x {x}: {got}, {want}");
    }
    // Independent: the correlation of neighbours is within five standard errors of none.
    let together = gaps.windows(2).map(|w| (w[0] - mean) * (w[1] - mean)).sum::<f64>() / (n as f64 * variance);
    assert!(together.abs() < 5.0 / (n as f64).sqrt(), "correlation {together}");
}

#[test]
fn poisson_counts_vary_from_one_window_to_the_next_as_they_should() {
    let o = poisson(1000.0, 3, 100_000);
    let mut counts = vec![0f64; 900];
    o.iter().map(|o| (*o / 100_000_000) as usize).filter(|w| *w < 900).for_each(|w| counts[w] += 1.0);
    let mean = counts.iter().sum::<f64>() / 900.0;
    let variance = counts.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / 899.0;
    // The index of dispersion of a Poisson process is 1, with standard error sqrt(2/(windows-1)).
    assert!((variance / mean - 1.0).abs() < 5.0 * (2.0f64 / 899.0).sqrt(), "{}", variance / mean);
}

#[test]
fn a_seed_draws_the_same_times_again_and_another_seed_others() {
    let one = poisson(500.0, 42, 1000);
    assert_eq!(one, poisson(500.0, 42, 1000));
    assert_ne!(one, poisson(500.0, 43, 1000));
    assert!(one.is_sorted());
}

#[test]
fn bursts_come_together_and_keep_the_rate() {
    let o = offsets(&open(Draw::Burst(4), Profile::Flat(1000.0)), 1, 12);
    assert_eq!(o, [[0; 4], [4_000_000; 4], [8_000_000; 4]].concat());
    let due = until(Schedule::new(&open(Draw::Burst(32), Profile::Flat(1000.0)), 0, SECOND, 1), SECOND).len();
    assert!((1000 - 31..=1024).contains(&due), "{due}");
}

#[test]
fn a_ramp_has_the_counts_of_its_area_at_every_time() {
    let ramp = |from, to| open(Draw::Constant, Profile::Ramp { from, to });
    for (from, to) in [(100.0, 1000.0), (1000.0, 100.0), (500.0, 500.0)] {
        let o = until(Schedule::new(&ramp(from, to), 0, 10 * SECOND, 1), 10 * SECOND);
        assert!(o.is_sorted());
        for t in [1.0f64, 2.5, 5.0, 9.0, 10.0] {
            let area = from * t + (to - from) * t * t / 20.0;
            let due = o.iter().filter(|o| **o < (t * 1e9) as u64).count() as f64;
            assert!((due - area).abs() <= 1.0, "{from} to {to} until {t}: {due}, and should be {area}");
        }
    }
    // The warm-up is at the first rate, and the ramp begins where it ends.
    let o = until(Schedule::new(&ramp(100.0, 300.0), 2 * SECOND, 10 * SECOND, 1), 12 * SECOND);
    assert_eq!(o.iter().filter(|o| **o < 2 * SECOND).count(), 200);
    assert_eq!(o.len(), 200 + 2000);
}

#[test]
fn steps_hold_their_rate_for_their_time_and_then_end() {
    let steps = vec![(100.0, Duration::from_secs(2)), (500.0, Duration::from_secs(1)), (50.0, Duration::from_secs(4))];
    let arrivals = open(Draw::Constant, Profile::Steps(steps));
    assert_eq!(arrivals.own_duration(), Some(Duration::from_secs(7)));
    assert_eq!(arrivals.mean_rate(Duration::from_secs(7)), Some(900.0 / 7.0));
    let o = until(Schedule::new(&arrivals, SECOND, 7 * SECOND, 1), NEVER);
    let between = |a: u64, b: u64| o.iter().filter(|o| (a * SECOND..b * SECOND).contains(o)).count();
    assert_eq!((between(0, 1), between(1, 3), between(3, 4), between(4, 8), o.len()), (100, 200, 500, 200, 1000));
}

#[test]
fn poisson_follows_a_profile_too() {
    let arrivals = open(Draw::Poisson, Profile::Ramp { from: 100.0, to: 1900.0 });
    let o = until(Schedule::new(&arrivals, 0, 100 * SECOND, 5), 100 * SECOND);
    // 100 000 in all; by the half of the time 100*50 + 18*50^2/2 = 27 500. Five standard errors.
    let early = o.iter().filter(|o| **o < 50 * SECOND).count() as f64;
    assert!((early - 27_500.0).abs() < 5.0 * 27_500f64.sqrt(), "{early}");
    assert!((o.len() as f64 - 100_000.0).abs() < 5.0 * 100_000f64.sqrt(), "{}", o.len());
}

#[test]
fn a_replay_is_due_when_it_says_after_the_warm_up_and_a_closed_loop_never_by_itself() {
    let replay = Arrivals::Replay(vec![5, 5, 900].into());
    let mut s = Schedule::new(&replay, 100, 1000, 1);
    let got: Vec<u64> = (0..4).map(|_| s.next_offset_ns()).collect();
    assert_eq!(got, [105, 105, 1000, NEVER]);
    assert_eq!(replay.own_duration(), Some(Duration::from_nanos(901)));
    assert_eq!(Schedule::new(&Arrivals::max(), 0, 1, 1).next_offset_ns(), NEVER);
}

#[test]
fn what_makes_no_load_is_refused() {
    let bad = [
        (open(Draw::Burst(0), Profile::Flat(1.0)), "the size of a burst is 0"),
        (Arrivals::Replay(Vec::new().into()), "the list of offsets is \"empty\""),
        (Arrivals::Replay(vec![2, 1].into()), "the list of offsets is \"not in order\""),
        (open(Draw::Constant, Profile::Steps(vec![])), "the rate is 0.0"),
        (open(Draw::Poisson, Profile::Ramp { from: 1.0, to: -1.0 }), "the rate is -1.0"),
    ];
    for (arrivals, says) in bad {
        let said = arrivals.check().unwrap_err().to_string();
        assert!(said.starts_with(says), "{said}");
    }
}
