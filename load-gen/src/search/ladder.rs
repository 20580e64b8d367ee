//! A ladder of rates: each measured several times, in an order drawn anew for every repeat.

use std::time::Duration;

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use record::{LoadSummary, Quantiles};
use serde::Serialize;

use super::slo::Slo;
use super::step::{Phase, Step};
use super::{Ask, find};

/// What was seen at one rate over all repeats.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rung {
    /// The rate asked for.
    pub rate_per_second: f64,
    /// Runs at this rate.
    pub runs: u32,
    /// Of those, the ones in which the SLO held and answers kept up.
    pub held: u32,
    /// Of those, the ones in which the generator was late: they say nothing of the target.
    pub generator_limited: u32,
    /// Each quantile of the response time: its median over the runs.
    pub response_ns: Quantiles,
    /// Its least.
    pub least_ns: Quantiles,
    /// Its most.
    pub most_ns: Quantiles,
    /// Answers, the median over the runs.
    pub achieved_per_second: f64,
    /// Requests failed, without an end, or answered outside 200 to 399, in per cent: the median over the runs.
    pub errors_percent: f64,
}

/// Rates and what was seen at each.
#[derive(Clone, Debug, Serialize)]
pub struct Ladder {
    /// What had to hold, if anything; without it a run holds where answers keep up with requests.
    pub slo: Option<Slo>,
    /// By rate, the lowest first.
    pub rungs: Vec<Rung>,
    /// All that was measured, in order.
    pub steps: Vec<Step>,
    /// The seed of the order and the arrivals.
    pub seed: u64,
}

/// Measures every rate in every repeat (at least one). A rate given twice is one rung with twice as many runs.
///
/// # Errors
/// The first error of `measure`, as it is.
pub fn ladder<E>(
    rates: &[f64],
    repeats: u32,
    seed: u64,
    slo: Option<&Slo>,
    step: Duration,
    mut measure: impl FnMut(&Ask) -> Result<LoadSummary, E>,
) -> Result<Ladder, E> {
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    let mut order: Vec<f64> = rates.iter().copied().filter(|r| r.is_finite() && *r > 0.0).collect();
    order.sort_by(f64::total_cmp);
    let mut seen: Vec<(f64, LoadSummary)> = Vec::new();
    let mut rest = Duration::ZERO;
    for _ in 0..repeats.max(1) {
        order.shuffle(&mut chance);
        for &rate in &order {
            let ask = Ask { rate_per_second: rate, duration: step, seed: chance.random(), rest };
            let load = measure(&ask)?;
            // In any order, so that a rung may follow an overload: each begins with the same rest at least.
            rest = find::rest_after(&load);
            seen.push((rate, load));
        }
    }
    // Judged at the end: the lowest median, without a queue, is known only then.
    let base_ns = seen.iter().filter(|(_, s)| s.answered > 0).map(|(_, s)| s.response_ns.p50).min().unwrap_or(0);
    let steps: Vec<Step> = seen.iter().map(|(rate, s)| Step::new(Phase::Rung, *rate, s, slo, base_ns)).collect();
    order.sort_by(f64::total_cmp);
    order.dedup();
    let rungs = order.iter().map(|&rate| rung(rate, &steps)).collect();
    Ok(Ladder { slo: slo.cloned(), rungs, steps, seed })
}

fn rung(rate: f64, steps: &[Step]) -> Rung {
    let here: Vec<&Step> = steps.iter().filter(|s| s.rate_per_second == rate).collect();
    let count = |pick: fn(&Step) -> bool| here.iter().filter(|s| pick(s)).count() as u32;
    let all: Vec<Quantiles> = here.iter().map(|s| s.response_ns).collect();
    Rung {
        rate_per_second: rate,
        runs: here.len() as u32,
        held: count(Step::held),
        generator_limited: count(|s| s.generator_limited),
        response_ns: each(&all, |sorted| middle(sorted, |a, b| a.midpoint(b))),
        least_ns: each(&all, |sorted| sorted.first().copied().unwrap_or_default()),
        most_ns: each(&all, |sorted| sorted.last().copied().unwrap_or_default()),
        achieved_per_second: median(here.iter().map(|s| s.achieved_per_second)),
        errors_percent: median(here.iter().map(|s| s.errors_percent)),
    }
}

/// One quantile at a time, made of its sorted values.
fn each(all: &[Quantiles], pick: impl Fn(&[u64]) -> u64) -> Quantiles {
    let of = |field: fn(&Quantiles) -> u64| {
        let mut values: Vec<u64> = all.iter().map(field).collect();
        values.sort_unstable();
        pick(&values)
    };
    Quantiles { p50: of(|q| q.p50), p90: of(|q| q.p90), p99: of(|q| q.p99), p999: of(|q| q.p999), max: of(|q| q.max) }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    middle(&sorted, f64::midpoint)
}

fn middle<T: Copy + Default>(sorted: &[T], between: impl Fn(T, T) -> T) -> T {
    let at = |i: usize| sorted.get(i).copied().unwrap_or_default();
    let half = sorted.len() / 2;
    if sorted.len() % 2 == 1 { at(half) } else { between(at(half.saturating_sub(1)), at(half)) }
}
