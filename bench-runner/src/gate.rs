//! `meshtax gate`: pass, fail or inconclusive, against a stored baseline or side by side, with stated error rates.

pub(crate) mod asked;
mod baseline;
mod finish;
mod halves;
mod pairs;
mod self_test;
mod side;
mod side_by_side;
mod stored;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crate::exit::Usage;
use crate::programs::ProgramArgs;
use crate::run::FactorArgs;
use asked::QuestionArgs;
use finish::OutputArgs;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The directory of a run that was measured already: judged against --baseline, or by --slo alone.
    #[arg(value_name = "RUN", conflicts_with = "candidate")]
    run: Option<PathBuf>,
    /// Side by side: the candidate's scenario, a file or a name of the library.
    #[arg(long, value_name = "SCENARIO")]
    candidate: Option<String>,
    /// For RUN: a run directory, a findings.json, or a folder of runs, which tell how much runs differ by themselves.
    /// Side by side: the baseline's scenario; the candidate's, if nothing is said.
    #[arg(long, value_name = "RUN|FILE|DIR|SCENARIO")]
    baseline: Option<String>,
    #[command(flatten)]
    questions: QuestionArgs,
    /// Compare with a run of another machine, for what little can be told then.
    #[arg(long, requires = "run")]
    discount_host: bool,
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    sides: SideArgs,
    #[command(flatten)]
    factors: FactorArgs,
    #[command(flatten)]
    programs: ProgramArgs,
    /// Where the gate's directory is made.
    #[arg(long, value_name = "DIR", default_value = "gates")]
    out: PathBuf,
    #[command(flatten)]
    output: OutputArgs,
}

/// How much is measured, side by side.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Plan (side by side)")]
pub(crate) struct PlanArgs {
    /// Time at most: 15m. It bounds the pairs that are planned, and no pair is begun beyond it.
    #[arg(long, value_parser = crate::duration::parse, value_name = "TIME")]
    budget: Option<Duration>,
    /// Pairs of trials at most.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pairs_max: usize,
    /// The seed of the order within pairs and of the arrivals.
    #[arg(long)]
    seed: Option<u64>,
    /// How long each trial measures.
    #[arg(long, value_parser = crate::duration::parse)]
    duration: Option<Duration>,
    /// How long each trial loads before it measures.
    #[arg(long, value_parser = crate::duration::parse)]
    warm_up: Option<Duration>,
    /// Measure the noise: the baseline against itself, with all pairs. It fails if a limit is below what can be told here.
    #[arg(long, conflicts_with = "self_test")]
    aa: bool,
    /// Make both trials of a pair at the same time, each on half of the CPUs, so that what the host does hits both.
    #[arg(long, conflicts_with = "self_test")]
    duet: bool,
    /// Put a delay into the candidate that is over the limit, and pass only if the gate finds it.
    #[arg(long)]
    self_test: bool,
}

/// In what the two sides differ, besides their scenarios.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Binaries of one side (side by side)")]
pub(crate) struct SideArgs {
    /// The candidate's Envoy.
    #[arg(long, value_name = "PATH")]
    candidate_envoy: Option<PathBuf>,
    /// The baseline's Envoy.
    #[arg(long, value_name = "PATH")]
    baseline_envoy: Option<PathBuf>,
    /// The candidate's HAProxy.
    #[arg(long, value_name = "PATH")]
    candidate_haproxy: Option<PathBuf>,
    /// The baseline's HAProxy.
    #[arg(long, value_name = "PATH")]
    baseline_haproxy: Option<PathBuf>,
    /// The candidate's nginx.
    #[arg(long, value_name = "PATH")]
    candidate_nginx: Option<PathBuf>,
    /// The baseline's nginx.
    #[arg(long, value_name = "PATH")]
    baseline_nginx: Option<PathBuf>,
    /// The meshtax whose services and sidecars are the candidate's; load and probe are this one's on both sides.
    #[arg(long, value_name = "PATH")]
    candidate_program: Option<PathBuf>,
    /// The same of the baseline.
    #[arg(long, value_name = "PATH")]
    baseline_program: Option<PathBuf>,
    #[arg(long, hide = true)]
    candidate_image: Option<String>,
    #[arg(long, hide = true)]
    baseline_image: Option<String>,
}

pub(crate) fn execute(args: Args) -> anyhow::Result<ExitCode> {
    if args.sides.candidate_image.is_some() || args.sides.baseline_image.is_some() {
        let said = "images run in Kubernetes, and the platforms here are processes and pods of this machine\n  try: --candidate-envoy PATH, --candidate-program PATH, or two scenarios";
        return Err(Usage(said.to_owned()).into());
    }
    // What is compared with itself needs one name only.
    let itself = args.baseline.as_ref().filter(|_| args.run.is_none() && (args.plan.aa || args.plan.self_test));
    match (&args.run, args.candidate.as_ref().or(itself)) {
        (Some(run), None) => stored::execute(run, &args),
        (None, Some(candidate)) => side_by_side::execute(candidate, &args),
        (None, None) => {
            let said = "there is nothing to judge\n  try: meshtax gate RUN --baseline RUN, or meshtax gate --candidate A.toml --baseline B.toml";
            Err(Usage(said.to_owned()).into())
        }
        // Clap refuses both already.
        (Some(_), Some(_)) => Err(Usage("RUN and --candidate exclude one another".to_owned()).into()),
    }
}
