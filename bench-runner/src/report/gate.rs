//! `meshtax report` of a gate: its answer, in the forms that forges and services read.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use reports::gate::{GateReport, OnInconclusive};
use reports::trackers::{self, Tracked};

use super::Format;
use crate::exit::Usage;

/// What an undecided metric is in JUnit, which knows no such answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Undecided {
    /// Skipped.
    Skip,
    /// A failure.
    Fail,
    /// A success.
    Pass,
}

const ANSWER: &str = "gate.json";

/// The answer of a gate, where a path is one: a gate's directory, or the file itself.
pub(super) fn answer(path: &Path) -> Option<PathBuf> {
    if path.is_file() {
        return Some(path.to_owned());
    }
    let inside = path.join(ANSWER);
    (inside.is_file() && !path.join("run.json").is_file()).then_some(inside)
}

/// Reads the answer of a gate.
pub(super) fn read(path: &Path) -> anyhow::Result<GateReport> {
    #[derive(serde::Deserialize)]
    struct Head {
        schema: u64,
    }
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    // The number first: a later format may well not parse, and that must not look like damage.
    if let Ok(Head { schema }) = serde_json::from_slice(&bytes)
        && schema > u64::from(record::SCHEMA)
    {
        let at = path.display();
        anyhow::bail!("{at} has schema {schema}, and this meshtax reads up to {}\n  try: a newer one", record::SCHEMA);
    }
    serde_json::from_slice(&bytes).with_context(|| {
        format!("{} is no answer of a gate\n  try: a run's directory, a gate's, or a gate.json", path.display())
    })
}

pub(super) fn render(report: &GateReport, format: Format, undecided: Undecided) -> anyhow::Result<String> {
    let undecided = match undecided {
        Undecided::Skip => OnInconclusive::Skip,
        Undecided::Fail => OnInconclusive::Fail,
        Undecided::Pass => OnInconclusive::Pass,
    };
    Ok(match format {
        Format::Json => serde_json::to_string_pretty(report).context("cannot write the answer as JSON")? + "\n",
        Format::Junit => reports::gate::junit_with(report, undecided),
        Format::Markdown => reports::gate::markdown(report),
        Format::Summary => reports::gate::summary(report),
        Format::Annotations => reports::gate::annotations(report),
        Format::GithubActionBenchmark => trackers::github_action_benchmark(&Tracked::of_gate(report))?,
        Format::Bencher => trackers::bencher(&Tracked::of_gate(report))?,
        Format::Text => reports::gate::text(report, super::width(), super::color()),
        Format::Csv
        | Format::Html
        | Format::Hlog
        | Format::Fortio
        | Format::Smp
        | Format::OpenMetrics
        | Format::IntervalsCsv
        | Format::SamplesCsv => {
            let said = "a gate's answer has no such form\n  try: --format text, markdown, summary, junit, annotations, json, github-action-benchmark or bencher";
            return Err(Usage(said.to_owned()).into());
        }
    })
}
