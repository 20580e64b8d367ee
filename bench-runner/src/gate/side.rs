//! One of the two that are measured side by side: its scenario, its programs, and its run directory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use record::{Cell, Host, METHOD, Run, RunDirectory, SCHEMA, Warning};
use reports::gate::judged;
use scenarios::{Matrix, Scenario};

use super::{PlanArgs, SideArgs};
use crate::exit::Usage;
use crate::plan;
use crate::programs::{ProgramArgs, Programs};
use crate::run::{FactorArgs, PROGRAM, named, say_flag};

/// What of a side's own is named on the command line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Own {
    pub(crate) programs: ProgramArgs,
    /// The meshtax whose services and sidecars it has; ours, if nothing is said.
    pub(crate) program: Option<PathBuf>,
}

impl SideArgs {
    /// Whether anything is one side's own.
    pub(crate) fn any(&self) -> bool {
        let nothing = ProgramArgs::default();
        [self.candidate(&nothing), self.baseline(&nothing)].into_iter().any(|own| {
            let ProgramArgs { envoy, haproxy, nginx } = own.programs;
            [envoy, haproxy, nginx, own.program].iter().any(Option::is_some)
        })
    }

    /// What is the candidate's own; what both have stands in for what it lacks.
    pub(crate) fn candidate(&self, both: &ProgramArgs) -> Own {
        let or = |own: &Option<PathBuf>, both: &Option<PathBuf>| own.clone().or_else(|| both.clone());
        let programs = ProgramArgs {
            envoy: or(&self.candidate_envoy, &both.envoy),
            haproxy: or(&self.candidate_haproxy, &both.haproxy),
            nginx: or(&self.candidate_nginx, &both.nginx),
        };
        Own { programs, program: self.candidate_program.clone() }
    }

    /// What is the baseline's own.
    pub(crate) fn baseline(&self, both: &ProgramArgs) -> Own {
        let or = |own: &Option<PathBuf>, both: &Option<PathBuf>| own.clone().or_else(|| both.clone());
        let programs = ProgramArgs {
            envoy: or(&self.baseline_envoy, &both.envoy),
            haproxy: or(&self.baseline_haproxy, &both.haproxy),
            nginx: or(&self.baseline_nginx, &both.nginx),
        };
        Own { programs, program: self.baseline_program.clone() }
    }
}

/// Under this name a run's versions hold the meshtax that services and sidecars are of, where it is not the one that
/// measures.
const OF_THE_PARTS: &str = "meshtax of the parts";

/// A side before it is measured.
#[derive(Clone)]
pub(crate) struct Side {
    /// "candidate" or "baseline": its directory.
    pub(crate) name: &'static str,
    /// Its scenario, as it was named.
    pub(crate) label: String,
    pub(crate) scenario: Scenario,
    /// The cells that are judged.
    pub(crate) cells: Vec<Cell>,
    /// Labels of those that are not.
    pub(crate) left_out: Vec<String>,
    pub(crate) programs: Programs,
    /// The meshtax of its parts.
    pub(crate) program: PathBuf,
    pub(crate) versions: BTreeMap<String, String>,
}

impl Side {
    /// Reads the scenario, with what the command line sets for both sides, and finds the programs that it needs.
    pub(crate) fn prepare(
        name: &'static str,
        label: &str,
        factors: &FactorArgs,
        plan: &PlanArgs,
        own: &Own,
    ) -> anyhow::Result<Self> {
        let mut scenario = named(label)?;
        factors.override_in(&mut scenario)?;
        let ns = |d: Duration| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
        if let Some(duration) = plan.duration {
            scenario.measure_for(ns(duration));
        }
        if let Some(warm_up) = plan.warm_up {
            scenario.timing.warm_up_ns = ns(warm_up);
        }
        scenario.plan.aa = false;
        scenario.plan.seed = plan.seed.unwrap_or(scenario.plan.seed);
        scenario.check().map_err(say_flag)?;
        let (cells, left_out) = cells(&scenario)?;
        let programs = own.programs.find(&cells)?;
        let mut versions = programs.versions();
        let program = match &own.program {
            None => std::env::current_exe().context("cannot find the path of this program")?,
            Some(program) => {
                versions.insert(OF_THE_PARTS.to_owned(), version(program)?);
                program.clone()
            }
        };
        Ok(Self { name, label: label.to_owned(), scenario, cells, left_out, programs, program, versions })
    }

    /// What the meshtax of its parts says that it is, where that is not this one.
    pub(crate) fn program_says(&self) -> Option<&str> {
        self.versions.get(OF_THE_PARTS).map(String::as_str)
    }

    /// The same programs with another scenario.
    pub(crate) fn with(&self, label: String, scenario: Scenario) -> anyhow::Result<Self> {
        let (cells, left_out) = cells(&scenario)?;
        Ok(Self { label, scenario, cells, left_out, ..self.clone() })
    }

    /// Makes the run directory below the gate's, planned for so many pairs.
    pub(crate) fn create(&self, gate: &Gate<'_>, pairs: u32) -> anyhow::Result<(RunDirectory, Run)> {
        let mut scenario = self.scenario.clone();
        scenario.plan.repeats = pairs;
        let run = Run {
            id: format!("{}-{}", gate.id, self.name),
            schema: SCHEMA,
            method: METHOD,
            started: gate.started.to_owned(),
            program: PROGRAM.to_owned(),
            scenario: scenario.name.clone(),
            scenario_toml: scenario.to_toml(),
            seed: scenario.plan.seed,
            repeats: pairs,
            timing: scenario.timing,
            level: scenario.plan.level,
            trials: plan::trials(&self.cells, pairs, scenario.plan.seed),
            cells: self.cells.clone(),
            left_out: Vec::new(),
            host: gate.host.clone(),
            versions: self.versions.clone(),
            source: crate::source::SourceArgs::default().find(),
            warnings: gate.warnings.to_vec(),
            until: None,
            sum: None,
        };
        Ok((RunDirectory::create(&gate.path.join(self.name), &run)?, run))
    }

    /// As it stands in the answer.
    pub(crate) fn said(&self, run: &Run, trials: usize) -> reports::gate::Side {
        reports::gate::Side::of(run, self.label.clone(), trials)
    }
}

/// The cells that are judged, and the labels of those that are not.
fn cells(scenario: &Scenario) -> anyhow::Result<(Vec<Cell>, Vec<String>)> {
    let Matrix { cells: all, .. } = scenario.matrix().map_err(say_flag)?;
    let kept = judged(all.iter().map(|cell| &cell.factors));
    let (mut cells, mut left_out) = (Vec::new(), Vec::new());
    for (at, cell) in all.into_iter().enumerate() {
        if kept.contains(&at) { cells.push(cell) } else { left_out.push(cell.label) }
    }
    Ok((cells, left_out))
}

/// What both sides' runs have from the gate.
pub(crate) struct Gate<'a> {
    pub(crate) id: &'a str,
    pub(crate) started: &'a str,
    pub(crate) path: &'a Path,
    pub(crate) host: &'a Host,
    pub(crate) warnings: &'a [Warning],
}

/// What another meshtax says that it is.
fn version(program: &Path) -> anyhow::Result<String> {
    let refused = |why: String| {
        let said = format!(
            "{} is no meshtax that parts can be started from: {why}\n  try: the path of a meshtax, as `target/release/meshtax`",
            program.display()
        );
        anyhow::Error::from(Usage(said))
    };
    let output = Command::new(program).arg("--version").output().map_err(|e| refused(e.to_string()))?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if said.starts_with("meshtax ") { Ok(said) } else { Err(refused(format!("--version says '{said}'"))) }
}
