//! Whether figures drift with the order in which trials were made: Kendall's rank correlation with that order, and its exact
//! law (Kendall 1938).

/// Up to so many values the law is exact; of more it is near enough to normal.
const EXACT: usize = 60;

/// How values go with their order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drift {
    /// From -1 (each is below all before it) to 1 (each is above).
    pub tau: f64,
    /// How likely an order drawn by chance gives as much, in either direction. Exact without ties, and too large with them.
    pub p: f64,
    /// From the first to the last, by the median of all slopes (Theil 1950), in the values' unit.
    pub change: f64,
}

/// The drift of values in the order in which they were taken; none of fewer than three.
pub fn drift(values: &[f64]) -> Option<Drift> {
    let n = values.len();
    if n < 3 {
        return None;
    }
    let (mut sum, mut slopes) = (0i64, Vec::with_capacity(n * (n - 1) / 2));
    for (i, first) in values.iter().enumerate() {
        for (j, second) in values.iter().enumerate().skip(i + 1) {
            sum += i64::from(second > first) - i64::from(second < first);
            slopes.push((second - first) / (j - i) as f64);
        }
    }
    slopes.sort_unstable_by(f64::total_cmp);
    let change = super::estimate::middle(&slopes) * (n - 1) as f64;
    Some(Drift { tau: sum as f64 / slopes.len() as f64, p: chance_of(n, sum.unsigned_abs() as usize), change })
}

/// The chance that the pairs in order and those out of it differ by at least so many.
fn chance_of(n: usize, difference: usize) -> f64 {
    let pairs = n * (n - 1) / 2;
    if difference == 0 {
        return 1.0;
    }
    if n > EXACT {
        let variance = (n * (n - 1) * (2 * n + 5)) as f64 / 18.0;
        // A difference changes by two at a time: half a step towards the middle.
        let z = (difference as f64 - 1.0) / variance.sqrt();
        return 2.0 * normal_above(z);
    }
    // Of every number of pairs out of order: the k-th value stands before any number of those before it, all as likely.
    let mut law = vec![1.0];
    for k in 2..=n {
        let mut next = vec![0.0; law.len() + k - 1];
        for (inversions, p) in law.iter().enumerate() {
            next[inversions..inversions + k].iter_mut().for_each(|q| *q += p / k as f64);
        }
        law = next;
    }
    let most = (pairs - difference) / 2;
    (2.0 * law[..=most].iter().sum::<f64>()).min(1.0)
}

fn normal_above(z: f64) -> f64 {
    0.5 * statrs::function::erf::erfc(z / std::f64::consts::SQRT_2)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::super::chance::normal;
    use super::*;

    #[test]
    fn a_rise_is_told_with_its_exact_chance() {
        let found = drift(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        assert_eq!((found.tau, found.change), (1.0, 4.0));
        // Two of the 120 orders.
        assert!((found.p - 2.0 / 120.0).abs() < 1e-12);
        let found = drift(&[3.0, 2.0, 1.0]).unwrap();
        assert!((found.p - 2.0 / 6.0).abs() < 1e-12 && found.tau == -1.0 && found.change == -2.0);
        assert_eq!(drift(&[1.0, 2.0]), None);
        assert_eq!(drift(&[7.0; 9]).map(|d| (d.tau, d.p, d.change)), Some((0.0, 1.0, 0.0)));
    }

    #[test]
    fn the_exact_law_and_the_normal_one_meet() {
        // Of 60 values, one exact and one by the formula with which more are judged.
        let variance = (60.0 * 59.0 * 125.0 / 18.0_f64).sqrt();
        for difference in [100, 300, 500] {
            let (exact, near) = (chance_of(60, difference), 2.0 * normal_above((difference as f64 - 1.0) / variance));
            assert!((exact - near).abs() < 0.003, "{difference}: {exact} {near}");
        }
        assert!(chance_of(61, 610) < 1e-3 && chance_of(61, 10) > 0.9);
    }

    #[test]
    fn figures_that_do_not_drift_are_seldom_said_to() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for n in [6, 10, 20] {
            let draws = 2000;
            let wrong = (0..draws)
                .filter(|_| {
                    let values: Vec<f64> = (0..n).map(|_| normal(&mut rng)).collect();
                    drift(&values).unwrap().p <= 0.025
                })
                .count();
            // 2.5 % of 2000 is 50; three standard deviations are 21.
            assert!(wrong <= 71, "{n}: {wrong} of {draws}");
        }
    }
}
