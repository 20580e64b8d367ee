//! What a comparison keeps of one run: the figures of its trials, of its cells, and its card.

use std::collections::BTreeMap;
use std::path::PathBuf;

use record::{Reading, Run, RunDirectory};

use super::point::Point;
use crate::findings::{CellFindings, FoundWarning, Tax, cell, tax};
use crate::gather::{Gathered, TrialData};
use crate::{Result, agreement, validity};

/// One trial.
#[derive(Clone, Debug)]
pub(super) struct TrialPoint {
    pub(super) cell: String,
    pub(super) block: u32,
    pub(super) position: u32,
    /// The response time at each point, in nanoseconds; none where no request ended.
    pub(super) response_ns: Option<[u64; 4]>,
    pub(super) steal_share: Reading<f64>,
    pub(super) loss_share: Reading<f64>,
    pub(super) work_slowdown: Reading<f64>,
    pub(super) work_ns: Reading<f64>,
}

const POINTS: [Point; 4] = [Point::P50, Point::P90, Point::P99, Point::P999];

impl TrialPoint {
    fn of(data: &TrialData) -> Self {
        let node = &data.usage.node;
        Self {
            cell: data.trial.cell.clone(),
            block: data.trial.block,
            position: data.trial.position,
            response_ns: (data.ended > 0).then(|| POINTS.map(|point| point.ns(&data.response))),
            steal_share: node.steal_share.clone(),
            loss_share: node.unexplained_loss_share.clone(),
            work_slowdown: node.work_slowdown.clone(),
            work_ns: node.work_ns.clone(),
        }
    }

    /// Its response time at a point. A time below the clock's step counts as that step, so that it has a logarithm.
    pub(super) fn ns(&self, at: Point) -> Option<f64> {
        let found = POINTS.iter().position(|point| *point == at)?;
        self.response_ns.and_then(|all| all.get(found).map(|ns| (*ns).max(1) as f64))
    }
}

/// One run, read.
#[derive(Clone, Debug)]
pub(super) struct RunData {
    pub(super) path: PathBuf,
    pub(super) name: String,
    pub(super) run: Run,
    pub(super) trials: Vec<TrialPoint>,
    pub(super) cells: Vec<CellFindings>,
    pub(super) taxes: Vec<Tax>,
    pub(super) warnings: Vec<FoundWarning>,
    /// Trials of the plan that are neither there nor were left out on purpose.
    pub(super) missing: usize,
    /// Whether what was measured could end it.
    pub(super) sequential: bool,
}

impl RunData {
    /// Reads all that a comparison needs; the trials' windows and histograms are not kept.
    pub(super) fn read(directory: &RunDirectory) -> Result<Self> {
        let gathered = Gathered::read(directory)?;
        agreement::check(&gathered)?;
        let run = gathered.run.clone();
        let cells = run.cells.iter().map(|c| cell::of(&gathered, c)).collect();
        let (taxes, mut warnings) = tax::all(&gathered);
        warnings.extend(validity::warnings(&gathered));
        let missing = if gathered.end.is_some() { 0 } else { run.trials.len() - gathered.trials.len() };
        Ok(Self {
            path: directory.path().to_owned(),
            name: run.id.clone(),
            trials: gathered.trials.iter().map(TrialPoint::of).collect(),
            cells,
            taxes,
            warnings,
            missing,
            sequential: gathered.is_sequential(),
            run,
        })
    }

    /// The logarithm of a cell's response time, by block.
    pub(super) fn logarithms(&self, cell: &str, at: Point) -> BTreeMap<u32, f64> {
        self.of_cell(cell, at).map(|(block, ns)| (block, ns.ln())).collect()
    }

    /// A cell's response time in nanoseconds, by block.
    pub(super) fn times(&self, cell: &str, at: Point) -> BTreeMap<u32, f64> {
        self.of_cell(cell, at).collect()
    }

    fn of_cell<'a>(&'a self, cell: &'a str, at: Point) -> impl Iterator<Item = (u32, f64)> + 'a {
        let of = self.trials.iter().filter(move |t| t.cell == cell);
        of.filter_map(move |t| t.ns(at).map(|ns| (t.block, ns)))
    }

    /// What one of its cells says.
    pub(super) fn cell(&self, id: &str) -> Option<&CellFindings> {
        self.cells.iter().find(|c| c.id == id)
    }
}

/// The differences of two cells in the blocks that hold both.
pub(super) fn differences(of: &BTreeMap<u32, f64>, from: &BTreeMap<u32, f64>) -> BTreeMap<u32, f64> {
    of.iter().filter_map(|(block, value)| from.get(block).map(|other| (*block, value - other))).collect()
}

/// The means over the blocks that all hold; none of none.
pub(super) fn block_means(all: &[BTreeMap<u32, f64>]) -> Vec<f64> {
    let Some((first, others)) = all.split_first() else { return Vec::new() };
    let blocks = first.keys().filter(|block| others.iter().all(|other| other.contains_key(block)));
    blocks.map(|block| all.iter().filter_map(|of| of.get(block)).sum::<f64>() / all.len() as f64).collect()
}
