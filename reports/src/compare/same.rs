//! What may be compared at all: runs of one method and platform, and the cells that they share.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::str::FromStr;

use record::{Cell, Factors};
use serde_json::Value;

use super::read::RunData;
use crate::{Error, Result};

/// A factor in which runs may differ, by its name in files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Across(String);

/// A name that no factor has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{asked}' is no factor\n  try: one of {known}")]
pub struct NoFactor {
    asked: String,
    known: String,
}

impl FromStr for Across {
    type Err = NoFactor;

    fn from_str(text: &str) -> std::result::Result<Self, NoFactor> {
        let known = names();
        if known.iter().any(|name| name == text) {
            return Ok(Self(text.to_owned()));
        }
        Err(NoFactor { asked: text.to_owned(), known: known.join(", ") })
    }
}

impl Display for Across {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The names of all factors.
fn names() -> Vec<String> {
    let mut names: Vec<String> = match serde_json::to_value(Factors::unmeshed()) {
        Ok(Value::Object(fields)) => fields.into_iter().map(|(name, _)| name).collect(),
        _ => Vec::new(),
    };
    // The only one that is left out where it is not set.
    if !names.iter().any(|name| name == "canary") {
        names.push("canary".to_owned());
    }
    names.retain(|name| name != "twin");
    names
}

/// What a comparison lets pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Runs of several methods.
    pub method: bool,
    /// Runs of several platforms.
    pub platform: bool,
    /// Cells that only some runs have: they are left out.
    pub shared_cells: bool,
    /// Factors in which the cells of the runs may differ.
    pub across: Vec<Across>,
}

/// A cell that all runs have, by its id in each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shared {
    pub(super) ids: Vec<String>,
}

/// Shows that the runs may stand side by side; what was let pass comes back as notes.
///
/// # Errors
/// [`Error::SameRun`], [`Error::NotComparable`].
pub(super) fn check(runs: &[RunData], allowed: &Allowed) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    for (at, run) in runs.iter().enumerate() {
        if let Some(same) = runs[..at].iter().find(|other| other.run.id == run.run.id) {
            return Err(Error::SameRun { one: same.path.clone(), other: run.path.clone(), run: run.run.id.clone() });
        }
    }
    let Some((first, others)) = runs.split_first() else { return Ok(notes) };
    for other in others {
        if let Err(why) = methods(first, other) {
            pass(why, allowed.method, "--allow-method", &mut notes)?;
        }
        if let Err(why) = platforms(first, other) {
            pass(why, allowed.platform, "--allow-platform", &mut notes)?;
        }
    }
    Ok(notes)
}

fn pass(why: Error, allowed: bool, flag: &'static str, notes: &mut Vec<String>) -> Result<()> {
    if !allowed {
        return Err(Error::NotComparable { why: Box::new(why), flag });
    }
    let said = why.to_string();
    notes.push(format!("{} ({flag})", said.lines().next().unwrap_or_default()));
    Ok(())
}

fn methods(first: &RunData, other: &RunData) -> Result<()> {
    crate::agreement::same_method((&first.run.id, first.run.method), (&other.run.id, other.run.method))
}

fn platforms(first: &RunData, other: &RunData) -> Result<()> {
    let platform = |run: &RunData| run.run.cells.first().map(|c| c.factors.platform);
    crate::agreement::same_platform((&first.run.id, platform(first)), (&other.run.id, platform(other)))
}

/// A cell's factors without those that may differ.
fn key(cell: &Cell, allowed: &Allowed) -> Result<Value> {
    let mut value = serde_json::to_value(&cell.factors)?;
    if let Some(fields) = value.as_object_mut() {
        for Across(name) in &allowed.across {
            fields.remove(name);
        }
        if allowed.platform {
            fields.remove("platform");
        }
    }
    Ok(value)
}

/// The cells that all runs have, and notes on those that are left out. The second of an A/A pair is in neither.
///
/// # Errors
/// [`Error::NoSharedCell`], [`Error::CellsDiffer`] unless that is allowed, [`Error::SeveralCells`].
pub(super) fn shared(runs: &[RunData], allowed: &Allowed) -> Result<(Vec<Shared>, Vec<String>)> {
    let mut by_run: Vec<Vec<(Value, &Cell)>> = Vec::new();
    for run in runs {
        let mut cells: Vec<(Value, &Cell)> = Vec::new();
        for cell in run.run.cells.iter().filter(|c| c.factors.twin == 0) {
            let key = key(cell, allowed)?;
            if let Some((_, other)) = cells.iter().find(|(known, _)| *known == key) {
                let across = allowed.across.iter().map(Across::to_string).collect::<Vec<_>>().join(",");
                let (run, one, other) = (run.run.id.clone(), other.id.clone(), cell.id.clone());
                return Err(Error::SeveralCells { run, one, other, across });
            }
            cells.push((key, cell));
        }
        by_run.push(cells);
    }
    let mut shared = Vec::new();
    for (key, _) in by_run.first().into_iter().flatten() {
        let ids = by_run.iter().map(|cells| Some(cells.iter().find(|(k, _)| k == key)?.1.id.clone()));
        if let Some(ids) = ids.collect::<Option<Vec<String>>>() {
            shared.push(Shared { ids });
        }
    }
    if shared.is_empty() {
        return Err(none_shared(runs, &by_run));
    }
    let left_out = left_out(runs, &by_run, &shared);
    if !left_out.is_empty() && !allowed.shared_cells {
        return Err(Error::CellsDiffer { only: left_out.join("; "), shared: shared.len() });
    }
    let notes = left_out.into_iter().map(|said| format!("{said}: left out (--shared-cells)")).collect();
    Ok((shared, notes))
}

/// The cells that only some runs have, in words.
fn left_out(runs: &[RunData], by_run: &[Vec<(Value, &Cell)>], shared: &[Shared]) -> Vec<String> {
    let mut said = Vec::new();
    for (at, (run, cells)) in runs.iter().zip(by_run).enumerate() {
        let only = cells.iter().filter(|(_, cell)| shared.iter().all(|s| s.ids.get(at) != Some(&cell.id)));
        let ids: Vec<&str> = only.map(|(_, cell)| cell.id.as_str()).collect();
        if !ids.is_empty() {
            said.push(format!("{} has {}, which not all runs have", run.run.id, ids.join(", ")));
        }
    }
    said
}

/// That nothing is shared, with the factors in which the nearest cells of two runs differ.
fn none_shared(runs: &[RunData], by_run: &[Vec<(Value, &Cell)>]) -> Error {
    let nearest = |other: &[(Value, &Cell)]| {
        let pairs = by_run.first()?.iter().flat_map(|(_, a)| other.iter().map(move |(_, b)| (a, b)));
        pairs.map(|(a, b)| a.factors.differences(&b.factors)).min_by_key(Vec::len)
    };
    let mut factors: BTreeMap<&'static str, String> = BTreeMap::new();
    for (run, cells) in runs.iter().zip(by_run).skip(1) {
        for (factor, is, other) in nearest(cells).unwrap_or_default() {
            factors.entry(factor).or_insert_with(|| format!("{factor} ({is}, and {other} in {})", run.run.id));
        }
    }
    let names = factors.keys().copied().collect::<Vec<_>>().join(",");
    let differ = factors.into_values().collect::<Vec<_>>().join(", ");
    Error::NoSharedCell { first: runs.first().map(|run| run.run.id.clone()).unwrap_or_default(), differ, names }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_factor_is_known_by_its_name_in_files() {
        for name in ["cpu_limit", "dataplane", "canary", "workers"] {
            assert_eq!(name.parse::<Across>().unwrap().to_string(), name);
        }
        for name in ["cpu-limit", "twin", ""] {
            let said = name.parse::<Across>().unwrap_err().to_string();
            assert!(said.contains(&format!("'{name}'")) && said.contains("cpu_limit"), "{said}");
        }
    }
}
