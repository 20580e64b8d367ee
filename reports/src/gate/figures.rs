//! What a gate knows of one trial, and the trials of the cells that are judged.

use record::{LoadSummary, Reading, Role, Run, RunDirectory, Verdict, WarningKind};

use super::{Metric, errors};
use crate::Result;
use crate::gather::TrialData;
use crate::usage::PartUsage;

/// The figures of one sealed trial.
#[derive(Clone, Debug)]
pub struct TrialFigures {
    /// The trial's id.
    pub trial: String,
    /// The id of its cell.
    pub cell: String,
    /// The pair it belongs to, from 1.
    pub block: u32,
    /// Response times in nanoseconds, with the quantile of each; empty where no request ended.
    pub times_ns: Vec<(Metric, f64)>,
    /// CPU of all proxies, in thousandths of a core for 1000 requests a second.
    pub cpu: Reading<f64>,
    /// Resident memory of all proxies.
    pub rss_bytes: Reading<f64>,
    /// Requests due in the measured phase.
    pub due: u64,
    /// Of those, failed, answered with an error, or without an end.
    pub bad: u64,
    /// CPU time that the hypervisor took, of all.
    pub steal_share: Reading<f64>,
    /// What one tick of the steal counter comes to, as such a share.
    pub steal_step: f64,
    /// Time in which some task waited for a CPU.
    pub cpu_pressure: Reading<f64>,
    /// The generator's own lag at p99, in nanoseconds.
    pub lag_p99_ns: f64,
    /// Why the figures are the generator's own lateness more than anything else, if they are.
    pub invalid: Option<String>,
}

impl TrialFigures {
    /// Reads one sealed trial of a run.
    ///
    /// # Errors
    /// When it cannot be read or does not belong to the run.
    pub fn read(directory: &RunDirectory, run: &Run, id: &str) -> Result<Self> {
        let data = TrialData::read(directory, run, id)?;
        Ok(Self::of(&data, run))
    }

    /// Reads all sealed trials of a run, in the order of the plan.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_all(directory: &RunDirectory, run: &Run) -> Result<Vec<Self>> {
        let sealed = run.trials.iter().filter(|planned| directory.is_sealed(&planned.id));
        sealed.map(|planned| Self::read(directory, run, &planned.id)).collect()
    }

    fn of(data: &TrialData, run: &Run) -> Self {
        let load = &data.trial.load;
        let quantiles = &data.response;
        let times = [
            (Metric::P50, quantiles.p50),
            (Metric::P90, quantiles.p90),
            (Metric::P99, quantiles.p99),
            (Metric::P999, quantiles.p999),
        ];
        // A time below the clock's step counts as that step, so that it has a logarithm.
        let times_ns = times.into_iter().map(|(metric, ns)| (metric, ns.max(1) as f64));
        let cores = of_proxies(data, |part| &part.cores);
        let rate = data.answered_per_second;
        let cpu = cores.and_then(|cores| match rate > 0.0 {
            true => Reading::Seen(cores * 1e6 / rate),
            false => Reading::absent("no request was answered"),
        });
        let ticks = run.host.clock_ticks_per_second as f64 * run.host.cpus_online.len() as f64;
        let measured_s = data.measured.end_ns.saturating_sub(data.measured.start_ns) as f64 / 1e9;
        Self {
            trial: data.trial.id.clone(),
            cell: data.trial.cell.clone(),
            block: data.trial.block,
            times_ns: if data.ended == 0 { Vec::new() } else { times_ns.collect() },
            cpu,
            rss_bytes: of_proxies(data, |part| &part.rss_bytes),
            due: load.due,
            bad: load.outcomes.failed() + load.outcomes.error_statuses() + load.censored,
            steal_share: data.usage.node.steal_share.clone(),
            steal_step: 1.0 / (ticks * measured_s).max(1.0),
            cpu_pressure: data.usage.node.psi_cpu_some_share.clone(),
            lag_p99_ns: data.lag_ours.p99 as f64,
            invalid: spoilt(load),
        }
    }

    /// The value of a metric that is above zero, or why there is none. Errors have none: they are counted.
    ///
    /// # Errors
    /// The reason, for people.
    pub fn value(&self, metric: Metric) -> std::result::Result<f64, String> {
        let reading = match metric {
            Metric::Cpu => &self.cpu,
            Metric::Rss => &self.rss_bytes,
            Metric::Errors => return Err("errors are counted".to_owned()),
            time => {
                let found = self.times_ns.iter().find(|(known, _)| *known == time);
                return found.map(|(_, ns)| *ns).ok_or_else(|| "no request ended".to_owned());
            }
        };
        match reading {
            Reading::Seen(value) if *value > 0.0 => Ok(*value),
            Reading::Seen(_) => Err("it was too little to be seen".to_owned()),
            Reading::Absent { .. } => Err(reading.reason().unwrap_or_default().to_owned()),
        }
    }
}

/// What the generator says of its own lateness, where that makes its figures invalid. Requests that failed or had no end make
/// them invalid too, but are what a gate is there to see.
fn spoilt(load: &LoadSummary) -> Option<String> {
    let late = load.verdict == Verdict::Invalid && load.lag_ns.ours.p99 > load.response_ns.p99 / 2;
    let said = load.warnings.iter().find(|warning| warning.kind == WarningKind::GeneratorLagged);
    said.filter(|_| late).map(|warning| warning.evidence.clone())
}

/// The sum over a trial's proxies; absent if one lacks it.
fn of_proxies(data: &TrialData, pick: fn(&PartUsage) -> &Reading<f64>) -> Reading<f64> {
    let (mut sum, mut some) = (0.0, false);
    for part in data.usage.parts.values().filter(|part| Role::is_proxy(part.role)) {
        match pick(part) {
            Reading::Seen(value) => sum += value,
            absent @ Reading::Absent { .. } => return absent.clone(),
        }
        some = true;
    }
    if some { Reading::Seen(sum) } else { Reading::absent("no proxies in this cell") }
}

/// The trials of one cell of the candidate, with those that they are paired with.
#[derive(Clone, Debug)]
pub struct CellTrials {
    /// The candidate's cell.
    pub cell: String,
    /// The baseline's cell; none where there is no baseline.
    pub baseline_cell: Option<String>,
    /// The cell for people.
    pub label: String,
    /// The candidate's trials.
    pub candidate: Vec<TrialFigures>,
    /// The baseline's trials, each in the place of the candidate's that it is paired with; empty without a baseline.
    pub baseline: Vec<TrialFigures>,
}

impl CellTrials {
    /// Why response times of the candidate cannot pass, though they be short.
    pub(super) fn more_errors(&self) -> Option<String> {
        let share = |trials: &[TrialFigures]| {
            let (bad, due) = trials.iter().fold((0, 0), |(bad, due), t| (bad + t.bad, due + t.due));
            bad as f64 / due.max(1) as f64
        };
        errors::quick_failures(share(&self.candidate), share(&self.baseline))
    }

    /// Takes out every pair of which a trial is invalid by the generator's own lateness; returns what was taken out and why.
    /// The rule was fixed before and is the same for both sides: a generator that was late for most of what it measured
    /// makes any two sides alike, and such a pair would speak for a pass.
    pub fn without_invalid(&mut self) -> Vec<String> {
        let mut said = Vec::new();
        let mut at = 0;
        while at < self.candidate.len() {
            let both = [self.candidate.get(at), self.baseline.get(at)];
            let broken = both.into_iter().flatten().find_map(|t| t.invalid.as_ref().map(|why| (t.trial.clone(), why)));
            let Some((trial, why)) = broken else {
                at += 1;
                continue;
            };
            said.push(format!("trial {trial} does not count, nor does its pair: {why}"));
            self.candidate.remove(at);
            if at < self.baseline.len() {
                self.baseline.remove(at);
            }
        }
        said
    }
}
