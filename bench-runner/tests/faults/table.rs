//! The table of the README, read: a row is what is done, at which stage and to whom, and what must come of it.

use std::collections::BTreeSet;

use crate::deed::Fault;
use crate::outcome::Outcome;
use crate::scene::Kind;
use crate::stage::Stage;

/// The text that people read.
const README: &str = include_str!("README.md");

/// The heads of its columns.
const HEADS: [&str; 8] = ["row", "stage", "fault", "done to", "run", "outcome", "what is seen", "exit"];

/// The fewest rows that the campaign may have.
const FEWEST: usize = 40;

/// A row.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) stage: Stage,
    pub(crate) fault: Fault,
    /// To whom or what, as the deed knows it.
    pub(crate) target: String,
    pub(crate) run: Kind,
    pub(crate) outcome: Outcome,
    /// What must be said: words of the error, or the kinds of warnings.
    pub(crate) seen: Vec<String>,
    /// "0", "2", or "signal 9".
    pub(crate) exit: String,
}

/// All rows, or what is wrong with the first that is none.
pub(crate) fn rows() -> Result<Vec<Row>, String> {
    let cells = |line: &str| -> Vec<String> {
        line.trim().trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let lines: Vec<(usize, Vec<String>)> =
        README.lines().enumerate().filter(|(_, l)| l.starts_with('|')).map(|(at, l)| (at + 1, cells(l))).collect();
    let head = lines.iter().position(|(_, cells)| cells.iter().map(String::as_str).eq(HEADS));
    let head = head.ok_or_else(|| format!("README.md has no table with the heads {HEADS:?}"))?;
    let of = |(line, cells): &(usize, Vec<String>)| row(cells).map_err(|why| format!("README.md line {line}: {why}"));
    lines.iter().skip(head + 2).map(of).collect()
}

fn row(cells: &[String]) -> Result<Row, String> {
    let [id, stage, fault, target, run, outcome, seen, exit] = cells else {
        return Err(format!("{} columns instead of {}", cells.len(), HEADS.len()));
    };
    Ok(Row {
        id: id.trim_matches('`').to_owned(),
        stage: Stage::named(stage)?,
        fault: Fault::named(fault)?,
        target: target.clone(),
        run: Kind::named(run)?,
        outcome: Outcome::named(outcome)?,
        // Every second piece stands between backticks.
        seen: seen.split('`').skip(1).step_by(2).map(str::to_owned).collect(),
        exit: exit.clone(),
    })
}

/// The table is whole: enough rows, no name twice, each fault and each stage used, and nothing claimed that cannot be checked.
pub(crate) fn check() {
    let rows = rows().unwrap();
    assert!(rows.len() >= FEWEST, "{} rows", rows.len());
    let names: BTreeSet<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(names.len(), rows.len(), "a name stands twice");
    for fault in Fault::all() {
        assert!(rows.iter().any(|row| row.fault == fault), "no row has the fault '{}'", fault.word());
    }
    for stage in Stage::all() {
        assert!(rows.iter().any(|row| row.stage == stage), "no row is at the stage '{}'", stage.word());
    }
    for row in &rows {
        let says = !row.seen.is_empty();
        let must = match row.outcome {
            Outcome::GoesOn => row.exit == "0",
            Outcome::Marked => says && row.exit == "0",
            Outcome::Stops => row.exit != "0" && (says || row.exit.starts_with("signal")),
        };
        assert!(must, "{}: the outcome, what is seen and the exit code do not go together", row.id);
    }
}
