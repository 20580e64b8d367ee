//! The cuts of a signed-rank test that is looked at several times (Lan & DeMets 1983): how large the statistic must be at
//! each look so that all looks together are wrong no more often than was asked for.
//!
//! The law of the statistic over looks depends on no distribution: under "no change" each new difference has a fair sign,
//! and the rank of its size among those before is equally likely to be any. No formula gives the law of the whole path, so
//! paths are drawn, once for each budget and from a fixed seed; the first look has the exact law of one test.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::signed_rank;

/// The pairs of the first look.
const FIRST_LOOK: usize = 5;
/// Up to so many pairs each one is a look, from there on every second.
const EACH_UP_TO: usize = 10;
/// The largest budget that there are cuts for: the signs of a path are the bits of one number.
pub const PAIRS_MOST: usize = 120;
/// Paths drawn. Each counts twice, since its mirror image is as likely. At a level of 5 % what they tell is off by 0.04 %;
/// twice that is left unspent, so that the level holds.
const PATHS: usize = 1 << 17;
/// The seed of the paths.
const SEED: u64 = 3;
/// How the chance of an error is spent over the budget: as this power of the part of the pairs that was made. Late looks
/// keep most of it.
const SPENDING: f64 = 1.5;

/// After how many pairs the test is looked at, for a budget of so many (at most [`PAIRS_MOST`]): after each from the fifth
/// to the tenth, then after every second, and after the last.
pub fn looks(pairs_max: usize) -> Vec<usize> {
    let last = pairs_max.min(PAIRS_MOST);
    let mut looks: Vec<usize> = (FIRST_LOOK..last).filter(|n| *n <= EACH_UP_TO || n % 2 == 0).collect();
    looks.extend((last > 0).then_some(last));
    looks
}

/// For each look the least statistic (the sum of the ranks, each with its difference's sign) that rejects at a one-sided
/// level of `alpha`; none where even the largest possible one would be wrong too often.
///
/// `looks` must rise; the last is the budget.
pub fn cuts(looks: &[usize], alpha: f64) -> Vec<Option<u32>> {
    // A gate asks for the same few again and again, and each takes a pass over all paths.
    type Known = HashMap<(Vec<usize>, u64), Vec<Option<u32>>>;
    static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);
    let key = (looks.to_vec(), alpha.to_bits());
    if let Some(cuts) = KNOWN.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return cuts.clone();
    }
    let made = made(looks, alpha);
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner).insert(key, made.clone());
    made
}

/// The level that the last look alone has: how likely a statistic at its cut is for one test of so many pairs.
/// None where the cut cannot be reached.
pub fn last_level(pairs_max: usize, alpha: f64) -> Option<f64> {
    let looks = looks(pairs_max);
    let cut = cuts(&looks, alpha).last().copied().flatten()?;
    let n = *looks.last()?;
    let most = n * (n + 1) / 2;
    // The statistic is twice the sum of the positive ranks, less the sum of all.
    let negative = most.checked_sub(cut as usize)? / 2;
    signed_rank::cumulative(n).get(negative).copied()
}

/// The smallest budget of pairs with which a level can be reached at all: 5 for 5 %, 7 for 1 %. None where no budget can.
pub fn fewest_pairs(alpha: f64) -> Option<usize> {
    (1..=PAIRS_MOST).find(|n| 0.5_f64.powi(*n as i32) <= alpha)
}

fn made(looks: &[usize], alpha: f64) -> Vec<Option<u32>> {
    let Some(last) = looks.last().filter(|last| **last > 0) else { return Vec::new() };
    let drawn = drawn(looks);
    let budget = |n: usize| alpha * (n as f64 / *last as f64).powf(SPENDING);
    // Paths and their mirror images that a look has ended.
    let mut ended = [vec![false; PATHS], vec![false; PATHS]];
    let mut spent = 0.0;
    let mut cuts = Vec::with_capacity(looks.len());
    for (look, n) in looks.iter().zip(drawn.iter()) {
        let most = budget(*look) * 2.0 * PATHS as f64;
        let left = most - 2.0 * most.sqrt() - spent;
        let cut = if cuts.is_empty() { first_cut(*look, budget(*look)) } else { n.cut(&ended, left) };
        if let Some(cut) = cut {
            spent += n.end(&mut ended, cut);
        }
        cuts.push(cut);
    }
    cuts
}

/// The cut of one exact test.
fn first_cut(n: usize, chance: f64) -> Option<u32> {
    let negative = signed_rank::cumulative(n).iter().take_while(|p| **p <= chance).count().checked_sub(1)?;
    let most = n * (n + 1) / 2;
    // Between the smallest statistic that rejects and the next smaller one, two below, as statistics without ties are
    // all even or all odd.
    u32::try_from((most - 2 * negative).saturating_sub(1)).ok()
}

/// All paths at one look.
struct Look {
    /// The paths in the order of the size of their statistic, the largest first. Where the highest bit is set, it is the
    /// mirror image whose statistic is above zero.
    paths: Vec<u32>,
    /// For each size, how many paths have it or a larger one.
    reaching: Vec<usize>,
}

/// The bit that stands for a mirror image.
const MIRRORED: u32 = 1 << 31;

impl Look {
    fn of(statistics: &[i16], n: usize) -> Self {
        let most = n * (n + 1) / 2;
        let mut reaching = vec![0; most + 2];
        for w in statistics {
            reaching[usize::from(w.unsigned_abs())] += 1;
        }
        for w in (0..=most).rev() {
            reaching[w] += reaching[w + 1];
        }
        // Where the next path of each size goes.
        let mut next: Vec<usize> = reaching[1..].to_vec();
        let mut paths = vec![0; statistics.len()];
        for (path, w) in (0u32..).zip(statistics) {
            let place = &mut next[usize::from(w.unsigned_abs())];
            paths[*place] = if *w < 0 { path | MIRRORED } else { path };
            *place += 1;
        }
        Self { paths, reaching }
    }

    /// The paths of one size.
    fn of_size(&self, w: usize) -> &[u32] {
        &self.paths[self.reaching[w + 1]..self.reaching[w]]
    }

    /// The least cut that at most so many of those reach that are not ended; none if even the largest statistic drawn is
    /// too many.
    fn cut(&self, ended: &[Vec<bool>; 2], most_paths: f64) -> Option<u32> {
        let (mut reaching, mut least) = (0.0, None);
        for w in (1..self.reaching.len() - 1).rev() {
            let open = self.of_size(w).iter().filter(|path| !ended[side(**path)][index(**path)]).count();
            reaching += open as f64;
            if reaching > most_paths {
                break;
            }
            // Of a size that was never drawn it is not known how likely it is.
            least = (reaching > 0.0).then_some(w as u32);
        }
        least
    }

    /// Ends the paths that reach the cut; how many that were not ended before.
    fn end(&self, ended: &mut [Vec<bool>; 2], cut: u32) -> f64 {
        let mut newly = 0u32;
        for path in &self.paths[..self.reaching[cut as usize]] {
            let ended = &mut ended[side(*path)][index(*path)];
            newly += u32::from(!*ended);
            *ended = true;
        }
        f64::from(newly)
    }
}

fn side(path: u32) -> usize {
    usize::from(path & MIRRORED != 0)
}

fn index(path: u32) -> usize {
    (path & !MIRRORED) as usize
}

/// The paths at all looks; those of the budget that was asked for last are kept.
fn drawn(looks: &[usize]) -> Arc<Vec<Look>> {
    type Kept = Option<(Vec<usize>, Arc<Vec<Look>>)>;
    static KEPT: Mutex<Kept> = Mutex::new(None);
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((of, paths)) = kept.as_ref()
        && of == looks
    {
        return Arc::clone(paths);
    }
    let paths = Arc::new(draw(looks));
    *kept = Some((looks.to_vec(), Arc::clone(&paths)));
    paths
}

fn draw(looks: &[usize]) -> Vec<Look> {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let mut walks: Vec<Walk> = (0..PATHS).map(|_| Walk::default()).collect();
    let to = |n: &usize| {
        for walk in &mut walks {
            while walk.pairs < *n {
                walk.step(rng.next_u32());
            }
        }
        let statistics: Vec<i16> = walks.iter().map(|walk| walk.statistic).collect();
        Look::of(&statistics, *n)
    };
    looks.iter().map(to).collect()
}

/// A path: pair after pair, with a statistic that is brought up to date and not made anew.
#[derive(Default)]
struct Walk {
    pairs: usize,
    /// The signs in the order of the sizes, the smallest first; a positive one is 1.
    signs: u128,
    statistic: i16,
}

impl Walk {
    /// One pair more, of a fair sign and any rank, both from one draw.
    fn step(&mut self, draw: u32) {
        // Half of the draws to a sign; the others as a fraction of the places there are.
        let place = ((u64::from(draw >> 1) * (self.pairs as u64 + 1)) >> 31) as u32;
        let sign = u128::from(draw & 1);
        let below = self.signs & ((1u128 << place) - 1);
        let above = self.signs >> place;
        // All that are larger move up by one rank.
        let positive = above.count_ones() as i16;
        let larger = self.pairs as i16 - place as i16;
        let own = if sign == 1 { place as i16 + 1 } else { -(place as i16 + 1) };
        self.statistic += own + 2 * positive - larger;
        self.signs = below | (sign << place) | (above << 1 << place);
        self.pairs += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_close_at_first_and_end_with_the_budget() {
        assert_eq!(looks(20), [5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 20]);
        assert_eq!(looks(13), [5, 6, 7, 8, 9, 10, 12, 13]);
        assert_eq!(looks(5), [5]);
        assert_eq!(looks(2), [2]);
        assert_eq!(looks(0), [0; 0]);
        assert_eq!(looks(1000).last(), Some(&PAIRS_MOST));
    }

    /// The statistic from its definition.
    fn by_ranks(differences: &[f64]) -> i16 {
        let mut sorted = differences.to_vec();
        sorted.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
        sorted.iter().enumerate().map(|(i, d)| if *d > 0.0 { i as i16 + 1 } else { -(i as i16) - 1 }).sum()
    }

    #[test]
    fn a_path_has_the_statistic_of_its_differences() {
        let mut rng = ChaCha8Rng::seed_from_u64(8);
        for _ in 0..20 {
            let (mut walk, mut differences) = (Walk::default(), Vec::<f64>::new());
            for n in 0..PAIRS_MOST as u64 {
                let draw = rng.next_u32();
                // A size between those of its neighbours in rank.
                let place = ((u64::from(draw >> 1) * (n + 1)) >> 31) as usize;
                let mut sizes: Vec<f64> = differences.iter().map(|d| d.abs()).collect();
                sizes.sort_by(f64::total_cmp);
                let low = if place == 0 { 0.0 } else { sizes[place - 1] };
                let size = f64::midpoint(low, sizes.get(place).copied().unwrap_or(low + 2.0));
                differences.push(if draw & 1 == 1 { size } else { -size });
                walk.step(draw);
                assert_eq!(walk.statistic, by_ranks(&differences), "{differences:?}");
            }
        }
    }

    /// Two apart where a path more or less decides: statistics without ties go in steps of two.
    fn near(found: &[Option<u32>], table: &[u32]) -> bool {
        found.len() == table.len()
            && found.iter().zip(table).all(|(found, want)| found.unwrap_or(0).abs_diff(*want) <= 2)
    }

    #[test]
    fn cuts_are_those_of_an_independent_simulation() {
        // By a million paths of another program; 0 for a look that can reject nothing.
        for (budget, alpha, table) in [
            (5, 0.05, &[14][..]),
            (10, 0.05, &[0, 20, 23, 29, 34, 38]),
            (10, 0.01, &[0, 0, 0, 35, 40, 48]),
            (20, 0.05, &[0, 0, 27, 33, 40, 44, 57, 68, 81, 92, 103]),
            (20, 0.01, &[0, 0, 0, 0, 44, 52, 67, 84, 103, 118, 137]),
        ] {
            let found = cuts(&looks(budget), alpha);
            assert!(near(&found, table), "{budget} at {alpha}: {found:?} against {table:?}");
        }
    }

    #[test]
    fn one_look_is_the_exact_test() {
        // The tables of one test at 2.5 %, one-sided: the smaller sum of 20 pairs must be at most 52.
        assert_eq!(cuts(&[20], 0.025), [Some(210 - 2 * 52 - 1)]);
        assert_eq!(cuts(&[4], 0.05), [None]);
        assert_eq!(cuts(&[], 0.05), []);
    }

    #[test]
    fn the_last_look_keeps_more_than_half_of_the_level() {
        let level = last_level(20, 0.05).unwrap();
        assert!((level - 0.0277).abs() < 0.002, "{level}");
        assert_eq!(last_level(4, 0.05), None);
    }

    #[test]
    fn a_level_that_pairs_cannot_reach_is_told() {
        assert_eq!(fewest_pairs(0.05), Some(5));
        assert_eq!(fewest_pairs(0.01), Some(7));
        assert_eq!(fewest_pairs(0.0), None);
        for (alpha, n) in [(0.05, 5), (0.01, 7)] {
            assert!(cuts(&looks(n), alpha).iter().any(Option::is_some));
            assert!(cuts(&looks(n - 1), alpha).iter().all(Option::is_none));
        }
    }

    #[test]
    fn all_looks_together_are_wrong_no_more_often_than_asked() {
        // Paths of another seed than those that the cuts are of.
        let mut rng = ChaCha8Rng::seed_from_u64(77);
        for (budget, alpha) in [(20, 0.05), (40, 0.025)] {
            let looks = looks(budget);
            let cuts = cuts(&looks, alpha);
            let draws = 20_000;
            let wrong = (0..draws)
                .filter(|_| {
                    let mut walk = Walk::default();
                    looks.iter().zip(&cuts).any(|(n, cut)| {
                        while walk.pairs < *n {
                            walk.step(rng.next_u32());
                        }
                        cut.is_some_and(|cut| i64::from(walk.statistic) >= i64::from(cut))
                    })
                })
                .count();
            let rate = wrong as f64 / f64::from(draws);
            // Three standard deviations; what the steps of the statistic leave over is below a tenth.
            let slack = 3.0 * (alpha / f64::from(draws)).sqrt();
            assert!(rate < alpha + slack && rate > 0.85 * alpha - slack, "{budget} at {alpha}: {rate}");
        }
    }
}
