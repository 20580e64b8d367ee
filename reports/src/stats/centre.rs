//! The middle of independent values with its error, and sums of such middles: what trials that are not paired are
//! compared by.
//!
//! The middle is that of Hodges and Lehmann, so that a difference of two is the difference of the two figures that are
//! printed. Its error is that of a mean, which is at least as large for values with long tails, and a twentieth smaller
//! for normal ones; that its intervals hold is simulated (`reports/simulations/coverage_between_runs.md`). Degrees of freedom
//! of a sum are those of Welch (1947) and Satterthwaite (1946).

use statrs::distribution::{ContinuousCDF as _, StudentsT};

use super::estimate::{middle, walsh};
use super::power::spread;
use super::{Estimate, Scale};

/// A value with its error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Centre {
    /// The value: of logarithms, where a factor is meant.
    pub value: f64,
    /// Independent values behind it, over all parts of a sum.
    pub n: usize,
    /// Its variance and the degrees of freedom of that; none where a part has one value only.
    pub error: Option<(f64, f64)>,
}

impl Centre {
    /// The middle of values; none of none. Values that are no numbers are left out.
    pub fn of(values: &[f64]) -> Option<Self> {
        let values: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
        let n = values.len();
        if n == 0 {
            return None;
        }
        let error = spread(&values).map(|sd| (sd * sd / n as f64, n as f64 - 1.0));
        Some(Self { value: middle(&walsh(&values)), n, error })
    }

    /// A weighted sum of independent ones; none of none.
    pub fn sum(parts: &[(f64, Centre)]) -> Option<Self> {
        if parts.is_empty() {
            return None;
        }
        let value = parts.iter().map(|(weight, part)| weight * part.value).sum();
        let errors: Option<Vec<(f64, f64)>> =
            parts.iter().map(|(weight, part)| part.error.map(|(v, degrees)| (weight * weight * v, degrees))).collect();
        let n = parts.iter().map(|(_, part)| part.n).sum();
        Some(Self { value, n, error: errors.map(|errors| together(&errors)) })
    }

    /// The mean of independent ones; none of none.
    pub fn mean(parts: &[Centre]) -> Option<Self> {
        let weight = 1.0 / parts.len().max(1) as f64;
        Self::sum(&parts.iter().map(|part| (weight, *part)).collect::<Vec<_>>())
    }

    /// How much it is more than another, which shares no trial with it.
    pub fn minus(&self, other: &Centre) -> Self {
        let error = self.error.zip(other.error).map(|(a, b)| together(&[a, b]));
        Self { value: self.value - other.value, n: self.n + other.n, error }
    }

    /// The same with a further independent error, given by its variance and the degrees of freedom of that (infinite
    /// where it is assumed).
    pub fn widened(&self, variance: f64, degrees: f64) -> Self {
        Self { error: self.error.map(|own| together(&[own, (variance, degrees)])), ..*self }
    }

    /// The interval at a level, on the scale of the values; of logarithms as a factor.
    pub fn estimate(&self, scale: Scale, level: f64) -> Estimate {
        let back = |v: f64| if scale == Scale::Factor { v.exp() } else { v };
        let half = self.half(level);
        let end = |sign: f64| half.map(|half| back(self.value + sign * half));
        let level = if half.is_some() { level } else { 0.0 };
        Estimate { value: back(self.value), low: end(-1.0), high: end(1.0), level, n: self.n }
    }

    /// Half the width of the interval at a level.
    fn half(&self, level: f64) -> Option<f64> {
        let (variance, degrees) = self.error?;
        t_at(f64::midpoint(level, 1.0), degrees).map(|t| t * variance.sqrt())
    }

    /// The chance of a value as far above 0 or farther if the true one is 0.
    pub fn chance_above(&self) -> Option<f64> {
        let (variance, degrees) = self.error?;
        if variance <= 0.0 {
            return Some(if self.value > 0.0 { 0.0 } else { 1.0 });
        }
        StudentsT::new(0.0, 1.0, degrees.min(MANY)).ok().map(|t| t.sf(self.value / variance.sqrt()))
    }
}

/// With more degrees of freedom a t is normal for all that is printed.
const MANY: f64 = 1e6;

fn t_at(p: f64, degrees: f64) -> Option<f64> {
    StudentsT::new(0.0, 1.0, degrees.min(MANY)).ok().map(|t| t.inverse_cdf(p))
}

/// The variance of a sum of independent parts, and its degrees of freedom.
fn together(parts: &[(f64, f64)]) -> (f64, f64) {
    let variance: f64 = parts.iter().map(|(v, _)| v).sum();
    let of_squares: f64 = parts.iter().map(|(v, degrees)| v * v / degrees).sum();
    // Parts that do not scatter at all: their degrees do not matter, as long as there are some.
    let fewest = parts.iter().map(|(_, degrees)| *degrees).fold(f64::INFINITY, f64::min);
    (variance, if of_squares > 0.0 { variance * variance / of_squares } else { fewest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_samples_give_what_welch_computed() {
        // Means 2 and 6, variances 1 and 4 of three each: 1/3 + 4/3, and (5/3)^2 / ((1/9)/2 + (16/9)/2) degrees.
        let a = Centre::of(&[1.0, 2.0, 3.0]).unwrap();
        let b = Centre::of(&[4.0, 6.0, 8.0]).unwrap();
        let d = b.minus(&a);
        let (variance, degrees) = d.error.unwrap();
        assert_eq!((d.value, d.n), (4.0, 6));
        assert!((variance - 5.0 / 3.0).abs() < 1e-12 && (degrees - 50.0 / 17.0).abs() < 1e-9, "{degrees}");
        // t of 2.94 degrees at 97.5 % is 3.22.
        let e = d.estimate(Scale::Plain, 0.95);
        assert!((e.high.unwrap() - (4.0 + 3.2186 * variance.sqrt())).abs() < 0.02, "{e:?}");
        assert!((d.chance_above().unwrap() - 0.028).abs() < 0.003, "{:?}", d.chance_above());
    }

    #[test]
    fn the_middle_is_that_which_is_printed() {
        let values = [1.0, 2.0, 5.0, 40.0];
        let shown = Estimate::over(&values, Scale::Plain, 0.95).unwrap().value;
        assert_eq!(Centre::of(&values).unwrap().value, shown);
    }

    #[test]
    fn one_value_has_no_interval_and_none_is_none() {
        let one = Centre::of(&[2.0]).unwrap();
        let many = Centre::of(&[1.0, 2.0, 4.0]).unwrap();
        for e in [one.estimate(Scale::Factor, 0.95), many.minus(&one).estimate(Scale::Plain, 0.95)] {
            assert_eq!((e.low, e.high, e.level), (None, None, 0.0));
        }
        assert_eq!(many.minus(&one).chance_above(), None);
        assert_eq!((Centre::of(&[]), Centre::of(&[f64::NAN]), Centre::mean(&[])), (None, None, None));
    }

    #[test]
    fn a_mean_of_parts_has_their_errors_and_values_that_agree_have_none() {
        let part = |value: f64| Centre { value, n: 5, error: Some((0.04, 4.0)) };
        let mean = Centre::mean(&[part(1.0), part(3.0)]).unwrap();
        assert_eq!((mean.value, mean.n), (2.0, 10));
        let (variance, degrees) = mean.error.unwrap();
        assert!((variance - 0.02).abs() < 1e-12 && (degrees - 8.0).abs() < 1e-9);
        let wide = mean.widened(0.02, f64::INFINITY).error.unwrap();
        assert!((wide.0 - 0.04).abs() < 1e-12 && (wide.1 - 32.0).abs() < 1e-9);
        let equal = Centre::of(&[2.0, 2.0, 2.0]).unwrap();
        let e = equal.minus(&equal).estimate(Scale::Factor, 0.95);
        assert_eq!((e.value, e.low, e.high), (1.0, Some(1.0), Some(1.0)));
        assert_eq!(equal.minus(&equal).chance_above(), Some(1.0));
    }
}
