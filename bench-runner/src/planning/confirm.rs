//! `--confirm`: a chain with the limit in question is started here, and the rate at which it breaks the SLO looked for.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use record::{Cell, CpuQuantity, Factors, RunDirectory, WorkerRule};
use reports::Estimate;
use reports::planning::{Cliff, Confirmed, PlanReport};
use scenarios::launch::{Launch, Launched};
use scenarios::{Deployment, Scenario};
use serde::Deserialize;

use crate::exit::Usage;
use crate::interrupt::{Interrupt, Stopped};
use crate::lab::Lab;
use crate::programs::ProgramArgs;
use crate::progress::say;

/// What a search may take beyond its budget: rests, and the end of its last load.
const SEARCH_GRACE: Duration = Duration::from_secs(60);
/// How often it is looked whether all parts live.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Where the search begins and ends, as shares of the prediction.
const AROUND: (f64, f64) = (0.4, 2.5);
/// How long each load of a search is: long enough for some thirty quota periods, since one of them decides little.
const STEP: &str = "3s";
const CONFIRMATION: &str = "5s";
/// Load that is not counted before each.
const WARM_UP: &str = "300ms";

/// What is to be confirmed.
pub(super) struct Asked<'a> {
    /// The limits; none: the recommended one.
    pub(super) limits: &'a [CpuQuantity],
    /// How long each search may take.
    pub(super) budget: Duration,
    pub(super) programs: &'a ProgramArgs,
}

/// Looks for each cliff, and puts what was found into the plan.
///
/// # Errors
/// [`Usage`] where no limit is to be confirmed or its cliff is not predicted; [`Stopped`]; and when the chain cannot be started
/// here.
pub(super) fn execute(report: &mut PlanReport, directory: &RunDirectory, asked: &Asked<'_>) -> anyhow::Result<()> {
    let interrupt = Interrupt::listen()?;
    let limits = limits(report, asked.limits)?;
    let run = directory.run()?;
    let scenario = Scenario::parse(&run.scenario_toml, "the scenario in run.json")?;
    let like = report.recommendation.as_ref().map(|r| r.proxy.dataplane);
    let meshed = |c: &&Cell| like.map_or(c.factors.meshed(), |dataplane| c.factors.dataplane == dataplane);
    let model = run.cells.iter().find(meshed).context("the run has no cell with a mesh")?;
    let cells: Vec<Cell> = limits.iter().map(|cliff| cell(&model.factors, cliff)).collect();
    let lab = Lab::open(&cells, asked.programs.find(&cells)?)?;
    let here = node_probe::host(Path::new("/"), directory.path());
    if here.cpu_model != run.host.cpu_model || here.cpus_online.len() != run.host.cpus_online.len() {
        report
            .doubts
            .push("cliffs were confirmed on this host, which is another than the run was measured on".to_owned());
    }
    let seed = run.seed;
    for (cell, cliff) in cells.iter().zip(&limits) {
        let predicted = cliff.predicted.seen().map_or(0.0, |p| p.value);
        say(&format!("confirming {}: predicted {predicted:.0} requests/s\n", cell.label));
        let found = search(&lab, &scenario, cell, predicted, &report.asked.slo, asked.budget, seed, &interrupt)
            .with_context(|| format!("cannot confirm {}", cell.label))?;
        let confirmed = found.confirmed(predicted)?;
        say(&format!("  found {:.0} requests/s: {}\n", confirmed.rate.value, confirmed.end));
        let same = |c: &&mut Cliff| c.cpu_limit == cliff.cpu_limit && c.workers == cliff.workers;
        if let Some(cliff) = report.cliffs.iter_mut().find(same) {
            cliff.confirmed = Some(confirmed);
        }
    }
    Ok(())
}

/// The cliffs that are to be confirmed.
fn limits(report: &PlanReport, asked: &[CpuQuantity]) -> anyhow::Result<Vec<Cliff>> {
    let recommended = report.recommendation.as_ref().and_then(|r| r.proxy.cpu_limit);
    let wanted: Vec<CpuQuantity> = if asked.is_empty() {
        recommended.or_else(|| report.cliffs.first().map(|c| c.cpu_limit)).into_iter().collect()
    } else {
        asked.to_vec()
    };
    if wanted.is_empty() {
        let said = "--confirm: no CPU limit is recommended, and none was measured\n  try: --confirm=200m,500m";
        return Err(Usage(said.to_owned()).into());
    }
    wanted
        .iter()
        .map(|limit| {
            let cliff = report.cliffs.iter().find(|c| c.cpu_limit == *limit);
            let reason = cliff.and_then(|c| c.predicted.reason()).unwrap_or("nothing is predicted for it");
            cliff.filter(|c| c.predicted.seen().is_some()).cloned().ok_or_else(|| {
                Usage(format!("--confirm {limit}: {reason}\n  try: a run with rates at which nothing is throttled"))
                    .into()
            })
        })
        .collect()
}

/// The measured cell with another limit.
fn cell(measured: &Factors, cliff: &Cliff) -> Cell {
    let id = format!("confirm-{}", cliff.cpu_limit);
    let factors = Factors {
        cpu_limit: Some(cliff.cpu_limit),
        workers: cliff.workers,
        worker_rule: WorkerRule::Fixed(cliff.workers),
        memory_limit: None,
        twin: 0,
        ..measured.clone()
    };
    Cell { id, label: format!("{}, {}", factors.dataplane, cliff.cpu_limit), factors }
}

/// Of what `meshtax load --find-max --format json` says, what a plan needs.
#[derive(Deserialize)]
struct Found {
    rate_per_second: Option<f64>,
    low_per_second: Option<f64>,
    high_per_second: Option<f64>,
    level: Option<f64>,
    end: String,
    steps: Vec<serde::de::IgnoredAny>,
}

impl Found {
    fn confirmed(&self, predicted: f64) -> anyhow::Result<Confirmed> {
        let value = self.rate_per_second.with_context(|| {
            format!(
                "the SLO held at no rate down to {:.0} requests/s, far below the prediction: something else breaks it",
                AROUND.0 * predicted
            )
        })?;
        let end = match self.end.as_str() {
            "converged" => "held in all its confirmations, and the next rate up broke",
            "budget" => "the time was up first; --confirm-budget gives it more",
            "generator" => "the load generator itself was late beyond this",
            "always_held" => "it held up to two and a half times the prediction",
            other => other,
        };
        Ok(Confirmed {
            rate: Estimate {
                value,
                low: self.low_per_second,
                high: self.high_per_second,
                level: self.level.unwrap_or(0.0),
                n: self.steps.len(),
            },
            end: end.to_owned(),
            apart: predicted / value - 1.0,
        })
    }
}

/// Starts a cell's chain, has the load generator look for its limit, and stops it.
#[allow(clippy::too_many_arguments)]
fn search(
    lab: &Lab,
    scenario: &Scenario,
    cell: &Cell,
    predicted: f64,
    slo: &str,
    budget: Duration,
    seed: u64,
    interrupt: &Interrupt,
) -> anyhow::Result<Found> {
    let shape = scenario.shape(&cell.factors)?;
    let directory = lab.scratch().join(&cell.id);
    std::fs::create_dir_all(directory.join("logs"))
        .with_context(|| format!("cannot create {}", directory.display()))?;
    let spec = lab.chain(&cell.factors, &shape, &directory);
    let mut deployment = scenarios::deploy(&spec)?;
    let answer = directory.join("found.json");
    let args = load_args(&deployment, cell, predicted, slo, budget, seed);
    let mut load = start(lab, &deployment, args, &directory, &answer)?;
    let deadline = Instant::now() + budget + SEARCH_GRACE;
    loop {
        interrupt.sleep(LOOK_EVERY, || Ok(()))?;
        deployment.check_alive()?;
        deployment.tend()?;
        if load.try_wait()?.is_some() {
            break;
        }
        anyhow::ensure!(Instant::now() < deadline, "the load generator did not end with its budget");
    }
    if interrupt.asked() {
        return Err(Stopped.into());
    }
    deployment.stop()?;
    let text = std::fs::read_to_string(&answer).with_context(|| format!("cannot read {}", answer.display()))?;
    // A search that found nothing says so in its answer; without one, the log says why.
    let line = text.lines().last().unwrap_or_default();
    serde_json::from_str(line)
        .map_err(|_| anyhow::anyhow!("the load generator gave no answer\n{}", load.log_tail(8).join("\n")))
}

fn load_args(
    deployment: &Deployment,
    cell: &Cell,
    predicted: f64,
    slo: &str,
    budget: Duration,
    seed: u64,
) -> Vec<String> {
    let factors = &cell.factors;
    let mut args: Vec<String> = vec!["load".into(), deployment.entry_url(), "--find-max".into(), "--quiet".into()];
    for (flag, value) in [
        ("--slo", slo.to_owned()),
        ("--from", (AROUND.0 * predicted).max(1.0).to_string()),
        ("--to", (AROUND.1 * predicted).max(2.0).to_string()),
        ("--step", STEP.to_owned()),
        ("--confirm", CONFIRMATION.to_owned()),
        ("--budget", format!("{}ns", budget.as_nanos())),
        ("--warm-up", WARM_UP.to_owned()),
        ("--connections", factors.connections.to_string()),
        ("--arrival", factors.arrival.to_string()),
        ("--pace", factors.pace.to_string()),
        ("--seed", seed.to_string()),
        ("--noise-floor", "0".to_owned()),
        ("--format", "json".to_owned()),
    ] {
        args.push(flag.to_owned());
        args.push(value);
    }
    if !factors.keepalive {
        args.push("--no-keepalive".to_owned());
    }
    if let Some((authority, name)) = deployment.entry_tls() {
        let authority = authority.to_string_lossy().into_owned();
        args.extend(["--cacert".to_owned(), authority, "--sni".to_owned(), name.to_owned()]);
    }
    args
}

/// Starts the load generator in a cgroup of its own, its answer going to a file.
fn start(
    lab: &Lab,
    deployment: &Deployment,
    mut args: Vec<String>,
    directory: &Path,
    answer: &Path,
) -> anyhow::Result<Launched> {
    let leaf = lab.cgroups().map(|tree| tree.leaf("load", None)).transpose()?;
    let cgroups: Vec<PathBuf> = leaf.as_ref().map(|l| l.directories().to_vec()).unwrap_or_default();
    if let Some(user) = lab.users().service {
        args.extend(["--as-user".to_owned(), user.to_string()]);
    }
    let launch = Launch {
        name: "load".to_owned(),
        program: lab.program().to_owned(),
        args: args.into_iter().map(Into::into).collect(),
        cgroups,
        netns: deployment.client_namespace(),
        user: None,
        within: None,
        log: directory.join("logs").join("load.log"),
        stdout: Some(answer.to_owned()),
        pipe_stdin: false,
        pipe_stdout: false,
        env: Vec::new(),
    };
    Ok(launch.spawn(lab.program())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_becomes_what_a_plan_says_of_it() {
        let text = r#"{"slo":"x","rate_per_second":800.0,"low_per_second":780.0,"high_per_second":840.0,"level":0.95,
            "end":"converged","steps":[{},{}],"seed":1}"#;
        let found: Found = serde_json::from_str(text).unwrap();
        let confirmed = found.confirmed(880.0).unwrap();
        assert!((confirmed.apart - 0.1).abs() < 1e-9, "{confirmed:?}");
        assert_eq!((confirmed.rate.low, confirmed.rate.high, confirmed.rate.n), (Some(780.0), Some(840.0), 2));
        let none = Found { rate_per_second: None, ..found };
        assert!(none.confirmed(880.0).unwrap_err().to_string().contains("down to 352 requests/s"));
    }
}
