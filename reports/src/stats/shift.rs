//! Whether two tracks over time coincide more than chance: circular shifts within each trial.
//!
//! Shifting keeps what a shuffle would break, the runs of good and bad moments in each track, and it keeps
//! trials apart, so that a trial which is bad in both does not count as evidence.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A trial's two tracks, of equal length: where a signal was on, and how bad the moments were.
#[derive(Clone, Debug)]
pub(crate) struct Track {
    /// Whether the signal was on, by moment.
    pub(crate) on: Vec<bool>,
    /// For each moment, how many moments before it still count as its own (requests live that long).
    pub(crate) reach: Vec<usize>,
    /// How bad the moment was.
    pub(crate) badness: Vec<f64>,
}

impl Track {
    /// The moments that the signal touches when it comes `shift` moments later than it did.
    pub(crate) fn touched(&self, shift: usize) -> impl Iterator<Item = bool> + '_ {
        let n = self.on.len();
        (0..n).map(move |t| (0..=self.reach[t].min(n - 1)).any(|back| self.on[(t + 2 * n - back - shift) % n]))
    }

    /// The sum of badness over the touched moments.
    fn overlap(&self, shift: usize) -> f64 {
        self.touched(shift).zip(&self.badness).filter(|(on, _)| *on).map(|(_, b)| b).sum()
    }

    /// The same track with ranks for badness, so that one terrible moment is no evidence on its own.
    fn ranked(&self) -> Track {
        let mut order: Vec<usize> = (0..self.badness.len()).collect();
        order.sort_by(|a, b| self.badness[*a].total_cmp(&self.badness[*b]));
        let mut ranks = vec![0.0; order.len()];
        let mut from = 0;
        while from < order.len() {
            let value = self.badness[order[from]];
            let to = order[from..].iter().take_while(|i| self.badness[**i] == value).count() + from;
            for i in &order[from..to] {
                ranks[*i] = f64::midpoint(from as f64, to as f64 - 1.0);
            }
            from = to;
        }
        Track { on: self.on.clone(), reach: self.reach.clone(), badness: ranks }
    }
}

/// The draws of the null law: the smallest probability that can be found is one in a thousand.
const DRAWS: usize = 999;

/// The probability that chance alone makes signal and badness coincide as much as they do, over all trials.
/// Without any moment it is 1.
pub(crate) fn chance_of(tracks: &[Track], seed: u64) -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let ranked: Vec<Track> = tracks.iter().filter(|t| !t.on.is_empty()).map(Track::ranked).collect();
    // A shift is summed when it is first drawn: short trials need each once, long ones only those drawn.
    let mut sums: Vec<Vec<Option<f64>>> = ranked.iter().map(|t| vec![None; t.on.len()]).collect();
    let mut overlap =
        |trial: usize, shift: usize| *sums[trial][shift].get_or_insert_with(|| ranked[trial].overlap(shift));
    let seen: f64 = (0..ranked.len()).map(|trial| overlap(trial, 0)).sum();
    let slack = seen.abs() * 1e-12;
    let as_much = (0..DRAWS)
        .filter(|_| {
            let drawn: f64 = ranked.iter().enumerate().map(|(i, t)| overlap(i, rng.random_range(0..t.on.len()))).sum();
            drawn >= seen - slack
        })
        .count();
    (as_much + 1) as f64 / (DRAWS + 1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(on: &[usize], bad: &[usize], n: usize) -> Track {
        Track {
            on: (0..n).map(|t| on.contains(&t)).collect(),
            reach: vec![0; n],
            badness: (0..n).map(|t| if bad.contains(&t) { 10.0 } else { 0.1 }).collect(),
        }
    }

    #[test]
    fn what_coincides_everywhere_is_no_chance() {
        let t = track(&[3, 9, 10, 30], &[3, 9, 10, 30], 50);
        assert!(chance_of(&[t.clone(), t.clone(), t], 1) <= 0.002);
    }

    #[test]
    fn a_signal_that_is_always_or_never_on_says_nothing() {
        let always = track(&(0..50).collect::<Vec<_>>(), &[3, 9], 50);
        let never = track(&[], &[3, 9], 50);
        assert_eq!(chance_of(&[always], 1), 1.0);
        assert_eq!(chance_of(&[never], 1), 1.0);
        assert_eq!(chance_of(&[], 1), 1.0);
    }

    #[test]
    fn unrelated_tracks_are_seldom_taken_for_related() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut claimed = 0;
        for seed in 0..400 {
            let tracks: Vec<Track> = (0..5)
                .map(|_| {
                    // Both come in runs, as throttling and slow moments do.
                    let mut runs = |p: f64| {
                        let mut on = false;
                        (0..50)
                            .map(|_| {
                                on = if rng.random::<f64>() < 0.3 { rng.random::<f64>() < p } else { on };
                                on
                            })
                            .collect::<Vec<bool>>()
                    };
                    let (on, bad) = (runs(0.3), runs(0.2));
                    let badness = bad.iter().map(|b| if *b { 5.0 } else { 0.5 }).collect();
                    Track { reach: bad.iter().map(|b| usize::from(*b)).collect(), on, badness }
                })
                .collect();
            claimed += usize::from(chance_of(&tracks, seed) <= 0.05);
        }
        // 5 % of 400 is 20; four standard deviations are 17.
        assert!(claimed <= 37, "{claimed} of 400");
    }

    #[test]
    fn a_moment_is_touched_by_what_happened_while_its_requests_lived() {
        let mut t = track(&[4, 5], &[4, 7], 10);
        let touched = |t: &Track, shift| t.touched(shift).map(u8::from).collect::<Vec<_>>();
        assert_eq!(touched(&t, 0), [0, 0, 0, 0, 1, 1, 0, 0, 0, 0]);
        assert_eq!(touched(&t, 5), [1, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert!((t.overlap(0) - 10.1).abs() < 1e-12);
        // A request that ended at 7 and lived since 5 is touched too.
        t.reach[7] = 2;
        assert!((t.overlap(0) - 20.1).abs() < 1e-12);
    }

    #[test]
    fn ties_share_their_rank() {
        let ranked = Track { on: vec![false; 4], reach: vec![0; 4], badness: vec![2.0, 1.0, 2.0, 5.0] }.ranked();
        assert_eq!(ranked.badness, vec![1.5, 0.0, 1.5, 3.0]);
    }
}
