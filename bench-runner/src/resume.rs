//! `meshtax resume`: goes on with a run that was cut off, at the first trial that is not sealed.

use std::path::PathBuf;
use std::process::ExitCode;

use record::{METHOD, Platform, Run, RunDirectory, Warning, WarningKind};

use crate::campaign::{self, Ending, Sitting};
use crate::disk::beside;
use crate::exit::{Exit, Usage};
use crate::interrupt::Interrupt;
use crate::k8s;
use crate::lab::Lab;
use crate::programs::ProgramArgs;
use crate::progress::LiveArgs;
use crate::run::PROGRAM;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The run directory.
    run: PathBuf,
    #[command(flatten)]
    programs: ProgramArgs,
    #[command(flatten)]
    live: LiveArgs,
    #[command(flatten)]
    beside: beside::Beside,
    /// Where the pairings of this runner are kept, for a run on hosts.
    #[arg(long, value_name = "DIR")]
    hosts_state: Option<PathBuf>,
    /// A context of the kubeconfig, for a run in a cluster whose context has another name by now.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Exit with 1 if a warning touches the result.
    #[arg(long)]
    strict: bool,
}

pub(crate) fn execute(args: Args) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::listen()?;
    let directory = RunDirectory::open(&args.run)?;
    let run = directory.run()?;
    if let Some(end) = directory.end()? {
        let said = format!(
            "this run is at its end, before the most trials that were planned: {}\n  try: meshtax report {}",
            end.evidence,
            directory.path().display()
        );
        return Err(Usage(said).into());
    }
    if let Some(hosts) = directory.hosts()? {
        return crate::hosts::run::resume(
            directory,
            run,
            hosts,
            (args.hosts_state.as_deref(), args.strict),
            &interrupt,
        );
    }
    if let Some(cluster) = directory.cluster()? {
        let again = k8s::Again { context: args.context.as_deref(), strict: args.strict };
        return k8s::resume(directory, run, cluster, &again, &interrupt);
    }
    if run.cells.iter().any(|cell| cell.factors.platform == Platform::Kubernetes) {
        let said = "this run was made with pods that somebody else had started (--played), and nobody keeps how\n  try: meshtax k8s run with --played and the pods of now, as a new run";
        return Err(Usage(said.to_owned()).into());
    }
    same_conditions(&run, &node_probe::host(std::path::Path::new("/"), directory.path()))?;
    let programs = args.programs.find(&run.cells)?;
    programs.expect(&run.versions)?;
    let lab = Lab::open(&run.cells, programs)?;
    let without = |warnings: &[Warning]| warnings.iter().any(|w| w.kind == WarningKind::NotPermitted);
    if without(&run.warnings) != without(lab.warnings()) {
        let (was, is) = if without(&run.warnings) { ("without", "with") } else { ("with", "without") };
        let said = format!(
            "this run was begun {was} a cgroup for each part, and here it would go on {is}\n  try: resume it as the user that began it"
        );
        return Err(Usage(said).into());
    }
    // What was found when the run began stays.
    if args.beside.disk && directory.disk_before()?.is_none() {
        // Beside another meshtax at work on this run, the test would disturb its trials.
        drop(directory.lock()?);
        match beside::before(directory.path(), args.beside, &interrupt) {
            Err(_) if interrupt.asked() => return Ok(Exit::Cut.into()),
            other => directory.write_disk_before(&other?)?,
        }
    }
    let ending = Ending { strict: args.strict, beside: args.beside };
    campaign::execute(&directory, &run, Sitting { lab, interrupt: &interrupt, live: args.live, ending })
}

/// The trials to come must be made as those before were: by the same method, on the same machine.
pub(crate) fn same_conditions(run: &Run, host: &record::Host) -> anyhow::Result<()> {
    same_method(run)?;
    same_machine(run, host)
}

/// By the same method and the same program.
pub(crate) fn same_method(run: &Run) -> anyhow::Result<()> {
    if run.method != METHOD {
        let said = format!(
            "this run was begun with method {} and this meshtax uses method {METHOD}\n  try: the meshtax that began it ({})",
            run.method, run.program
        );
        return Err(Usage(said).into());
    }
    if run.program != PROGRAM {
        let said = format!(
            "this run was begun by {}, and this is {PROGRAM}: another generator and another sidecar\n  try: the version that began it, or a new run",
            run.program
        );
        return Err(Usage(said).into());
    }
    Ok(())
}

/// On the same machine.
pub(crate) fn same_machine(run: &Run, host: &record::Host) -> anyhow::Result<()> {
    let then = &run.host;
    for (what, was, is) in [
        ("kernel", then.kernel.clone(), host.kernel.clone()),
        ("CPU", format!("{:?}", then.cpu_model.seen()), format!("{:?}", host.cpu_model.seen())),
        ("number of CPUs", then.cpus_online.len().to_string(), host.cpus_online.len().to_string()),
    ] {
        if was != is {
            let said = format!(
                "this run was begun on another machine: its {what} was {was}, and here it is {is}\n  try: resume it where it was begun, or begin a new run here"
            );
            return Err(Usage(said).into());
        }
    }
    Ok(())
}
