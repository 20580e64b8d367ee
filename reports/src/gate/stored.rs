//! The verdicts on a run against stored ones: not paired, so that the run is the unit and not the trial.

use record::Reading;

use super::judge::{Asked, Judged, overall};
use super::{GateVerdict, Metric, MetricVerdict, Noise, NoiseSource, Question, errors, words};
use crate::findings::CellFindings;
use crate::stats::Estimate;
use crate::stats::prediction::{Prediction, RUNS_LEAST, RunValue};

/// A cell of the candidate with those that it is compared with.
#[derive(Clone, Debug)]
pub struct StoredCell<'a> {
    /// The candidate's.
    pub candidate: &'a CellFindings,
    /// The same of each stored run, the latest last.
    pub baselines: Vec<&'a CellFindings>,
    /// Of another machine: how many times as long the candidate's takes for the same work. None on the same machine.
    pub other_machine: Option<f64>,
}

/// Judges a run against stored ones by every question about a regression.
pub fn judge_stored(asked: &Asked, cells: &[StoredCell<'_>]) -> Judged {
    let mut metrics = Vec::new();
    let regressions = asked.questions.iter().filter_map(|(metric, question)| match question {
        Question::Regress { limit, tolerance } => Some((*metric, *limit, *tolerance)),
        Question::Slo { .. } => None,
    });
    for (metric, limit, tolerance) in regressions {
        metrics.extend(cells.iter().map(|cell| of(asked, cell, metric, limit, tolerance)));
    }
    if let Some(first) = metrics.first_mut() {
        first.primary = true;
    }
    super::judge::correct(&mut metrics);
    for metric in &mut metrics {
        decide(asked, metric);
        let cell = cells.iter().find(|cell| cell.candidate.id == metric.cell);
        if let (GateVerdict::Pass, true, Some(cell)) = (metric.verdict, metric.metric.is_time(), cell) {
            let of_baseline = cell.baselines.last().map_or(0.0, |b| b.requests.error_rate);
            if let Some(why) = errors::quick_failures(cell.candidate.requests.error_rate, of_baseline) {
                (metric.verdict, metric.decided_at, metric.reason) = (GateVerdict::Inconclusive, None, why);
            }
        }
    }
    let verdict = overall(&metrics);
    Judged { metrics, verdict, settled: true }
}

/// A metric of a cell's findings.
fn figure(cell: &CellFindings, metric: Metric) -> &Reading<Estimate> {
    match metric {
        Metric::P50 => &cell.response_ns.p50,
        Metric::P90 => &cell.response_ns.p90,
        Metric::P99 | Metric::Errors => &cell.response_ns.p99,
        Metric::P999 => &cell.response_ns.p999,
        Metric::Cpu => &cell.all_proxies.cpu_millicores_per_1000_rps,
        Metric::Rss => &cell.all_proxies.rss_bytes,
    }
}

/// What the figures say; the verdict follows when all levels are known.
fn of(asked: &Asked, cell: &StoredCell<'_>, metric: Metric, limit: f64, tolerance: f64) -> MetricVerdict {
    let candidate = figure(cell.candidate, metric);
    let baselines: Vec<Estimate> = cell.baselines.iter().filter_map(|b| figure(b, metric).seen().copied()).collect();
    let mut verdict = MetricVerdict {
        baseline_cell: cell.baselines.last().map(|cell| cell.id.clone()),
        candidate: candidate.seen().copied(),
        baseline: baselines.last().copied(),
        n: baselines.len(),
        ..MetricVerdict::blank(
            &cell.candidate.id,
            &cell.candidate.label,
            metric,
            Question::Regress { limit, tolerance },
        )
    };
    // Work that takes the machine longer takes all that is made of it longer; memory it does not touch.
    let scale = if metric == Metric::Rss { 0.0 } else { cell.other_machine.unwrap_or(1.0).ln() };
    let values: Vec<RunValue> =
        baselines.iter().filter_map(RunValue::of).map(|value| RunValue { ln: value.ln + scale, ..value }).collect();
    // What another machine's runs scatter by says nothing of this one's.
    let values = if cell.other_machine.is_none() { &values[..] } else { &values[values.len().saturating_sub(1)..] };
    let new = verdict.candidate.as_ref().and_then(RunValue::of);
    let Some(found) = new.and_then(|new| Prediction::of(new, values)) else {
        let lacking = candidate.reason().or_else(|| cell.baselines.last().and_then(|b| figure(b, metric).reason()));
        verdict.reason = format!("{} was not measured: {}", metric.label(), lacking.unwrap_or("no stored run has it"));
        return verdict;
    };
    fill(&mut verdict, asked, &found, limit, tolerance);
    verdict
}

fn fill(verdict: &mut MetricVerdict, asked: &Asked, found: &Prediction, limit: f64, tolerance: f64) {
    let at = |errors: f64| (found.difference + errors * found.error).exp_m1();
    verdict.change = Some(Estimate {
        value: found.difference.exp_m1(),
        low: found.errors_at(asked.alpha).map(|errors| at(-errors)),
        high: found.errors_at(asked.beta).map(at),
        level: 1.0 - asked.alpha - asked.beta,
        n: verdict.n,
    });
    verdict.p_slower = Some(found.chance_above(tolerance.ln_1p()));
    verdict.p_below = Some(found.chance_below(limit.ln_1p()));
    let found_in_4_of_5 = |p: f64| Some(found.errors_at(p)? + found.errors_at(0.2)?);
    verdict.minimum_detectable = found_in_4_of_5(asked.alpha).map(|errors| (errors * found.error).exp_m1().max(limit));
    verdict.smallest_limit = found_in_4_of_5(asked.beta).map(|errors| (errors * found.error).exp_m1());
    let assumed = found.degrees.is_none();
    let scatter = (found.error.exp_m1()) * 100.0;
    let evidence = if assumed {
        format!(
            "two runs of different times may lie {scatter:.0} % apart by what is assumed of drift, since fewer than {RUNS_LEAST} stored runs tell nothing of it: a folder of earlier runs as --baseline, or side by side"
        )
    } else {
        format!(
            "two runs of different times lie {scatter:.1} % apart by {} stored ones: side by side is paired, and free of drift",
            verdict.n
        )
    };
    verdict.noise = Some(Noise { source: NoiseSource::Drift, share: None, sd: found.error, evidence });
}

fn decide(asked: &Asked, metric: &mut MetricVerdict) {
    let (Some(change), Some(slower), Some(below)) = (metric.change, metric.p_slower_adjusted, metric.p_below) else {
        return;
    };
    let Question::Regress { limit, .. } = metric.question else { return };
    metric.verdict = if below <= asked.beta {
        GateVerdict::Pass
    } else if slower <= asked.alpha && change.value >= limit {
        GateVerdict::Fail
    } else {
        GateVerdict::Inconclusive
    };
    metric.raw_verdict = metric.verdict;
    if metric.verdict != GateVerdict::Inconclusive {
        metric.decided_at = Some(metric.n);
    }
    metric.reason = words::of_stored(metric, &change, limit);
}
