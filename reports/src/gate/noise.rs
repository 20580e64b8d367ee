//! Where the scatter of paired differences comes from, as far as the trials' own counters tell.

use record::Reading;

use super::figures::{CellTrials, TrialFigures};
use super::{Metric, Noise, NoiseSource};

/// Pairs before anything is said of a source.
const PAIRS_LEAST: usize = 6;

/// The share of the variance that a signal must go with before it is named: with six pairs, chance alone reaches this in
/// one of ten.
const SHARE_LEAST: f64 = 0.4;

/// Requests beyond a quantile below which the quantile itself is a matter of luck.
const TAIL_LEAST: f64 = 20.0;

/// The largest source of what makes these differences differ; none with too few pairs.
pub(super) fn largest(cell: &CellTrials, metric: Metric, differences: &[f64]) -> Option<Noise> {
    let n = differences.len();
    if n < 2 {
        return None;
    }
    let sd = deviation(differences);
    let baseline = |at: usize| cell.baseline.get(at);
    let signal = |of: &dyn Fn(&TrialFigures) -> Option<f64>| -> Option<Vec<f64>> {
        let one = |at: usize| Some(of(cell.candidate.get(at)?)? - baseline(at).map_or(Some(0.0), of)?);
        (0..n).map(one).collect()
    };
    // The counters are those of the pairs that the differences are of, which must all be there.
    let shares = [
        (NoiseSource::Steal, signal(&log_steal)),
        (NoiseSource::Generator, signal(&|t| Some((t.lag_p99_ns + 1e3).ln()))),
        (NoiseSource::CpuPressure, signal(&|t| seen(&t.cpu_pressure))),
    ];
    let told = shares.into_iter().filter_map(|(source, x)| Some((source, explained(&x?, differences)?)));
    let most = told.max_by(|a, b| a.1.total_cmp(&b.1)).filter(|(_, share)| n >= PAIRS_LEAST && *share >= SHARE_LEAST);
    let tail = beyond(cell, metric);
    let (source, share) = match most {
        Some((source, share)) => (source, Some(share)),
        None if tail.is_some_and(|requests| requests < TAIL_LEAST) => (NoiseSource::Sampling, None),
        None => (NoiseSource::RunToRun, None),
    };
    Some(Noise { source, share, sd, evidence: words(source, share, sd, tail) })
}

/// The logarithm of the steal share, with one tick added so that none has one too.
pub(super) fn log_steal(trial: &TrialFigures) -> Option<f64> {
    Some((seen(&trial.steal_share)?.max(0.0) + trial.steal_step).ln())
}

fn seen(reading: &Reading<f64>) -> Option<f64> {
    reading.seen().copied()
}

/// Requests of a trial beyond the metric's quantile, on average.
fn beyond(cell: &CellTrials, metric: Metric) -> Option<f64> {
    let share = match metric {
        Metric::P50 => 0.5,
        Metric::P90 => 0.1,
        Metric::P99 => 0.01,
        Metric::P999 => 0.001,
        Metric::Cpu | Metric::Rss | Metric::Errors => return None,
    };
    let due: u64 = cell.candidate.iter().map(|t| t.due).sum();
    Some(due as f64 / cell.candidate.len().max(1) as f64 * share)
}

/// The standard deviation of one.
pub(super) fn deviation(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n.max(1.0);
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    (squares / (n - 1.0).max(1.0)).sqrt()
}

/// The share of the variance of `y` that goes with `x` on a line, less what chance would give; none without any scatter.
fn explained(x: &[f64], y: &[f64]) -> Option<f64> {
    let n = x.len() as f64;
    let (mean_x, mean_y) = (x.iter().sum::<f64>() / n, y.iter().sum::<f64>() / n);
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (a, b) in x.iter().zip(y) {
        xx += (a - mean_x).powi(2);
        yy += (b - mean_y).powi(2);
        xy += (a - mean_x) * (b - mean_y);
    }
    if xx <= 0.0 || yy <= 0.0 || n < 3.0 {
        return None;
    }
    Some(1.0 - (1.0 - xy * xy / (xx * yy)) * (n - 1.0) / (n - 2.0))
}

fn words(source: NoiseSource, share: Option<f64>, sd: f64, tail: Option<f64>) -> String {
    let scatter = format!("one pair scatters by {:.1} %", (sd.exp() - 1.0) * 100.0);
    let of = share.map(|share| format!("{:.0} % of the variance goes with", share * 100.0)).unwrap_or_default();
    match source {
        NoiseSource::Steal => {
            format!("{scatter}; {of} CPU that the hypervisor took: --adjust-steal, longer trials or another host")
        }
        NoiseSource::Generator => {
            format!("{scatter}; {of} the load generator's own lag: a lower rate, or a CPU of its own for it")
        }
        NoiseSource::CpuPressure => {
            format!(
                "{scatter}; {of} time in which something waited for a CPU: a lower rate, or nothing else on this host"
            )
        }
        NoiseSource::Drift => format!("{scatter}; most of it is what changed between two times: measure side by side"),
        NoiseSource::Sampling => format!(
            "{scatter}; a trial has only about {:.0} requests beyond this quantile: longer trials, a higher rate or a lower quantile",
            tail.unwrap_or(0.0)
        ),
        NoiseSource::RunToRun => {
            format!("{scatter}, from one fresh start to the next, and no counter goes with it: more pairs")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(steal: f64, due: u64) -> TrialFigures {
        TrialFigures {
            trial: "t".into(),
            cell: "c".into(),
            block: 1,
            times_ns: Vec::new(),
            cpu: Reading::absent("x"),
            rss_bytes: Reading::absent("x"),
            due,
            bad: 0,
            steal_share: Reading::Seen(steal),
            steal_step: 0.001,
            cpu_pressure: Reading::absent("x"),
            lag_p99_ns: 1e5,
            invalid: None,
        }
    }

    fn cell(steal: &[f64], due: u64) -> CellTrials {
        CellTrials {
            cell: "c".into(),
            baseline_cell: Some("b".into()),
            label: "c".into(),
            candidate: steal.iter().map(|s| trial(*s, due)).collect(),
            baseline: steal.iter().map(|_| trial(0.01, due)).collect(),
        }
    }

    #[test]
    fn differences_that_follow_the_steal_are_put_down_to_it() {
        let steal = [0.01, 0.2, 0.05, 0.02, 0.1, 0.3, 0.015];
        let differences: Vec<f64> = steal.iter().map(|s| 0.3 * ((s + 0.001) / 0.011f64).ln()).collect();
        let noise = largest(&cell(&steal, 100_000), Metric::P99, &differences).unwrap();
        assert_eq!(noise.source, NoiseSource::Steal);
        assert!(noise.share.unwrap() > 0.99 && noise.evidence.contains("hypervisor"), "{noise:?}");
    }

    #[test]
    fn what_goes_with_nothing_is_of_the_runs_or_of_too_few_requests() {
        let differences = [0.1, -0.1, 0.1, -0.1, 0.1, -0.1];
        let steal = [0.1, 0.1, 0.2, 0.2, 0.3, 0.3];
        let noise = largest(&cell(&steal, 100_000), Metric::P99, &differences).unwrap();
        assert_eq!((noise.source, noise.share), (NoiseSource::RunToRun, None));
        let noise = largest(&cell(&steal, 1000), Metric::P99, &differences).unwrap();
        assert_eq!(noise.source, NoiseSource::Sampling);
        assert!(noise.evidence.contains("about 10 requests"), "{noise:?}");
        assert_eq!(largest(&cell(&steal, 1), Metric::P99, &[0.1]), None);
    }
}
