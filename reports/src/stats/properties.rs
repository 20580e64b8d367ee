//! Laws of the statistics: what holds of them whatever the values are, and by how much an interval may miss.

use proptest::collection::vec;
use proptest::prelude::*;

use super::binomial;
use super::discovery::believed;
use super::holm;
use super::sequential::{Decision, Rule, judge, judge_family};
use super::{Estimate, Scale};

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * (1.0 + a.abs().max(b.abs()))
}

/// Times or ratios, some of them equal.
fn values() -> impl Strategy<Value = Vec<f64>> {
    vec(prop_oneof![4 => 0.001..1000.0, 1 => (1_u32..5).prop_map(f64::from)], 2..14)
}

/// Probabilities, some of them equal.
fn chances() -> impl Strategy<Value = Vec<f64>> {
    vec(prop_oneof![4 => 0.0..1.0, 2 => 0.0..0.05, 1 => Just(0.01), 1 => Just(1.0)], 0..20)
}

fn ends(estimate: &Estimate) -> (f64, f64) {
    (estimate.low.expect("of two trials"), estimate.high.expect("of two trials"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_estimate_lies_in_its_interval_which_is_the_wider_the_surer_it_must_be(values in values(), factor in any::<bool>()) {
        let scale = if factor { Scale::Factor } else { Scale::Plain };
        let mut before: Option<Estimate> = None;
        for level in [0.5, 0.8, 0.9, 0.95, 0.99, 0.999] {
            let estimate = Estimate::over(&values, scale, level).expect("of some values");
            let (low, high) = ends(&estimate);
            prop_assert!(low <= estimate.value && estimate.value <= high, "{:?}", estimate);
            let (least, most) = values.iter().fold((f64::MAX, 0.0_f64), |(l, m), v| (l.min(*v), m.max(*v)));
            prop_assert!(low >= least * (1.0 - 1e-9) && high <= most * (1.0 + 1e-9), "{:?}", estimate);
            // It reaches what was asked for, or is the widest there is.
            prop_assert!(estimate.level >= level - 1e-12 || near(low, least) && near(high, most), "{:?}", estimate);
            if let Some(before) = before {
                let (inner_low, inner_high) = ends(&before);
                prop_assert!(low <= inner_low && high >= inner_high && estimate.level >= before.level);
                prop_assert_eq!(estimate.value, before.value);
            }
            before = Some(estimate);
        }
    }

    #[test]
    fn an_estimate_knows_no_order_and_no_unit(values in values(), unit in 0.01..100.0) {
        let estimate = Estimate::over(&values, Scale::Factor, 0.9).expect("of some values");
        let mut turned: Vec<f64> = values.iter().map(|value| value * unit).collect();
        turned.reverse();
        let other = Estimate::over(&turned, Scale::Factor, 0.9).expect("of some values");
        let ((low, high), (other_low, other_high)) = (ends(&estimate), ends(&other));
        prop_assert!(near(estimate.value * unit, other.value) && near(low * unit, other_low) && near(high * unit, other_high));
    }

    #[test]
    fn the_interval_of_a_share_holds_it_and_moves_with_the_count(n in 1_u64..60, level in 0.5..0.999) {
        let mut before = (0.0, 0.0);
        for k in 0..=n {
            let (low, high) = binomial::interval(k, n, level);
            let share = k as f64 / n as f64;
            prop_assert!((0.0..=1.0).contains(&low) && (0.0..=1.0).contains(&high));
            prop_assert!(low <= share + 1e-9 && share <= high + 1e-9, "{} of {}: {} {}", k, n, low, high);
            prop_assert!(low >= before.0 - 1e-9 && high >= before.1 - 1e-9);
            before = (low, high);
        }
    }

    #[test]
    fn the_interval_of_a_share_misses_it_no_more_often_than_it_says(n in 1_u64..40, p in 0.01..0.99, level in 0.5..0.999) {
        // By the law itself, without a draw: the chance of all counts whose interval does not hold the share.
        let chance = |k: u64| binomial::at_most(k, n, p) - if k == 0 { 0.0 } else { binomial::at_most(k - 1, n, p) };
        let missed: f64 = (0..=n)
            .filter(|k| {
                let (low, high) = binomial::interval(*k, n, level);
                p < low - 1e-9 || p > high + 1e-9
            })
            .map(chance)
            .sum();
        prop_assert!(missed <= 1.0 - level + 1e-6, "{} missed at {}", missed, level);
    }

    #[test]
    fn findings_that_are_believed_are_those_of_benjamini_and_hochberg(chances in chances(), rate in 0.001..0.5) {
        let found = believed(&chances, rate);
        let (m, mut sorted) = (chances.len() as f64, chances.clone());
        sorted.sort_unstable_by(f64::total_cmp);
        let kept = (1..=sorted.len()).rev().find(|k| sorted[k - 1] <= rate * *k as f64 / m).unwrap_or(0);
        let told = found.iter().filter(|found| **found).count();
        // Of equal ones none is believed alone.
        prop_assert!(told >= kept && (kept == 0) == (told == 0));
        for (one, found_one) in chances.iter().zip(&found) {
            for (other, found_other) in chances.iter().zip(&found) {
                prop_assert!(one > other || *found_one || !*found_other, "{} and not {}", other, one);
            }
        }
        let wider = believed(&chances, rate * 1.5);
        prop_assert!(found.iter().zip(&wider).all(|(narrow, wide)| *wide || !*narrow));
    }

    #[test]
    fn a_family_is_adjusted_as_holm_says(chances in chances()) {
        let mut order: Vec<usize> = (0..chances.len()).collect();
        order.sort_by(|a, b| chances[*a].total_cmp(&chances[*b]));
        let mut wanted = vec![0.0; chances.len()];
        let mut largest = 0.0_f64;
        for (place, at) in order.iter().enumerate() {
            largest = largest.max(((chances.len() - place) as f64 * chances[*at]).min(1.0));
            wanted[*at] = largest;
        }
        let found = holm::adjusted(&chances);
        prop_assert!(found.len() == wanted.len() && found.iter().zip(&wanted).all(|(a, b)| near(*a, *b)), "{:?}", found);
    }
}

proptest! {
    // Each case takes the law of some twenty pairs several times.
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_decision_stands_whatever_pairs_come_after_it(
        pairs in vec(-0.3..0.5, 1..20), more in vec(-2.0..2.0, 1..10), limit in 0.02..0.3,
    ) {
        let rule = Rule { limit, ..Rule::default() };
        let decided = judge(&rule, &pairs);
        if matches!(decided.decision, Decision::Pass | Decision::Fail) {
            let longer: Vec<f64> = pairs.iter().chain(&more).copied().collect();
            let after = judge(&rule, &longer);
            prop_assert_eq!((after.decision, after.look), (decided.decision, decided.look));
        }
        prop_assert!(decided.look <= decided.pairs && (0.0..=1.0).contains(&decided.p_slower));
        // A family of one is that one; in a larger one nobody is found slower who is not so alone.
        // As text: what is not known yet is no number, which is not even itself.
        prop_assert_eq!(format!("{:?}", judge_family(&[(rule, &pairs)])[0]), format!("{decided:?}"));
        let other: Vec<f64> = pairs.iter().map(|d| -d).collect();
        let both = judge_family(&[(rule, &pairs), (rule, &other)]);
        prop_assert!(decided.slower || !both[0].slower);
    }
}
