//! `meshtax run`: a scenario becomes a plan, the plan a run directory.

mod factors;
mod istio;
pub(crate) mod until;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use node_probe::Effort;
use record::{METHOD, Run, RunDirectory, SCHEMA};
use scenarios::{Matrix, Scenario};

use crate::campaign::{self, Ending, Sitting};
use crate::disk::beside;
use crate::exit::{Exit, Usage};
use crate::hosts::run::{self as hosts, HostsArgs};
use crate::interrupt::Interrupt;
use crate::lab::Lab;
use crate::plan;
use crate::programs::ProgramArgs;
use crate::progress::{LiveArgs, say};
use crate::source::SourceArgs;
pub(crate) use factors::FactorArgs;
use istio::IstioArgs;
use until::UntilArgs;

/// This program and its version, as it stands in a run.
pub(crate) const PROGRAM: &str = concat!("meshtax ", env!("CARGO_PKG_VERSION"));

/// How long trials of a short run settle at most, and measure if nothing else is said.
const QUICK_SETTLE_NS: u64 = 500_000_000;
const QUICK_MEASURE_NS: u64 = 2_000_000_000;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// A scenario file, the name of one of the library (`meshtax scenarios`), or a run directory, to measure the same again.
    #[arg(value_name = "SCENARIO", default_value = "first-look")]
    scenario: String,
    #[command(flatten)]
    factors: FactorArgs,
    #[command(flatten)]
    istio: IstioArgs,
    /// How long each trial measures.
    #[arg(long, value_parser = crate::duration::parse, help_heading = "Plan")]
    duration: Option<Duration>,
    /// How long each trial loads before it measures.
    #[arg(long, value_parser = crate::duration::parse, help_heading = "Plan")]
    warm_up: Option<Duration>,
    /// Trials of each cell.
    #[arg(long, help_heading = "Plan")]
    repeats: Option<u32>,
    /// The seed of the order and of the arrivals.
    #[arg(long, help_heading = "Plan")]
    seed: Option<u64>,
    /// The level of the intervals.
    #[arg(long, help_heading = "Plan")]
    level: Option<f64>,
    /// Measure each unmeshed cell twice, as two cells: their difference should hold 0.
    #[arg(long, help_heading = "Plan")]
    aa: bool,
    /// A short run: 3 trials of 2 s each cell, and what is done under load as much sooner. Good for a try, too short for a
    /// decision.
    #[arg(long, help_heading = "Plan")]
    quick: bool,
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    until: UntilArgs,
    #[command(flatten)]
    programs: ProgramArgs,
    /// Where run directories are made.
    #[arg(long, value_name = "DIR", default_value = "runs")]
    out: PathBuf,
    #[command(flatten)]
    live: LiveArgs,
    #[command(flatten)]
    hosts: HostsArgs,
    #[command(flatten)]
    beside: beside::Beside,
    /// Exit with 1 if a warning touches the result.
    #[arg(long)]
    strict: bool,
}

pub(crate) fn execute(args: Args) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::listen()?;
    let mut scenario = named(&args.scenario)?;
    let istio = args.istio.read()?;
    if let Some(istio) = &istio {
        istio.put_in(&mut scenario);
    }
    args.override_in(&mut scenario)?;
    scenario.check().map_err(say_flag)?;
    let Matrix { cells, left_out } = scenario.matrix().map_err(say_flag)?;
    if args.hosts.hosts.is_some() {
        return args.on_hosts(scenario, cells, left_out, istio.as_ref(), &interrupt);
    }
    let programs = args.programs.find(&cells)?;
    let versions = programs.versions();
    std::fs::create_dir_all(&args.out)
        .with_context(|| format!("cannot create {}; choose another place with --out DIR", args.out.display()))?;
    let mut host = node_probe::host(Path::new("/"), &args.out);
    node_probe::measure_speed(&mut host, if args.quick { Effort::Quick } else { Effort::Full });
    let lab = Lab::open(&cells, programs)?;
    // Before there is a run directory: a place that cannot be tested leaves none behind.
    let disk = match args.beside.disk.then(|| beside::before(&args.out, args.beside, &interrupt)).transpose() {
        Err(_) if interrupt.asked() => return Ok(Exit::Cut.into()),
        other => other?,
    };
    let (id, started) = name_of_now();
    let run = Run {
        schema: SCHEMA,
        method: METHOD,
        id: id.clone(),
        started,
        program: PROGRAM.to_owned(),
        scenario: scenario.name.clone(),
        scenario_toml: scenario.to_toml(),
        seed: scenario.plan.seed,
        repeats: scenario.plan.repeats,
        timing: scenario.timing,
        level: scenario.plan.level,
        until: args.until.until(),
        trials: plan::trials(&cells, scenario.plan.repeats, scenario.plan.seed),
        cells,
        left_out,
        host,
        versions,
        source: args.source.find(),
        warnings: lab.warnings().to_vec(),
        sum: None,
    };
    until::check(&run)?;
    let directory = RunDirectory::create(&args.out.join(&id), &run)?;
    if let Some(test) = &disk {
        directory.write_disk_before(test)?;
    }
    let reading = istio::reading(istio.as_ref(), &scenario);
    if let Some(reading) = &reading {
        directory.write_istio(reading)?;
    }
    announce(&run);
    if let Some(reading) = &reading {
        say(&reports::istio::summary(reading));
    }
    let ending = Ending { strict: args.strict, beside: args.beside };
    campaign::execute(&directory, &run, Sitting { lab, interrupt: &interrupt, live: args.live, ending })
}

/// What is about to happen, for a person, on stderr.
pub(crate) fn announce(run: &Run) {
    let labels: Vec<&str> = run.cells.iter().map(|c| c.label.as_str()).collect();
    let measured = run.timing.measure_ns as f64 / 1e9;
    let text = format!(
        "{}: {} cells ({}), {} trials each of {measured} s, seed {}\n",
        run.scenario,
        run.cells.len(),
        labels.join("; "),
        run.repeats,
        run.seed
    );
    say(&text);
    for left_out in &run.left_out {
        say(&format!("left out: {}: {}\n", left_out.what, left_out.reason));
    }
    for warning in &run.warnings {
        say(&format!("note: {warning}\n"));
    }
}

/// A scenario by its file, by its name in the library, or by a run that it was measured in.
pub(crate) fn named(name: &str) -> anyhow::Result<Scenario> {
    let library = scenarios::library();
    if let Some((_, text)) = library.iter().find(|(known, _)| *known == name) {
        return Ok(Scenario::parse(text, name)?);
    }
    if Path::new(name).is_dir() {
        let run = RunDirectory::open(Path::new(name))?.run()?;
        return Ok(Scenario::parse(&run.scenario_toml, &format!("{name}/run.json"))?);
    }
    let looks_like_a_file = name.contains('/') || name.ends_with(".toml");
    match std::fs::read_to_string(name) {
        Ok(text) => {
            let mut scenario = Scenario::parse(&text, name)?;
            scenario.chain.topology = topology(&scenario.chain.topology, Path::new(name).parent())?;
            Ok(scenario)
        }
        Err(error) => {
            let names: Vec<&str> = library.iter().map(|(known, _)| *known).collect();
            let what = if looks_like_a_file {
                format!("cannot read the scenario file {name}: {error}")
            } else {
                format!("'{name}' is neither a scenario of the library nor a file")
            };
            Err(Usage(format!("{what}\n  try: a TOML file, or one of {}", names.join(", "))).into())
        }
    }
}

/// The text of a topology: what a scenario has may be the text itself, or the path of a file beside the scenario.
fn topology(said: &str, beside: Option<&Path>) -> anyhow::Result<String> {
    if said.is_empty() || said.contains('\n') {
        return Ok(said.to_owned());
    }
    let path = beside.map_or_else(|| PathBuf::from(said), |directory| directory.join(said));
    std::fs::read_to_string(&path).map_err(|error| {
        Usage(format!("cannot read the topology {}: {error}\n  try: a YAML file of isotope's form", path.display()))
            .into()
    })
}

/// A value that came by a flag is named by the flag.
pub(crate) fn say_flag(error: scenarios::Error) -> anyhow::Error {
    let scenarios::Error::Value { what, problem, remedy } = error else { return error.into() };
    let flag = match what.as_str() {
        // It is of no one field.
        words if words.contains(' ') => return Usage(format!("{words}: {problem}\n  try: {remedy}")).into(),
        "trial.measure" => "--duration".to_owned(),
        _ => format!("--{}", what.rsplit('.').next().unwrap_or(&what).replace('_', "-")),
    };
    Usage(format!("{flag} (in a scenario: {what}): {problem}\n  try: {remedy}")).into()
}

impl Args {
    /// Makes it on other hosts than this one.
    fn on_hosts(
        &self,
        scenario: Scenario,
        cells: Vec<record::Cell>,
        left_out: Vec<record::LeftOut>,
        istio: Option<&scenarios::Istio>,
        interrupt: &Interrupt,
    ) -> anyhow::Result<ExitCode> {
        let asked = hosts::Asked {
            istio: istio::reading(istio, &scenario),
            scenario,
            cells,
            left_out,
            until: self.until.until(),
            source: self.source.find(),
            out: self.out.clone(),
            quick: self.quick,
            strict: self.strict,
        };
        if self.beside.disk {
            let said = "the disk is tested on this host, and the run is made on others\n  try: meshtax disk DIR there, or leave --disk out";
            return Err(Usage(said.to_owned()).into());
        }
        std::fs::create_dir_all(&self.out)
            .with_context(|| format!("cannot create {}; choose another place with --out DIR", self.out.display()))?;
        hosts::execute(&self.hosts, &asked, interrupt)
    }

    /// What was given on the command line replaces what the scenario says.
    fn override_in(&self, scenario: &mut Scenario) -> anyhow::Result<()> {
        let ns = |d: Duration| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
        if self.quick {
            let timing = &mut scenario.timing;
            timing.settle_ns = timing.settle_ns.min(QUICK_SETTLE_NS);
            timing.warm_up_ns = 500_000_000;
            scenario.plan.repeats = 3;
            scenario.measure_for(self.duration.map_or(QUICK_MEASURE_NS, ns));
        }
        self.factors.override_in(scenario)?;
        if let Some(duration) = self.duration {
            scenario.timing.measure_ns = ns(duration);
        }
        if let Some(warm_up) = self.warm_up {
            scenario.timing.warm_up_ns = ns(warm_up);
        }
        scenario.plan.repeats = self.repeats.or(self.until.blocks()).unwrap_or(scenario.plan.repeats);
        scenario.plan.seed = self.seed.unwrap_or(scenario.plan.seed);
        scenario.plan.level = self.level.unwrap_or(scenario.plan.level);
        scenario.plan.aa |= self.aa;
        Ok(())
    }
}

/// The run's name, of minutes and four random digits, and the moment in full: "2026-11-23T0510-a1b2".
pub(crate) fn name_of_now() -> (String, String) {
    let started = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let minutes: String = started.chars().take(16).filter(|c| *c != ':').collect();
    (format!("{minutes}-{:04x}", rand::random::<u16>()), started)
}
