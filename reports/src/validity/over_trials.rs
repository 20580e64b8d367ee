//! What only the trials together show: that figures drift over the run, that trials fall into two groups, and that a
//! chain does not keep up.
//!
//! Of drift and of two groups of trials it is stated how often nothing gives a warning: in 5 of 100 runs at most, each.

use record::{Cell, WarningKind};

use crate::figure;
use crate::findings::FoundWarning;
use crate::gather::{Gathered, TrialData};
use crate::stats::drift::{Drift, drift};
use crate::stats::{holm, modes};

/// How often a run in which nothing drifts may be said to, by its blocks and by its cells: half of 5 % each.
const DRIFT_LEVEL: f64 = 0.025;
/// How often a run whose trials are of one kind may be said to have two.
const GROUPS_LEVEL: f64 = 0.05;
/// Two groups closer than this matter to nobody, as a factor.
const GROUPS_APART: f64 = 1.1;
/// By how much a wait must grow with each second, in every trial: the chain answers half a percent less than is offered.
const BACKLOG: f64 = 0.005;
/// Fewer trials agree too easily.
const FEWEST: usize = 3;

/// Everything that the trials together put in doubt.
pub(super) fn warnings(gathered: &Gathered) -> Vec<FoundWarning> {
    let mut found: Vec<FoundWarning> = blocks_drift(gathered).into_iter().collect();
    found.extend(cells_drift(gathered));
    found.extend(two_groups(gathered));
    found.extend(gathered.run.cells.iter().filter_map(|cell| backlog(gathered, cell)));
    found
}

fn doubt(cell: Option<&Cell>, kind: WarningKind, evidence: String, remedy: &str) -> FoundWarning {
    FoundWarning { trial: None, cell: cell.map(|c| c.id.clone()), kind, evidence, remedy: remedy.to_owned() }
}

/// The trials of a cell with answers, in the order in which they were made.
fn answered<'a>(gathered: &'a Gathered, cell: &'a Cell) -> Vec<&'a TrialData> {
    gathered.of_cell(&cell.id).filter(|t| t.ended > 0).collect()
}

/// A figure of one trial, in nanoseconds.
type OfTrial = fn(&TrialData) -> u64;

fn logarithms(trials: &[&TrialData], of: OfTrial) -> Vec<f64> {
    trials.iter().map(|t| (of(t).max(1) as f64).ln()).collect()
}

fn said(found: &Drift) -> String {
    let change = found.change.exp_m1();
    let word = if change < 0.0 { "fell" } else { "rose" };
    format!("{word} by {} from the first to the last", figure::percent(change.abs()))
}

/// The host as a whole: the mean of all cells, block after block.
fn blocks_drift(gathered: &Gathered) -> Option<FoundWarning> {
    let cells = gathered.run.cells.len();
    let of_block = |block: u32| {
        let trials: Vec<&TrialData> =
            gathered.trials.iter().filter(|t| t.trial.block == block && t.ended > 0).collect();
        let all = logarithms(&trials, |t| t.response.p50);
        (all.len() == cells).then(|| all.iter().sum::<f64>() / cells as f64)
    };
    let blocks: Vec<f64> = (1..=gathered.run.repeats).filter_map(of_block).collect();
    let found = drift(&blocks).filter(|found| found.p <= DRIFT_LEVEL)?;
    let evidence = format!("over all cells together p50 {} of {} blocks", said(&found), blocks.len());
    Some(doubt(
        None,
        WarningKind::Drift,
        evidence,
        "look for what else changed meanwhile; comparisons within blocks hold",
    ))
}

/// Each cell on its own, at p50 and p99, as one family.
fn cells_drift(gathered: &Gathered) -> Vec<FoundWarning> {
    let mut found = Vec::new();
    for cell in &gathered.run.cells {
        let trials = answered(gathered, cell);
        let figures: [(&str, OfTrial); 2] = [("p50", |t| t.response.p50), ("p99", |t| t.response.p99)];
        for (name, of) in figures {
            found.extend(drift(&logarithms(&trials, of)).map(|drift| (cell, name, trials.len(), drift)));
        }
    }
    let p = holm::adjusted(&found.iter().map(|(.., drift)| drift.p).collect::<Vec<f64>>());
    let clear = found.into_iter().zip(p).filter(|(_, p)| *p <= DRIFT_LEVEL).map(|(found, _)| found);
    clear
        .map(|(cell, name, trials, drift)| {
            let evidence = format!("{name} {} of {trials} trials of {}", said(&drift), cell.id);
            doubt(Some(cell), WarningKind::Drift, evidence, "a longer warm-up, or look for what else changed meanwhile")
        })
        .collect()
}

/// Trials that fall into two groups at p50, over all cells as one family.
fn two_groups(gathered: &Gathered) -> Vec<FoundWarning> {
    let of_cell = |cell| {
        let trials = answered(gathered, cell);
        modes::groups(&logarithms(&trials, |t| t.response.p50)).map(|groups| (cell, trials.len(), groups))
    };
    let found: Vec<_> = gathered.run.cells.iter().filter_map(of_cell).collect();
    let p = holm::adjusted(&found.iter().map(|(.., groups)| groups.p).collect::<Vec<f64>>());
    found
        .into_iter()
        .zip(p)
        .filter(|((.., groups), p)| *p <= GROUPS_LEVEL && (groups.high - groups.low).exp() >= GROUPS_APART)
        .map(|((cell, trials, groups), _)| {
            let evidence = format!(
                "trials of {} are of two kinds: {} with a p50 around {}, {} around {}",
                cell.id,
                groups.lower,
                figure::ms_bare(groups.low.exp()),
                trials - groups.lower,
                figure::ms_bare(groups.high.exp())
            );
            doubt(
                Some(cell),
                WarningKind::TwoModes,
                evidence,
                "compare the trials of both; one figure for both is of neither",
            )
        })
        .collect()
}

/// Requests that wait longer and longer for a free connection, in every trial.
fn backlog(gathered: &Gathered, cell: &Cell) -> Option<FoundWarning> {
    let trials = answered(gathered, cell);
    let least = trials.iter().map(|t| t.backlog_growth).fold(f64::INFINITY, f64::min);
    if trials.len() < FEWEST || least < BACKLOG {
        return None;
    }
    let evidence = format!(
        "requests of {} waited longer and longer for a free connection, by at least {} more each second in all {} trials",
        cell.id,
        figure::ms_bare(least * 1e9),
        trials.len()
    );
    let remedy = "lower the rate; the chain does not keep up, and its times only tell how long the trial was";
    Some(doubt(Some(cell), WarningKind::Saturated, evidence, remedy))
}
