//! The exact interval of a share that was counted (Clopper & Pearson 1934).

/// Where the share lies of which `k` of `n` independent draws were seen, at `level`; nothing is known of none.
///
/// Each end is the share at which a count as far out as `k` has half of the chance that is left: exact, so that the
/// level is reached at any share, and mostly exceeded.
pub(crate) fn interval(k: u64, n: u64, level: f64) -> (f64, f64) {
    let k = k.min(n);
    let tail = (1.0 - level) / 2.0;
    let low = if k == 0 { 0.0 } else { crossing(|p| at_most(n - k, n, 1.0 - p) < tail) };
    let high = if k == n { 1.0 } else { crossing(|p| at_most(k, n, p) >= tail) };
    (low, high)
}

/// The share up to which something holds that holds at 0 and not at 1.
fn crossing(holds: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    // As many halvings as a double has binary digits.
    for _ in 0..53 {
        let middle = f64::midpoint(low, high);
        if holds(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// The chance of at most `k` of `n` at the share `p`.
pub(crate) fn at_most(k: u64, n: u64, p: f64) -> f64 {
    if k >= n || p <= 0.0 {
        return 1.0;
    }
    if p >= 1.0 {
        return 0.0;
    }
    // The shorter tail is summed from its largest term on, until what follows no longer counts.
    if k as f64 <= n as f64 * p { tail(k, n, p) } else { 1.0 - tail(n - k - 1, n, 1.0 - p) }
}

fn tail(k: u64, n: u64, p: f64) -> f64 {
    let odds = (1.0 - p) / p;
    let mut term =
        (ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k) + k as f64 * p.ln() + (n - k) as f64 * (-p).ln_1p())
            .exp();
    let mut sum = 0.0;
    for i in (0..=k).rev() {
        sum += term;
        if term <= sum * f64::EPSILON {
            break;
        }
        term *= i as f64 / (n - i + 1) as f64 * odds;
    }
    sum.min(1.0)
}

/// The logarithm of n!: a sum while that is short, then Stirling's series (Abramowitz & Stegun 6.1.41).
fn ln_factorial(n: u64) -> f64 {
    if n < 128 {
        return (2..=n).map(|i| (i as f64).ln()).sum();
    }
    let x = n as f64;
    let series = 1.0 / (12.0 * x) - 1.0 / (360.0 * x.powi(3));
    x * x.ln() - x + 0.5 * (std::f64::consts::TAU * x).ln() + series
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// By the recurrence of Pascal's triangle, which knows no logarithm.
    fn by_triangle(k: u64, n: u64, p: f64) -> f64 {
        let mut law = vec![1.0];
        for _ in 0..n {
            let mut next = vec![0.0; law.len() + 1];
            for (i, chance) in law.iter().enumerate() {
                next[i] += chance * (1.0 - p);
                next[i + 1] += chance * p;
            }
            law = next;
        }
        law.iter().take(k as usize + 1).sum()
    }

    #[test]
    fn tails_are_those_of_the_whole_law() {
        for n in [1, 2, 7, 50, 300] {
            for p in [0.001, 0.1, 0.5, 0.87] {
                for k in [0, 1, n / 4, n / 2, n - 1] {
                    let (found, want) = (at_most(k, n, p), by_triangle(k, n, p));
                    assert!((found - want).abs() < 1e-11, "{k} of {n} at {p}: {found} against {want}");
                }
            }
        }
        assert!((at_most(500_000, 1_000_000, 0.5) - 0.500_398_942).abs() < 1e-6);
    }

    #[test]
    fn known_intervals_are_found() {
        // None of n: up to 1 - (tail)^(1/n); 4 of 10 as in the tables (95 %: 0.1216 to 0.7376).
        let (low, high) = interval(0, 10, 0.95);
        assert!(low == 0.0 && (high - (1.0 - 0.025_f64.powf(0.1))).abs() < 1e-12, "{high}");
        let (low, high) = interval(4, 10, 0.95);
        assert!((low - 0.121_552).abs() < 1e-5 && (high - 0.737_622).abs() < 1e-5, "{low} {high}");
        assert_eq!(interval(10, 10, 0.95).1, 1.0);
        assert_eq!(interval(0, 0, 0.999), (0.0, 1.0));
        // One that should never have been is enough to tell that it was.
        assert!(interval(1, 100_000, 0.999).0 > 0.0);
        // 2000 of 20000: the normal law is near, 3.29 standard deviations of 0.00212.
        let (low, high) = interval(2000, 20_000, 0.999);
        assert!((low - 0.0932).abs() < 2e-4 && (high - 0.1071).abs() < 2e-4, "{low} {high}");
    }

    #[test]
    fn the_truth_is_inside_at_least_as_often_as_the_level_says() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for (p, n, level) in [(0.1, 200, 0.9), (0.01, 400, 0.95), (0.5, 60, 0.8)] {
            let mut held = 0;
            for _ in 0..3000 {
                let k = (0..n).filter(|_| rng.random::<f64>() < p).count() as u64;
                let (low, high) = interval(k, n, level);
                held += u32::from(low <= p && p <= high);
            }
            let covered = f64::from(held) / 3000.0;
            assert!(covered >= level - 0.01 && covered < level + 0.09, "{p} {n}: {covered} against {level}");
        }
    }
}
