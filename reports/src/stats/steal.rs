//! The adjustment of differences for CPU time that the hypervisor took away: a covariate that the candidate has no part in
//! explains a part of their scatter (Fisher 1932; Deng, Xu, Kohavi & Walker 2013).
//!
//! The signal of a pair is the difference of its trials' logarithms of steal. It is as likely to be of either sign as the
//! order within the pair is drawn, so taking out its share bends no comparison; but only as long as the candidate itself
//! does not change it. One that makes the hypervisor take more away (a machine whose credits it burns) works through the
//! signal, and an adjustment would hide just that: a guard refuses then.

use super::cuts::looks;
use super::sequential::{Decision, Judgement, Rule, judge, judge_by};
use super::signed_rank::{cumulative, statistic};

/// Below this p value of "the signal does not depend on the candidate" there is no adjustment.
pub const GUARD: f64 = 0.1;
/// From so many pairs on a slope may be taken of the pairs themselves.
pub const PAIRS_FOR_A_SLOPE: usize = 10;
/// What is spent of alpha and beta where the slope is taken of the pairs themselves: it fits their scatter a little too
/// well, by one part in eleven to nineteen of its variance, so that the rest looks surer than it is.
const OWN_SLOPE_SPENDS: f64 = 0.85;

/// What the pairs say as they are, and with the steal taken out.
#[derive(Clone, Debug, PartialEq)]
pub struct Adjusted {
    /// As they are.
    pub raw: Judgement,
    /// With steal taken out; none where the guard refuses.
    pub adjusted: Option<Judgement>,
    /// How likely the signals are of pairs whose trials are alike in steal, two-sided; below [`GUARD`] it refuses.
    pub guard_p: f64,
    /// By how much the logarithm of a figure rises with that of steal; none where there were too few pairs for one of
    /// their own.
    pub slope: Option<f64>,
    verdict: Judgement,
}

impl Adjusted {
    /// The judgement that counts. It is the adjusted one, but where the guard refuses: there it is that of the pairs as they
    /// are, which passes only if the adjusted one does too, and fails only at half of alpha: steal that lies on the candidate's
    /// side by chance bends both the guard and the raw differences.
    pub fn judgement(&self) -> &Judgement {
        &self.verdict
    }
}

/// The signal of each pair from the shares of CPU time taken from the baseline's and from the candidate's trial, 0 to 1.
/// `tick_share` is one clock tick as a share of a trial, all of what a count can tell: it is added to both, so that none
/// at all has a logarithm.
pub fn signals(shares: &[(f64, f64)], tick_share: f64) -> Vec<f64> {
    shares.iter().map(|(baseline, candidate)| (candidate + tick_share).ln() - (baseline + tick_share).ln()).collect()
}

/// The slope of differences over signals: least squares. None without any scatter of the signal.
///
/// Of earlier runs of a machine against itself this is the slope to adjust by; of the pairs that are judged, it is taken
/// of ten at least.
pub fn slope(log_ratios: &[f64], signals: &[f64]) -> Option<f64> {
    let n = log_ratios.len().min(signals.len());
    let mean = |v: &[f64]| v[..n].iter().sum::<f64>() / n as f64;
    let (mid_d, mid_x) = (mean(log_ratios), mean(signals));
    let both = log_ratios.iter().zip(signals);
    let (products, squares) =
        both.fold((0.0, 0.0), |(p, s), (d, x)| (p + (d - mid_d) * (x - mid_x), s + (x - mid_x).powi(2)));
    (squares > 0.0).then_some(products / squares)
}

/// Judges pairs as they are and with steal taken out.
///
/// `from_history` is a slope of earlier runs; without one it is taken of the pairs, at each look of those there are, and
/// nothing is decided before the tenth. Both vectors are in the order in which the pairs were made and of equal length.
pub fn judge_adjusted(rule: &Rule, log_ratios: &[f64], signals: &[f64], from_history: Option<f64>) -> Adjusted {
    let slope_of = |pairs: usize| match from_history {
        None if pairs < PAIRS_FOR_A_SLOPE => None,
        None => slope(&log_ratios[..pairs], &signals[..pairs]),
        known => known,
    };
    let without_steal = |pairs: usize| -> Vec<f64> {
        let without = |(d, x): (&f64, &f64)| slope_of(pairs).map_or(UNKNOWN, |slope| d - slope * x);
        log_ratios[..pairs].iter().zip(signals).map(without).collect()
    };
    let raw = judge(rule, log_ratios);
    let strict = judge(&Rule { alpha: rule.alpha / 2.0, ..*rule }, log_ratios);
    let spends = if from_history.is_some() { 1.0 } else { OWN_SLOPE_SPENDS };
    let careful = Rule { alpha: rule.alpha * spends, beta: rule.beta * spends, ..*rule };
    let adjusted = judge_by(&careful, log_ratios.len().min(signals.len()), &without_steal);
    // The first look at which there is a verdict, by what the guard says there.
    let by = |judgement: &Judgement, look: usize, decision: Decision| {
        judgement.look <= look && judgement.decision == decision
    };
    let verdict_at = |look: &usize| -> Option<(usize, Decision)> {
        let refused = two_sided(&signals[..*look]) < GUARD;
        let decided = [Decision::Fail, Decision::Pass].into_iter().find(|decision| match (refused, decision) {
            (false, _) => by(&adjusted, *look, *decision),
            (true, Decision::Pass) => by(&adjusted, *look, Decision::Pass) && by(&raw, *look, Decision::Pass),
            (true, _) => by(&strict, *look, *decision),
        });
        decided.map(|decision| (*look, decision))
    };
    let seen: Vec<usize> = looks(rule.pairs_max).into_iter().filter(|look| *look <= signals.len()).collect();
    let found = seen.iter().find_map(verdict_at);
    let look = found.map_or(seen.last().copied().unwrap_or(signals.len()), |(look, _)| look);
    let guard_p = two_sided(&signals[..look]);
    let refused = guard_p < GUARD;
    let of = if refused { &raw } else { &adjusted };
    let undecided = match of.decision {
        Decision::Fail | Decision::Pass if look < rule.pairs_max => Decision::Continue,
        Decision::Fail | Decision::Pass => Decision::Spent,
        other => other,
    };
    let verdict = Judgement { decision: found.map_or(undecided, |(_, decision)| decision), look, ..*of };
    Adjusted { raw, slope: slope_of(look), adjusted: (!refused).then_some(adjusted), guard_p, verdict }
}

/// A difference whose share of steal is not known yet: it has no sign.
const UNKNOWN: f64 = f64::NAN;

/// The exact p value of the signed-rank test around zero, two-sided.
fn two_sided(values: &[f64]) -> f64 {
    let n = values.len();
    let most = (n * (n + 1) / 2) as f64;
    // How much the smaller of both sums of ranks is at most.
    let smaller = ((most - statistic(values, 0.0).abs()) / 2.0).floor().max(0.0) as usize;
    cumulative(n).get(smaller).map_or(1.0, |p| (2.0 * p).min(1.0))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::super::chance::normal;
    use super::*;

    /// Pairs whose differences follow the signal with a slope of 0.3, and what is left of the scatter.
    fn drawn(rng: &mut ChaCha8Rng, pairs: usize, ratio: f64, extra_steal: f64) -> (Vec<f64>, Vec<f64>) {
        (0..pairs)
            .map(|_| {
                let x = normal(rng) + extra_steal;
                (f64::ln(ratio) + 0.3 * x + 0.05 * normal(rng), x)
            })
            .unzip()
    }

    #[test]
    fn what_steal_explains_is_taken_out() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let (mut raw, mut adjusted, mut refused) = (0, 0, 0);
        for _ in 0..100 {
            let (d, x) = drawn(&mut rng, 20, 1.15, 0.0);
            let found = judge_adjusted(&Rule::default(), &d, &x, None);
            raw += usize::from(found.raw.decision == Decision::Fail);
            refused += usize::from(found.adjusted.is_none());
            adjusted += usize::from(found.adjusted.is_some_and(|a| a.decision == Decision::Fail));
            assert!((found.slope.unwrap_or(0.3) - 0.3).abs() < 0.1, "{found:?}");
        }
        assert!(
            refused < 25 && adjusted + refused >= 98 && raw < 70,
            "{raw} raw, {adjusted} adjusted, {refused} refused"
        );
    }

    #[test]
    fn no_change_fails_no_more_often_with_it() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let fails = |history: Option<f64>, rng: &mut ChaCha8Rng| {
            (0..300)
                .filter(|_| {
                    let (d, x) = drawn(rng, 20, 1.0, 0.0);
                    judge_adjusted(&Rule::default(), &d, &x, history).judgement().slower
                })
                .count()
        };
        // 5 % of 300 is 15; three standard deviations are 11.
        let (own, history) = (fails(None, &mut rng), fails(Some(0.3), &mut rng));
        assert!(own <= 26 && history <= 26, "{own} {history}");
    }

    #[test]
    fn a_candidate_that_works_through_steal_is_not_excused() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let refused = (0..100)
            .filter(|_| {
                let (d, x) = drawn(&mut rng, 20, 1.0, 2.0);
                let found = judge_adjusted(&Rule::default(), &d, &x, Some(0.3));
                assert!(found.adjusted.is_some() || found.guard_p < GUARD);
                found.adjusted.is_none()
            })
            .count();
        assert!(refused >= 85, "{refused}");
    }

    #[test]
    fn a_signal_is_a_ratio_of_shares_and_of_none_it_is_nothing() {
        let x = signals(&[(0.0, 0.0), (0.01, 0.03), (0.2, 0.0)], 0.001);
        assert_eq!(x[0], 0.0);
        assert!((x[1] - (0.031_f64 / 0.011).ln()).abs() < 1e-12 && x[2] < 0.0);
        assert_eq!(slope(&[1.0, 2.0], &[3.0, 3.0]), None);
        assert_eq!(slope(&[1.0, 2.0, 3.0], &[0.0, 2.0, 4.0]), Some(0.5));
        assert_eq!(slope(&[], &[]), None);
    }

    #[test]
    fn the_guard_is_the_exact_test() {
        // Five of one sign: twice 1/32. An even split: 1.
        assert!((two_sided(&[0.1, 0.2, 0.3, 0.4, 0.5]) - 0.0625).abs() < 1e-12);
        assert_eq!(two_sided(&[0.1, -0.2, -0.3, 0.4]), 1.0);
        assert_eq!((two_sided(&[]), two_sided(&[0.0; 6])), (1.0, 1.0));
    }
}
