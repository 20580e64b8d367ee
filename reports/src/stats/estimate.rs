//! A value with its interval over independent trials: Hodges-Lehmann with the exact signed-rank interval.

use serde::{Deserialize, Serialize};

use super::signed_rank;

/// On which scale trials scatter evenly around their middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// By a factor: times, sizes, ratios. All values must be above zero; otherwise it is taken as `Plain`.
    Factor,
    /// By an amount: differences, shares, counts that may be zero.
    Plain,
}

/// A figure over independent trials. Never a bare number: without two trials there is no interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Estimate {
    /// The figure.
    pub value: f64,
    /// The interval's lower end; absent with fewer than two trials.
    pub low: Option<f64>,
    /// The interval's upper end; absent with fewer than two trials.
    pub high: Option<f64>,
    /// The level that the interval really reaches, 0 to 1; 0 without an interval.
    pub level: f64,
    /// Independent trials (or pairs of trials) behind it.
    pub n: usize,
}

impl Estimate {
    /// The typical trial: the median of all pairwise means (Hodges & Lehmann 1963), with the interval of the
    /// signed-rank test. The interval is the tightest whose exact level is at least `level`; where no interval
    /// of so few trials reaches it, the widest one, with the level that it has.
    ///
    /// On [`Scale::Factor`] both are taken of logarithms. Values that are no numbers are left out; none at
    /// all yield none.
    pub fn over(values: &[f64], scale: Scale, level: f64) -> Option<Self> {
        let factor = scale == Scale::Factor && values.iter().all(|v| *v > 0.0);
        let scaled: Vec<f64> =
            values.iter().map(|v| if factor { v.ln() } else { *v }).filter(|v| v.is_finite()).collect();
        let back = |v: f64| if factor { v.exp() } else { v };
        let n = scaled.len();
        match n {
            0 => return None,
            1 => return Some(Self { value: back(scaled[0]), low: None, high: None, level: 0.0, n }),
            _ => {}
        }
        let averages = walsh(&scaled);
        let (k, level) = signed_rank::cut(n, level);
        let (low, high) = (averages[k], averages[averages.len() - 1 - k]);
        Some(Self { value: back(middle(&averages)), low: Some(back(low)), high: Some(back(high)), level, n })
    }

    /// The same figure in another unit.
    pub fn times(self, factor: f64) -> Self {
        let (low, high) = (self.low.map(|v| v * factor), self.high.map(|v| v * factor));
        let (low, high) = if factor < 0.0 { (high, low) } else { (low, high) };
        Self { value: self.value * factor, low, high, ..self }
    }

    /// Held between two bounds, for figures such as shares that cannot lie outside.
    pub(crate) fn within(self, least: f64, most: f64) -> Self {
        let hold = |v: f64| v.clamp(least, most);
        Self { value: hold(self.value), low: self.low.map(hold), high: self.high.map(hold), ..self }
    }

    /// Whether the interval lies wholly on one side of `point`; without an interval it does not.
    pub fn excludes(&self, point: f64) -> bool {
        self.low.is_some_and(|low| low > point) || self.high.is_some_and(|high| high < point)
    }
}

/// The means of all pairs, each value with itself too, sorted.
pub(super) fn walsh(values: &[f64]) -> Vec<f64> {
    let mut means = Vec::with_capacity(values.len() * (values.len() + 1) / 2);
    for (i, a) in values.iter().enumerate() {
        means.extend(values[i..].iter().map(|b| f64::midpoint(*a, *b)));
    }
    means.sort_unstable_by(f64::total_cmp);
    means
}

/// The median of sorted values; 0 of none.
pub(super) fn middle(sorted: &[f64]) -> f64 {
    match sorted.len() {
        0 => 0.0,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn three_values_give_what_is_computed_by_hand() {
        let e = Estimate::over(&[1.0, 2.0, 5.0], Scale::Plain, 0.95).unwrap();
        // The means of pairs are 1, 1.5, 2, 3, 3.5, 5; the widest interval has level 1 - 2/8.
        assert_eq!(e, Estimate { value: 2.5, low: Some(1.0), high: Some(5.0), level: 0.75, n: 3 });
    }

    #[test]
    fn on_factors_the_figure_of_inverses_is_the_inverse() {
        let values = [0.5, 1.25, 2.0, 8.0, 3.0, 0.9];
        let inverse: Vec<f64> = values.iter().map(|v| 1.0 / v).collect();
        let a = Estimate::over(&values, Scale::Factor, 0.95).unwrap();
        let b = Estimate::over(&inverse, Scale::Factor, 0.95).unwrap();
        for (x, y) in [(a.value, b.value), (a.low.unwrap(), b.high.unwrap()), (a.high.unwrap(), b.low.unwrap())] {
            assert!((x * y - 1.0).abs() < 1e-12, "{a:?} {b:?}");
        }
    }

    #[test]
    fn one_trial_has_no_interval_and_none_has_no_figure() {
        let one = Estimate::over(&[3.0], Scale::Plain, 0.95).unwrap();
        assert_eq!(serde_json::to_string(&one).unwrap(), r#"{"value":3.0,"low":null,"high":null,"level":0.0,"n":1}"#);
        assert!(!one.excludes(0.0));
        assert_eq!(Estimate::over(&[], Scale::Plain, 0.95), None);
        assert_eq!(Estimate::over(&[f64::NAN], Scale::Plain, 0.95), None);
    }

    #[test]
    fn zeros_do_not_break_a_scale_of_factors() {
        let e = Estimate::over(&[0.0, 0.0, 4.0], Scale::Factor, 0.95).unwrap();
        assert_eq!((e.value, e.low, e.high), (1.0, Some(0.0), Some(4.0)));
    }

    #[test]
    fn another_unit_changes_ends_with_the_sign() {
        let e = Estimate { value: 2.0, low: Some(1.0), high: Some(4.0), level: 0.9, n: 9 };
        assert_eq!(e.times(-2.0), Estimate { value: -4.0, low: Some(-8.0), high: Some(-2.0), level: 0.9, n: 9 });
        assert!(e.excludes(0.5) && e.excludes(4.5) && !e.excludes(1.0));
    }

    /// A standard normal draw (Box & Muller 1958).
    fn normal(rng: &mut ChaCha8Rng) -> f64 {
        let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }

    #[test]
    fn intervals_hold_the_truth_as_often_as_they_say() {
        let mut rng = ChaCha8Rng::seed_from_u64(20);
        for (trials, draws) in [(5, 6000), (10, 6000), (20, 3000)] {
            let (mut held, mut level) = (0, 0.0);
            for _ in 0..draws {
                // A median of 3 with a scatter of 30 %, lognormal: the truth is 3.
                let values: Vec<f64> = (0..trials).map(|_| 3.0 * (0.3 * normal(&mut rng)).exp()).collect();
                let e = Estimate::over(&values, Scale::Factor, 0.95).unwrap();
                held += usize::from(!e.excludes(3.0));
                level = e.level;
            }
            let covered = held as f64 / f64::from(draws);
            assert!((covered - level).abs() < 0.02, "{trials} trials: {covered} against {level}");
        }
    }
}
