//! Which of several findings to believe, when some of them are chance: the false discovery rate.

/// For each probability under chance, whether it is believed: of those believed, a share of at most `rate` is chance on
/// average (Benjamini & Hochberg 1995; it holds under positive dependence too, Benjamini & Yekutieli 2001).
pub(crate) fn believed(chances: &[f64], rate: f64) -> Vec<bool> {
    let mut sorted = chances.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let m = sorted.len() as f64;
    let cut = sorted.iter().enumerate().rev().find(|(k, p)| **p <= rate * (*k as f64 + 1.0) / m).map(|(_, p)| *p);
    chances.iter().map(|p| cut.is_some_and(|cut| *p <= cut)).collect()
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn the_worked_example_of_the_paper_is_reproduced() {
        // Benjamini & Hochberg 1995, section 4.2: four are rejected at 5 %.
        let p = [
            0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528,
            0.7590, 1.0,
        ];
        assert_eq!(believed(&p, 0.05).iter().filter(|b| **b).count(), 4);
        assert_eq!(believed(&[0.9, 0.02, 0.04], 0.1), [false, true, true]);
        assert!(believed(&[], 0.1).is_empty());
    }

    #[test]
    fn of_what_is_believed_the_stated_share_is_chance() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut share = 0.0;
        for _ in 0..2000 {
            // Two true ones of seven.
            let p: Vec<f64> = (0..7).map(|k| rng.random::<f64>() * if k < 2 { 0.01 } else { 1.0 }).collect();
            let found = believed(&p, 0.1);
            let (all, wrong) = (found.iter().filter(|b| **b).count(), found[2..].iter().filter(|b| **b).count());
            share += wrong as f64 / all.max(1) as f64;
        }
        // 5 of 7 are null, so 7.1 %; the mean of 2000 has a standard error of 0.4 points.
        assert!((share / 2000.0 - 0.1 * 5.0 / 7.0).abs() < 0.015, "{}", share / 2000.0);
    }
}
