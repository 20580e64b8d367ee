//! How often the ledger's test names what is not there, and finds what is: seeded tracks of known making.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::FALSE_DISCOVERIES;
use crate::stats::{Track, chance_of, discovery};

/// Signals looked at in a cell.
const SIGNALS: usize = 6;

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// A series of so many moments in which neighbours are alike (first-order autoregression, 0.8).
fn series(rng: &mut ChaCha8Rng, n: usize) -> Vec<f64> {
    let mut now = normal(rng);
    (0..n)
        .map(|_| {
            now = 0.8 * now + 0.6 * normal(rng);
            now
        })
        .collect()
}

/// The tracks of each signal: on in its highest moments, and beside waiting that has `effect` more in the moments in which
/// the first signal was on, `lag` later. Trials differ as a whole in both.
fn tracks(rng: &mut ChaCha8Rng, trials: usize, n: usize, effect: f64, lag: usize) -> Vec<Vec<Track>> {
    let mut of_signals = vec![Vec::new(); SIGNALS];
    for _ in 0..trials {
        let trial = 0.5 * normal(rng);
        let signals: Vec<Vec<bool>> =
            (0..SIGNALS).map(|_| series(rng, n).iter().map(|x| x + trial > 1.2).collect()).collect();
        let waiting: Vec<f64> = series(rng, n)
            .iter()
            .enumerate()
            .map(|(t, x)| (x + trial).exp() + if t >= lag && signals[0][t - lag] { effect } else { 0.0 })
            .collect();
        for (all, on) in of_signals.iter_mut().zip(signals) {
            all.push(Track { on, reach: vec![0; n], badness: waiting.clone() });
        }
    }
    of_signals
}

/// Which signals are believed.
fn named(of_signals: &[Vec<Track>], seed: u64) -> Vec<bool> {
    let least = FALSE_DISCOVERIES / of_signals.len() as f64;
    let chances: Vec<f64> = of_signals.iter().map(|tracks| chance_of(tracks, least, seed)).collect();
    discovery::believed(&chances, FALSE_DISCOVERIES)
}

/// Of so many runs: in how many something is believed that is not there, the mean share of that among all that is believed,
/// and in how many what is there is believed.
fn count(runs: u64, trials: usize, effect: f64, lag: usize) -> (u64, f64, u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(trials as u64);
    let (mut any, mut share, mut right) = (0, 0.0, 0);
    for seed in 0..runs {
        let found = named(&tracks(&mut rng, trials, 40, effect, lag), seed);
        let count = |found: &[bool]| found.iter().filter(|f| **f).count();
        let (all, wrong) = (count(&found), count(&found[usize::from(effect > 0.0)..]));
        any += u64::from(wrong > 0);
        share += wrong as f64 / all.max(1) as f64 / runs as f64;
        right += u64::from(effect > 0.0 && found[0]);
    }
    (any, share, right)
}

#[test]
fn what_is_not_there_is_seldom_believed_with_few_trials_and_with_many() {
    // Any of six in a run: 10 % are 8 of 80, and four standard deviations another 11.
    for trials in [3, 8] {
        let (any, ..) = count(80, trials, 0.0, 0);
        assert!(any <= 19, "{any} of 80 with {trials} trials");
    }
}

#[test]
fn what_is_there_is_found_also_where_it_shows_a_moment_later() {
    for (trials, lag) in [(3, 0), (3, 1), (8, 0)] {
        let (_, share, right) = count(40, trials, 8.0, lag);
        assert!(right >= 36, "{right} of 40 with {trials} trials, {lag} later");
        // Of what is believed a tenth may be wrong; a run's share scatters by about 0.2.
        assert!(share <= 0.1 + 4.0 * 0.2 / 40f64.sqrt(), "{share} with {trials} trials, {lag} later");
    }
}
