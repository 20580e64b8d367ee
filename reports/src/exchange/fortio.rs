//! Fortio's results: one for each trial, and one for each cell with the requests of all its trials.

use std::collections::BTreeMap;

use record::{Cell, Outcomes, Process, Run, RunDirectory, Trial, Verdict};

use super::files::Files;
use super::sealed;
use crate::Result;
use crate::findings::person_name;
use crate::load::Measured;
use crate::load::fortio::{Loaded, render_loaded};

/// The ending of a result; Fortio's page lists all files with it.
const ENDING: &str = "json";

pub(super) fn write(dir: &RunDirectory, files: &mut Files) -> Result<()> {
    let run = dir.run()?;
    let trials = sealed::trials(dir, &run)?;
    let mut cells: BTreeMap<&str, Measured> = BTreeMap::new();
    for trial in &trials {
        let measured = sealed::measured(dir, trial)?;
        let label = run.cell(&trial.cell).map(|cell| person_name(&cell.label)).unwrap_or_default();
        let labels = format!("{}: {label}, trial {}, {}", run.scenario, trial.position, word(trial.load.verdict));
        let loaded = Loaded::of(&trial.load, labels, trial.anchor);
        files.put(&trial.id, ENDING, &render_loaded(&loaded, &measured.response)?)?;
        sealed::add(cells.entry(&trial.cell).or_default(), &measured)?;
    }
    for cell in &run.cells {
        let of_cell: Vec<&Trial> = trials.iter().filter(|trial| trial.cell == cell.id).collect();
        if let (Some(loaded), Some(measured)) = (together(&run, cell, &of_cell), cells.get(cell.id.as_str())) {
            files.put(&cell.id, ENDING, &render_loaded(&loaded, &measured.response)?)?;
        }
    }
    Ok(())
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Valid => "valid",
        Verdict::Suspect => "suspect",
        Verdict::Invalid => "invalid",
    }
}

/// The loads of a cell's trials as one, which lasted as long as all together.
fn together(run: &Run, cell: &Cell, trials: &[&Trial]) -> Option<Loaded> {
    let first = trials.first()?;
    let (mut due, mut answered, mut duration_ns, mut in_time) = (0, 0, 0, 0.0);
    let mut outcomes = Outcomes::default();
    for load in trials.iter().map(|trial| &trial.load) {
        due += load.due;
        answered += load.answered;
        duration_ns += load.duration_ns;
        in_time += load.achieved_per_second * load.duration_ns as f64 / 1e9;
        outcomes.add(&load.outcomes);
    }
    let worst = trials.iter().map(|trial| trial.load.verdict).max()?;
    let label = person_name(&cell.label);
    Some(Loaded {
        labels: format!("{}: {label}, {} trials together, {}", run.scenario, trials.len(), word(worst)),
        duration_ns,
        achieved_per_second: in_time / (duration_ns.max(1) as f64 / 1e9),
        due,
        answered,
        outcomes,
        uniform: first.load.arrival == Process::Constant,
        ..Loaded::of(&first.load, String::new(), first.anchor)
    })
}
