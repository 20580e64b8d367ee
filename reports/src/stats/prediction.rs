//! A new run against earlier ones, with the run as the unit: how far apart two runs lie of which nothing differs.
//!
//! Runs made at different times are not paired. Their trials tell how well each run knows its own value, and nothing of
//! what changed on the machine in between; that can only be seen from runs to run.

use statrs::distribution::{ContinuousCDF as _, Normal, StudentsT};

use super::estimate::Estimate;
use super::power::t_quantile;

/// Earlier runs from which on the scatter between runs is measured and not assumed.
pub const RUNS_LEAST: usize = 3;

/// What is assumed of the scatter between two times where it cannot be measured, as the standard deviation of a
/// logarithm: that of p99 from run to run on a machine with noisy neighbours. Above that of almost all machines, so that
/// the rule is too careful rather than wrong.
pub const SCATTER_ASSUMED: f64 = 0.27;

/// A run's value, and how well its own trials know it: both of the logarithm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RunValue {
    /// The logarithm of the value.
    pub ln: f64,
    /// Its standard error over trials; 0 where there was one trial.
    pub error: f64,
}

impl RunValue {
    /// From an estimate over trials; none where its value is not above zero.
    pub fn of(estimate: &Estimate) -> Option<Self> {
        if !(estimate.value > 0.0 && estimate.value.is_finite()) {
            return None;
        }
        let half = match (estimate.low, estimate.high) {
            (Some(low), Some(high)) if low > 0.0 => (high / low).ln() / 2.0,
            _ => 0.0,
        };
        let t = t_quantile(f64::midpoint(estimate.level, 1.0), estimate.n.saturating_sub(1));
        let error = t.filter(|t| *t > 0.0).map_or(0.0, |t| half / t);
        Some(Self { ln: estimate.value.ln(), error })
    }
}

/// How far a new run lies from earlier ones, and how far it might by chance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// The logarithm of the new run over the earlier ones.
    pub difference: f64,
    /// The standard deviation of that if nothing differs.
    pub error: f64,
    /// Degrees of freedom of the error; none where it rests on an assumption.
    pub degrees: Option<usize>,
}

impl Prediction {
    /// Of three or more earlier runs: their mean, with the error that a new one of the same kind has from it
    /// (`s sqrt(1 + 1/k)`, Student's t). Where the new run knows its own value less well than they, its error is wider
    /// by that.
    ///
    /// Of fewer: the last of them, with the scatter between two times that is assumed.
    pub fn of(new: RunValue, earlier: &[RunValue]) -> Option<Self> {
        let last = earlier.last()?;
        let k = earlier.len() as f64;
        if earlier.len() < RUNS_LEAST {
            let error = (new.error.powi(2) + last.error.powi(2) + 2.0 * SCATTER_ASSUMED.powi(2)).sqrt();
            return Some(Self { difference: new.ln - last.ln, error, degrees: None });
        }
        let mean = earlier.iter().map(|run| run.ln).sum::<f64>() / k;
        let variance = earlier.iter().map(|run| (run.ln - mean).powi(2)).sum::<f64>() / (k - 1.0);
        let own = earlier.iter().map(|run| run.error.powi(2)).sum::<f64>() / k;
        let more = (new.error.powi(2) - own).max(0.0);
        let error = (variance * (1.0 + 1.0 / k) + more).sqrt();
        Some(Self { difference: new.ln - mean, error, degrees: Some(earlier.len() - 1) })
    }

    /// The chance of a difference as large as this or larger if the true one is `ln`.
    pub fn chance_above(&self, ln: f64) -> f64 {
        1.0 - self.below(self.difference - ln)
    }

    /// The chance of a difference as small as this or smaller if the true one is `ln`.
    pub fn chance_below(&self, ln: f64) -> f64 {
        self.below(self.difference - ln)
    }

    /// How many errors lie between the middle and the value that is exceeded with the chance `p`.
    pub fn errors_at(&self, p: f64) -> Option<f64> {
        match self.degrees {
            Some(degrees) => t_quantile(1.0 - p, degrees),
            None => Normal::new(0.0, 1.0).ok().map(|normal| normal.inverse_cdf(1.0 - p)),
        }
    }

    /// The chance that something without a difference lies below `x`.
    fn below(&self, x: f64) -> f64 {
        if self.error <= 0.0 {
            // Runs that are equal to the last digit tell nothing of how far apart they might lie.
            return 0.5;
        }
        let x = x / self.error;
        match self.degrees {
            Some(degrees) => StudentsT::new(0.0, 1.0, degrees as f64).map_or(0.5, |t| t.cdf(x)),
            None => Normal::new(0.0, 1.0).map_or(0.5, |normal| normal.cdf(x)),
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::stats::Scale;
    use crate::stats::chance::normal;

    fn value(ln: f64) -> RunValue {
        RunValue { ln, error: 0.01 }
    }

    #[test]
    fn a_new_run_is_compared_with_the_mean_of_those_before() {
        let found = Prediction::of(value(1.3), &[value(1.0), value(1.1), value(0.9)]).unwrap();
        // s = 0.1, times sqrt(4/3).
        assert!((found.difference - 0.3).abs() < 1e-12 && (found.error - 0.115_47).abs() < 1e-5, "{found:?}");
        assert_eq!(found.degrees, Some(2));
        // t = 2.598 with two degrees of freedom is exceeded in 6.1 of 100 cases.
        assert!((found.chance_above(0.0) - 0.0608).abs() < 2e-4, "{}", found.chance_above(0.0));
        assert!((found.chance_above(0.0) + found.chance_below(0.0) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn of_one_run_before_only_what_no_drift_explains_is_told() {
        let found = |ln: f64| Prediction::of(value(ln), &[value(0.0)]).unwrap();
        assert!(found(1.5f64.ln()).chance_above(0.0) > 0.1);
        assert!(found(2.0f64.ln()).chance_above(0.0) < 0.05);
        assert!(found(0.0).chance_below(0.1f64.ln_1p()) > 0.3, "no limit of 10 % can be passed");
        assert_eq!(Prediction::of(value(0.0), &[]), None);
    }

    #[test]
    fn what_a_runs_own_trials_know_is_read_back_from_its_interval() {
        let estimate = Estimate::over(&[1.0, 1.1, 1.2, 1.3, 1.4], Scale::Factor, 0.95).unwrap();
        let value = RunValue::of(&estimate).unwrap();
        // The widest interval of five, at 93.75 %: ln(1.4)/2 over t = 2.57.
        assert!((value.error - 0.0654).abs() < 2e-3, "{value:?}");
        assert_eq!(RunValue::of(&Estimate { value: 0.0, ..estimate }), None);
    }

    /// The share of draws in which a run with this true change is told to be slower, and to be below 10 %.
    fn told(change: f64, history: usize, between: f64, within: f64) -> (f64, f64) {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let draws = 4000;
        let (mut slower, mut below) = (0, 0);
        for _ in 0..draws {
            let mut run = |change: f64| {
                let sitting = between * normal(&mut rng);
                let trials: Vec<f64> =
                    (0..5).map(|_| (change.ln_1p() + sitting + within * normal(&mut rng)).exp()).collect();
                RunValue::of(&Estimate::over(&trials, Scale::Factor, 0.95).unwrap()).unwrap()
            };
            let earlier: Vec<RunValue> = (0..history).map(|_| run(0.0)).collect();
            let found = Prediction::of(run(change), &earlier).unwrap();
            slower += usize::from(found.chance_above(0.0) <= 0.05);
            below += usize::from(found.chance_below(0.1f64.ln_1p()) <= 0.05);
        }
        (slower as f64 / f64::from(draws), below as f64 / f64::from(draws))
    }

    #[test]
    fn errors_are_held_with_a_history_and_without_one() {
        // 5 % with three standard deviations of 4000 draws.
        let most = 0.05 + 3.0 * (0.05 * 0.95 / 4000f64).sqrt();
        for history in [3, 5, 10, 20] {
            for (between, within) in [(0.08, 0.13), (0.2, 0.27)] {
                let (slower, _) = told(0.0, history, between, within);
                let (_, below) = told(0.1, history, between, within);
                assert!(slower <= most && below <= most, "{history} {between}: {slower} {below}");
            }
        }
        for (between, within) in [(0.08, 0.13), (0.27, 0.27)] {
            assert!(told(0.0, 1, between, within).0 <= most, "one run before, {between}");
        }
    }

    #[test]
    fn ten_runs_before_find_what_one_does_not() {
        let (ten, _) = told(0.3, 10, 0.08, 0.13);
        let (one, _) = told(0.3, 1, 0.08, 0.13);
        assert!(ten > 0.65 && one < 0.01, "{ten} {one}");
    }
}
