//! `meshtax k8s clean`: removes by label what a run left in a cluster.

use std::process::ExitCode;

use super::cluster::Cluster;
use super::lease;
use crate::exit::{Exit, Usage};
use crate::interrupt::Interrupt;
use crate::report::print;

#[derive(clap::Args)]
pub(super) struct Args {
    /// A context of the kubeconfig [default: the current one].
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// What this run left, also if it seems alive.
    #[arg(long, value_name = "RUN", conflicts_with = "all")]
    run: Option<String>,
    /// What all runs left, also those that seem alive.
    #[arg(long)]
    all: bool,
}

pub(super) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::listen()?;
    let cluster = Cluster::connect(args.context.as_deref(), &interrupt)?;
    let runs = lease::all(&cluster)?;
    if let Some(run) = &args.run
        && !runs.contains_key(run)
    {
        let known: Vec<&str> = runs.keys().map(String::as_str).collect();
        let known = if known.is_empty() {
            "nothing is left of any run".to_owned()
        } else {
            format!("one of {}", known.join(", "))
        };
        return Err(Usage(format!("nothing is left of the run '{run}'\n  try: {known}")).into());
    }
    let mut removed = Vec::new();
    for (run, left) in runs {
        let asked = args.all || args.run.as_deref() == Some(run.as_str());
        match left.alive_until {
            Some(until) if !asked && args.run.is_none() => print(&format!(
                "kept {run}, which is alive until {until} at least (--run {run} removes it all the same)"
            ))?,
            Some(_) if !asked => {}
            _ if asked || args.run.is_none() => removed.extend(left.namespaces),
            _ => {}
        }
    }
    lease::remove(&cluster, &removed)?;
    if removed.is_empty() {
        print("nothing was removed")?;
    }
    for namespace in removed {
        print(&format!("removed the namespace {namespace}"))?;
    }
    Ok(Exit::Done.into())
}
