//! `meshtax baseline list`: what is kept, with the p99 of each cell.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use record::Source;
use reports::history::{CellGlance, Folder, Glance};
use serde::Serialize;

use crate::exit::Exit;
use crate::report::print;

/// A form of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// A table for a terminal.
    Text,
    /// For scripts.
    Json,
}

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The form of the list.
    #[arg(long, value_enum, default_value = "text")]
    format: Form,
}

/// A baseline in the list for scripts.
#[derive(Serialize)]
struct Listed<'a> {
    name: String,
    path: String,
    run: &'a str,
    started: &'a str,
    scenario: &'a str,
    method: u32,
    host: String,
    source: Option<&'a Source>,
    trials: usize,
    cells: Vec<ListedCell<'a>>,
}

#[derive(Serialize)]
struct ListedCell<'a> {
    id: &'a str,
    label: &'a str,
    trials: usize,
    response_p99_ns: Option<f64>,
}

pub(super) fn execute(args: &Args, folder: &Path) -> anyhow::Result<ExitCode> {
    let read = Folder::read(folder)?;
    let text = match args.format {
        Form::Text => table(&read, folder),
        Form::Json => {
            let listed: Vec<Listed<'_>> = read.runs.iter().map(listed).collect();
            serde_json::to_string_pretty(&serde_json::json!({"schema": record::SCHEMA, "baselines": listed}))?
        }
    };
    print(&text)?;
    Ok(Exit::Done.into())
}

/// The name of a directory.
pub(super) fn name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

fn p99(cell: &CellGlance) -> Option<f64> {
    cell.response_ns.get("p99")?.seen().map(|e| e.value)
}

fn listed(run: &Glance) -> Listed<'_> {
    Listed {
        name: name(&run.path),
        path: run.path.display().to_string(),
        run: &run.run,
        started: &run.started,
        scenario: &run.scenario,
        method: run.method,
        host: run.host.name(),
        source: run.source.as_ref(),
        trials: run.trials_sealed,
        cells: run
            .cells
            .iter()
            .map(|c| ListedCell { id: &c.id, label: &c.label, trials: c.trials, response_p99_ns: p99(c) })
            .collect(),
    }
}

fn table(read: &Folder, folder: &Path) -> String {
    let mut text = String::new();
    if read.runs.is_empty() {
        let _ = writeln!(text, "no baseline in {}; meshtax baseline add RUN keeps one", folder.display());
    }
    for run in &read.runs {
        let commit = run.source.as_ref().and_then(Source::short_commit).unwrap_or("no commit known");
        let _ = writeln!(text, "{}  {}  {}  {commit}", name(&run.path), run.started, run.scenario);
        let _ = writeln!(text, "  on {}, {} trials, method {}", run.host.name(), run.trials_sealed, run.method);
        let cells = run.cells.iter().map(|c| {
            let p99 = p99(c).map_or_else(|| "n/a".to_owned(), |ns| format!("{:.3} ms", ns / 1e6));
            format!("{} {p99}", c.label)
        });
        let _ = writeln!(text, "  p99: {}", cells.collect::<Vec<_>>().join("; "));
    }
    for (path, reason) in &read.left_out {
        let _ = writeln!(text, "{} cannot be read: {}", name(path), reason.lines().next().unwrap_or_default());
    }
    record::plain::lines(&text)
}
