//! Whether two tracks over time coincide more than chance: circular shifts within each trial, or other pairs of trials.
//!
//! Both keep what a shuffle would break, the runs of good and bad moments in each track, and both keep trials apart, so
//! that a trial which is bad in both does not count as evidence.

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
        let (n, since) = (self.on.len(), self.since());
        (0..n).map(move |t| self.touches(t, since[(t + n - shift % n) % n]))
    }

    /// For each moment, how many moments before it the signal was on last, going round; none where it never was.
    fn since(&self) -> Vec<Option<usize>> {
        let n = self.on.len();
        let mut last = self.on.iter().rposition(|on| *on).map(|at| at as isize - n as isize);
        let mut since = Vec::with_capacity(n);
        for (t, on) in self.on.iter().enumerate() {
            if *on {
                last = Some(t as isize);
            }
            since.push(last.map(|last| (t as isize - last) as usize));
        }
        since
    }

    /// Whether a moment is touched by a signal that was on last so long before it.
    fn touches(&self, t: usize, since: Option<usize>) -> bool {
        since.is_some_and(|since| since <= self.reach[t])
    }

    /// This badness with another trial's signal, which may be a moment longer or shorter.
    fn with(&self, signal: &Track) -> Track {
        let mut on = signal.on.clone();
        on.resize(self.on.len(), false);
        Track { on, ..self.clone() }
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

/// The sums of a track's badness over what its signal touches, made ready so that one takes time with how often the signal
/// came and how many requests were long, and not with how long the trial was.
struct Overlaps<'a> {
    track: &'a Track,
    since: Vec<Option<usize>>,
    /// The stretches in which the signal was on: from, and up to.
    runs: Vec<(usize, usize)>,
    /// The badness of moments that reach back to none, summed up to each moment.
    sums: Vec<f64>,
    /// The moments that reach back to others.
    reaching: Vec<usize>,
}

impl<'a> Overlaps<'a> {
    fn of(track: &'a Track) -> Self {
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for (t, _) in track.on.iter().enumerate().filter(|(_, on)| **on) {
            match runs.last_mut() {
                Some((_, end)) if *end == t => *end += 1,
                _ => runs.push((t, t + 1)),
            }
        }
        let mut sums = vec![0.0];
        let mut sum = 0.0;
        for (badness, reach) in track.badness.iter().zip(&track.reach) {
            sum += if *reach == 0 { *badness } else { 0.0 };
            sums.push(sum);
        }
        let reaching = (0..track.on.len()).filter(|t| track.reach[*t] > 0).collect();
        Self { track, since: track.since(), runs, sums, reaching }
    }

    /// The sum of badness over the touched moments when the signal comes `shift` moments later than it did.
    fn at(&self, shift: usize) -> f64 {
        let n = self.track.on.len();
        let between = |from: usize, to: usize| self.sums[to] - self.sums[from];
        let own = self.runs.iter().map(|(from, to)| {
            let (from, length) = ((from + shift) % n, to - from);
            between(from, n.min(from + length)) + between(0, (from + length).saturating_sub(n))
        });
        let of_others = self.reaching.iter().map(|t| {
            let touched = self.track.touches(*t, self.since[(t + n - shift % n) % n]);
            if touched { self.track.badness[*t] } else { 0.0 }
        });
        own.sum::<f64>() + of_others.sum::<f64>()
    }
}

/// How many moments later than the signal what it does may show.
const LAGS: std::ops::RangeInclusive<usize> = 0..=1;
/// The draws of the null law, where there are too many cases to try each.
const DRAWS: usize = 1999;
/// As many trials have few enough orders to try each.
const TRIED: usize = 6;
/// The fewest trials whose order can tell something.
const FEWEST: usize = 5;

/// The probability that chance alone makes signal and badness coincide as much as they do, over all trials: the largest
/// coincidence over all lags is set against the largest of each case of the null law. Without any moment it is 1.
///
/// With enough trials a case pairs each trial's signal with the badness of another one, which keeps what all trials have in
/// common as they go on; but only if so many trials have enough orders for a probability of `least`. Otherwise a case
/// shifts each trial's signal by a time of its own.
pub(crate) fn chance_of(tracks: &[Track], least: f64, seed: u64) -> f64 {
    let ranked: Vec<Track> = tracks.iter().filter(|t| !t.on.is_empty()).map(Track::ranked).collect();
    let orders: f64 = (1..=ranked.len()).map(|k| k as f64).product();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    if ranked.len() >= FEWEST && 1.0 / orders <= least {
        by_order(&ranked, &mut rng)
    } else {
        by_shift(&ranked, &mut rng)
    }
}

fn by_shift(ranked: &[Track], rng: &mut ChaCha8Rng) -> f64 {
    // A shift is summed when it is first drawn: short trials need each once, long ones only those drawn.
    let overlaps: Vec<Overlaps<'_>> = ranked.iter().map(Overlaps::of).collect();
    let mut sums: Vec<Vec<Option<f64>>> = ranked.iter().map(|t| vec![None; t.on.len()]).collect();
    let mut largest = |shifts: &[usize]| {
        let at = |lag: usize| -> f64 {
            let of = |(i, t): (usize, &Track)| {
                let shift = (shifts[i] + lag) % t.on.len();
                *sums[i][shift].get_or_insert_with(|| overlaps[i].at(shift))
            };
            ranked.iter().enumerate().map(of).sum()
        };
        LAGS.map(at).fold(f64::NEG_INFINITY, f64::max)
    };
    let seen = largest(&vec![0; ranked.len()]);
    let slack = seen.abs() * 1e-12;
    let mut draw = || -> Vec<usize> { ranked.iter().map(|t| rng.random_range(0..t.on.len())).collect() };
    let as_much = (0..DRAWS).filter(|_| largest(&draw()) >= seen - slack).count();
    (as_much + 1) as f64 / (DRAWS + 1) as f64
}

fn by_order(ranked: &[Track], rng: &mut ChaCha8Rng) -> f64 {
    let n = ranked.len();
    // The coincidence of each trial's badness with each trial's signal, at each lag.
    let pairs: Vec<Vec<Vec<f64>>> = LAGS
        .map(|lag| {
            ranked
                .iter()
                .map(|bad| ranked.iter().map(|signal| Overlaps::of(&bad.with(signal)).at(lag)).collect())
                .collect()
        })
        .collect();
    let largest = |order: &[usize]| {
        let at = |pairs: &Vec<Vec<f64>>| order.iter().enumerate().map(|(bad, signal)| pairs[bad][*signal]).sum::<f64>();
        pairs.iter().map(at).fold(f64::NEG_INFINITY, f64::max)
    };
    let mut order: Vec<usize> = (0..n).collect();
    let seen = largest(&order);
    let least = seen - seen.abs() * 1e-12;
    if n <= TRIED {
        let (mut as_much, mut all) = (0u32, 0u32);
        for_each_order(&mut order, n, &mut |order| {
            all += 1;
            as_much += u32::from(largest(order) >= least);
        });
        return f64::from(as_much) / f64::from(all);
    }
    let mut as_much = 1;
    for _ in 0..DRAWS {
        for last in (1..n).rev() {
            order.swap(last, rng.random_range(0..=last));
        }
        as_much += usize::from(largest(&order) >= least);
    }
    as_much as f64 / (DRAWS + 1) as f64
}

/// Each order of the first `k` once (Heap 1963).
fn for_each_order(order: &mut [usize], k: usize, see: &mut impl FnMut(&[usize])) {
    if k <= 1 {
        see(order);
        return;
    }
    for i in 0..k {
        for_each_order(order, k - 1, see);
        if i + 1 < k {
            order.swap(if k.is_multiple_of(2) { i } else { 0 }, k - 1);
        }
    }
}

/// In how many of the chosen moments the signal would be on if it came at any other time of its trial: the mean over all
/// shifts.
pub(crate) fn touched_by_chance(track: &Track, chosen: &[usize]) -> f64 {
    let n = track.on.len();
    // Over all shifts a moment meets every other one once, so that all that counts is how far back it reaches.
    let mut far: Vec<usize> = track.since().into_iter().flatten().collect();
    far.sort_unstable();
    let meets = |t: &usize| far.partition_point(|since| *since <= track.reach[*t]);
    chosen.iter().map(meets).sum::<usize>() as f64 / n.max(1) as f64
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
        assert!(chance_of(&[t.clone(), t.clone(), t], 0.01, 1) <= 0.002);
    }

    #[test]
    fn a_signal_that_is_always_or_never_on_says_nothing() {
        let always = track(&(0..50).collect::<Vec<_>>(), &[3, 9], 50);
        let never = track(&[], &[3, 9], 50);
        assert_eq!(chance_of(&[always], 0.01, 1), 1.0);
        assert_eq!(chance_of(&[never], 0.01, 1), 1.0);
        assert_eq!(chance_of(&[], 0.01, 1), 1.0);
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
            claimed += usize::from(chance_of(&tracks, 0.01, seed) <= 0.05);
        }
        // 5 % of 400 is 20; four standard deviations are 17.
        assert!(claimed <= 37, "{claimed} of 400");
    }

    #[test]
    fn every_order_is_tried_once() {
        let mut seen = std::collections::BTreeSet::new();
        for_each_order(&mut [0, 1, 2, 3, 4], 5, &mut |order| assert!(seen.insert(order.to_vec())));
        assert_eq!(seen.len(), 120);
    }

    #[test]
    fn what_all_trials_have_in_common_is_no_evidence_where_trials_can_be_exchanged() {
        // Each trial is slow in its first moments, in which the signal is on too, whatever else it does.
        let same = track(&[0, 1, 2], &[0, 1, 2], 50);
        assert_eq!(chance_of(&vec![same.clone(); 6], 0.01, 1), 1.0);
        // Three have too few orders, so that shifts must do.
        assert!(chance_of(&vec![same; 3], 0.01, 1) < 0.01);
    }

    #[test]
    fn a_signal_that_shows_a_moment_later_is_found() {
        let late = |at: usize| track(&[at, at + 9], &[at + 1, at + 10], 50);
        assert!(chance_of(&[late(3), late(11), late(20)], 0.01, 1) < 0.01);
        let early = |at: usize| track(&[at + 1, at + 10], &[at, at + 9], 50);
        assert!(chance_of(&[early(3), early(11), early(20)], 0.01, 1) > 0.1, "what comes after is no cause");
    }

    #[test]
    fn chance_is_what_is_expected_of_a_signal_at_any_time() {
        let t = track(&[4, 5], &[4, 7], 10);
        assert!((touched_by_chance(&t, &[4, 5, 9]) - 3.0 * 0.2).abs() < 1e-12);
    }

    #[test]
    fn a_moment_is_touched_by_what_happened_while_its_requests_lived() {
        let mut t = track(&[4, 5], &[4, 7], 10);
        let touched = |t: &Track, shift| t.touched(shift).map(u8::from).collect::<Vec<_>>();
        assert_eq!(touched(&t, 0), [0, 0, 0, 0, 1, 1, 0, 0, 0, 0]);
        assert_eq!(touched(&t, 5), [1, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        let overlap = |t: &Track| Overlaps::of(t).at(0);
        assert!((overlap(&t) - 10.1).abs() < 1e-12);
        // A request that ended at 7 and lived since 5 is touched too.
        t.reach[7] = 2;
        assert!((overlap(&t) - 20.1).abs() < 1e-12);
    }

    /// What is touched, by looking at every moment that counts.
    fn looked_at(t: &Track, shift: usize) -> Vec<bool> {
        let n = t.on.len();
        let on = |moment: usize, back: usize| t.on[(moment + 2 * n - back - shift) % n];
        (0..n).map(|moment| (0..=t.reach[moment].min(n - 1)).any(|back| on(moment, back))).collect()
    }

    #[test]
    fn sums_made_ready_are_those_of_looking_at_every_moment() {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        for _ in 0..200 {
            let n = rng.random_range(1..40);
            let often = [0.0, 0.1, 0.5, 0.9, 1.0][rng.random_range(0..5)];
            let t = Track {
                on: (0..n).map(|_| rng.random::<f64>() < often).collect(),
                reach: (0..n).map(|_| if rng.random::<f64>() < 0.7 { 0 } else { rng.random_range(0..50) }).collect(),
                badness: (0..n).map(|_| f64::from(rng.random_range(0..9))).collect(),
            };
            let overlaps = Overlaps::of(&t);
            let mut all = vec![0; n];
            for shift in 0..n {
                let wanted = looked_at(&t, shift);
                assert_eq!(t.touched(shift).collect::<Vec<_>>(), wanted, "{t:?} at {shift}");
                let sum: f64 = wanted.iter().zip(&t.badness).filter(|(on, _)| **on).map(|(_, bad)| bad).sum();
                assert_eq!(overlaps.at(shift), sum, "{t:?} at {shift}");
                wanted.iter().zip(&mut all).for_each(|(on, all)| *all += usize::from(*on));
            }
            let by_chance = touched_by_chance(&t, &[0, n / 2]);
            assert_eq!(by_chance, (all[0] + all[n / 2]) as f64 / n as f64, "{t:?}");
        }
    }

    #[test]
    fn ties_share_their_rank() {
        let ranked = Track { on: vec![false; 4], reach: vec![0; 4], badness: vec![2.0, 1.0, 2.0, 5.0] }.ranked();
        assert_eq!(ranked.badness, vec![1.5, 0.0, 1.5, 3.0]);
    }
}
