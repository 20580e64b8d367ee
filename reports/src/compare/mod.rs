//! Several runs side by side: hosts, limits, versions, dataplanes.

mod answer;
mod contamination;
mod contrasts;
mod csv;
mod differences;
mod effects;
#[cfg(test)]
mod example;
mod markdown;
mod names;
mod page;
mod point;
mod read;
mod result;
mod same;
mod tables;
mod text;
mod variance;

use record::{Dataplane, RunDirectory};

use crate::Result;
use crate::host_card::HostCard;
use crate::stats::Scale;
use contrasts::Contrasts;
use read::RunData;

pub use csv::csv;
pub use markdown::markdown;
pub use page::page;
pub use point::{NoPoint, PerPoint, Point};
pub use result::{
    CellInRun, ComparedCell, ComparedRun, Comparison, Contrast, Difference, Effect, EffectInRun, EffectOf, Flag,
    FlagKind, Scatter, Smallest, Thirds, Told, VariancePart,
};
pub use same::{Across, Allowed, NoFactor};
pub use text::text;

/// A run that is to be compared.
#[derive(Debug)]
pub struct Named {
    /// Where it is.
    pub directory: RunDirectory,
    /// What the user calls it.
    pub name: Option<String>,
}

/// A comparison, and the course of each run's trials for the chart of the page.
#[derive(Debug)]
pub struct Compared {
    /// What is said.
    pub comparison: Comparison,
    pub(crate) courses: Vec<Course>,
}

/// How a run went: each trial's p50 against the mean of its cell, by its place in the run.
#[derive(Clone, Debug)]
pub(crate) struct Course {
    /// From 0, the first trial, to 1, the last; and how many times the typical p50 of its cell.
    pub(crate) points: Vec<(f64, f64)>,
}

/// Sets runs side by side, the first as the one that the others are compared with.
///
/// # Errors
/// When a run cannot be read, and where runs must not be compared: the same twice ([`crate::Error::SameRun`]), other methods
/// and platforms ([`crate::Error::NotComparable`]), no shared cells ([`crate::Error::NoSharedCell`]) or cells that only some
/// have ([`crate::Error::CellsDiffer`]).
pub fn compare(runs: &[Named], at: Point, allowed: &Allowed) -> Result<Compared> {
    let mut read: Vec<RunData> = runs.iter().map(|run| RunData::read(&run.directory)).collect::<Result<_>>()?;
    names::give(&mut read, &runs.iter().map(|run| run.name.clone()).collect::<Vec<_>>(), &allowed.across);
    let mut notes = same::check(&read, allowed)?;
    let (shared, left_out) = same::shared(&read, allowed)?;
    notes.extend(left_out);
    let level = read.iter().map(|run| run.run.level).fold(f64::NAN, f64::min);
    let machines = differences::machines(&read);
    let between_runs = PerPoint::make(|point| contrasts::scatter(&read, &machines, &shared, point));
    let contrasts = Contrasts { runs: &read, shared: &shared, scatter: &between_runs, level };
    let (cells, smallest) = (contrasts.cells(), contrasts.smallest(at));
    let compared: Vec<ComparedRun> =
        read.iter().zip(&machines).map(|(run, machine)| of_run(run, *machine, level)).collect();
    let flags = read.iter().zip(&compared).flat_map(|(run, of)| contamination::flags(run, level, &of.thirds)).collect();
    let mut effects = effects::of_runs(&read, &shared, (at, level), between_runs.at(at), |one, other| {
        differences::what(one, other, &allowed.across)
    });
    effects.extend(effects::of_factors(&read, &shared, at, level));
    notes.extend(said_of(&read, allowed));
    let mut comparison = Comparison {
        schema: record::SCHEMA,
        method: read.first().map_or(record::METHOD, |run| run.run.method),
        program: format!("meshtax {}", env!("CARGO_PKG_VERSION")),
        at,
        level,
        answer: Vec::new(),
        runs: compared,
        between_runs,
        cells,
        smallest,
        effects,
        variance: variance::of(&read, &machines, &shared, at, level),
        differences: differences::all(&read, &shared),
        flags,
        notes,
    };
    comparison.answer = answer::sentences(&comparison);
    Ok(Compared { comparison, courses: read.iter().map(course).collect() })
}

fn of_run(run: &RunData, machine: usize, level: f64) -> ComparedRun {
    ComparedRun {
        name: run.name.clone(),
        run: run.run.id.clone(),
        path: run.path.display().to_string(),
        started: run.run.started.clone(),
        scenario: run.run.scenario.clone(),
        program: run.run.program.clone(),
        versions: run.run.versions.clone(),
        source: run.run.source.clone(),
        host: HostCard::of(&run.run.host),
        machine,
        trials: run.trials.len(),
        steal_share: contamination::over(run, |t| &t.steal_share, Scale::Plain, level),
        unexplained_loss_share: contamination::over(run, |t| &t.loss_share, Scale::Plain, level),
        work_slowdown: contamination::over(run, |t| &t.work_slowdown, Scale::Factor, level),
        work_ns: contamination::over(run, |t| &t.work_ns, Scale::Factor, level),
        thirds: contamination::thirds(run),
    }
}

/// What else has to be known about the runs as they are.
fn said_of(runs: &[RunData], allowed: &Allowed) -> Vec<String> {
    let mut notes: Vec<String> = Vec::new();
    if !allowed.across.is_empty() {
        let names = allowed.across.iter().map(Across::to_string).collect::<Vec<_>>().join(", ");
        notes.push(format!(
            "cells may differ between runs in {names} (--across): what that does and what else differs between the runs cannot be told apart"
        ));
    }
    for run in runs.iter().filter(|run| run.sequential) {
        notes.push(format!("{} could end by what was measured; intervals here do not allow for the looking", run.name));
    }
    let levels: Vec<f64> = runs.iter().map(|run| run.run.level).collect();
    if levels.iter().any(|level| Some(level) != levels.first()) {
        notes.push("the runs ask for intervals of several levels; the lowest is taken".to_owned());
    }
    notes
}

fn course(run: &RunData) -> Course {
    let mut points = Vec::new();
    let last = run.trials.iter().map(|t| t.position).max().unwrap_or(1).max(2);
    for cell in &run.cells {
        let own: Vec<(u32, f64)> = run
            .trials
            .iter()
            .filter(|t| t.cell == cell.id)
            .filter_map(|t| Some((t.position, t.ns(Point::P50)?.ln())))
            .collect();
        let mean = own.iter().map(|(_, ln)| ln).sum::<f64>() / own.len().max(1) as f64;
        points.extend(own.iter().map(|(at, ln)| (f64::from(at - 1) / f64::from(last - 1), (ln - mean).exp())));
    }
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    Course { points }
}

/// Whether the compared cells differ in nothing but the mesh.
pub(crate) fn mesh_only(of: &Comparison) -> bool {
    let mut dataplanes: Vec<Dataplane> = of.cells.iter().map(|c| c.factors.dataplane).collect();
    let cells = dataplanes.len();
    dataplanes.sort_by_key(ToString::to_string);
    dataplanes.dedup();
    dataplanes.len() == cells
}
