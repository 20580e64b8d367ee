//! Several tests as one family: the chance that any of them is wrong stays what one is allowed (Holm 1979).

/// Each p value made comparable with the level of the whole family, in the order given: the smallest counts for all, the
/// next for one fewer, and none is smaller than one before it. A family is wrong about any of its members no more often
/// than the level that its adjusted values are compared with.
pub fn adjusted(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut adjusted = vec![0.0; p.len()];
    let mut least: f64 = 0.0;
    for (rank, i) in order.into_iter().enumerate() {
        least = least.max((p[i] * (p.len() - rank) as f64).min(1.0));
        adjusted[i] = least;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn same(a: &[f64], b: &[f64]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12)
    }

    #[test]
    fn a_family_is_adjusted_as_by_hand() {
        assert!(same(&adjusted(&[0.01, 0.04, 0.03, 0.005]), &[0.03, 0.06, 0.06, 0.02]));
        assert!(same(&adjusted(&[0.7, 0.6]), &[1.0, 1.0]));
        assert!(same(&adjusted(&[0.03]), &[0.03]));
        assert!(adjusted(&[]).is_empty());
    }

    #[test]
    fn a_family_of_which_nothing_is_true_is_seldom_wrong() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let draws = 4000;
        let wrong = (0..draws)
            .filter(|_| {
                let p: Vec<f64> = (0..6).map(|_| rng.random()).collect();
                adjusted(&p).iter().any(|p| *p <= 0.05)
            })
            .count();
        // 5 % of 4000 is 200; three standard deviations are 41.
        assert!(wrong <= 241, "{wrong} of {draws}");
    }
}
