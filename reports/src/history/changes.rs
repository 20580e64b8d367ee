//! Where the level of a series changed, between which runs and commits, and what else changed there.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::series::{Point, Series};
use crate::stats::change_points::{Options, change_points};

/// With fewer runs no change can be told from chance at the level of the test: of the orders of eight values, two of
/// seventy part them into the four small and the four large ones.
const LEAST: usize = 10;

/// A change of level.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Change {
    /// The likeliest first point of the new level, from 0.
    pub at: usize,
    /// The earliest that it can be.
    pub earliest: usize,
    /// The latest that it can be.
    pub latest: usize,
    /// The run at `at`.
    pub run: String,
    /// The last run that is of the old level for certain.
    pub last_before: String,
    /// The first run that is of the new level for certain.
    pub first_after: String,
    /// The commits of these two, where both are known: the change came after the first and not after the second.
    pub commits: Option<[String; 2]>,
    /// The level before, in the series' unit.
    pub before: f64,
    /// The level after.
    pub after: f64,
    /// After over before; absent where that is 0.
    pub ratio: Option<f64>,
    /// The chance of such a change in a series without one.
    pub p: f64,
    /// What else changed between the two runs: kernel, programs.
    pub meanwhile: Vec<String>,
}

/// Looks for changes in the points that have a figure, and writes them into the series.
pub(super) fn search(series: &mut Series) {
    let seen: Vec<(usize, f64)> = series
        .points
        .iter()
        .enumerate()
        .filter_map(|(at, point)| Some((at, point.figure.seen()?.value)).filter(|(_, value)| value.is_finite()))
        .collect();
    if seen.len() < LEAST {
        series.not_searched =
            Some(format!("{} runs are too few to tell a change from noise; it takes {LEAST}", seen.len()));
        return;
    }
    // Times and sizes scatter by a factor: on logarithms a step is as large at every level.
    let factor = seen.iter().all(|(_, value)| *value > 0.0);
    let scaled: Vec<f64> = seen.iter().map(|(_, v)| if factor { v.ln() } else { *v }).collect();
    let back = |level: f64| if factor { level.exp() } else { level };
    for found in change_points(&scaled, Options::default()) {
        let at = |i: usize| seen.get(i).or(seen.last()).map_or(0, |(at, _)| *at);
        let (before, after) = (back(found.before), back(found.after));
        let (old, new) = (at(found.earliest.saturating_sub(1)), at(found.latest));
        let (Some(last), Some(first)) = (series.points.get(old), series.points.get(new)) else { continue };
        series.changes.push(Change {
            at: at(found.at),
            earliest: at(found.earliest),
            latest: new,
            run: series.points.get(at(found.at)).map_or_else(String::new, |point| point.run.clone()),
            last_before: last.run.clone(),
            first_after: first.run.clone(),
            commits: commits(last, first),
            before,
            after,
            ratio: (before != 0.0).then_some(after / before),
            p: found.p,
            meanwhile: meanwhile(last, first),
        });
    }
}

fn commits(old: &Point, new: &Point) -> Option<[String; 2]> {
    let commit = |point: &Point| point.source.as_ref()?.commit.clone();
    Some([commit(old)?, commit(new)?])
}

/// Programs and the kernel, where the two runs differ in them.
fn meanwhile(old: &Point, new: &Point) -> Vec<String> {
    let mut changed = Vec::new();
    let mut compare = |what: &str, was: &str, is: &str| {
        if was != is {
            changed.push(format!("{what}: {was} -> {is}"));
        }
    };
    compare("meshtax", &old.program, &new.program);
    compare("kernel", &old.kernel, &new.kernel);
    let names: BTreeSet<&String> = old.versions.keys().chain(new.versions.keys()).collect();
    for name in names {
        let of = |point: &Point| point.versions.get(name).map_or("none", String::as_str).to_owned();
        compare(name, &of(old), &of(new));
    }
    changed
}
