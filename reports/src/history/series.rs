//! The runs of a folder as series: a figure of one cell, on one machine, by one method, in the order of their beginnings.

use std::collections::BTreeMap;
use std::path::Path;

use record::{Factors, Source};
use serde::{Deserialize, Serialize};

use super::changes::{self, Change};
use super::followed::Followed;
use super::glance::{CellGlance, Folder, Glance};
use crate::findings::{Figure, person_name};
use crate::{Error, Result};

/// A figure over many runs. Units stand in `unit`; a change is a ratio.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct History {
    /// The file format.
    pub schema: u32,
    /// The folder.
    pub folder: String,
    /// The figure, by the name it is asked for.
    pub metric: Followed,
    /// What it is.
    pub words: String,
    /// The unit of all values.
    pub unit: String,
    /// Runs looked at.
    pub runs: usize,
    /// A series for each machine, method, scenario, length of trials and cell. Figures of two of them are not compared.
    pub series: Vec<Series>,
    /// Directories left out, with the reason.
    pub left_out: Vec<LeftOutRun>,
}

/// A run that is in no series.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct LeftOutRun {
    /// Its directory.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// One cell, on one machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Series {
    /// The machine.
    pub host: String,
    /// The way figures are made.
    pub method: u32,
    /// The scenario's name.
    pub scenario: String,
    /// How long each trial measures, in nanoseconds: the longer, the longer the longest request. Absent in older findings.
    pub measure_ns: Option<u64>,
    /// The cell for people, as the latest run has it.
    pub cell: String,
    /// Its id there.
    pub id: String,
    /// Its factors, the same in all runs.
    pub factors: Factors,
    /// The runs.
    pub points: Vec<Point>,
    /// Where the level changed.
    pub changes: Vec<Change>,
    /// Why changes were not looked for; absent where they were.
    pub not_searched: Option<String>,
}

/// One run of a series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Point {
    /// The run's name.
    pub run: String,
    /// When it began, RFC 3339, UTC.
    pub started: String,
    /// What was measured.
    pub source: Option<Source>,
    /// The program that measured.
    pub program: String,
    /// Programs used and their versions.
    pub versions: BTreeMap<String, String>,
    /// Kernel release.
    pub kernel: String,
    /// The figure, or why there is none.
    pub figure: Figure,
    /// Whether the run was cut off, so that the figure is of fewer trials than planned.
    pub cut_off: bool,
}

impl Point {
    /// The commit as people read it, or else what the user calls it.
    pub fn name(&self) -> Option<&str> {
        self.source.as_ref().and_then(|s| s.short_commit().or(s.label.as_deref()))
    }
}

impl History {
    /// Follows a figure over the runs of a folder; of one cell, by its id, its label or its label for people, or of all.
    ///
    /// # Errors
    /// When the folder cannot be read or holds no run, or no run has such a cell.
    pub fn of(folder: &Path, followed: Followed, cell: Option<&str>) -> Result<Self> {
        let Folder { runs, left_out } = Folder::read(folder)?;
        if runs.is_empty() {
            let first = left_out.into_iter().next().map(|(_, reason)| reason);
            return Err(Error::NoRuns { path: folder.to_owned(), first });
        }
        let wanted =
            |c: &CellGlance| cell.is_none_or(|name| c.id == name || c.label == name || person_name(&c.label) == name);
        let mut series: Vec<Series> = Vec::new();
        for run in &runs {
            for cell in run.cells.iter().filter(|c| wanted(c)) {
                put(&mut series, run, cell, followed);
            }
        }
        if let (Some(name), true) = (cell, series.is_empty()) {
            let mut known: Vec<String> = runs.iter().flat_map(|r| &r.cells).map(|c| c.id.clone()).collect();
            known.sort();
            known.dedup();
            return Err(Error::NoSuchCell { cell: name.to_owned(), path: folder.to_owned(), known: known.join(", ") });
        }
        for one in &mut series {
            changes::search(one);
        }
        Ok(Self {
            schema: record::SCHEMA,
            folder: folder.display().to_string(),
            metric: followed,
            words: followed.words(),
            unit: followed.unit().to_owned(),
            runs: runs.len(),
            series,
            left_out: left_out
                .into_iter()
                .map(|(path, reason)| LeftOutRun { path: path.display().to_string(), reason })
                .collect(),
        })
    }
}

fn put(series: &mut Vec<Series>, run: &Glance, cell: &CellGlance, followed: Followed) {
    let host = run.host.name();
    let point = Point {
        run: run.run.clone(),
        started: run.started.clone(),
        source: run.source.clone(),
        program: run.program.clone(),
        versions: run.versions.clone(),
        kernel: run.host.kernel.clone(),
        figure: followed.of(run, cell),
        cut_off: run.is_cut_off(),
    };
    let same = |s: &&mut Series| {
        let of_run = s.method == run.method && s.scenario == run.scenario && s.measure_ns == run.measure_ns;
        of_run && s.host == host && s.factors == cell.factors
    };
    if let Some(known) = series.iter_mut().find(same) {
        known.cell = person_name(&cell.label);
        known.id.clone_from(&cell.id);
        known.points.push(point);
        return;
    }
    series.push(Series {
        host,
        method: run.method,
        scenario: run.scenario.clone(),
        measure_ns: run.measure_ns,
        cell: person_name(&cell.label),
        id: cell.id.clone(),
        factors: cell.factors.clone(),
        points: vec![point],
        changes: Vec::new(),
        not_searched: None,
    });
}
