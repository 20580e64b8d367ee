//! `meshtax k8s run`: a scenario becomes pods of a cluster, and what they record an ordinary run directory.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use record::{Host, Run, RunCluster, RunDirectory, SCHEMA, Source, Warning, WarningKind};
use scenarios::{Matrix, Scenario, Shape};

use super::campaign::{self, Campaign, Open};
use super::cluster::Cluster;
use super::fleet::Fleet;
use super::images::Images;
use super::plan::PlanArgs;
use super::pods::Seat;
use super::reach::Reach;
use super::stage::Stage;
use super::{fleet, lease, played};
use crate::beginning::Beginning;
use crate::interrupt::Interrupt;
use crate::pod::words;
use crate::progress::say;
use crate::run::name_of_now;
use crate::source::SourceArgs;

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
pub(super) struct Work {
    pub(super) scenario: Scenario,
    pub(super) matrix: Matrix,
    pub(super) shapes: BTreeMap<String, Shape>,
    pub(super) id: String,
    started: String,
    source: Option<Source>,
    /// Where run directories are made.
    pub(super) out: PathBuf,
}

impl Work {
    /// The run as it is written down.
    pub(super) fn written_down(&self, host: Host, versions: BTreeMap<String, String>, warnings: Vec<Warning>) -> Run {
        Beginning {
            id: self.id.clone(),
            started: self.started.clone(),
            scenario: &self.scenario,
            cells: self.matrix.cells.clone(),
            left_out: self.matrix.left_out.clone(),
            host,
            versions,
            source: self.source.clone(),
            until: None,
            warnings,
        }
        .run()
    }
}

pub(super) fn execute(args: Args) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::listen()?;
    let (scenario, matrix) = args.plan.settle()?;
    let shapes = campaign::shapes(&scenario, &matrix.cells)?;
    let (id, started) = name_of_now();
    let work = Work { scenario, matrix, shapes, id, started, source: args.source.find(), out: args.out.clone() };
    crate::run::make_out(&args.out)?;
    announce(&work);
    let made = match &args.played {
        Some(path) => played::execute(&work, path, args.plan.service_cpu, &interrupt),
        None => deployed(&args, &work, &interrupt),
    };
    campaign::conclude(made, args.strict, &interrupt)
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

/// What the node of a probe is.
pub(super) fn host(reach: &Reach<'_>, probe: &Seat) -> anyhow::Result<Host> {
    reach.order(probe, words::HOST, &())
}

/// The machine that a run is about: the node with most of its parts.
pub(super) fn machine(fleet: &Fleet<'_>) -> anyhow::Result<Host> {
    let main = fleet::main_node(fleet.seats.iter().map(|seat| seat.node.as_str())).unwrap_or_default();
    let probe = fleet.probes.get(main).ok_or_else(|| anyhow::anyhow!("no probe is on the node {main}"))?;
    host(fleet.reach, probe)
}

/// Pods of our own in a cluster; they are gone when this returns, however it does.
fn deployed(args: &Args, work: &Work, interrupt: &Interrupt) -> anyhow::Result<RunDirectory> {
    let cluster = Cluster::connect(args.context.as_deref(), interrupt)?;
    say(&format!("cluster: {}\n", cluster.url));
    let swept = lease::sweep(&cluster, None)?;
    if !swept.is_empty() {
        say(&format!("removed what an earlier run left: {}\n", swept.join(", ")));
    }
    let plan = &args.plan;
    let kept = RunCluster {
        schema: SCHEMA,
        // A label, and a part of a namespace's name.
        run: work.id.to_ascii_lowercase(),
        context: cluster.context.clone(),
        uid: cluster.uid()?,
        kubernetes: cluster.version()?,
        image: plan.image.clone(),
        placement: plan.placement.to_string(),
        generators: plan.generators,
        service_cpu: plan.service_cpu,
        patience_ns: u64::try_from(args.patience.as_nanos()).unwrap_or(u64::MAX),
        namespace_labels: args.namespace_labels.iter().cloned().collect(),
        nodes: plan.nodes.iter().cloned().collect(),
    };
    let versions = BTreeMap::from([
        ("kubernetes".to_owned(), kept.kubernetes.clone()),
        ("placement".to_owned(), kept.placement.clone()),
    ]);
    let reach = Reach::ByApiServer(&cluster);
    let stage = Stage::of(kept, &cluster, &reach, work.scenario.timing)?;
    let (cells, seed) = (&work.matrix.cells, work.scenario.plan.seed);
    let order = crate::plan::trials(cells, work.scenario.plan.repeats, seed);
    let campaign = Campaign { cluster: &cluster, interrupt, cells, shapes: &work.shapes, order: &order };
    campaign.execute(stage, None, &|fleet, _| {
        let run = work.written_down(machine(fleet)?, versions.clone(), doubts(plan.generators));
        let directory = RunDirectory::create(&work.out.join(&work.id), &run)?;
        let lock = directory.lock()?;
        Ok(Open { directory, run, images: Images::default(), _lock: lock })
    })
}

fn doubts(generators: u32) -> Vec<Warning> {
    if generators < 2 {
        return Vec::new();
    }
    let evidence =
        format!("{generators} generators share the load; each keeps its own times, and nobody keeps them in step");
    let remedy = "--arrival poisson adds up to one such load however they are in step";
    vec![Warning::new(WarningKind::Unproven, evidence, remedy)]
}
