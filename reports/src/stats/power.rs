//! What so many pairs can tell: the smallest change that is found, the pairs that a limit needs, the smallest limit that
//! a budget can decide, and how likely the pairs that are left decide.
//!
//! All by the law of Student's t, to which the signed-rank test comes within a few percent for differences that are
//! roughly normal (Hollander & Wolfe, ch. 3); they advise, and decide nothing.

use statrs::distribution::{ContinuousCDF as _, StudentsT};

use super::cuts::{PAIRS_MOST, fewest_pairs, last_level};
use super::sequential::Rule;

/// How likely a change of the size that is printed is found.
const POWER: f64 = 0.8;

/// The value that a t of so many degrees of freedom stays below with the probability `p`; none outside of 0 to 1, or
/// without a degree of freedom.
pub(crate) fn t_quantile(p: f64, degrees: usize) -> Option<f64> {
    if !(p > 0.0 && p < 1.0) {
        return None;
    }
    StudentsT::new(0.0, 1.0, degrees as f64).ok().map(|t| t.inverse_cdf(p))
}

/// The probability of a t below `x`.
fn t_below(x: f64, degrees: usize) -> f64 {
    StudentsT::new(0.0, 1.0, degrees as f64).map_or(0.5, |t| t.cdf(x))
}

/// The standard deviation of differences; none of fewer than two.
pub fn spread(differences: &[f64]) -> Option<f64> {
    let n = differences.len() as f64;
    if differences.len() < 2 {
        return None;
    }
    let mean = differences.iter().sum::<f64>() / n;
    Some((differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt())
}

/// The smallest change that a two-sided interval of this level over so many pairs leaves 0 out for with a probability
/// of 80 %, in the unit of the standard deviation `sd` of the differences. None where there is no interval.
pub fn detectable(sd: f64, pairs: usize, level: f64) -> Option<f64> {
    let degrees = pairs.checked_sub(1)?;
    let t = t_quantile(f64::midpoint(level, 1.0), degrees)? + t_quantile(POWER, degrees)?;
    Some(t * sd / (pairs as f64).sqrt())
}

/// The smallest slowdown that the rule fails with a probability of 80 % once its budget is spent; `sd` is of
/// differences of logarithms. 0.23 is 23 %; none where the budget can prove nothing.
pub fn detectable_by(rule: &Rule, sd: f64) -> Option<f64> {
    let pairs = rule.pairs_max.min(PAIRS_MOST);
    let degrees = pairs.checked_sub(1)?;
    let error = sd / (pairs as f64).sqrt();
    let cut = last_t(pairs, rule.alpha)?;
    let found = t_quantile(POWER, degrees)?;
    let proven = rule.tolerance.ln_1p() + (cut + found) * error;
    let over = rule.limit.ln_1p() + found * error;
    Some(proven.max(over).exp_m1())
}

/// The budget of pairs with which the rule passes what did not change with a probability of 80 %; none where more than
/// [`PAIRS_MOST`] would be needed.
pub fn pairs_needed(rule: &Rule, sd: f64) -> Option<usize> {
    // What the last look keeps of the level hardly depends on the budget, so that of one stands for all.
    let level = last_level(rule.pairs_max.clamp(USUAL_BUDGET, PAIRS_MOST), rule.beta)?;
    let decides = |pairs: &usize| limit_at(*pairs, level, sd).is_some_and(|limit| limit <= rule.limit);
    (fewest_pairs(rule.beta)?.max(2)..=PAIRS_MOST).find(decides)
}

/// The smallest limit that the rule's budget passes what did not change with, with a probability of 80 %; none where the
/// budget can prove nothing.
pub fn limit_decidable(rule: &Rule, sd: f64) -> Option<f64> {
    let pairs = rule.pairs_max.min(PAIRS_MOST);
    limit_at(pairs, last_level(pairs, rule.beta)?, sd)
}

/// The budget whose last look stands for that of smaller ones, which cannot use up their level.
const USUAL_BUDGET: usize = 20;

fn limit_at(pairs: usize, last_level: f64, sd: f64) -> Option<f64> {
    let degrees = pairs.checked_sub(1)?;
    let t = t_quantile(1.0 - last_level, degrees)? + t_quantile(POWER, degrees)?;
    Some((t * sd / (pairs as f64).sqrt()).exp_m1())
}

/// The t that stands for the cut of the last look.
fn last_t(pairs: usize, alpha: f64) -> Option<f64> {
    t_quantile(1.0 - last_level(pairs, alpha)?, pairs.checked_sub(1)?)
}

/// What the pairs that are left of a budget may still bring.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outlook {
    last: usize,
    limit: f64,
    tolerance: f64,
    /// The t that stands for the cuts of the last look; none where they cannot be reached.
    slower_t: Option<f64>,
    below_t: Option<f64>,
}

impl Outlook {
    pub(super) fn new(rule: &Rule, family: usize) -> Self {
        let last = rule.pairs_max.min(PAIRS_MOST);
        Self {
            last,
            limit: rule.limit.ln_1p(),
            tolerance: rule.tolerance.ln_1p(),
            slower_t: last_t(last, rule.alpha / family as f64),
            below_t: last_t(last, rule.beta),
        }
    }

    /// How likely the last look decides, by the pairs there are and their typical difference: where the mean of all will
    /// lie is uncertain by what the pairs to come will scatter and by what is not known of the true one (Spiegelhalter,
    /// Freedman & Blackburn 1986).
    pub(super) fn chance_to_decide(&self, d: &[f64], typical: f64, slower: bool) -> f64 {
        let Some(sd) = spread(d).filter(|sd| *sd > 0.0 && d.len() < self.last) else { return 1.0 };
        let (n, all) = (d.len() as f64, self.last as f64);
        let (scatter, error) = (sd * ((all - n) / (n * all)).sqrt(), sd / all.sqrt());
        let below = |x: f64| t_below((x - typical) / scatter, d.len() - 1);
        let passes = self.below_t.map_or(0.0, |t| below(self.limit - t * error));
        let proof = if slower { Some(f64::NEG_INFINITY) } else { self.slower_t.map(|t| self.tolerance + t * error) };
        let fails = proof.map_or(0.0, |proof| 1.0 - below(self.limit.max(proof)));
        (passes + fails).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_t_are_those_of_the_tables() {
        for (p, degrees, t) in
            [(0.975, 4, 2.776_445), (0.8, 19, 0.860_951), (0.975, 30, 2.042_272), (0.9, 1, 3.077_684)]
        {
            assert!((t_quantile(p, degrees).unwrap() - t).abs() < 1e-5, "{p} {degrees}");
        }
        assert_eq!((t_quantile(0.9, 0), t_quantile(1.0, 4)), (None, None));
        assert_eq!((spread(&[1.0]), spread(&[1.0, 3.0])), (None, Some(2f64.sqrt())));
    }

    #[test]
    fn what_a_comparison_can_find_is_computed_by_hand() {
        // (2.776 + 0.941) * 0.1 / sqrt(5)
        assert!((detectable(0.1, 5, 0.95).unwrap() - 0.166_3).abs() < 2e-4);
        assert_eq!(detectable(0.1, 1, 0.95), None);
        assert_eq!(detectable(0.1, 5, 1.0), None);
    }

    #[test]
    fn what_a_gate_can_find_is_that_of_the_simulations() {
        // The noisy model: a standard deviation of 0.324 and 20 pairs; the simulated 80 % point lies at 23 %.
        let rule = Rule::default();
        let found = detectable_by(&rule, 0.324).unwrap();
        assert!((found - 0.23).abs() < 0.02, "{found}");
        // Twenty pairs decide 23 % there, and 10 % needs many more.
        let limit = limit_decidable(&rule, 0.324).unwrap();
        assert!((limit - 0.23).abs() < 0.02, "{limit}");
        let pairs = pairs_needed(&rule, 0.324).unwrap();
        assert!((80..110).contains(&pairs), "{pairs}");
        assert_eq!(pairs_needed(&rule, 0.0), Some(5));
        assert_eq!(pairs_needed(&rule, 3.0), None);
        assert_eq!(detectable_by(&Rule { pairs_max: 4, ..rule }, 0.1), None);
    }

    #[test]
    fn a_smaller_limit_needs_more_pairs_and_a_larger_budget_decides_a_smaller_one() {
        let pairs = |limit| pairs_needed(&Rule { limit, ..Rule::default() }, 0.1).unwrap();
        assert!(pairs(0.05) > pairs(0.1) && pairs(0.1) > pairs(0.2), "{} {} {}", pairs(0.05), pairs(0.1), pairs(0.2));
        let limit = |pairs_max| limit_decidable(&Rule { pairs_max, ..Rule::default() }, 0.1).unwrap();
        assert!(limit(10) > limit(20) && limit(20) > limit(40));
    }
}
