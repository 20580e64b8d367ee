//! The rate of errors against its bound: exact binomial tests, looked at several times.

use super::{Counted, GateVerdict};
use crate::stats::binomial;
use crate::stats::cuts::looks;

/// How errors stand after the trials so far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Errors {
    /// The least level at which some look had shown the rate to be over the bound.
    pub(super) p_over: f64,
    /// The least level at which some look had shown it to be under the bound.
    pub(super) p_under: f64,
    /// The first look that settled it, in trials, and how.
    pub(super) decided: Option<(usize, GateVerdict)>,
    /// All that was counted.
    pub(super) counted: Counted,
}

/// Judges the trials' errors, each `(bad, due)`, against the bound, a share above 0; over it is claimed wrongly with the
/// chance `alpha` at most, and under it with `beta`.
///
/// Every look spends its part of the level, as latencies do: the sum of the parts is the whole, so that the union of
/// the looks is wrong no more often than that (Bonferroni). Requests of one trial are not independent: where the count
/// scatters from trial to trial more than that of independent requests would, it counts as so many times fewer requests
/// (Rao & Scott 1992).
pub(super) fn judge(trials: &[(u64, u64)], bound: f64, (alpha, beta): (f64, f64), trials_max: usize) -> Errors {
    let mut found = Errors { p_over: 1.0, p_under: 1.0, decided: None, counted: counted(trials) };
    let mut before = 0.0;
    for look in looks(trials_max.max(1)) {
        let until = (look as f64 / trials_max.max(1) as f64).powf(1.5);
        let part = until - before;
        before = until;
        let Some(seen) = trials.get(..look) else { break };
        let Counted { bad, due, clustering } = counted(seen);
        let fewer = |n: u64, round: fn(f64) -> f64| round(n as f64 / clustering) as u64;
        let n = fewer(due, f64::floor);
        let (few, many) = (fewer(bad, f64::floor).min(n), fewer(bad, f64::ceil).min(n));
        let over = if few == 0 { 1.0 } else { 1.0 - binomial::at_most(few - 1, n, bound) };
        let under = binomial::at_most(many, n, bound);
        found.p_over = found.p_over.min(over / part);
        found.p_under = found.p_under.min(under / part);
        // A decision of an earlier look stands.
        found.decided = found.decided.or(match (over <= alpha * part, under <= beta * part) {
            (true, _) => Some((look, GateVerdict::Fail)),
            (_, true) => Some((look, GateVerdict::Pass)),
            _ => None,
        });
    }
    found
}

/// Why response times cannot pass, though they be short: more requests failed than in the baseline (than none without one),
/// by over a hundredth, and a failure may well be quick.
pub(super) fn quick_failures(candidate: f64, baseline: f64) -> Option<String> {
    (candidate > baseline + 0.01).then(|| {
        let more = if baseline > 0.0 { format!(", and {:.1} % of the baseline's", baseline * 100.0) } else { String::new() };
        format!(
            "{:.1} % of the candidate's requests failed{more}: a failure may be quick, so that its times cannot pass; see --slo errors=0.1%",
            candidate * 100.0
        )
    })
}

fn counted(trials: &[(u64, u64)]) -> Counted {
    let bad: u64 = trials.iter().map(|(bad, _)| bad).sum();
    let due: u64 = trials.iter().map(|(_, due)| due).sum();
    let share = bad as f64 / due.max(1) as f64;
    let mut clustering = 1.0;
    if trials.len() > 1 && bad > 0 && share < 1.0 {
        // Pearson's statistic over its degrees of freedom.
        let squares = trials.iter().map(|(bad, due)| {
            let expected = share * *due as f64;
            (*bad as f64 - expected).powi(2) / (expected * (1.0 - share)).max(f64::MIN_POSITIVE)
        });
        clustering = (squares.sum::<f64>() / (trials.len() - 1) as f64).max(1.0);
    }
    Counted { bad, due, clustering }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const LEVELS: (f64, f64) = (0.05, 0.05);

    #[test]
    fn no_error_in_enough_requests_is_under_a_bound_and_many_are_over_it() {
        let none = judge(&[(0, 1000); 20], 0.001, LEVELS, 20);
        assert!(none.p_under < 0.01 && none.p_over == 1.0, "{none:?}");
        assert_eq!(none.decided.map(|(_, verdict)| verdict), Some(GateVerdict::Pass));
        let many = judge(&[(10, 1000); 20], 0.001, LEVELS, 20);
        assert!(many.p_over < 1e-6 && many.p_under == 1.0, "{many:?}");
        assert_eq!((many.decided, many.counted.bad, many.counted.due), (Some((5, GateVerdict::Fail)), 200, 20_000));
        // Before the first look nothing is known.
        let few = judge(&[(0, 1000); 4], 0.001, LEVELS, 20);
        assert_eq!((few.p_under, few.p_over, few.decided), (1.0, 1.0, None));
    }

    #[test]
    fn a_burst_in_one_trial_counts_less_than_as_many_everywhere() {
        let spread = judge(&[(4, 1000); 10], 0.001, LEVELS, 10);
        let mut one = [(0, 1000); 10];
        one[2].0 = 40;
        let burst = judge(&one, 0.001, LEVELS, 10);
        assert_eq!(spread.counted.clustering, 1.0);
        assert!(burst.counted.clustering > 30.0 && burst.p_over > 0.3, "{burst:?}");
        assert!(spread.p_over < 1e-6, "{spread:?}");
    }

    #[test]
    fn at_the_bound_either_side_is_claimed_no_more_often_than_its_level() {
        let mut rng = ChaCha8Rng::seed_from_u64(8);
        let (mut over, mut under) = (0, 0);
        let draws = 1000;
        for _ in 0..draws {
            let mut trial = || ((0..400).filter(|_| rng.random::<f64>() < 0.01).count() as u64, 400);
            let trials: Vec<(u64, u64)> = (0..20).map(|_| trial()).collect();
            match judge(&trials, 0.01, LEVELS, 20).decided {
                Some((_, GateVerdict::Fail)) => over += 1,
                Some((_, GateVerdict::Pass)) => under += 1,
                _ => {}
            }
        }
        // Three standard deviations above 5 % are 7 %.
        assert!(over < draws * 7 / 100 && under < draws * 7 / 100, "{over} and {under} of {draws}");
    }
}
