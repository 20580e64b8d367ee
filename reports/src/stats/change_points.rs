//! Where the level of a series changed: binary segmentation on ranks, over seeded intervals, with an exact permutation test.
//!
//! Of a stretch of the series and of shorter intervals inside it (each half as long as those before, overlapping by half:
//! Kovacs, Buehlmann, Li & Munk 2023) every place is asked how far the ranks before it and after it lie apart, in standard
//! deviations. The largest such distance is compared with those of the same ranks in drawn orders, which is what chance
//! would do: so values may be of any distribution, a wild one weighs no more than the largest, and places looked at are
//! paid for. What is found splits the stretch, and both parts are searched again. The E-divisive (Matteson & James 2014),
//! which this follows, compares distances between values in place of ranks and so needs the square of their number.
//!
//! The test takes values for independent when nothing changes. A series that wanders has change points in its sense.

use rand::SeedableRng;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;

/// How change points are looked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// How likely chance alone may give one, in each stretch that is searched.
    pub level: f64,
    /// The fewest values between two changes, and at both ends.
    pub fewest: usize,
    /// The seed of the orders.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { level: 0.005, fewest: 4, seed: 1 }
    }
}

/// A change of level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChangePoint {
    /// The index of the first value of the new level: the likeliest.
    pub at: usize,
    /// The change came not before this index, with 95 %.
    pub earliest: usize,
    /// And not after this one.
    pub latest: usize,
    /// The level before: the median since the change before, or since the start.
    pub before: f64,
    /// The level after: the median up to the next change, or to the end.
    pub after: f64,
    /// How likely chance alone gives as much, in the stretch that it was found in.
    pub p: f64,
}

/// The orders drawn for one test at most.
const ORDERS: usize = 999;
/// So many orders that reach what was seen tell enough: it is chance (Besag & Clifford 1991).
const ENOUGH: usize = 20;
/// The chance that a change lies outside of its bounds.
const OUTSIDE: f64 = 0.05;
/// A value further from its level than so many standard deviations counts as so far, that one alone moves no bound.
const WILD: f64 = 3.0;

/// The change points of a series, in its order. Values that are no numbers count as the middle of the series.
pub fn change_points(series: &[f64], options: Options) -> Vec<ChangePoint> {
    let middle = median(series);
    let series: Vec<f64> = series.iter().map(|v| if v.is_finite() { *v } else { middle }).collect();
    let fewest = options.fewest.max(2);
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    let mut found: Vec<(usize, f64)> = Vec::new();
    let mut stretches = vec![(0, series.len())];
    while let Some((start, end)) = stretches.pop() {
        let Some((at, p)) = search(&series[start..end], fewest, options.level, &mut rng) else { continue };
        let at = start + likeliest(&series[start..end], at, fewest);
        found.push((at, p));
        stretches.extend([(start, at), (at, end)]);
    }
    found.sort_by_key(|(at, _)| *at);
    settle(&series, &mut found, fewest);
    let edge = |i: usize| found.get(i).map_or(series.len(), |(at, _)| *at);
    (0..found.len())
        .map(|i| {
            let (start, (at, p), end) = (if i == 0 { 0 } else { edge(i - 1) }, found[i], edge(i + 1));
            let (earliest, latest) = bounds(&series[start..end], at - start);
            ChangePoint {
                at,
                earliest: start + earliest,
                latest: start + latest,
                before: median(&series[start..at]),
                after: median(&series[at..end]),
                p,
            }
        })
        .collect()
}

/// Each change is placed anew between its neighbours, now that these are known.
fn settle(series: &[f64], found: &mut [(usize, f64)], fewest: usize) {
    for _ in 0..2 {
        for i in 0..found.len() {
            let start = if i == 0 { 0 } else { found[i - 1].0 };
            let end = found.get(i + 1).map_or(series.len(), |(at, _)| *at);
            found[i].0 = start + likeliest(&series[start..end], found[i].0 - start, fewest);
        }
    }
}

/// Where a stretch splits best, if it does so more clearly than chance.
fn search(stretch: &[f64], fewest: usize, level: f64, rng: &mut ChaCha8Rng) -> Option<(usize, f64)> {
    if stretch.len() < 2 * fewest {
        return None;
    }
    let mut ranks = ranks(stretch);
    let intervals = intervals(stretch.len(), fewest);
    let (seen, at) = farthest(&ranks, &intervals, fewest);
    if seen <= 0.0 {
        return None;
    }
    let (mut as_far, mut orders) = (0, 0);
    // Once this many reach it, it cannot be below the level with all orders that are left.
    let too_many = ((level * (ORDERS + 1) as f64) as usize).max(ENOUGH);
    while orders < ORDERS && as_far < too_many {
        ranks.shuffle(rng);
        orders += 1;
        as_far += usize::from(farthest(&ranks, &intervals, fewest).0 >= seen - 1e-9);
    }
    let p = (as_far + 1) as f64 / (orders + 1) as f64;
    (p <= level).then_some((at, p))
}

/// The whole, and intervals of half the length each time that overlap by half.
fn intervals(n: usize, fewest: usize) -> Vec<(usize, usize)> {
    let mut intervals = vec![(0, n)];
    let mut length = n.div_ceil(2);
    while length >= 4 * fewest {
        let starts = (n - length).div_ceil(length.div_ceil(2)).max(1);
        intervals.extend((0..=starts).map(|i| (n - length) * i / starts).map(|start| (start, start + length)));
        length = length.div_ceil(2);
    }
    intervals
}

/// The largest distance between the ranks before a place and after it, in standard deviations of what drawn orders of the
/// interval give, and the place.
fn farthest(ranks: &[f64], intervals: &[(usize, usize)], fewest: usize) -> (f64, usize) {
    let mut best = (0.0, 0);
    for (start, end) in intervals {
        let part = &ranks[*start..*end];
        let n = part.len() as f64;
        let (sum, squares) = part.iter().fold((0.0, 0.0), |(s, q), r| (s + r, q + r * r));
        let mean = sum / n;
        let variance = (squares / n - mean * mean) / (n - 1.0);
        if variance <= 0.0 {
            continue;
        }
        let mut before = 0.0;
        for (i, rank) in part.iter().enumerate() {
            // `i` values lie before this one.
            if i >= fewest && part.len() - i >= fewest {
                let k = i as f64;
                let off = before - k * mean;
                let far = off * off / (variance * k * (n - k));
                if far > best.0 {
                    best = (far, start + i);
                }
            }
            before += rank;
        }
    }
    (best.0.sqrt(), best.1)
}

/// Ranks from 1; values of one size share their mean.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut from = 0;
    while from < order.len() {
        let value = values[order[from]];
        let alike = order[from..].iter().take_while(|i| values[**i] == value).count();
        for i in &order[from..from + alike] {
            ranks[*i] = from as f64 + f64::midpoint(1.0, alike as f64);
        }
        from += alike;
    }
    ranks
}

/// How much likelier each place is than that before the first value, with the two levels as they are around `at`.
/// None where both sides have no scatter.
fn likelihoods(stretch: &[f64], at: usize) -> Option<Vec<f64>> {
    let (first, second) = stretch.split_at(at);
    let offs = |side: &[f64]| {
        let middle = median(side);
        side.iter().map(|v| (v - middle).abs()).collect::<Vec<f64>>()
    };
    // The median distance of normal values from their middle is 0.6745 of their standard deviation.
    let sd = median(&[offs(first), offs(second)].concat()) / 0.6745;
    if sd <= 0.0 {
        return None;
    }
    // Of values that are not wild the mean tells the level better than the median.
    let level = |side: &[f64]| {
        let middle = median(side);
        let off: f64 = side.iter().map(|v| (v - middle).clamp(-WILD * sd, WILD * sd)).sum();
        middle + off / side.len() as f64
    };
    let (before, after) = (level(first), level(second));
    let far = |v: f64, level: f64| ((v - level) / sd).clamp(-WILD, WILD).powi(2) / 2.0;
    let mut sum = 0.0;
    let mut all = vec![0.0];
    for v in stretch {
        sum += far(*v, after) - far(*v, before);
        all.push(sum);
    }
    Some(all)
}

/// The likeliest place near one that was found, with so many values on both sides.
fn likeliest(stretch: &[f64], mut at: usize, fewest: usize) -> usize {
    let last = stretch.len().saturating_sub(fewest);
    // A better place gives better levels, and these may give a still better place.
    for _ in 0..3 {
        let Some(likelihoods) = likelihoods(stretch, at) else { return at };
        let best = (fewest..=last).max_by(|a, b| likelihoods[*a].total_cmp(&likelihoods[*b])).unwrap_or(at);
        if best == at {
            break;
        }
        at = best;
    }
    at
}

/// Between which places the change lies. Under the true place the likelihood ratio of any later place to it is a martingale
/// of mean 1, as is that of any earlier one, so that either exceeds `2 / OUTSIDE` with at most half of that chance (Ville
/// 1939); exact where the levels are known, and near that where they are medians of several values.
fn bounds(stretch: &[f64], at: usize) -> (usize, usize) {
    let Some(likelihoods) = likelihoods(stretch, at) else { return (at, at) };
    let least = likelihoods[at] - (2.0 / OUTSIDE).ln();
    let possible = |l: &f64| *l >= least;
    let first = likelihoods.iter().position(possible).unwrap_or(at);
    let last = likelihoods.iter().rposition(possible).unwrap_or(at);
    (first.min(at), last.max(at))
}

fn median(values: &[f64]) -> f64 {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    super::estimate::middle(&sorted)
}

#[cfg(test)]
mod tests {
    use super::super::chance::normal;
    use super::*;

    /// Levels with the values at each, and a scatter of 5 %.
    fn steps(seed: u64, levels: &[(f64, usize)]) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        levels.iter().flat_map(|(level, n)| vec![*level; *n]).map(|v| v * (1.0 + 0.05 * normal(&mut rng))).collect()
    }

    #[test]
    fn a_step_is_found_near_its_place_and_its_bounds_hold_it() {
        let (mut near, mut held) = (0, 0);
        for seed in 0..100 {
            let place = 20 + (seed as usize * 37) % 160;
            let series = steps(seed, &[(1.0, place), (1.1, 200 - place)]);
            let found = change_points(&series, Options::default());
            let best = found.iter().min_by_key(|c| c.at.abs_diff(place));
            near += usize::from(best.is_some_and(|c| c.at.abs_diff(place) <= 3));
            held += usize::from(best.is_some_and(|c| c.earliest <= place && place <= c.latest));
        }
        assert!(near >= 93 && held >= 93, "{near} near, {held} held");
    }

    #[test]
    fn a_quiet_series_has_no_changes() {
        let found: usize =
            (0..40).map(|seed| change_points(&steps(seed, &[(1.0, 100)]), Options::default()).len()).sum();
        // Four thousand quiet values: one in a hundred series is 0.4 of forty.
        assert!(found <= 3, "{found}");
    }

    #[test]
    fn several_steps_are_told_apart_with_their_levels() {
        let found = change_points(&steps(3, &[(1.0, 60), (1.3, 40), (1.0, 60), (0.8, 40)]), Options::default());
        let places: Vec<usize> = found.iter().map(|c| c.at).collect();
        assert_eq!(places.len(), 3, "{found:?}");
        for (c, (place, before, after)) in found.iter().zip([(60, 1.0, 1.3), (100, 1.3, 1.0), (160, 1.0, 0.8)]) {
            assert!(c.at.abs_diff(place) <= 1, "{c:?}");
            assert!((c.before - before).abs() < 0.04 && (c.after - after).abs() < 0.04 && c.p <= 0.01, "{c:?}");
        }
    }

    #[test]
    fn a_few_wild_values_are_no_change() {
        let mut series = steps(4, &[(1.0, 100)]);
        for i in [20, 21, 70] {
            series[i] = 40.0;
        }
        series[50] = f64::NAN;
        assert_eq!(change_points(&series, Options::default()), []);
    }

    #[test]
    fn a_step_without_scatter_is_found_where_it_is() {
        let series: Vec<f64> = (0..40).map(|i| if i < 25 { 2.0 } else { 3.0 }).collect();
        let found = change_points(&series, Options::default());
        assert_eq!(found.len(), 1);
        let ChangePoint { at, earliest, latest, before, after, .. } = found[0];
        assert_eq!((at, earliest, latest, before, after), (25, 25, 25, 2.0, 3.0));
    }

    #[test]
    fn short_and_constant_series_have_none_and_a_seed_gives_the_same_again() {
        for series in [vec![], vec![1.0], vec![1.0, 9.0, 1.0], vec![5.0; 50]] {
            assert_eq!(change_points(&series, Options::default()), []);
        }
        let series = steps(9, &[(1.0, 50), (1.1, 50)]);
        assert_eq!(change_points(&series, Options::default()), change_points(&series, Options::default()));
    }

    #[test]
    fn intervals_cover_all_and_overlap_by_half() {
        for n in [8, 9, 33, 200, 1000] {
            let all = intervals(n, 4);
            assert_eq!(all[0], (0, n));
            for place in 4..n - 4 {
                // Somewhere each place lies in the middle half of an interval of nearly any length.
                assert!(all.iter().any(|(a, b)| a + 4 <= place && place + 4 <= *b), "{n} {place}");
            }
            assert!(all.iter().all(|(a, b)| a < b && *b <= n && b - a >= 8), "{all:?}");
        }
    }
}
