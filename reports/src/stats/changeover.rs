//! When a split changed from one set of weights to another, judged from counts window by window.
//!
//! Of every boundary between windows it is asked how likely the counts are if requests were split by the old weights up
//! to it, and by the new ones from it on; the most likely is the moment of the change. Those boundaries are held possible
//! whose likelihood is at least `chance / 2` of the largest: under the true boundary the ratio of any later one to it is a
//! martingale of mean 1, as is that of any earlier one, so that either exceeds `2 / chance` with a probability of at most
//! `chance / 2` (Ville 1939). A change inside a window lies between its two boundaries, one of which is held possible;
//! hence the moment is looked for from one window before the first possible boundary to one after the last.

/// A weight of 0 stands for this share, so that one stray answer moves the moment and does not make it impossible; the
/// share that was seen tells of it.
const LEAST_SHARE: f64 = 1e-3;

/// Boundaries between windows: `k` lies before the window `k`, and after the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Changeover {
    /// The most likely one.
    pub(crate) at: usize,
    /// Not before this one.
    pub(crate) earliest: usize,
    /// Not after this one.
    pub(crate) latest: usize,
}

/// Where the split of the windows changed from the old shares to the new ones, each in the order of the counts; none
/// where it cannot be told from never.
pub(crate) fn changeover(windows: &[Vec<u64>], old: &[f64], new: &[f64], chance: f64) -> Option<Changeover> {
    let (old, new) = (positive(old), positive(new));
    // Of the boundaries in their order: by how much each is more likely than that before all windows.
    let mut likelihoods = vec![0.0];
    let mut sum = 0.0;
    for counts in windows {
        let of = |((count, old), new): ((&u64, &f64), &f64)| *count as f64 * (old / new).ln();
        sum += counts.iter().zip(&old).zip(&new).map(of).sum::<f64>();
        likelihoods.push(sum);
    }
    let best = likelihoods.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let least = best - (2.0 / chance).ln();
    let possible = |likelihood: &f64| *likelihood >= least;
    let at = likelihoods.iter().position(|l| *l >= best)?;
    let first = likelihoods.iter().position(possible)?;
    let last = likelihoods.iter().rposition(possible)?;
    let end = windows.len();
    (last < end).then(|| Changeover { at, earliest: first.saturating_sub(1), latest: (last + 1).min(end) })
}

fn positive(shares: &[f64]) -> Vec<f64> {
    let raised: Vec<f64> = shares.iter().map(|share| share.max(LEAST_SHARE)).collect();
    let sum: f64 = raised.iter().sum();
    raised.iter().map(|share| share / sum).collect()
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Windows of so many answers each, split by `old` up to a moment (in windows, with a fraction), then by `new`.
    fn drawn(rng: &mut ChaCha8Rng, windows: usize, each: usize, old: f64, new: f64, change: f64) -> Vec<Vec<u64>> {
        let window = |w: usize| {
            let mut counts = vec![0, 0];
            for i in 0..each {
                let share = if w as f64 + i as f64 / (each as f64) < change { old } else { new };
                counts[usize::from(rng.random::<f64>() < share)] += 1;
            }
            counts
        };
        (0..windows).map(window).collect()
    }

    #[test]
    fn a_change_is_found_where_it_was_put_and_its_bounds_hold_it() {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        for (old, new, each, near) in
            [(0.1, 0.5, 100, 0.6), (0.5, 0.1, 100, 0.6), (0.1, 0.2, 100, 4.0), (0.0, 0.1, 50, 2.5)]
        {
            let mut outside = 0;
            for change in [0.0, 0.3, 1.0, 4.5, 17.0, 23.8] {
                for _ in 0..200 {
                    let windows = drawn(&mut rng, 50, each, old, new, change);
                    let found = changeover(&windows, &[1.0 - old, old], &[1.0 - new, new], 0.001).unwrap();
                    let held = found.earliest as f64 <= change && change <= found.latest as f64;
                    outside += u32::from(!held);
                    assert!((found.at as f64 - change).abs() <= near + 6.0, "{old} {new} at {change}: {found:?}");
                }
            }
            // 1200 draws at a chance of a thousandth each.
            assert!(outside <= 5, "{old} to {new}: {outside} of 1200 lay outside");
        }
    }

    #[test]
    fn a_clear_change_is_told_to_a_window_or_two() {
        let mut rng = ChaCha8Rng::seed_from_u64(12);
        for _ in 0..200 {
            let windows = drawn(&mut rng, 50, 100, 0.1, 0.5, 3.0);
            let found = changeover(&windows, &[0.9, 0.1], &[0.5, 0.5], 0.001).unwrap();
            assert!(found.at == 3 && found.latest <= 5 && found.earliest >= 1, "{found:?}");
        }
    }

    #[test]
    fn a_split_that_stays_is_not_said_to_have_followed() {
        let mut rng = ChaCha8Rng::seed_from_u64(13);
        let mut followed = 0;
        for _ in 0..300 {
            let windows = drawn(&mut rng, 50, 100, 0.1, 0.5, 99.0);
            followed += u32::from(changeover(&windows, &[0.9, 0.1], &[0.5, 0.5], 0.001).is_some());
        }
        assert!(followed <= 2, "{followed} of 300");
        assert_eq!(changeover(&[], &[0.9, 0.1], &[0.5, 0.5], 0.001), None, "without answers nothing is known");
        assert_eq!(changeover(&vec![vec![9, 1]; 5], &[0.9, 0.1], &[0.9, 0.1], 0.001), None, "nothing to tell apart");
    }

    #[test]
    fn a_stray_answer_of_a_subset_that_was_turned_off_moves_the_moment() {
        let mut windows = vec![vec![50, 50]; 3];
        windows.extend(vec![vec![100, 0]; 20]);
        let of = |windows: &[Vec<u64>]| changeover(windows, &[0.5, 0.5], &[1.0, 0.0], 0.001).unwrap();
        assert_eq!(of(&windows), Changeover { at: 3, earliest: 2, latest: 4 });
        windows[10] = vec![99, 1];
        assert_eq!(of(&windows).at, 3, "one of a thousand is no split of halves");
    }
}
