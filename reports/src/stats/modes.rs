//! Whether trials fall into two groups, of which one figure for all tells nothing.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Fewer values cannot tell two groups from chance.
const FEWEST: usize = 6;
/// Draws of the null law, and their seed.
const DRAWS: usize = 999;
const SEED: u64 = 1;

/// Two groups of trials.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Groups {
    /// How many lie in the lower one.
    pub lower: usize,
    /// The mean of the lower one.
    pub low: f64,
    /// The mean of the upper one.
    pub high: f64,
    /// How likely values without a gap, spread evenly, split as clearly. Of all laws with one mode the even one splits the
    /// most clearly (as for the dip of Hartigan & Hartigan 1985), so that it is too large for any other.
    pub p: f64,
}

/// The two groups that values fall into most clearly, each of at least two; none of fewer than six.
///
/// How clearly is the scatter between the groups over that within them, at the best of all places to split.
pub fn groups(values: &[f64]) -> Option<Groups> {
    let n = values.len();
    if n < FEWEST || values.iter().any(|v| !v.is_finite()) {
        return None;
    }
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let (seen, lower) = clearest(&sorted)?;
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let mut drawn = vec![0.0; n];
    let as_clear = (0..DRAWS)
        .filter(|_| {
            drawn.fill_with(|| rng.random());
            drawn.sort_unstable_by(f64::total_cmp);
            clearest(&drawn).is_some_and(|(split, _)| split >= seen)
        })
        .count();
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    Some(Groups {
        lower,
        low: mean(&sorted[..lower]),
        high: mean(&sorted[lower..]),
        p: (as_clear + 1) as f64 / (DRAWS + 1) as f64,
    })
}

/// The best split of sorted values: the scatter between over that within, and how many lie below; none where all are one.
fn clearest(sorted: &[f64]) -> Option<(f64, usize)> {
    let n = sorted.len();
    let centre = sorted.iter().sum::<f64>() / n as f64;
    let total: f64 = sorted.iter().map(|v| (v - centre).powi(2)).sum();
    if total <= 0.0 {
        return None;
    }
    let mut below = 0.0;
    let mut best: Option<(f64, usize)> = None;
    for (at, value) in sorted.iter().enumerate() {
        let k = at as f64;
        if at >= 2 && at + 2 <= n {
            let between = below * below * n as f64 / (k * (n as f64 - k));
            let split = between / (total - between).max(total * 1e-12);
            if best.is_none_or(|(most, _)| split > most) {
                best = Some((split, at));
            }
        }
        below += value - centre;
    }
    best
}

#[cfg(test)]
mod tests {
    use super::super::chance::normal;
    use super::*;

    #[test]
    fn two_groups_are_found_with_their_means() {
        let values = [1.0, 1.1, 0.9, 1.05, 0.95, 3.0, 3.1, 2.9, 3.05, 1.0];
        let found = groups(&values).unwrap();
        assert_eq!(found.lower, 6);
        assert!((found.low - 1.0).abs() < 1e-9 && (found.high - 3.0125).abs() < 1e-9 && found.p <= 0.002, "{found:?}");
    }

    #[test]
    fn one_group_is_seldom_taken_for_two_whatever_its_law() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let laws: [fn(&mut ChaCha8Rng) -> f64; 3] =
            [|rng| normal(rng), |rng| rng.random(), |rng| (0.5 * normal(rng)).exp()];
        for n in [6, 10] {
            for (law, draw) in laws.iter().enumerate() {
                let draws = 150;
                let wrong = (0..draws)
                    .filter(|_| {
                        let values: Vec<f64> = (0..n).map(|_| draw(&mut rng)).collect();
                        groups(&values).is_some_and(|found| found.p <= 0.02)
                    })
                    .count();
                // 2 % of 150 is 3; three standard deviations are 5.
                assert!(wrong <= 8, "law {law}, {n} values: {wrong} of {draws}");
            }
        }
    }

    #[test]
    fn few_and_equal_values_have_no_groups_and_one_far_off_is_none() {
        assert_eq!(groups(&[1.0, 1.0, 5.0, 5.0]), None);
        assert_eq!(groups(&[2.0; 8]), None);
        assert!(groups(&[1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 9.0]).unwrap().p > 0.05);
    }
}
