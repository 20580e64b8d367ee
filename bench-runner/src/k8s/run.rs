//! `meshtax k8s run`: a scenario becomes pods of a cluster, and what they record an ordinary run directory.

use std::cell::Cell as Kept;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use record::{Cell, Host, METHOD, Run, RunDirectory, SCHEMA, Warning, WarningKind};
use scenarios::cluster::Pins;
use scenarios::{Matrix, Scenario, Shape};
use serde_json::Value;

use super::cluster::Cluster;
use super::plan::PlanArgs;
use super::reach::{self, Reach};
use super::stage::{Of, Stage};
use super::trial::{self, Asked, Fleet};
use super::{lease, nodes};
use crate::exit::{self, Exit, Usage};
use crate::interrupt::Interrupt;
use crate::plan;
use crate::pod::words;
use crate::progress::{Progress, say};
use crate::report;
use crate::run::{PROGRAM, name_of_now};
use crate::source::SourceArgs;

/// How often a run says that it is alive.
const RENEW_EVERY: Duration = Duration::from_secs(30);

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    plan: PlanArgs,
    /// A context of the kubeconfig [default: the current one, or the cluster that this runs in].
    #[arg(long, value_name = "NAME", help_heading = "Cluster")]
    context: Option<String>,
    /// How long pods may take until they are ready: images are pulled, nodes are added.
    #[arg(long, value_parser = crate::duration::parse, default_value = "180s", help_heading = "Cluster")]
    patience: Duration,
    /// A label of each cell's namespace beside ours, such as istio.io/rev=canary; may be repeated.
    #[arg(long = "namespace-label", value_name = "KEY=VALUE", value_parser = label, help_heading = "Cluster")]
    namespace_labels: Vec<(String, String)>,
    /// Measure pods that somebody else has started from printed manifests (podman kube play): a JSON file with part, address
    /// and containers of each. Of one cell; they stay as they are from trial to trial.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["context", "namespace_labels"], help_heading = "Cluster")]
    played: Option<PathBuf>,
    #[command(flatten)]
    source: SourceArgs,
    /// Where run directories are made.
    #[arg(long, value_name = "DIR", default_value = "runs")]
    out: PathBuf,
    /// Exit with 1 if a warning touches the result.
    #[arg(long)]
    strict: bool,
}

fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("'{text}' is no label: KEY=VALUE"))?;
    Ok((key.to_owned(), value.to_owned()))
}

/// What is to be measured.
struct Work {
    scenario: Scenario,
    matrix: Matrix,
    shapes: BTreeMap<String, Shape>,
    id: String,
    started: String,
}

impl Work {
    fn of<'w>(&'w self, cell: &'w Cell, name: &'w str) -> anyhow::Result<Of<'w>> {
        let shape = self.shapes.get(&cell.factors.chain);
        let shape = shape.ok_or_else(|| anyhow::anyhow!("the scenario has no shape '{}'", cell.factors.chain))?;
        Ok(Of { cell, name, shape })
    }
}

pub(super) fn execute(args: Args) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::listen()?;
    let (scenario, matrix) = args.plan.settle()?;
    let mut shapes = BTreeMap::new();
    for cell in &matrix.cells {
        shapes.insert(cell.factors.chain.clone(), scenario.shape(&cell.factors)?);
    }
    let (id, started) = name_of_now();
    let work = Work { scenario, matrix, shapes, id, started };
    std::fs::create_dir_all(&args.out)
        .with_context(|| format!("cannot create {}; choose another place with --out DIR", args.out.display()))?;
    announce(&work);
    let made = match &args.played {
        Some(path) => played(&args, &work, path, &interrupt),
        None => deployed(&args, &work, &interrupt),
    };
    conclude(&args, made, &interrupt)
}

fn announce(work: &Work) {
    let labels: Vec<&str> = work.matrix.cells.iter().map(|c| c.label.as_str()).collect();
    say(&format!(
        "{}: {} cells ({}), {} trials each of {} s, in a cluster\n",
        work.scenario.name,
        labels.len(),
        labels.join("; "),
        work.scenario.plan.repeats,
        work.scenario.timing.measure_ns as f64 / 1e9
    ));
    for left_out in &work.matrix.left_out {
        say(&format!("left out: {}: {}\n", left_out.what, left_out.reason));
    }
}

/// Pods that somebody else has started: one cell of them.
fn played(args: &Args, work: &Work, path: &Path, interrupt: &Interrupt) -> anyhow::Result<RunDirectory> {
    let [cell] = work.matrix.cells.as_slice() else {
        let said = format!(
            "the scenario has {} cells, and pods that are there already are of one\n  try: --mesh none and single values",
            work.matrix.cells.len()
        );
        return Err(Usage(said).into());
    };
    let (seats, reach) = reach::played(path)?;
    let (probes, seats): (Vec<_>, Vec<_>) = seats.into_iter().partition(|seat| seat.part == "probe");
    let Some(probe) = probes.into_iter().next() else {
        return Err(Usage(format!(
            "{} names no pod 'probe'\n  try: play it too; it is among the printed pods",
            path.display()
        ))
        .into());
    };
    let of = work.of(cell, "c1")?;
    let versions = BTreeMap::from([("pods".to_owned(), "played".to_owned())]);
    let host = host(&reach, &probe)?;
    let mut run = written_down(args, work, host, versions);
    if run.repeats > 1 {
        run.warnings.push(Warning::new(
            WarningKind::NotPermitted,
            "all trials were made with the same pods, since they were started by somebody else",
            "k8s run with a cluster has fresh pods for each",
        ));
    }
    let directory = RunDirectory::create(&args.out.join(&work.id), &run)?;
    let _lock = directory.lock()?;
    let fleet = Fleet {
        reach: &reach,
        pins: seats.iter().map(|seat| (seat.part.clone(), seat.node.clone())).collect(),
        probes: BTreeMap::from([(probe.node.clone(), probe)]),
        seats,
        shared: Vec::new(),
        namespace: String::new(),
        stays: true,
        service_cpu: args.plan.service_cpu,
    };
    let mut progress = progress(&run);
    for (at, planned) in run.trials.iter().enumerate() {
        progress.begin(at + 1, &cell.label);
        let asked = Asked { run: &run, planned, cell, shape: of.shape, interrupt };
        let unshifted = |_: &record::Weights| anyhow::bail!("weights are shifted by a mesh, and these pods have none");
        trial::make(&asked, &fleet, directory.begin_trial(&planned.id)?, &mut progress, &|| Ok(()), &unshifted)?;
        progress.end();
    }
    Ok(directory)
}

fn progress(run: &Run) -> Progress {
    let t = run.timing;
    Progress::new(run.trials.len(), Duration::from_nanos(t.settle_ns + t.warm_up_ns + t.measure_ns + t.cool_down_ns))
}

/// What the node of a probe is.
fn host(reach: &Reach<'_>, probe: &super::pods::Seat) -> anyhow::Result<Host> {
    reach.order(probe, words::HOST, &())
}

fn written_down(args: &Args, work: &Work, host: Host, versions: BTreeMap<String, String>) -> Run {
    let plan = &work.scenario.plan;
    Run {
        schema: SCHEMA,
        method: METHOD,
        id: work.id.clone(),
        started: work.started.clone(),
        program: PROGRAM.to_owned(),
        scenario: work.scenario.name.clone(),
        scenario_toml: work.scenario.to_toml(),
        seed: plan.seed,
        repeats: plan.repeats,
        timing: work.scenario.timing,
        level: plan.level,
        until: None,
        trials: plan::trials(&work.matrix.cells, plan.repeats, plan.seed),
        cells: work.matrix.cells.clone(),
        left_out: work.matrix.left_out.clone(),
        host,
        versions,
        source: args.source.find(),
        warnings: Vec::new(),
        sum: None,
    }
}

/// Pods of our own in a cluster; they are gone when this returns, however it does.
fn deployed(args: &Args, work: &Work, interrupt: &Interrupt) -> anyhow::Result<RunDirectory> {
    let cluster = Cluster::connect(args.context.as_deref(), interrupt)?;
    say(&format!("cluster: {}\n", cluster.url));
    let swept = lease::sweep(&cluster)?;
    if !swept.is_empty() {
        say(&format!("removed what an earlier run left: {}\n", swept.join(", ")));
    }
    let made = in_cluster(args, work, &cluster, interrupt);
    // Whatever it was that ended it, nothing stays.
    cluster.be_heedless();
    let run = label_of(&work.id);
    let cleaned = lease::all(&cluster).and_then(|runs| match runs.get(&run) {
        Some(left) => lease::remove(&cluster, &left.namespaces),
        None => Ok(()),
    });
    if let Err(error) = cleaned {
        say(&format!(
            "what is left in the cluster could not be removed: {}\n  later: meshtax k8s clean --run {run}\n",
            exit::say(&error)
        ));
    }
    made
}

/// A run's name as a label, and as a part of a namespace's name.
fn label_of(id: &str) -> String {
    id.to_ascii_lowercase()
}

fn in_cluster(args: &Args, work: &Work, cluster: &Cluster, interrupt: &Interrupt) -> anyhow::Result<RunDirectory> {
    let reach = Reach::ByApiServer(cluster);
    let mut stage = Stage {
        cluster,
        reach: &reach,
        run: label_of(&work.id),
        image: args.plan.image.clone(),
        placement: args.plan.placement.clone(),
        generators: args.plan.generators,
        service_cpu: args.plan.service_cpu,
        timing: work.scenario.timing,
        patience: args.patience,
        namespace_labels: args.namespace_labels.clone(),
        pins: args.plan.nodes.iter().cloned().collect::<Pins>(),
    };
    say("waiting for the probe of each node\n");
    stage.raise_probe()?;
    let alive = Alive::new(cluster, stage.namespace())?;
    let names: Vec<String> = (1..=work.matrix.cells.len()).map(|at| format!("c{at}")).collect();
    let order = plan::trials(&work.matrix.cells, work.scenario.plan.repeats, work.scenario.plan.seed);
    let mut begun: Option<(RunDirectory, Run, Progress, std::fs::File)> = None;
    for at in 0..order.len() {
        let Some((cell, name)) = work.matrix.cells.iter().zip(&names).find(|(cell, _)| cell.id == order[at].cell)
        else {
            anyhow::bail!("the plan has a trial of '{}', which is no cell", order[at].cell);
        };
        let of = work.of(cell, name)?;
        if let Some((_, _, progress, _)) = &mut begun {
            progress.begin(at + 1, &cell.label);
        }
        let fleet = stage.raise(of)?;
        alive.say()?;
        // Which machine it is about is known once the first pods stand.
        if begun.is_none() {
            let run = begin(args, work, cluster, &fleet)?;
            let directory = RunDirectory::create(&args.out.join(&work.id), &run)?;
            let lock = directory.lock()?;
            let mut progress = progress(&run);
            progress.begin(at + 1, &cell.label);
            begun = Some((directory, run, progress, lock));
        }
        let Some((directory, run, progress, _)) = &mut begun else { continue };
        let asked = Asked { run, planned: &run.trials[at], cell, shape: of.shape, interrupt };
        let check = || {
            alive.say()?;
            stage.check(of, &fleet.seats)
        };
        let shift = |weights: &record::Weights| stage.shift(of, weights);
        let made = trial::make(&asked, &fleet, directory.begin_trial(&order[at].id)?, progress, &check, &shift);
        if let Err(error) = made {
            let sealed = run.trials.iter().filter(|t| directory.is_sealed(&t.id)).count();
            return Err(kept(error, directory, sealed, order.len()));
        }
        stage.lower(of)?;
        progress.end();
    }
    begun.map(|(directory, ..)| directory).ok_or_else(|| anyhow::anyhow!("the plan has no trial"))
}

/// What was sealed before a run ended early gets its report, and its place is said.
fn kept(error: anyhow::Error, directory: &RunDirectory, sealed: usize, planned: usize) -> anyhow::Error {
    if sealed == 0 {
        return error;
    }
    let written = reports::explain(directory).map_err(Into::into).and_then(|e| report::write_all(&e, directory));
    let path = directory.path().display();
    match written {
        Ok(()) => say(&format!("{sealed} of {planned} trials are sealed, with a report of them: {path}\n")),
        Err(why) => {
            say(&format!("{sealed} of {planned} trials are sealed in {path}; no report: {}\n", exit::say(&why)))
        }
    }
    error
}

fn begin(args: &Args, work: &Work, cluster: &Cluster, fleet: &Fleet<'_>) -> anyhow::Result<Run> {
    let main = nodes::main_node(fleet.seats.iter().map(|seat| seat.node.as_str())).unwrap_or_default();
    let probe = fleet.probes.get(main).ok_or_else(|| anyhow::anyhow!("no probe is on the node {main}"))?;
    let host = host(fleet.reach, probe)?;
    let version = cluster.get("/version", "version")?;
    let version = version.get("gitVersion").and_then(Value::as_str).unwrap_or("unknown").to_owned();
    let mut versions = BTreeMap::from([("kubernetes".to_owned(), version)]);
    versions.insert("placement".to_owned(), args.plan.placement.to_string());
    let mut run = written_down(args, work, host, versions);
    if args.plan.generators > 1 {
        run.warnings.push(Warning::new(
            WarningKind::Unproven,
            format!(
                "{} generators share the load; each keeps its own times, and nobody keeps them in step",
                args.plan.generators
            ),
            "--arrival poisson adds up to one such load however they are in step",
        ));
    }
    Ok(run)
}

/// Says now and then that a run is alive.
struct Alive<'a> {
    cluster: &'a Cluster,
    namespace: String,
    said: Kept<Instant>,
}

impl<'a> Alive<'a> {
    fn new(cluster: &'a Cluster, namespace: String) -> anyhow::Result<Self> {
        lease::renew(cluster, &namespace)?;
        Ok(Self { cluster, namespace, said: Kept::new(Instant::now()) })
    }

    fn say(&self) -> anyhow::Result<()> {
        if self.said.get().elapsed() >= RENEW_EVERY {
            lease::renew(self.cluster, &self.namespace)?;
            self.said.set(Instant::now());
        }
        Ok(())
    }
}

/// The report, where there is a run; its path is the last line on stdout.
fn conclude(args: &Args, made: anyhow::Result<RunDirectory>, interrupt: &Interrupt) -> anyhow::Result<ExitCode> {
    let directory = match made {
        Ok(directory) => directory,
        Err(error) if interrupt.asked() => {
            say(&format!("stopped: {}\n", exit::say(&error)));
            return Ok(Exit::Cut.into());
        }
        Err(error) => return Err(error),
    };
    let explained = reports::explain(&directory)?;
    report::write_all(&explained, &directory)?;
    report::print(&report::text(&explained.findings))?;
    say(&format!("report: {}\n", directory.path().join("report.html").display()));
    report::print(&directory.path().display().to_string())?;
    Ok(report::judge(&explained.findings, args.strict).into())
}
