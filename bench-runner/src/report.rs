//! `meshtax report`, and what `run` writes at its end: findings made from a run directory, in every form.

mod exchange;
mod gate;

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use record::RunDirectory;
use reports::picture::Picture;
use reports::trackers::Tracked;
use reports::{Explanation, Findings};

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
    /// For github-action-benchmark: its form customSmallerIsBetter.
    GithubActionBenchmark,
    /// For Bencher: its metric format (BMF).
    Bencher,
    /// HdrHistogram logs (.hlog), a file for each trial and each cell, in the directory that --output names.
    Hlog,
    /// Fortio's results, a file for each trial and each cell, in the directory that --output names.
    Fortio,
    /// Files of the Service Mesh Performance specification, and what it cannot carry beside them, in the directory that
    /// --output names.
    Smp,
    /// OpenMetrics text.
    #[value(alias = "openmetrics")]
    OpenMetrics,
    /// One table with a row for each tenth of a second of each trial.
    IntervalsCsv,
    /// One table with a row for each sample of the machine.
    SamplesCsv,
    /// Of a gate: JUnit XML, a test suite for each cell and a test case for each metric.
    Junit,
    /// Of a gate: GitHub's workflow commands, which it shows beside the change.
    Annotations,
    /// Of a gate: Markdown for the summary of a step, longer than that for a comment.
    Summary,
}

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The run directory, or a gate's directory or gate.json; several runs are reported one after the other, if their figures may be compared.
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// The form of the report.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Write to this file instead of stdout; for csv, hlog, fortio and smp: into this directory.
    #[arg(long)]
    output: Option<PathBuf>,
    /// Write every chart of the run as a PNG picture into this directory, in the light style, for slides and tickets.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["format", "output"])]
    png: Option<PathBuf>,
    /// What an undecided metric of a gate is in JUnit.
    #[arg(long, value_enum, default_value = "skip")]
    on_inconclusive: gate::Undecided,
    /// Exit with 1 if a warning touches the result.
    #[arg(long)]
    strict: bool,
}

pub(crate) fn execute(args: Args) -> anyhow::Result<ExitCode> {
    if let [path] = args.runs.as_slice()
        && let Some(answer) = gate::answer(path)
    {
        if args.png.is_some() {
            let said =
                "pictures are of a run's charts, and that is a gate's answer\n  try: the directory of one of its sides";
            return Err(Usage(said.to_owned()).into());
        }
        let report = gate::read(&answer)?;
        put(&gate::render(&report, args.format, args.on_inconclusive)?, args.output.as_deref())?;
        return Ok(Exit::Done.into());
    }
    if args.runs.len() > 1 && (args.png.is_some() || !matches!(args.format, Format::Text | Format::Markdown)) {
        let problem = "several runs make one text, and a report in this format is of one run";
        return Err(Usage(format!("{problem}\n  try: --format text or markdown, or one run after the other")).into());
    }
    let mut read: Vec<(RunDirectory, Explanation)> = Vec::new();
    for path in &args.runs {
        let directory = RunDirectory::open(path)?;
        let explained = reports::explain(&directory)?;
        if let Some((_, first)) = read.first() {
            reports::comparable(&first.findings, &explained.findings)?;
        }
        read.push((directory, explained));
    }
    let output = args.output.as_deref();
    if let [(directory, explained)] = read.as_slice()
        && exchange::write(directory, &explained.findings, args.format, output)?
    {
        // Written already: some of these forms are many files, or too large for one text.
    } else if let ([(_, explained)], Some(folder)) = (read.as_slice(), &args.png) {
        write_pictures(explained, folder)?;
    } else if let ([(_, explained)], Format::Csv, Some(folder)) = (read.as_slice(), args.format, &args.output) {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        write_tables(&explained.findings, folder)?;
    } else {
        let texts = read.iter().map(|(directory, explained)| render(explained, directory, args.format));
        let text = texts.collect::<anyhow::Result<Vec<_>>>()?.join("\n");
        put(&text, output)?;
    }
    let failed = read.iter().any(|(_, e)| judge(&e.findings, args.strict) == Exit::Failed);
    Ok(if failed { Exit::Failed } else { Exit::Done }.into())
}

/// To the file, or to stdout.
fn put(text: &str, output: Option<&Path>) -> anyhow::Result<()> {
    match output {
        Some(path) => write_file(path, text),
        None => print(text),
    }
}

/// With `--strict`, a warning about what was measured fails the run.
pub(crate) fn judge(findings: &Findings, strict: bool) -> Exit {
    if strict && !findings.warnings.is_empty() { Exit::Failed } else { Exit::Done }
}

/// Each picture in a file of its own, whose names go to stdout.
fn write_pictures(explained: &Explanation, folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for Picture { name, png } in reports::picture::pictures(explained)? {
        let path = folder.join(format!("{name}.png"));
        std::fs::write(&path, png).with_context(|| format!("cannot write {}", path.display()))?;
        print(&path.display().to_string())?;
    }
    Ok(())
}

fn render(explained: &Explanation, directory: &RunDirectory, format: Format) -> anyhow::Result<String> {
    let findings = &explained.findings;
    Ok(match format {
        Format::Text => text(findings) + &beside::section(directory)?,
        Format::Json => reports::json::render(findings)?,
        Format::Csv => {
            let tables = reports::csv::render(findings)?;
            tables.iter().map(|(name, table)| format!("# {name}\n{table}")).collect::<Vec<_>>().join("\n")
        }
        Format::Html => reports::html::page(explained)?,
        Format::Markdown => reports::markdown::render(findings),
        Format::GithubActionBenchmark => reports::trackers::github_action_benchmark(&Tracked::of_run(findings))?,
        Format::Junit | Format::Annotations | Format::Summary => {
            let said = "this form is of a gate's answer, and that is a run\n  try: meshtax gate RUN --baseline RUN, then meshtax report on its gate.json";
            return Err(Usage(said.to_owned()).into());
        }
        Format::Bencher => reports::trackers::bencher(&Tracked::of_run(findings))?,
        // Written by `exchange`, of one run.
        Format::Hlog
        | Format::Fortio
        | Format::Smp
        | Format::OpenMetrics
        | Format::IntervalsCsv
        | Format::SamplesCsv => {
            return Err(Usage("this form is of one run\n  try: one run after the other".to_owned()).into());
        }
    })
}

/// The tables as wide as the terminal.
pub(crate) fn text(findings: &Findings) -> String {
    reports::text::render(findings, width(), color())
}

/// Whether stdout takes colours, and the user wants them.
pub(crate) fn color() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// The columns of stdout; 80 where it is no terminal.
pub(crate) fn width() -> usize {
    if !std::io::stdout().is_terminal() {
        return 80;
    }
    rustix::termios::tcgetwinsize(std::io::stdout()).map_or(80, |size| usize::from(size.ws_col)).max(60)
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
pub(crate) fn write_all(explained: &Explanation, directory: &RunDirectory) -> anyhow::Result<()> {
    let findings = &explained.findings;
    directory.write_derived("findings.json", &reports::json::render(findings)?)?;
    directory.write_derived("report.html", &reports::html::page(explained)?)?;
    for (name, table) in reports::csv::render(findings)? {
        directory.write_derived(&name, &table)?;
    }
    Ok(())
}

fn write_tables(findings: &Findings, folder: &Path) -> anyhow::Result<()> {
    for (name, table) in reports::csv::render(findings)? {
        write_whole(&folder.join(name), &table)?;
    }
    Ok(())
}

/// By way of a temporary file: where it cannot be written, what an earlier report left is still whole.
fn write_whole(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    let temporary = PathBuf::from(name);
    let written = std::fs::write(&temporary, text).and_then(|()| std::fs::rename(&temporary, path));
    written
        .inspect_err(|_| drop(std::fs::remove_file(&temporary)))
        .with_context(|| format!("cannot write {}", path.display()))
}

pub(crate) fn write_file(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
