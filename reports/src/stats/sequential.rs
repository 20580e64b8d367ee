//! Whether something is slower than it may be, decided while pairs of trials come in: two one-sided sequential
//! signed-rank tests with the limit between them.
//!
//! Each pair gives one difference of logarithms. It FAILS when it is proven, at `alpha`, that there is some slowdown
//! beyond the tolerance, and the estimate lies at or over the limit; it PASSES when it is proven, at `beta`, that the
//! slowdown lies below the limit. Both proofs hold at any look (see [`cuts`]), so pairs may be added until one is there,
//! and one that was found stays found. What both need is that the differences are independent and symmetric, which
//! "no change" guarantees where the order within each pair is drawn.

use super::course::{Course, Pairs, kept};
use super::cuts::{PAIRS_MOST, cuts, looks};
use super::estimate::{Estimate, Scale, middle, walsh};

/// What is to be decided, and how sure it must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// The slowdown from which on it fails: 0.1 is 10 %; 0 where the differences are those to an objective itself.
    pub limit: f64,
    /// The slowdown that counts as none.
    pub tolerance: f64,
    /// How likely it may fail although it is not slower than the tolerance.
    pub alpha: f64,
    /// How likely it may pass although it is as slow as the limit.
    pub beta: f64,
    /// The most pairs that are made; of more than [`PAIRS_MOST`] the first so many are judged.
    pub pairs_max: usize,
}

impl Default for Rule {
    fn default() -> Self {
        Self { limit: 0.1, tolerance: 0.0, alpha: 0.05, beta: 0.05, pairs_max: 20 }
    }
}

/// What the pairs say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Slower than the tolerance for sure, and at or over the limit by the estimate.
    Fail,
    /// Below the limit for sure.
    Pass,
    /// Not decided yet: more pairs may.
    Continue,
    /// Not decided, and unlikely to be with the pairs that are left.
    Futile,
    /// Not decided with all pairs of the budget.
    Spent,
}

impl Decision {
    /// Whether more pairs would change anything.
    pub fn is_final(self) -> bool {
        self != Self::Continue
    }
}

/// What the pairs say of one figure, and why.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judgement {
    /// What they say.
    pub decision: Decision,
    /// The look that it is of, in pairs: the one that decided, else the last there was; 0 before the first.
    pub look: usize,
    /// The pairs there are, those after the deciding look included.
    pub pairs: usize,
    /// How many times as long, of the pairs up to the look: the lower end holds with `1 - alpha`, the upper with
    /// `1 - beta`, each at all looks together. An end that so few pairs cannot give is absent.
    pub ratio: Estimate,
    /// The smallest level at which it would be proven by now that it is slower than the tolerance, rounded up to one of a
    /// ladder of levels a tenth apart; 1 where that is over a half.
    pub p_slower: f64,
    /// The same of the proof that it lies below the limit.
    pub p_below: f64,
    /// Whether "slower than the tolerance" is proven, at this or an earlier look.
    pub slower: bool,
    /// How likely the pairs that are left bring a decision, by what is known so far; 1 where it is decided.
    pub chance_to_decide: f64,
}

/// Judges one figure by the logarithms of its ratios, in the order in which the pairs were made.
///
/// For an objective the differences of each trial's logarithm to that of the objective serve as well, with a limit and a
/// tolerance of 0. Differences of one size share the mean of their ranks and one of nothing has no sign (Pratt 1959); so
/// has one that is no number. Both make a proof harder and not easier. A decision is that of the first look that allows
/// for one: pairs that were added afterwards change nothing.
pub fn judge(rule: &Rule, log_ratios: &[f64]) -> Judgement {
    alone(rule, Pairs::Given(log_ratios))
}

/// Judges one figure whose differences depend on how many pairs there are: `first` gives those of the first so many, and
/// there are `pairs` of them.
pub(super) fn judge_by(rule: &Rule, pairs: usize, first: &dyn Fn(usize) -> Vec<f64>) -> Judgement {
    alone(rule, Pairs::Made(pairs, first))
}

fn alone(rule: &Rule, pairs: Pairs<'_>) -> Judgement {
    let mut course = [Course::new(rule, pairs, 1)];
    run(&mut course, rule.pairs_max);
    course[0].judgement()
}

/// Judges several figures as one family: the chance that any of those that did not slow down fails is at most `alpha`
/// (Holm 1979, over sequential proofs: at each look the smallest level must be a part of alpha, the next of one part
/// fewer, and so on). To pass, all must pass, and that needs no correction.
pub fn judge_family(figures: &[(Rule, &[f64])]) -> Vec<Judgement> {
    let all = figures.len();
    let mut courses: Vec<Course<'_>> =
        figures.iter().map(|figure| Course::new(&figure.0, Pairs::Given(figure.1), all)).collect();
    run(&mut courses, figures.iter().map(|(rule, _)| rule.pairs_max).max().unwrap_or(0));
    courses.iter().map(Course::judgement).collect()
}

/// Lets all looks of a budget pass by.
fn run(courses: &mut [Course<'_>], pairs_max: usize) {
    for pairs in 1..=pairs_max.min(PAIRS_MOST) {
        courses.iter_mut().for_each(|course| course.look_at(pairs));
        // Each that is proven leaves more of the level to the others.
        loop {
            let parts = courses.iter().filter(|course| !course.slower).count();
            match courses.iter_mut().find(|course| course.may_be_called_slower(parts)) {
                Some(course) => course.slower = true,
                None => break,
            }
        }
        courses.iter_mut().for_each(|course| course.decide(pairs));
    }
}

impl Estimate {
    /// The typical trial, with an interval that holds its level although it is looked at after so many trials as
    /// [`looks`] says for a budget of `trials_max`, and trials end when it is tight enough (Jennison & Turnbull 1989):
    /// wider than that of [`Estimate::over`], which is for a number of trials fixed beforehand.
    ///
    /// It is of the trials up to the last look; before the first one, and where so few trials cannot reach the level,
    /// there is no interval. None of no values, and of one that is no number.
    pub fn repeated(values: &[f64], scale: Scale, level: f64, trials_max: usize) -> Option<Self> {
        let factor = scale == Scale::Factor && values.iter().all(|v| *v > 0.0);
        let looks = looks(trials_max);
        let last = looks.iter().rposition(|n| *n <= values.len());
        let seen = last.map_or(values, |at| &values[..looks[at]]);
        let scaled: Vec<f64> = seen.iter().map(|v| if factor { v.ln() } else { *v }).collect();
        if scaled.is_empty() || scaled.iter().any(|v| !v.is_finite()) {
            return None;
        }
        let back = |v: f64| if factor { v.exp() } else { v };
        let averages = walsh(&scaled);
        let cut = last.and_then(|at| cuts(&looks, (1.0 - level) / 2.0).get(at).copied().flatten());
        let interval = cut.and_then(|cut| kept(&averages, f64::from(cut)));
        Some(Self {
            value: back(middle(&averages)),
            low: interval.map(|(low, _)| back(low)),
            high: interval.map(|(_, high)| back(high)),
            level: if interval.is_some() { level } else { 0.0 },
            n: scaled.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::super::chance::normal;
    use super::*;

    fn rule(pairs_max: usize) -> Rule {
        Rule { pairs_max, ..Rule::default() }
    }

    /// Differences around the logarithm of a true ratio.
    fn drawn(rng: &mut ChaCha8Rng, pairs: usize, ratio: f64, sd: f64) -> Vec<f64> {
        (0..pairs).map(|_| ratio.ln() + sd * normal(rng)).collect()
    }

    #[test]
    fn what_is_clear_is_decided_at_the_first_look_that_can() {
        // All of one sign: six pairs can reject at 5 % of a budget of ten, and seven of one of twenty.
        for (pairs_max, look) in [(5, 5), (10, 6), (20, 7)] {
            let slow = judge(&rule(pairs_max), &[0.5; 20]);
            assert_eq!((slow.decision, slow.look, slow.slower), (Decision::Fail, look, true), "{pairs_max}");
            let fast = judge(&rule(pairs_max), &[-0.5; 20]);
            assert_eq!((fast.decision, fast.look, fast.slower), (Decision::Pass, look, false), "{pairs_max}");
            assert!(fast.p_below <= 0.05 && fast.p_slower == 1.0, "{fast:?}");
        }
    }

    #[test]
    fn slower_for_sure_and_below_the_limit_passes() {
        // 5 % slower each time: a slowdown beyond doubt, and one that is allowed.
        let found = judge(&rule(20), &[1.05_f64.ln(); 20]);
        assert_eq!((found.decision, found.look), (Decision::Pass, 7));
        assert!(found.slower && found.p_slower <= 0.05);
    }

    #[test]
    fn too_few_pairs_are_no_decision_and_have_no_interval() {
        let found = judge(&rule(20), &[0.5; 4]);
        assert_eq!((found.decision, found.look, found.pairs), (Decision::Continue, 0, 4));
        assert_eq!((found.ratio.low, found.ratio.high, found.ratio.level), (None, None, 0.0));
        assert!((found.ratio.value - 0.5_f64.exp()).abs() < 1e-12);
        let none = judge(&rule(20), &[]);
        assert_eq!((none.decision, none.p_slower, none.p_below), (Decision::Continue, 1.0, 1.0));
        // Four pairs prove nothing at 5 %, however large a budget of four.
        assert_eq!(judge(&rule(4), &[0.5; 4]).decision, Decision::Spent);
    }

    #[test]
    fn a_decision_stays_whatever_comes_later() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut decided = 0;
        for _ in 0..200 {
            let mut d = drawn(&mut rng, 20, 1.1, 0.1);
            let full = judge(&rule(20), &d);
            for pairs in 1..=20 {
                let early = judge(&rule(20), &d[..pairs]);
                if early.decision.is_final() {
                    assert_eq!(Judgement { pairs: 20, ..early }, full);
                    decided += 1;
                } else {
                    assert!(full.look > pairs || looks(20).iter().all(|n| *n > pairs || *n < full.look));
                }
            }
            // Later pairs may be anything.
            d[full.look..].iter_mut().for_each(|later| *later = -9.0);
            assert_eq!(judge(&rule(20), &d), full);
        }
        assert!(decided > 500, "{decided}");
    }

    #[test]
    fn a_level_is_small_where_it_was_proven_and_the_ends_of_the_interval_agree() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let rule = Rule { tolerance: 0.02, ..rule(12) };
        for ratio in [0.95, 1.02, 1.06, 1.1, 1.2] {
            for _ in 0..40 {
                let found = judge(&rule, &drawn(&mut rng, 12, ratio, 0.08));
                assert_eq!(found.p_slower <= rule.alpha, found.slower, "{found:?}");
                assert_eq!(found.p_below <= rule.beta, found.decision == Decision::Pass, "{found:?}");
                // The interval is of the last look alone; a proof may be of an earlier one.
                if found.ratio.low.is_some_and(|low| low > 1.02) {
                    assert!(found.slower, "{found:?}");
                }
                let below = found.ratio.high.is_some_and(|high| high < 1.1);
                assert_eq!(below, found.decision == Decision::Pass, "{found:?}");
                assert!(found.ratio.low.unwrap_or(0.0) <= found.ratio.value, "{found:?}");
            }
        }
    }

    #[test]
    fn errors_are_as_rare_as_was_asked() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let rate = |rng: &mut ChaCha8Rng, ratio: f64, of: Decision| {
            let draws = 700;
            let found = (0..draws).filter(|_| judge(&rule(20), &drawn(rng, 20, ratio, 0.25)).decision == of).count();
            found as f64 / f64::from(draws)
        };
        // 5 % and three standard deviations of so many draws.
        let (fails, passes) = (rate(&mut rng, 1.0, Decision::Fail), rate(&mut rng, 1.1, Decision::Pass));
        assert!(fails <= 0.075 && passes <= 0.075, "{fails} {passes}");
        let found = rate(&mut rng, 1.5, Decision::Fail);
        assert!(found > 0.97, "{found}");
    }

    #[test]
    fn rounded_differences_with_ties_and_zeros_are_wrong_no_more_often() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let draws = 700;
        let wrong = (0..draws)
            .filter(|_| {
                // Three to five values only, of which the middle one is no difference.
                let d: Vec<f64> =
                    drawn(&mut rng, 20, 1.0, 0.1).iter().map(|d| (d / 0.1).round().clamp(-2.0, 2.0) * 0.1).collect();
                judge(&rule(20), &d).slower
            })
            .count();
        assert!(wrong as f64 / f64::from(draws) <= 0.075, "{wrong}");
    }

    #[test]
    fn a_family_errs_no_more_often_than_one() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let (draws, figures) = (300, 5);
        let mut wrong = 0;
        for _ in 0..draws {
            let d: Vec<Vec<f64>> = (0..figures).map(|_| drawn(&mut rng, 20, 1.0, 0.25)).collect();
            let family: Vec<(Rule, &[f64])> = d.iter().map(|d| (rule(20), d.as_slice())).collect();
            wrong += usize::from(judge_family(&family).iter().any(|found| found.decision == Decision::Fail));
        }
        assert!(wrong as f64 / f64::from(draws) <= 0.05 + 0.038, "{wrong} of {draws}");
    }

    #[test]
    fn one_that_is_proven_leaves_more_of_the_level_to_the_others() {
        // At 1/2 of 5 % a budget of ten rejects seven of one sign at the seventh pair, at 5 % six at the sixth.
        let (clear, quiet) = ([0.5; 10], [0.0; 10]);
        let alone = judge(&rule(10), &clear);
        let pair = judge_family(&[(rule(10), &clear), (rule(10), &quiet)]);
        assert_eq!((alone.look, pair[0].look, pair[0].decision), (6, 7, Decision::Fail));
        assert_ne!(pair[1].decision, Decision::Fail);
        let both = judge_family(&[(rule(10), &clear), (rule(10), &clear)]);
        assert!(both.iter().all(|found| found.decision == Decision::Fail && found.look == 7), "{both:?}");
    }

    #[test]
    fn what_cannot_be_decided_any_more_is_given_up() {
        // Around the limit with little scatter: neither proof of "below" nor an estimate over it is near.
        let d: Vec<f64> = (0..20).map(|i| if i % 2 == 0 { 0.6 } else { -0.5 }).collect();
        let found = judge(&rule(20), &d);
        assert!(matches!(found.decision, Decision::Futile) && found.look < 20, "{found:?}");
        assert!(found.chance_to_decide < 0.1);
    }

    #[test]
    fn repeated_intervals_hold_the_truth_at_all_looks_together() {
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        for (trials_max, draws) in [(10, 600), (20, 300)] {
            let looks = looks(trials_max);
            let mut outside = 0;
            for _ in 0..draws {
                let values: Vec<f64> = (0..trials_max).map(|_| 3.0 * (0.3 * normal(&mut rng)).exp()).collect();
                let misses = |n: &usize| {
                    let e = Estimate::repeated(&values[..*n], Scale::Factor, 0.9, trials_max).unwrap();
                    e.excludes(3.0)
                };
                outside += usize::from(looks.iter().any(misses));
            }
            let rate = f64::from(outside as u32) / f64::from(draws);
            assert!(rate <= 0.1 + 3.0 * (0.09 / f64::from(draws)).sqrt(), "{trials_max}: {rate}");
        }
    }

    #[test]
    fn a_repeated_interval_is_of_the_last_look() {
        let values = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];
        let at = |n: usize| Estimate::repeated(&values[..n], Scale::Factor, 0.9, 20).unwrap();
        assert_eq!(at(11), at(10));
        assert_eq!((at(6).low, at(6).level, at(6).n), (None, 0.0, 6));
        assert!(at(8).low.is_some() && at(8).level == 0.9);
        assert!(Estimate::over(&values[..10], Scale::Factor, 0.9).unwrap().high < at(10).high);
        assert_eq!(Estimate::repeated(&[], Scale::Plain, 0.9, 20), None);
    }
}
