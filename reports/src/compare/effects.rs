//! The main effect of each factor, and of one run over another.

use record::Factors;

use super::point::Point;
use super::read::{RunData, block_means, differences};
use super::result::{Contrast, Effect, EffectInRun, EffectOf, Scatter};
use super::same::Shared;
use crate::stats::Scale;
use crate::stats::centre::Centre;

/// What follows from another factor and is no factor of its own beside it.
const FOLLOW: [(&str, &[&str]); 2] = [("workers", &["worker_rule"]), ("services", &["chain", "hops"])];

/// A step from one value of a factor to another, with the pairs of shared cells that differ in nothing else.
struct Step {
    factor: &'static str,
    from: String,
    to: String,
    /// Places of two cells among those shared.
    pairs: Vec<(usize, usize)>,
}

/// The one factor in which two cells differ, and its two values.
fn only(one: &Factors, other: &Factors) -> Option<(&'static str, String, String)> {
    if *one == other.baseline() && other.meshed() {
        return Some(("dataplane", one.dataplane.to_string(), other.dataplane.to_string()));
    }
    let mut differing = one.differences(other);
    for (leads, follow) in FOLLOW {
        if differing.iter().any(|(name, ..)| *name == leads) {
            differing.retain(|(name, ..)| !follow.contains(name));
        }
    }
    match differing.as_slice() {
        [_] => differing.pop(),
        _ => None,
    }
}

/// Every step from the value that a factor has first in the plan to each other one.
fn steps(factors: &[&Factors]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for (a, one) in factors.iter().enumerate() {
        for (b, other) in factors.iter().enumerate().skip(a + 1) {
            let Some((factor, from, to)) = only(one, other) else { continue };
            let known = steps.iter_mut().find(|s| s.factor == factor && s.from == from && s.to == to);
            match known {
                Some(step) => step.pairs.push((a, b)),
                None => steps.push(Step { factor, from, to, pairs: vec![(a, b)] }),
            }
        }
    }
    // From the first value only: what lies between two others follows from both.
    let firsts: Vec<(&'static str, String)> = steps.iter().fold(Vec::new(), |mut firsts, step| {
        if firsts.iter().all(|(factor, _)| *factor != step.factor) {
            firsts.push((step.factor, step.from.clone()));
        }
        firsts
    });
    steps.retain(|step| firsts.iter().any(|(factor, from)| *factor == step.factor && *from == step.from));
    steps
}

/// The effects within runs.
pub(super) fn of_factors(runs: &[RunData], shared: &[Shared], at: Point, level: f64) -> Vec<Effect> {
    let Some(first) = runs.first() else { return Vec::new() };
    let factors: Vec<&Factors> =
        shared.iter().filter_map(|s| first.run.cell(s.ids.first()?)).map(|cell| &cell.factors).collect();
    steps(&factors).into_iter().filter_map(|step| effect(step, runs, shared, at, level)).collect()
}

fn effect(step: Step, runs: &[RunData], shared: &[Shared], at: Point, level: f64) -> Option<Effect> {
    let mut parts = Vec::new();
    let mut by_run = Vec::new();
    for (place, run) in runs.iter().enumerate() {
        let id = |cell: usize| shared.get(cell).and_then(|s| s.ids.get(place));
        let of_pair = |(from, to): &(usize, usize)| {
            Some(differences(&run.logarithms(id(*to)?, at), &run.logarithms(id(*from)?, at)))
        };
        // Pairs of one run share its blocks: they are one value for each block before anything else.
        let blocks = block_means(&step.pairs.iter().map(of_pair).collect::<Option<Vec<_>>>()?);
        let middle = Centre::of(&blocks)?;
        by_run.push(EffectInRun { run: run.name.clone(), ratio: middle.estimate(Scale::Factor, level) });
        parts.push(middle);
    }
    Some(Effect {
        of: EffectOf::Factor,
        factor: step.factor.to_owned(),
        from: step.from,
        to: step.to,
        ratio: Centre::mean(&parts)?.estimate(Scale::Factor, level),
        by_run,
        pairs: step.pairs.len(),
        made_again: None,
        told: None,
    })
}

/// Each run against the first, over all shared cells; `what` names what differs between two runs.
pub(super) fn of_runs(
    runs: &[RunData],
    shared: &[Shared],
    (at, level): (Point, f64),
    scatter: &Scatter,
    what: impl Fn(&RunData, &RunData) -> String,
) -> Vec<Effect> {
    let middle = |place: usize, run: &RunData| {
        let of_cell = |s: &Shared| Some(run.logarithms(s.ids.get(place)?, at));
        Centre::of(&block_means(&shared.iter().map(of_cell).collect::<Option<Vec<_>>>()?))
    };
    let Some(first) = runs.first() else { return Vec::new() };
    let of_run = |(place, run): (usize, &RunData)| {
        let difference = middle(place, run)?.minus(&middle(0, first)?);
        let contrast = Contrast::of(&difference, Scale::Factor, level, scatter, 2.0);
        Some(Effect {
            of: EffectOf::Run,
            factor: what(first, run),
            from: first.name.clone(),
            to: run.name.clone(),
            ratio: contrast.these_runs,
            by_run: Vec::new(),
            pairs: shared.len(),
            made_again: Some(contrast.made_again),
            told: Some(contrast.told),
        })
    };
    runs.iter().enumerate().skip(1).filter_map(of_run).collect()
}

#[cfg(test)]
mod tests {
    use record::{Dataplane, WorkerRule};

    use super::*;

    #[test]
    fn a_step_is_of_cells_that_differ_in_nothing_else() {
        let none = Factors { services: 3, ..Factors::unmeshed() };
        let envoy = |limit: Option<&str>, workers: u32| Factors {
            dataplane: Dataplane::Envoy,
            cpu_limit: limit.map(|l| l.parse().unwrap()),
            workers,
            worker_rule: WorkerRule::Fixed(workers),
            ..none.clone()
        };
        let cells = [none.clone(), envoy(None, 1), envoy(Some("500m"), 1), envoy(None, 2), envoy(Some("500m"), 2)];
        let found = steps(&cells.iter().collect::<Vec<_>>());
        let said: Vec<String> =
            found.iter().map(|s| format!("{} {} {} {:?}", s.factor, s.from, s.to, s.pairs)).collect();
        assert_eq!(
            said,
            [
                "dataplane none envoy [(0, 1), (0, 2), (0, 3), (0, 4)]",
                "cpu_limit none 500m [(1, 2), (3, 4)]",
                "workers 1 2 [(1, 3), (2, 4)]",
            ]
        );
    }
}
