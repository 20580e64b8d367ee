//! What the trials of one cell say together.

use std::collections::{BTreeMap, BTreeSet};

use record::{Cell, Lack, Quantiles, Reading, Role, Verdict};

use super::{AllProxies, CellFindings, Costs, Figure, NodeFindings, PartCosts, PerQuantile, Requests, canary, events};
use crate::gather::{Gathered, TrialData};
use crate::stats::{Estimate, Scale};
use crate::usage::{Idle, NodeUsage, PartUsage};

/// An estimate over what each trial shows. Trials that lack it are left out, which `n` says; where all lack
/// it, the reason of the first is the reason.
pub(crate) fn over(readings: impl Iterator<Item = Reading<f64>>, scale: Scale, level: f64) -> Figure {
    let (mut values, mut reason) = (Vec::new(), None);
    for reading in readings {
        match reading {
            Reading::Seen(value) => values.push(value),
            Reading::Absent { absent } => reason = reason.or(Some(absent)),
        }
    }
    let reason = reason.unwrap_or_else(|| "no trial of this cell is finished".to_owned());
    Estimate::over(&values, scale, level).map_or_else(|| Reading::absent(reason), Reading::Seen)
}

pub(crate) fn of(gathered: &Gathered, cell: &Cell) -> CellFindings {
    let level = gathered.run.level;
    let trials: Vec<&TrialData> = gathered.of_cell(&cell.id).collect();
    let quantile = |of: fn(&TrialData) -> &Quantiles, pick: fn(&Quantiles) -> u64| {
        over(trials.iter().map(|t| time(t, pick(of(t)))), Scale::Factor, level)
    };
    let mean_of = |pick: fn(&TrialData) -> f64| over(trials.iter().map(|t| some(t, pick(t))), Scale::Factor, level);
    let node = |pick: fn(&NodeUsage) -> &Reading<f64>| {
        over(trials.iter().map(|t| pick(&t.usage.node).clone()), Scale::Plain, level)
    };
    CellFindings {
        id: cell.id.clone(),
        label: cell.label.clone(),
        factors: cell.factors.clone(),
        trials: trials.len(),
        invalid_trials: trials.iter().filter(|t| t.trial.load.verdict == Verdict::Invalid).count(),
        requests: requests(&trials),
        answered_per_second: over(trials.iter().map(|t| Reading::Seen(t.answered_per_second)), Scale::Plain, level),
        response_ns: PerQuantile::make(|pick| quantile(|t| &t.response, pick)),
        response_mean_ns: mean_of(|t| t.response_mean_ns),
        service_ns: PerQuantile::make(|pick| quantile(|t| &t.service, pick)),
        service_mean_ns: mean_of(|t| t.service_mean_ns),
        lag_ours_p99_ns: quantile(|t| &t.lag_ours, |q| q.p99),
        proxies: costs(&trials, Role::is_proxy, NO_PROXIES, level),
        all_proxies: all_proxies(&trials, level, gathered.run.host.cpus_online.len()),
        services: costs(&trials, |role| role == Role::Service, "no services of ours in this cell", level),
        neighbours: parts(&trials, |role| role == Role::Neighbour, level),
        node: NodeFindings {
            steal_share: node(|n| &n.steal_share),
            iowait_share: node(|n| &n.iowait_share),
            cpu_busy_share: node(|n| &n.cpu_busy_share),
            softirq_share: node(|n| &n.softirq_share),
            psi_cpu_some_share: node(|n| &n.psi_cpu_some_share),
            psi_io_some_share: node(|n| &n.psi_io_some_share),
            psi_memory_some_share: node(|n| &n.psi_memory_some_share),
            run_queue_length: node(|n| &n.run_queue_length),
            probe_cpu_share: node(|n| &n.probe_cores),
            unexplained_loss_share: node(|n| &n.unexplained_loss_share),
            work_slowdown: node(|n| &n.work_slowdown),
        },
        canary: cell.factors.canary.as_ref().map(|of| canary::of(of, &trials, level)),
        events: events::of(&trials, level),
        lacks: lacks(&trials),
    }
}

const NO_PROXIES: &str = "no proxies in this cell";

/// Every lack that a trial names, once.
fn lacks(trials: &[&TrialData]) -> Vec<Lack> {
    let mut lacks: Vec<Lack> = Vec::new();
    for lack in trials.iter().flat_map(|t| &t.trial.lacks) {
        if !lacks.contains(lack) {
            lacks.push(lack.clone());
        }
    }
    lacks
}

/// One thing of each proxy of a trial; absent if a proxy lacks it.
fn of_proxies<T: Clone>(trial: &TrialData, pick: impl Fn(&PartUsage) -> &Reading<T>) -> Reading<Vec<T>> {
    let mut all = Vec::new();
    for part in trial.usage.parts.values().filter(|p| p.role.is_proxy()) {
        match pick(part) {
            Reading::Seen(value) => all.push(value.clone()),
            Reading::Absent { absent } => return Reading::absent(absent.as_str()),
        }
    }
    if all.is_empty() { Reading::absent(NO_PROXIES) } else { Reading::Seen(all) }
}

fn all_proxies(trials: &[&TrialData], level: f64, cpus: usize) -> AllProxies {
    let idle: Vec<Reading<Vec<Idle>>> = trials.iter().map(|t| of_proxies(t, |p| &p.idle)).collect();
    let cores = |of: &Vec<Idle>| of.iter().map(|i| i.cores).sum::<f64>();
    let errors = idle.iter().filter_map(|of| of.seen()).map(|of| idle_error(of, cpus));
    let rss = trials.iter().map(|t| of_proxies(t, |p| &p.rss_bytes).map(|all| all.iter().sum()));
    let cpu = trials.iter().map(|t| {
        let used = of_proxies(t, |p| &p.cores).map(|all: Vec<f64>| all.iter().sum());
        used.and_then(|cores| per_1000_rps(t, cores))
    });
    let workers = trials.iter().flat_map(|t| &t.trial.proofs).filter(|p| p.claim == "worker threads");
    let workers: BTreeSet<u32> = workers.filter_map(|p| p.found.parse().ok()).collect();
    let count = |t: &&TrialData| t.usage.parts.values().filter(|p| p.role.is_proxy()).count();
    AllProxies {
        count: trials.iter().map(count).max().unwrap_or(0),
        worker_threads: workers.into_iter().collect(),
        cpu_millicores_per_1000_rps: over(cpu, Scale::Factor, level),
        rss_bytes: over(rss, Scale::Factor, level),
        idle_millicores: over(idle.iter().map(|of| of.clone().map(|of| cores(&of) * 1000.0)), Scale::Plain, level),
        idle_error_millicores: errors.reduce(f64::max).map_or_else(
            || Reading::absent(idle.iter().find_map(|of| of.reason()).unwrap_or(NO_PROXIES)),
            |cores| Reading::Seen(cores * 1000.0),
        ),
    }
}

/// How far off a sum of idle times can be, in cores. A counter that is cut to ticks is off by one, whatever the part does;
/// one of nanoseconds only while the part is on a CPU, and there is one part on a CPU at a time.
fn idle_error(parts: &[Idle], cpus: usize) -> f64 {
    let cut: f64 = parts.iter().filter(|i| i.ticks).map(|i| i.step).sum();
    let mut running: Vec<f64> = parts.iter().filter(|i| !i.ticks).map(|i| i.step).collect();
    running.sort_by(|a, b| b.total_cmp(a));
    cut + running.iter().take(cpus).sum::<f64>()
}

/// A trial in which no request ended has no times, and these are not zero.
fn time(trial: &TrialData, ns: u64) -> Reading<f64> {
    some(trial, ns as f64)
}

fn some(trial: &TrialData, ns: f64) -> Reading<f64> {
    if trial.ended == 0 { Reading::absent("no request ended") } else { Reading::Seen(ns) }
}

fn requests(trials: &[&TrialData]) -> Requests {
    let mut all = Requests::default();
    for load in trials.iter().map(|t| &t.trial.load) {
        all.due += load.due;
        all.answered += load.answered;
        all.failed += load.outcomes.failed();
        all.error_statuses += load.outcomes.error_statuses();
        all.censored += load.censored;
    }
    let bad = all.failed + all.error_statuses + all.censored;
    all.error_rate = if all.due == 0 { 0.0 } else { bad as f64 / all.due as f64 };
    all
}

/// The mean over the parts of some roles; a part that lacks the figure makes the mean absent, since that of the
/// others would be another figure.
fn mean(
    trial: &TrialData,
    of: fn(Role) -> bool,
    none: &str,
    pick: impl Fn(&TrialData, &PartUsage) -> Reading<f64>,
) -> Reading<f64> {
    let (mut sum, mut n) = (0.0, 0u32);
    for part in trial.usage.parts.values().filter(|p| of(p.role)) {
        match pick(trial, part) {
            Reading::Seen(value) => {
                sum += value;
                n += 1;
            }
            absent @ Reading::Absent { .. } => return absent,
        }
    }
    if n == 0 { Reading::absent(none) } else { Reading::Seen(sum / f64::from(n)) }
}

fn millicores_per_1000_rps(trial: &TrialData, part: &PartUsage) -> Reading<f64> {
    part.cores.clone().and_then(|cores| per_1000_rps(trial, cores))
}

/// Cores of a trial as thousandths of one for 1000 requests a second.
fn per_1000_rps(trial: &TrialData, cores: f64) -> Reading<f64> {
    let rate = trial.answered_per_second;
    if rate <= 0.0 {
        return Reading::absent("no request was answered");
    }
    Reading::Seen(cores * 1000.0 / (rate / 1000.0))
}

fn costs(trials: &[&TrialData], of: fn(Role) -> bool, none: &str, level: f64) -> Costs {
    let figure = |scale, pick: fn(&TrialData, &PartUsage) -> Reading<f64>| {
        over(trials.iter().map(|t| mean(t, of, none, pick)), scale, level)
    };
    Costs {
        cpu_millicores_per_1000_rps: figure(Scale::Factor, millicores_per_1000_rps),
        rss_bytes: figure(Scale::Factor, |_, p| p.rss_bytes.clone()),
        throttled_ns: figure(Scale::Plain, |_, p| p.throttled_ns.clone()),
        throttled_periods: figure(Scale::Plain, |_, p| p.throttled_periods.clone()),
        throttled_period_share: figure(Scale::Plain, |_, p| p.throttled_period_share.clone()),
        run_delay_ns_per_s: figure(Scale::Plain, |_, p| p.run_delay_ns_per_s.clone()),
        parts: parts(trials, of, level),
    }
}

fn parts(trials: &[&TrialData], of: fn(Role) -> bool, level: f64) -> BTreeMap<String, PartCosts> {
    let names: BTreeSet<&String> =
        trials.iter().flat_map(|t| t.usage.parts.iter().filter(|(_, p)| of(p.role)).map(|(name, _)| name)).collect();
    let cost = |name: &String| {
        let figure = |scale, pick: fn(&PartUsage) -> Reading<f64>| {
            over(trials.iter().filter_map(|t| t.usage.parts.get(name)).map(pick), scale, level)
        };
        PartCosts {
            cpu_millicores: figure(Scale::Factor, |p| p.cores.clone().map(|c| c * 1000.0)),
            rss_bytes: figure(Scale::Factor, |p| p.rss_bytes.clone()),
            throttled_ns: figure(Scale::Plain, |p| p.throttled_ns.clone()),
            throttled_periods: figure(Scale::Plain, |p| p.throttled_periods.clone()),
            run_delay_ns_per_s: figure(Scale::Plain, |p| p.run_delay_ns_per_s.clone()),
        }
    };
    names.into_iter().map(|name| (name.clone(), cost(name))).collect()
}
