//! What a run says in a line, from its findings.json or, where it has none yet, from its run.json.

use std::path::Path;

use record::{Reading, Run, RunDirectory, Source};
use serde::Serialize;

use super::RunName;
use crate::figure;
use crate::findings::{TaxKind, person_name};
use crate::history::Glance;

/// How a run stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// All its trials are made, or it ended as it may.
    Ended,
    /// Somebody is making its trials now.
    BeingMade,
    /// Trials are missing and nobody is making them.
    CutOff,
    /// It cannot be read, for this reason.
    Broken(String),
}

/// What a mesh adds at p99.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TaxLine {
    /// The cell.
    pub label: String,
    /// The figure with its interval, in milliseconds.
    pub figure: String,
    /// The figure alone, in nanoseconds.
    pub value_ns: f64,
}

/// A run in a line.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Its directory's name.
    pub name: RunName,
    /// How it stands.
    pub state: State,
    /// When it began, RFC 3339, UTC; empty where that is not known.
    pub started: String,
    /// The scenario's name.
    pub scenario: String,
    /// The machine.
    pub host: String,
    /// What the user calls it, or else the commit and the branch.
    pub source: String,
    /// The answer's first sentence; none before there are findings.
    pub answer: Option<String>,
    /// Whether the answer says of a cell that it is not to be relied on.
    pub unreliable: bool,
    /// The taxes at p99, the largest first.
    pub taxes: Vec<TaxLine>,
    /// How many doubts there are.
    pub doubts: usize,
    /// Trials sealed.
    pub sealed: usize,
    /// Trials planned.
    pub planned: usize,
    /// Whether there are findings.
    pub explained: bool,
}

impl Row {
    /// Looks at one run directory. Whether it is being made is not looked at here: a run with trials missing is cut off.
    pub(super) fn of(name: &RunName, path: &Path) -> Self {
        if let Some(glance) = Glance::kept(path) {
            return Self::of_glance(name, &glance);
        }
        match RunDirectory::open(path).and_then(|dir| Ok((dir.run()?, dir.end()?.is_some(), dir))) {
            Ok((run, ended, dir)) => Self::of_run(name, &run, ended, &dir),
            Err(error) => {
                let reason = error.to_string();
                Self::broken(name, reason.lines().next().unwrap_or_default().to_owned())
            }
        }
    }

    pub(super) fn broken(name: &RunName, reason: String) -> Self {
        Self {
            name: name.clone(),
            state: State::Broken(reason),
            started: String::new(),
            scenario: String::new(),
            host: String::new(),
            source: String::new(),
            answer: None,
            unreliable: false,
            taxes: Vec::new(),
            doubts: 0,
            sealed: 0,
            planned: 0,
            explained: false,
        }
    }

    fn of_glance(name: &RunName, glance: &Glance) -> Self {
        let label =
            |id: &str| glance.cells.iter().find(|c| c.id == id).map_or(id.to_owned(), |c| person_name(&c.label));
        let meshes = glance.taxes.iter().filter(|tax| tax.kind == TaxKind::Mesh);
        let mut taxes: Vec<TaxLine> = meshes
            .filter_map(|tax| {
                let difference = tax.response_ns.get("p99")?.difference;
                let figure = format!("+{} ms", figure::with_interval(&difference, 1e-6)).replace("+-", "-");
                Some(TaxLine { label: label(&tax.cell), figure, value_ns: difference.value })
            })
            .collect();
        taxes.sort_by(|a, b| b.value_ns.total_cmp(&a.value_ns));
        Self {
            name: name.clone(),
            state: if glance.is_cut_off() { State::CutOff } else { State::Ended },
            started: glance.started.clone(),
            scenario: glance.scenario.clone(),
            host: glance.host.name(),
            source: said(glance.source.as_ref()),
            answer: glance.answer.first().map(|answer| first_sentence(answer).to_owned()),
            unreliable: glance.answer.iter().any(|said| said.contains(UNRELIABLE)),
            taxes,
            doubts: glance.warnings.len(),
            sealed: glance.trials_sealed,
            planned: glance.trials_planned,
            explained: true,
        }
    }

    fn of_run(name: &RunName, run: &Run, ended: bool, dir: &RunDirectory) -> Self {
        let sealed = run.trials.iter().filter(|t| dir.is_sealed(&t.id)).count();
        let host = &run.host;
        let seen = |reading: &Reading<String>| reading.seen().cloned();
        let cpu = seen(&host.cpu_model).unwrap_or_else(|| host.arch.clone());
        Self {
            state: if ended || sealed == run.trials.len() { State::Ended } else { State::CutOff },
            started: run.started.clone(),
            scenario: run.scenario.clone(),
            host: format!("{} × {cpu}", host.cpus_online.len()),
            source: said(run.source.as_ref()),
            sealed,
            planned: run.trials.len(),
            ..Self::broken(name, String::new())
        }
    }

    /// Whether it holds all of these words, whatever their case.
    pub fn holds(&self, words: &str) -> bool {
        let all = self.words();
        words.to_lowercase().split_whitespace().all(|word| all.contains(word))
    }

    /// Everything that it is looked for by, in lower case.
    pub(super) fn words(&self) -> String {
        let Self { name, state, started, scenario, host, source, answer, .. } = self;
        let answer = answer.as_deref().unwrap_or_default();
        format!("{name} {} {started} {scenario} {host} {source} {answer}", state.words()).to_lowercase()
    }
}

impl State {
    /// In words.
    pub fn words(&self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::BeingMade => "being made",
            Self::CutOff => "cut off",
            Self::Broken(_) => "cannot be read",
        }
    }
}

/// How an answer begins what it says of a cell whose figures are not the target's.
const UNRELIABLE: &str = "Do not rely on";

/// Up to the first full stop that ends a sentence; one within a figure does not.
fn first_sentence(text: &str) -> &str {
    let begins = |rest: &str| rest.chars().next().is_none_or(char::is_uppercase);
    let end = text.match_indices(". ").find(|(at, stop)| begins(&text[at + stop.len()..]));
    end.map_or(text, |(at, _)| &text[..=at])
}

fn said(source: Option<&Source>) -> String {
    let Some(source) = source else { return String::new() };
    if let Some(label) = &source.label {
        return label.clone();
    }
    let parts = [source.short_commit(), source.branch.as_deref()];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_shown_by_its_first_sentence() {
        let answer = "Envoy adds 0.420 ms [0.366, 0.529] at p50. Do not rely on envoy: it was late.";
        assert_eq!(first_sentence(answer), "Envoy adds 0.420 ms [0.366, 0.529] at p50.");
        for whole in ["", "Nothing.", "v1. and v2 are one.", "No stop"] {
            assert_eq!(first_sentence(whole), whole);
        }
    }
}
