//! `meshtax history`: one figure over many runs, and where its level changed.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use reports::history::{Followed, History, NotFollowed};

use crate::exit::Exit;
use crate::report::{print, write_file};

/// A form of the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// Lines of bars and tables for a terminal.
    Text,
    /// For scripts.
    Json,
    /// A row for each run.
    Csv,
    /// One self-contained page with charts.
    Html,
}

/// How many runs of a series are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Last(Option<usize>);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folder of run directories.
    #[arg(default_value = "baselines")]
    dir: PathBuf,
    /// The figure: p50, p90, p99, p99.9, max, service-p99, tax-p99, cpu, rss, errors, rate.
    #[arg(long, default_value = "p99", value_parser = |text: &str| text.parse::<Followed>().map_err(|e: NotFollowed| e))]
    metric: Followed,
    /// One cell alone, by its id or label.
    #[arg(long, value_name = "CELL")]
    cell: Option<String>,
    /// The form of the history.
    #[arg(long, value_enum, default_value = "text")]
    format: Form,
    /// How many of the latest runs the text lists, or all.
    #[arg(long, value_name = "N|all", default_value = "20", value_parser = last)]
    last: Last,
    /// Write to this file instead of stdout.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

fn last(text: &str) -> Result<Last, String> {
    match text {
        "all" => Ok(Last(None)),
        _ => text.parse().map(|n| Last(Some(n))).map_err(|_| "write a number, or all".to_owned()),
    }
}

pub(crate) fn execute(args: Args) -> anyhow::Result<ExitCode> {
    let history = History::of(&args.dir, args.metric, args.cell.as_deref())?;
    let text = match args.format {
        Form::Text => reports::history::text(&history, crate::report::width(), args.last.0),
        Form::Json => serde_json::to_string_pretty(&history).context("cannot write the history as JSON")? + "\n",
        Form::Csv => reports::history::csv(&history)?,
        Form::Html => reports::history::page(&history)?,
    };
    match &args.output {
        Some(path) => write_file(path, &text)?,
        None => print(&text)?,
    }
    Ok(Exit::Done.into())
}
