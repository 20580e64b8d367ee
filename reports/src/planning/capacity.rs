//! The highest rate at which an SLO holds, from rates that were measured: a figure for each block, and the interval over them.

use crate::stats::{Estimate, Scale};

use super::slo::Standing;

/// One rate in one block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// The block; points of one block are close in time.
    pub block: u32,
    /// Requests a second into the chain.
    pub rate_per_second: f64,
    /// How the trial stood to the SLO.
    pub standing: Standing,
}

/// What the measured rates show of the highest that holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Capacity {
    /// Requests a second. The upper end is open where some block held at the highest rate that it was asked for; the figure
    /// is 0 where the lowest rate broke in most blocks.
    pub rate: Estimate,
    /// Whether most blocks held at their highest rate: then the figure is that rate, and the truth is at least it.
    pub at_least: bool,
    /// The lowest and the highest rate that was measured.
    pub lowest: f64,
    /// See `lowest`.
    pub highest: f64,
    /// Different rates measured.
    pub rates: usize,
}

/// A response time counts for no more than this factor above or below its bound, so that one overload does not outweigh many
/// trials that are near to it.
const FURTHEST: f64 = 3.0;

impl Capacity {
    /// Of all points of one setup on one kind of host; none of no points.
    ///
    /// In a block, excesses are made to rise with the rate (pooled where they fall: isotonic regression), and the rate at which
    /// they cross 0 lies on the line of logarithms between the last rate that holds and the next. Where that one broke by
    /// errors or did not keep up there is no line, and the last rate that holds is the figure.
    pub fn of(points: &[Point], level: f64) -> Option<Self> {
        let mut blocks: Vec<u32> = points.iter().map(|p| p.block).collect();
        blocks.sort_unstable();
        blocks.dedup();
        let each: Vec<Crossing> = blocks
            .iter()
            .map(|block| crossing(&mut points.iter().filter(|p| p.block == *block).copied().collect::<Vec<_>>()))
            .collect();
        let values: Vec<f64> = each.iter().map(|c| c.rate).collect();
        let mut rate = Estimate::over(&values, Scale::Factor, level)?;
        let held = each.iter().filter(|c| c.held_at_all).count();
        if held > 0 {
            rate.high = None;
        }
        let mut rates: Vec<f64> = points.iter().map(|p| p.rate_per_second).collect();
        rates.sort_by(f64::total_cmp);
        rates.dedup();
        let (lowest, highest) = (*rates.first()?, *rates.last()?);
        Some(Self { rate, at_least: 2 * held > each.len(), lowest, highest, rates: rates.len() })
    }

    /// What is relied on: the lower end of the interval, or the figure itself where one block alone gives no interval.
    pub fn relied_on(&self) -> f64 {
        self.rate.low.unwrap_or(self.rate.value)
    }
}

struct Crossing {
    rate: f64,
    held_at_all: bool,
}

/// Where the excesses of one block cross 0.
fn crossing(points: &mut [Point]) -> Crossing {
    points.sort_by(|a, b| a.rate_per_second.total_cmp(&b.rate_per_second));
    let pools = rising(points);
    let Some(last) = pools.iter().rposition(|p| !p.wall && p.excess() <= 0.0) else {
        return Crossing { rate: 0.0, held_at_all: false };
    };
    let Some(next) = pools.get(last + 1) else {
        return Crossing { rate: pools[last].highest, held_at_all: true };
    };
    let held = &pools[last];
    if next.wall {
        return Crossing { rate: held.highest, held_at_all: false };
    }
    let (from, to) = (held.excess(), next.excess());
    let share = if to > from { (-from / (to - from)).clamp(0.0, 1.0) } else { 0.0 };
    let ln = held.highest.ln() + share * (next.lowest.ln() - held.highest.ln());
    Crossing { rate: ln.exp(), held_at_all: false }
}

/// Neighbouring rates that share one excess, since theirs fell.
struct Pool {
    sum: f64,
    n: f64,
    wall: bool,
    lowest: f64,
    highest: f64,
}

impl Pool {
    fn excess(&self) -> f64 {
        self.sum / self.n
    }
}

/// Pools neighbours until excesses rise (Ayer and others 1955). A wall stands for the largest excess.
fn rising(points: &[Point]) -> Vec<Pool> {
    let mut pools: Vec<Pool> = Vec::new();
    for p in points {
        let excess = if p.standing.wall { FURTHEST } else { p.standing.excess.clamp(-FURTHEST, FURTHEST) };
        let mut new =
            Pool { sum: excess, n: 1.0, wall: p.standing.wall, lowest: p.rate_per_second, highest: p.rate_per_second };
        while let Some(before) = pools.pop_if(|before| before.excess() >= new.excess() || (before.wall && !new.wall)) {
            new = Pool {
                sum: before.sum + new.sum,
                n: before.n + new.n,
                wall: before.wall || new.wall,
                lowest: before.lowest,
                highest: new.highest,
            };
        }
        pools.push(new);
    }
    pools
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(block: u32, of: &[(f64, f64)]) -> Vec<Point> {
        let standing = |excess: f64| Standing { excess, wall: excess.is_infinite() };
        of.iter().map(|(rate, excess)| Point { block, rate_per_second: *rate, standing: standing(*excess) }).collect()
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-6
    }

    fn one(of: &[(f64, f64)]) -> Capacity {
        Capacity::of(&points(1, of), 0.95).unwrap()
    }

    #[test]
    fn the_crossing_lies_between_the_rates_around_it() {
        // Half way in logarithms between 100 and 400.
        let found = one(&[(100.0, -1.0), (400.0, 1.0), (800.0, 2.0)]);
        assert!((found.rate.value - 200.0).abs() < 1e-6 && !found.at_least, "{found:?}");
    }

    #[test]
    fn nothing_is_claimed_above_the_highest_rate_nor_beyond_a_wall() {
        let held = one(&[(100.0, -2.0), (400.0, -1.0)]);
        assert!(near(held.rate.value, 400.0) && held.at_least && held.rate.high.is_none(), "{held:?}");
        assert!(near(one(&[(100.0, -2.0), (400.0, f64::INFINITY)]).rate.value, 100.0));
        assert_eq!(one(&[(100.0, 0.1), (400.0, 1.0)]).rate.value, 0.0, "nor below the lowest");
    }

    #[test]
    fn a_rate_that_broke_by_chance_is_weighed_with_its_neighbours() {
        // 0.3 and -0.9 are pooled to -0.3, which holds up to 200.
        let found = one(&[(50.0, -2.0), (100.0, 0.3), (200.0, -0.9), (400.0, 0.3)]);
        assert!((found.rate.value - 200.0 * 2f64.sqrt()).abs() < 1e-6, "{found:?}");
        // A wall is not made good by what comes after it.
        assert!(near(one(&[(50.0, -2.0), (100.0, f64::INFINITY), (200.0, -3.0)]).rate.value, 50.0));
    }

    #[test]
    fn blocks_are_what_the_interval_counts() {
        let mut all = Vec::new();
        for (block, middle) in [(1, 180.0), (2, 200.0), (3, 220.0), (4, 210.0), (5, 190.0)] {
            all.extend(points(block, &[(middle / 2.0, -1.0), (middle * 2.0, 1.0)]));
        }
        let found = Capacity::of(&all, 0.95).unwrap();
        assert_eq!((found.rate.n, found.rate.level), (5, 0.9375));
        assert!(near(found.relied_on(), 180.0) && near(found.rate.high.unwrap(), 220.0), "{found:?}");
        assert_eq!(found.rates, 10);
        assert!(Capacity::of(&[], 0.95).is_none());
    }

    #[test]
    fn one_block_that_broke_at_its_lowest_rate_leaves_nothing_to_rely_on() {
        let mut all = points(1, &[(100.0, 0.5), (200.0, 1.0)]);
        for block in 2..=5 {
            all.extend(points(block, &[(100.0, -0.5), (200.0, 0.5)]));
        }
        assert_eq!(Capacity::of(&all, 0.95).unwrap().relied_on(), 0.0);
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { cases: 128, failure_persistence: None, ..Default::default() })]

        #[test]
        fn what_is_made_to_rise_rises_keeps_its_sum_and_is_nearest_of_all_that_rise(
            excesses in proptest::collection::vec(-FURTHEST..FURTHEST, 1..12), other in proptest::collection::vec(-6.0_f64..6.0, 12),
        ) {
            let of: Vec<(f64, f64)> = excesses.iter().enumerate().map(|(at, e)| (100.0 * (at as f64 + 1.0), *e)).collect();
            let pools = rising(&points(1, &of));
            let fitted: Vec<f64> = pools.iter().flat_map(|pool| vec![pool.excess(); pool.n as usize]).collect();
            proptest::prop_assert_eq!(fitted.len(), excesses.len());
            proptest::prop_assert!(fitted.windows(2).all(|two| two[0] <= two[1] + 1e-12), "{:?}", fitted);
            let (sum, kept): (f64, f64) = (excesses.iter().sum(), fitted.iter().sum());
            proptest::prop_assert!((sum - kept).abs() < 1e-9);
            // No other rising line lies nearer, by the sum of squares.
            let mut line: Vec<f64> = other[..excesses.len()].to_vec();
            line.sort_unstable_by(f64::total_cmp);
            let far = |line: &[f64]| line.iter().zip(&excesses).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
            proptest::prop_assert!(far(&fitted) <= far(&line) + 1e-9);
            // What rises stays as it is.
            let again: Vec<(f64, f64)> = fitted.iter().enumerate().map(|(at, e)| (100.0 * (at as f64 + 1.0), *e)).collect();
            let twice: Vec<f64> = rising(&points(1, &again)).iter().flat_map(|p| vec![p.excess(); p.n as usize]).collect();
            proptest::prop_assert!(twice.iter().zip(&fitted).all(|(a, b)| (a - b).abs() < 1e-9));
        }
    }
}
