//! `meshtax k8s manifests`: what a run applies, printed.

use std::process::ExitCode;

use record::{AccessLog, Dataplane, Factors};
use scenarios::cluster::{self, CellSpec, Documents, Pins, RunSpec, RunnerSpec};

use super::plan::PlanArgs;
use crate::exit::{Exit, Usage};
use crate::report::print;

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    plan: PlanArgs,
    /// The name in namespaces and labels.
    #[arg(long, value_name = "NAME", default_value = "manual", value_parser = name)]
    name: String,
    /// Only this cell, by its name or its place (c2).
    #[arg(long, value_name = "CELL")]
    cell: Option<String>,
    /// Bare pods in JSON, as `podman kube play` takes them, instead of what makes them.
    #[arg(long)]
    pods: bool,
    /// The runner as a Job, with its rights, instead of what it deploys.
    #[arg(long, conflicts_with_all = ["pods", "cell"])]
    runner: bool,
}

fn name(text: &str) -> Result<String, String> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let whole =
        (1..=40).contains(&text.len()) && text.chars().all(inner) && !text.starts_with('-') && !text.ends_with('-');
    if whole { Ok(text.to_owned()) } else { Err("1 to 40 lower case letters, digits and '-'".to_owned()) }
}

pub(super) fn execute(args: Args) -> anyhow::Result<ExitCode> {
    let (scenario, matrix) = args.plan.settle()?;
    for left_out in &matrix.left_out {
        crate::progress::say(&format!("left out: {}: {}\n", left_out.what, left_out.reason));
    }
    if args.runner {
        let any = |asked: fn(&Factors) -> bool| matrix.cells.iter().any(|cell| asked(&cell.factors));
        let spec = RunnerSpec {
            image: &args.plan.image,
            scenario: &scenario.to_toml(),
            args: &runner_args(&args.plan),
            istio: any(|f| matches!(f.dataplane, Dataplane::IstioSidecar | Dataplane::IstioAmbient)),
            json_log: any(|f| f.dataplane == Dataplane::IstioSidecar && f.access_log == AccessLog::Json),
            gateway: any(cluster::by_gateway),
        };
        print(&cluster::runner(&spec)?.text())?;
        return Ok(Exit::Done.into());
    }
    let pins: Pins = args.plan.nodes.iter().cloned().collect();
    let run = RunSpec {
        run: &args.name,
        image: &args.plan.image,
        placement: &args.plan.placement,
        pins: &pins,
        generators: args.plan.generators,
        service_cpu: args.plan.service_cpu,
    };
    let mut documents = cluster::probe(&run)?;
    let mut printed = 0;
    for (at, cell) in matrix.cells.iter().enumerate() {
        let short = format!("c{}", at + 1);
        if args.cell.as_ref().is_some_and(|asked| *asked != short && *asked != cell.id) {
            continue;
        }
        let shape = scenario.shape(&cell.factors)?;
        let spec = CellSpec {
            run: &run,
            cell: &short,
            id: &cell.id,
            factors: &cell.factors,
            shape: &shape,
            timing: &scenario.timing,
        };
        documents = documents.and(cluster::cell(&spec)?);
        printed += 1;
    }
    if printed == 0 {
        let ids: Vec<&str> = matrix.cells.iter().map(|cell| cell.id.as_str()).collect();
        let said = format!("there is no cell '{}'\n  try: one of {}", args.cell.unwrap_or_default(), ids.join(", "));
        return Err(Usage(said).into());
    }
    print(&if args.pods { pods(&documents)? } else { documents.text() })?;
    Ok(Exit::Done.into())
}

/// Bare pods, a document each: JSON is YAML.
fn pods(documents: &Documents) -> anyhow::Result<String> {
    let mut text = String::new();
    for pod in documents.pods()? {
        text.push_str("---\n");
        text.push_str(&serde_json::to_string_pretty(&pod)?);
        text.push('\n');
    }
    Ok(text)
}

/// What the runner inside of the cluster is told: the scenario, which holds everything else, and how it is placed.
fn runner_args(plan: &PlanArgs) -> Vec<String> {
    let mut args: Vec<String> = ["k8s", "run", "/scenario/scenario.toml", "--out", "/runs"].map(str::to_owned).to_vec();
    args.extend(["--image".to_owned(), plan.image.clone()]);
    args.extend(["--placement".to_owned(), plan.placement.to_string()]);
    args.extend(["--generators".to_owned(), plan.generators.to_string()]);
    if let Some(limit) = plan.service_cpu {
        args.extend(["--service-cpu".to_owned(), limit.to_string()]);
    }
    for (part, node) in &plan.nodes {
        args.extend(["--node".to_owned(), format!("{part}={node}")]);
    }
    args
}
