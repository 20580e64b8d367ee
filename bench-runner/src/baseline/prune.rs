//! `meshtax baseline prune`: old baselines are removed, but never the last of a machine and a scenario.

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use reports::history::{Folder, Glance};

use super::list::name;
use crate::exit::{Exit, Usage};
use crate::report::print;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many of each machine and scenario stay, the latest.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    keep: Option<u32>,
    /// Only those that began longer ago than this.
    #[arg(long, value_name = "TIME", value_parser = crate::duration::parse)]
    older_than: Option<Duration>,
    /// Say what would be removed, and remove nothing.
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn execute(args: &Args, folder: &Path) -> anyhow::Result<ExitCode> {
    if args.keep.is_none() && args.older_than.is_none() {
        let said = "prune needs to be told what may go\n  try: --keep 10, or --older-than 30d, or both";
        return Err(Usage(said.to_owned()).into());
    }
    let _held = super::hold(folder)?;
    let Folder { runs, left_out } = Folder::read(folder)?;
    let before = args.older_than.and_then(|age| SystemTime::now().checked_sub(age));
    let old = |run: &Glance| match (args.older_than, before) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(_), Some(before)) => humantime::parse_rfc3339(&run.started).is_ok_and(|began| began < before),
    };
    // Without a number, one of each stays.
    let doomed = beyond(&runs, args.keep.unwrap_or(1) as usize).into_iter().filter(|run| old(run));
    let verb = if args.dry_run { "would remove" } else { "removed" };
    let mut count = 0;
    for run in doomed {
        if !args.dry_run {
            remove(&run.path, folder)?;
        }
        print(&format!("{verb} {} ({}, begun {})", name(&run.path), run.scenario, run.started))?;
        count += 1;
    }
    if count == 0 {
        print("nothing to remove")?;
    }
    for (path, _) in &left_out {
        print(&format!("{} cannot be read, and is left as it is", name(path)))?;
    }
    Ok(Exit::Done.into())
}

/// Of runs in the order of their beginnings: those with `keep` or more later ones of the same machine, method and
/// scenario.
fn beyond(runs: &[Glance], keep: usize) -> Vec<&Glance> {
    let of = |run: &Glance| (run.host.name(), run.method, run.scenario.clone());
    let kinds: Vec<_> = runs.iter().map(of).collect();
    let later = |at: usize| kinds.iter().skip(at + 1).filter(|kind| **kind == kinds[at]).count();
    runs.iter().enumerate().filter(|(at, _)| later(*at) >= keep).map(|(_, run)| run).collect()
}

/// Out of sight first, so that nobody reads a part of it.
fn remove(path: &Path, folder: &Path) -> anyhow::Result<()> {
    let going = super::unfinished(folder);
    fs::rename(path, &going)
        .and_then(|()| fs::remove_dir_all(&going))
        .with_context(|| format!("cannot remove {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str, cpus: usize, scenario: &str) -> Glance {
        serde_json::from_value(serde_json::json!({
            "method": 1, "run": name, "started": "2026-11-23T05:10:00Z", "program": "meshtax 0.1.0",
            "scenario": scenario, "trials_planned": 1, "trials_sealed": 1, "cells": [],
            "host": {"kernel": "6.1", "arch": "x86_64", "cpu_model": "EPYC", "cpus_online": vec![0; cpus],
                "memory_bytes": {"absent": "x"}, "virtual_machine": "KVM"},
        }))
        .unwrap()
    }

    #[test]
    fn the_latest_of_each_machine_and_scenario_stay() {
        let runs = [run("a", 2, "x"), run("b", 4, "x"), run("c", 2, "x"), run("d", 2, "y"), run("e", 2, "x")];
        let names = |keep| beyond(&runs, keep).into_iter().map(|r| r.run.as_str()).collect::<Vec<_>>();
        assert_eq!(names(1), ["a", "c"]);
        assert_eq!(names(2), ["a"]);
        assert_eq!(names(3), Vec::<&str>::new());
    }
}
