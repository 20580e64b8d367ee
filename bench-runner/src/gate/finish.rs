//! The end of a gate: its answer printed and written, and the exit code.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use reports::gate::{GateReport, GateVerdict};

use crate::exit::Exit;
use crate::report::print;

/// Where the answer goes besides stdout.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// Write the answer as JSON to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write it as JUnit XML to this file: a test suite for each cell, a test case for each metric.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write it as Markdown for a comment to this file.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// What an undecided gate ends with: inconclusive (3), fail (1) or pass (0). The answer stays what it is.
    #[arg(long, value_enum, default_value = "inconclusive", value_name = "CODE")]
    on_inconclusive: OnInconclusive,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum OnInconclusive {
    Inconclusive,
    Fail,
    Pass,
}

/// Writes gate.json into the gate's directory, if it has one, and what else was asked for.
pub(crate) fn write(report: &GateReport, directory: Option<&Path>, output: &OutputArgs) -> anyhow::Result<()> {
    let mut json = serde_json::to_string_pretty(report).context("cannot write the answer as JSON")?;
    json.push('\n');
    let own = directory.map(|directory| directory.join("gate.json"));
    let put = |path: &Path, text: &str| {
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    for path in [own.as_ref(), output.json.as_ref()].into_iter().flatten() {
        put(path, &json)?;
    }
    if let Some(path) = &output.junit {
        let undecided = match output.on_inconclusive {
            OnInconclusive::Inconclusive => reports::gate::OnInconclusive::Skip,
            OnInconclusive::Fail => reports::gate::OnInconclusive::Fail,
            OnInconclusive::Pass => reports::gate::OnInconclusive::Pass,
        };
        put(path, &reports::gate::junit_with(report, undecided))?;
    }
    if let Some(path) = &output.markdown {
        put(path, &reports::gate::markdown(report))?;
    }
    Ok(())
}

/// Prints the answer, the gate's directory as the last line, and gives the exit code.
pub(crate) fn tell(report: &GateReport, directory: Option<&Path>, output: &OutputArgs) -> anyhow::Result<ExitCode> {
    let terminal = std::io::stdout().is_terminal();
    let width = if terminal {
        rustix::termios::tcgetwinsize(std::io::stdout()).map_or(80, |size| usize::from(size.ws_col))
    } else {
        80
    };
    let color = terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    print(&reports::gate::text(report, width, color))?;
    if let Some(directory) = directory {
        print(&directory.display().to_string())?;
    }
    Ok(match (report.verdict, output.on_inconclusive) {
        (GateVerdict::Pass, _) | (GateVerdict::Inconclusive, OnInconclusive::Pass) => Exit::Done,
        (GateVerdict::Fail, _) | (GateVerdict::Inconclusive, OnInconclusive::Fail) => Exit::Failed,
        (GateVerdict::Inconclusive, OnInconclusive::Inconclusive) => Exit::Inconclusive,
    }
    .into())
}
