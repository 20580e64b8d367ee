//! `meshtax report`, and what `run` writes at its end: findings made from a run directory, in every form.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use record::RunDirectory;
use reports::Findings;

use crate::disk::beside;
use crate::exit::{Exit, Usage};

/// A form of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Tables for a terminal.
    Text,
    /// findings.json.
    Json,
    /// Every table as CSV, one after another, each under a line with its name.
    Csv,
    /// One self-contained page.
    Html,
    /// For a pull request or a ticket.
    Markdown,
}

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The run directory; several are reported one after the other, if their figures may be compared.
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// The form of the report.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Write to this file (for csv: into this directory, a file a table) instead of stdout.
    #[arg(long)]
    output: Option<PathBuf>,
    /// Exit with 1 if a warning touches the result.
    #[arg(long)]
    strict: bool,
}

pub(crate) fn execute(args: Args) -> anyhow::Result<ExitCode> {
    if args.runs.len() > 1 && !matches!(args.format, Format::Text | Format::Markdown) {
        let problem = "several runs make one text, and a report in this format is of one run";
        return Err(Usage(format!("{problem}\n  try: --format text or markdown, or one run after the other")).into());
    }
    let mut read: Vec<(RunDirectory, Findings)> = Vec::new();
    for path in &args.runs {
        let directory = RunDirectory::open(path)?;
        let findings = reports::findings(&directory)?;
        if let Some((_, first)) = read.first() {
            reports::comparable(first, &findings)?;
        }
        read.push((directory, findings));
    }
    if let ([(_, findings)], Format::Csv, Some(folder)) = (read.as_slice(), args.format, &args.output) {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        write_tables(findings, folder)?;
    } else {
        let texts = read.iter().map(|(directory, findings)| render(findings, directory, args.format));
        let text = texts.collect::<anyhow::Result<Vec<_>>>()?.join("\n");
        match &args.output {
            Some(path) => write_file(path, &text)?,
            None => print(&text)?,
        }
    }
    let failed = read.iter().any(|(_, findings)| judge(findings, args.strict) == Exit::Failed);
    Ok(if failed { Exit::Failed } else { Exit::Done }.into())
}

/// With `--strict`, a warning about what was measured fails the run.
pub(crate) fn judge(findings: &Findings, strict: bool) -> Exit {
    if strict && !findings.warnings.is_empty() { Exit::Failed } else { Exit::Done }
}

fn render(findings: &Findings, directory: &RunDirectory, format: Format) -> anyhow::Result<String> {
    Ok(match format {
        Format::Text => text(findings) + &beside::section(directory)?,
        Format::Json => reports::json::render(findings)?,
        Format::Csv => {
            let tables = reports::csv::render(findings)?;
            tables.iter().map(|(name, table)| format!("# {name}\n{table}")).collect::<Vec<_>>().join("\n")
        }
        Format::Html => reports::html::render(findings, directory)?,
        Format::Markdown => reports::markdown::render(findings),
    })
}

/// The tables as wide as the terminal.
pub(crate) fn text(findings: &Findings) -> String {
    let terminal = std::io::stdout().is_terminal();
    let width = if terminal {
        rustix::termios::tcgetwinsize(std::io::stdout()).map_or(80, |size| usize::from(size.ws_col)).max(60)
    } else {
        80
    };
    let color = terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    reports::text::render(findings, width, color)
}

/// Prints to stdout; a reader that went away (`| head`) is not an error.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let newline = if text.ends_with('\n') { "" } else { "\n" };
    match write!(out, "{text}{newline}").and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(e).context("cannot write to stdout"),
        _ => Ok(()),
    }
}

/// Writes report.html, findings.json and the tables into the run directory.
pub(crate) fn write_all(findings: &Findings, directory: &RunDirectory) -> anyhow::Result<()> {
    let at = directory.path();
    write_file(&at.join("findings.json"), &reports::json::render(findings)?)?;
    write_file(&at.join("report.html"), &reports::html::render(findings, directory)?)?;
    write_tables(findings, at)
}

fn write_tables(findings: &Findings, folder: &Path) -> anyhow::Result<()> {
    for (name, table) in reports::csv::render(findings)? {
        write_file(&folder.join(name), &table)?;
    }
    Ok(())
}

fn write_file(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
