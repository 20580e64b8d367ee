//! The exact law of Wilcoxon's signed-rank statistic, without ties (Wilcoxon 1945; Hollander & Wolfe, ch. 3).

/// P(W <= w) for every w from 0 to n(n+1)/2, where W is the sum of those of the ranks 1..n whose fair coin
/// shows heads.
///
/// Each rank doubles the law: with the coin's tail it stays where it is, with its head it moves by the rank.
pub(super) fn cumulative(n: usize) -> Vec<f64> {
    let most = n * (n + 1) / 2;
    let mut law = vec![0.0; most + 1];
    law[0] = 1.0;
    let mut reached = 0;
    for rank in 1..=n {
        reached += rank;
        for w in (0..=reached).rev() {
            let with = if w >= rank { law[w - rank] } else { 0.0 };
            law[w] = (law[w] + with) / 2.0;
        }
    }
    let mut sum = 0.0;
    law.iter()
        .map(|p| {
            sum += p;
            sum
        })
        .collect()
}

/// How many Walsh averages to cut at each end of the sorted ones so that the interval between is the tightest
/// whose exact level is at least the one asked for, and that level. Where even the widest is below, that one.
pub(super) fn cut(n: usize, level: f64) -> (usize, f64) {
    let cumulative = cumulative(n);
    let reached = |k: usize| 1.0 - 2.0 * cumulative[k];
    // A level asked for as a decimal must not be missed by its last binary digit.
    let k = (1..cumulative.len()).take_while(|k| reached(*k) >= level - 1e-12).last().unwrap_or(0);
    (k, reached(k))
}

/// The statistic itself, around a centre: the sum of the ranks of the differences to it, each with its difference's sign.
/// Differences of one size share the mean of their ranks; one of nothing has a rank and no sign (Pratt 1959), and so has
/// one that is no number.
pub(super) fn statistic(values: &[f64], centre: f64) -> f64 {
    let mut differences: Vec<f64> =
        values.iter().map(|v| v - centre).map(|d| if d.is_nan() { 0.0 } else { d }).collect();
    differences.sort_unstable_by(|a, b| a.abs().total_cmp(&b.abs()));
    let (mut sum, mut from) = (0.0, 0);
    while from < differences.len() {
        let size = differences[from].abs();
        let alike = differences[from..].iter().take_while(|d| d.abs() == size).count();
        // The ranks from + 1 to from + alike.
        let rank = from as f64 + f64::midpoint(1.0, alike as f64);
        let signs: f64 = differences[from..from + alike].iter().map(|d| if *d == 0.0 { 0.0 } else { d.signum() }).sum();
        sum += rank * signs;
        from += alike;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every one of the 2^n ways the coins can fall.
    fn enumerated(n: usize) -> Vec<f64> {
        let most = n * (n + 1) / 2;
        let mut counts = vec![0u64; most + 1];
        for coins in 0u32..1 << n {
            let w: usize = (0..n).filter(|i| coins & (1 << i) != 0).map(|i| i + 1).sum();
            counts[w] += 1;
        }
        let mut sum = 0;
        counts
            .iter()
            .map(|c| {
                sum += c;
                sum as f64 / f64::from(1u32 << n)
            })
            .collect()
    }

    #[test]
    fn the_law_is_that_of_all_ways_the_signs_can_fall() {
        for n in 1..=14 {
            let (law, want) = (cumulative(n), enumerated(n));
            assert_eq!(law.len(), want.len());
            for (w, (a, b)) in law.iter().zip(&want).enumerate() {
                assert!((a - b).abs() < 1e-12, "n {n}, w {w}: {a} against {b}");
            }
        }
    }

    #[test]
    fn cuts_and_levels_are_those_of_the_printed_tables() {
        // n, level asked for, ends cut off, level reached.
        for (n, asked, k, level) in [
            (2, 0.95, 0, 0.5),
            (5, 0.95, 0, 0.9375),
            (5, 0.90, 0, 0.9375),
            (5, 0.80, 2, 0.8125),
            (6, 0.95, 0, 0.96875),
            (10, 0.95, 8, 1.0 - 2.0 * 25.0 / 1024.0),
        ] {
            let got = cut(n, asked);
            assert_eq!(got.0, k, "n {n} at {asked}");
            assert!((got.1 - level).abs() < 1e-12, "n {n} at {asked}: {}", got.1);
        }
        // Tables give 52 as the critical value of 20 pairs at 5 %, two-sided: W <= 52 rejects.
        assert_eq!(cut(20, 0.95).0, 52);
    }

    #[test]
    fn ties_share_a_rank_and_nothing_has_no_sign() {
        assert_eq!(statistic(&[1.0, -2.0, 3.0], 0.0), 1.0 - 2.0 + 3.0);
        assert_eq!(statistic(&[1.0, -2.0, 3.0], 2.0), -1.5 - 3.0 + 1.5);
        assert_eq!(statistic(&[1.0, 1.0, -1.0, 5.0], 0.0), 2.0 + 4.0);
        assert_eq!(statistic(&[0.0, f64::NAN, 4.0], 0.0), 3.0);
        assert_eq!(statistic(&[f64::INFINITY, -1.0], 0.0), 1.0);
        assert_eq!(statistic(&[], 0.0), 0.0);
    }

    #[test]
    fn a_level_that_is_reached_exactly_is_taken() {
        assert_eq!(cut(5, 0.9375).0, 0);
        assert_eq!(cut(5, 0.875).0, 1);
    }
}
