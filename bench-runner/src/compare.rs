//! `meshtax compare`: several runs side by side.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::Context as _;
use record::RunDirectory;
use reports::compare::{Across, Allowed, Compared, Named, NoFactor, NoPoint, Point};

use crate::exit::{Exit, Usage};
use crate::report::{color, print, width, write_file};

/// A form of the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// Tables for a terminal.
    Text,
    /// For scripts.
    Json,
    /// Every table as CSV, one after another, each under a line with its name.
    Csv,
    /// For a ticket or a wiki.
    Markdown,
    /// One self-contained page with charts.
    Html,
}

/// A run as it was named on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct RunArg {
    name: Option<String>,
    path: PathBuf,
}

impl FromStr for RunArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A directory may have an equals sign in its name.
        match text.split_once('=') {
            Some((name, path)) if !Path::new(text).exists() => match (name, path) {
                ("", _) | (_, "") => Err("write NAME=DIRECTORY, or the directory alone".to_owned()),
                (name, path) => Ok(Self { name: Some(name.to_owned()), path: path.into() }),
            },
            _ => Ok(Self { name: None, path: text.into() }),
        }
    }
}

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run directories, each with a name of your choice if you like; the others are compared with the first.
    #[arg(required = true, num_args = 2.., value_name = "[NAME=]RUN")]
    runs: Vec<RunArg>,
    /// The point of the distribution that the answer is about: p50, p90, p99 or p99.9.
    #[arg(long, default_value = "p99", value_parser = |text: &str| text.parse::<Point>().map_err(|e: NoPoint| e))]
    at: Point,
    /// Compare the cells that all runs have, and leave out the others.
    #[arg(long)]
    shared_cells: bool,
    /// Factors in which the cells of the runs may differ, such as cpu_limit: what they do is compared between runs.
    #[arg(long, value_name = "FACTOR,..", value_delimiter = ',', value_parser = |text: &str| text.parse::<Across>().map_err(|e: NoFactor| e))]
    across: Vec<Across>,
    /// Compare figures that were made in different ways by different versions.
    #[arg(long)]
    allow_method: bool,
    /// Compare chains that ran on different platforms.
    #[arg(long)]
    allow_platform: bool,
    /// The form of the comparison.
    #[arg(long, value_enum, default_value = "text")]
    format: Form,
    /// Write to this file (for csv: into this directory, a file a table) instead of stdout.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Exit with 1 if something may have bent the figures of a run.
    #[arg(long)]
    strict: bool,
}

pub(crate) fn execute(args: Args) -> anyhow::Result<ExitCode> {
    let named = args.runs.iter().map(named).collect::<anyhow::Result<Vec<Named>>>()?;
    let names: Vec<&String> = named.iter().filter_map(|run| run.name.as_ref()).collect();
    if let Some((_, name)) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
        return Err(Usage(format!("two runs are called {name}\n  try: a name of its own for each")).into());
    }
    let allowed = Allowed {
        method: args.allow_method,
        platform: args.allow_platform,
        shared_cells: args.shared_cells,
        across: args.across.clone(),
    };
    let compared = reports::compare::compare(&named, args.at, &allowed).map_err(|error| match error {
        reports::Error::SameRun { .. } => anyhow::Error::from(Usage(error.to_string())),
        other => other.into(),
    })?;
    write(&compared, &args)?;
    let bent = args.strict && !compared.comparison.flags.is_empty();
    Ok(if bent { Exit::Failed } else { Exit::Done }.into())
}

fn named(arg: &RunArg) -> anyhow::Result<Named> {
    Ok(Named { directory: RunDirectory::open(&arg.path)?, name: arg.name.clone() })
}

fn write(compared: &Compared, args: &Args) -> anyhow::Result<()> {
    let of = &compared.comparison;
    let text = match args.format {
        Form::Text => reports::compare::text(of, width(), color() && args.output.is_none()),
        Form::Json => serde_json::to_string_pretty(of).context("cannot write the comparison as JSON")? + "\n",
        Form::Csv => return write_tables(compared, args.output.as_deref()),
        Form::Markdown => reports::compare::markdown(of),
        Form::Html => reports::compare::page(compared)?,
    };
    match &args.output {
        Some(path) => write_file(path, &text),
        None => print(&text),
    }
}

fn write_tables(compared: &Compared, folder: Option<&Path>) -> anyhow::Result<()> {
    let tables = reports::compare::csv(&compared.comparison)?;
    let Some(folder) = folder else {
        let text = tables.iter().map(|(name, table)| format!("# {name}\n{table}")).collect::<Vec<_>>().join("\n");
        return print(&text);
    };
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    tables.iter().try_for_each(|(name, table)| write_file(&folder.join(name), table))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_may_have_a_name_and_a_directory_an_equals_sign() {
        let named = "small=runs/a".parse::<RunArg>().unwrap();
        assert_eq!((named.name.as_deref(), named.path.to_str()), (Some("small"), Some("runs/a")));
        assert_eq!("runs/a".parse::<RunArg>().unwrap().name, None);
        let tmp = tempfile::tempdir().unwrap();
        let odd = tmp.path().join("a=b");
        std::fs::create_dir(&odd).unwrap();
        assert_eq!(odd.to_str().unwrap().parse::<RunArg>().unwrap(), RunArg { name: None, path: odd });
        assert!("=runs/a".parse::<RunArg>().is_err() && "small=".parse::<RunArg>().is_err());
    }
}
