//! What is doubted: the warnings of the trials, gathered, and those that only the data of all show.

mod over_trials;

use record::{CpuQuota, Host, Role, WarningKind};

use crate::figure;
use crate::findings::FoundWarning;
use crate::gather::{Gathered, TrialData};

/// The generator's own lag at p99, of the response at p99, from which on it is doubted whose time it is.
const LAG_SHARE: f64 = 0.1;
/// What waking a sleeping process takes anyway; both sides of a comparison have it alike.
const LAG_FLOOR_NS: f64 = 200_000.0;
/// Stolen CPU time from which on latencies are doubted.
const STEAL_SHARE: f64 = 0.01;
/// CPU time used by others than us from which on they are doubted.
const OTHERS_SHARE: f64 = 0.2;
/// CPU time in use from which on the machine is the limit.
const SATURATED_SHARE: f64 = 0.9;
/// Lateness of a round of the probe that matters: a whole period of a trial's probe.
const PROBE_LATE_NS: u64 = 50_000_000;
/// CPU of the probe, of one core, from which on it disturbs.
const PROBE_CORES: f64 = 0.05;
/// Trials of a cell below which an interval says little.
const FEWEST_TRIALS: usize = 5;

/// Everything that is doubted about a run and its trials, the run first.
pub(crate) fn warnings(gathered: &Gathered) -> Vec<FoundWarning> {
    let mut found = of_run(gathered);
    found.extend(lost(gathered));
    found.extend(over_trials::warnings(gathered));
    for trial in &gathered.trials {
        let of_trial = |w: record::Warning| FoundWarning {
            trial: Some(trial.trial.id.clone()),
            cell: Some(trial.trial.cell.clone()),
            kind: w.kind,
            evidence: w.evidence,
            remedy: w.remedy,
        };
        let mut own: Vec<record::Warning> = trial.trial.warnings.clone();
        let known = |own: &[record::Warning], w: &record::Warning| own.iter().any(|o| o.kind == w.kind);
        for w in trial.trial.load.warnings.iter().cloned().chain(of_data(trial, gathered)) {
            // Whoever was there and measured has said it better than it can be said from afterwards.
            if !known(&own, &w) {
                own.push(w);
            }
        }
        found.extend(own.into_iter().map(of_trial));
    }
    found
}

/// Tries that were lost with a host: a trial that was made again is one that was chosen, if only by the network.
fn lost(gathered: &Gathered) -> Vec<FoundWarning> {
    let losses = gathered.hosts.iter().flat_map(|hosts| &hosts.losses);
    let of = |loss: &record::Loss| FoundWarning {
        trial: Some(loss.trial.clone()),
        cell: None,
        kind: WarningKind::HostLost,
        evidence: format!(
            "{} was lost in the phase {} (try {}: {}); that try is in no figure unless it was fetched whole",
            loss.host,
            loss.phase.word(),
            loss.attempt,
            loss.what
        ),
        remedy: "meshtax hosts fetch RUN brings what the host still has of it; look at why it was lost".to_owned(),
    };
    losses.map(of).collect()
}

fn of_run(gathered: &Gathered) -> Vec<FoundWarning> {
    let run = &gathered.run;
    let mut found: Vec<FoundWarning> = run
        .warnings
        .iter()
        .map(|w| FoundWarning {
            trial: None,
            cell: None,
            kind: w.kind,
            evidence: w.evidence.clone(),
            remedy: w.remedy.clone(),
        })
        .collect();
    let without: Vec<&str> = run
        .cells
        .iter()
        .filter(|c| c.factors.meshed() && run.baseline_of(c).is_none())
        .map(|c| c.id.as_str())
        .collect();
    if !without.is_empty() {
        found.push(FoundWarning {
            trial: None,
            cell: None,
            kind: WarningKind::NoBaseline,
            evidence: format!("there is no unmeshed cell with the same load as {}", without.join(", ")),
            remedy: "add 'none' to the dataplanes, so that the tax can be taken".to_owned(),
        });
    }
    found.extend(held_back(run));
    let counts = run.cells.iter().map(|c| (c, gathered.of_cell(&c.id).count()));
    let few: Vec<String> =
        counts.filter(|(_, n)| *n < FEWEST_TRIALS).map(|(c, n)| format!("{} has {n}", c.id)).collect();
    if !few.is_empty() {
        found.push(FoundWarning {
            trial: None,
            cell: None,
            kind: WarningKind::TooFewTrials,
            evidence: format!(
                "with fewer than {FEWEST_TRIALS} trials no interval comes near {}: {}",
                figure::level(run.level),
                few.join(", ")
            ),
            remedy: "ask for more with --repeats; 6 reach 96.9 %".to_owned(),
        });
    }
    found
}

/// The quota that holds a host's program to fewer CPUs than it may use, the tightest of several.
pub fn tightest_quota(host: &Host) -> Option<&CpuQuota> {
    let tightest = host.cgroup_limits.cpu.seen()?.iter().min_by(|a, b| quota_cores(a).total_cmp(&quota_cores(b)));
    tightest.filter(|quota| quota_cores(quota) < f64::from(host.cpus_allowed))
}

/// What a quota comes to, in cores.
pub fn quota_cores(quota: &CpuQuota) -> f64 {
    quota.quota_us as f64 / quota.period_us.max(1) as f64
}

/// A quota around the whole run throttles what is measured. In a cluster the host's card is that of a probe in its pod, whose
/// own limit is nobody else's.
fn held_back(run: &record::Run) -> Option<FoundWarning> {
    let here = run.cells.iter().any(|c| c.factors.platform != record::Platform::Kubernetes);
    let quota = tightest_quota(&run.host).filter(|_| here)?;
    Some(FoundWarning {
        trial: None,
        cell: None,
        kind: WarningKind::Saturated,
        evidence: format!(
            "load, services and proxies together are held to {:.2} of {} CPUs by the limit of {}, which throttles them with a mesh and without",
            quota_cores(quota),
            run.host.cpus_allowed,
            quota.cgroup
        ),
        remedy: "measure outside of this limit, or raise it: for a container, --cpus".to_owned(),
    })
}

fn of_data(trial: &TrialData, gathered: &Gathered) -> Vec<record::Warning> {
    use record::Warning as W;
    let mut found = Vec::new();
    let node = &trial.usage.node;
    let load = &trial.trial.load;

    let (lag, p99) = (trial.lag_ours.p99 as f64, trial.response.p99 as f64);
    if lag > LAG_FLOOR_NS.max(LAG_SHARE * p99) {
        let evidence =
            format!("the generator's own lag at p99 is {}, of a p99 of {}", figure::ms_bare(lag), figure::ms_bare(p99));
        found.push(W::new(
            WarningKind::GeneratorLagged,
            evidence,
            "lower the rate, or give the generator a CPU of its own",
        ));
    }
    let (failed, errors) = (load.outcomes.failed(), load.outcomes.error_statuses());
    if failed + errors > 0 {
        let evidence = format!("of {} requests, {failed} failed and {errors} were answered with an error", load.due);
        found.push(W::new(WarningKind::RequestsFailed, evidence, "see the logs of the trial's services and proxies"));
    }
    if load.censored > 0 {
        let evidence = format!("{} of {} requests had no end before the end of the trial", load.censored, load.due);
        found.push(W::new(WarningKind::Censored, evidence, "lower the rate; the chain does not keep up with it"));
    }
    if let Some(steal) = node.steal_share.seen().filter(|s| **s > STEAL_SHARE) {
        let evidence = format!("the hypervisor took {} of the CPU time away", figure::percent(*steal));
        found.push(W::new(
            WarningKind::Steal,
            evidence,
            "measure at another time, or on a machine with CPUs of its own",
        ));
    }
    if let Some(others) = others_share(trial, gathered).filter(|s| *s > OTHERS_SHARE) {
        let evidence = format!(
            "programs that are no part of the trial used {} of the machine's CPU time",
            figure::percent(others)
        );
        found.push(W::new(WarningKind::BusyMachine, evidence, "stop other work on this machine while measuring"));
    }
    if let Some((name, from, to)) = trial.usage.backwards.first() {
        let others = match trial.usage.backwards.len() - 1 {
            0 => String::new(),
            n => format!(", and {n} other counters did as well"),
        };
        let evidence = format!("a counter went backwards: {name}, from {from} to {to}{others}");
        found.push(W::new(
            WarningKind::CounterBackwards,
            evidence,
            "its figures are left out; a kernel fault, or what was counted was replaced",
        ));
    }
    if node.probe_missed > 0 || node.probe_late_ns > PROBE_LATE_NS {
        let evidence = format!(
            "the probe missed {} rounds and was late by up to {}",
            node.probe_missed,
            figure::ms_bare(node.probe_late_ns as f64)
        );
        found.push(W::new(WarningKind::ProbeLate, evidence, "leave a CPU's worth of the machine free"));
    }
    if let Some(cores) = node.probe_cores.seen().filter(|c| **c > PROBE_CORES) {
        let evidence = format!("the probe itself used {} of a core", figure::percent(*cores));
        found.push(W::new(WarningKind::ProbeCost, evidence, "watch fewer processes"));
    }
    if let Some(busy) = node.cpu_busy_share.seen().filter(|s| **s > SATURATED_SHARE) {
        let mut evidence = format!("the CPUs of this machine were in use {} of the time", figure::percent(*busy));
        let neighbours = trial.usage.parts.values().filter(|part| part.role == Role::Neighbour);
        let theirs: f64 = neighbours.filter_map(|part| part.cores.seen()).sum();
        if theirs > 0.0 {
            evidence.push_str(&format!("; the noisy neighbour, which was asked for, used {theirs:.2} cores of them"));
        }
        found.push(W::new(
            WarningKind::Saturated,
            evidence,
            "lower the rate, shorten the chain, or use a machine with more CPUs",
        ));
    }
    found
}

/// The share of the machine that neither our parts nor the probe used; none where a part's use is unknown.
fn others_share(trial: &TrialData, gathered: &Gathered) -> Option<f64> {
    let cpus = gathered.run.host.cpus_online.len();
    let node = &trial.usage.node;
    let mut ours = 0.0;
    let mut any_seen = false;
    for part in trial.usage.parts.values() {
        match part.role {
            // What the probe says of itself is exact and always there.
            Role::Probe => continue,
            _ => ours += part.cores.seen()?,
        }
        any_seen = true;
    }
    ours += node.probe_cores.seen()?;
    (cpus > 0 && any_seen).then(|| node.cpu_busy_share.seen().map(|busy| busy - ours / cpus as f64))?
}
