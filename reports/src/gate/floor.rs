//! The baseline against itself: the smallest limits that this machine can tell.

use super::judge::{Judged, overall};
use super::words::{change, percent};
use super::{GateVerdict, Question};

/// Turns the verdicts of an A/A comparison into those on its limits: a limit passes if the budget settles it with a
/// probability of 80 %, and fails if it lies below the noise floor. Returns what is doubted: a difference where there is
/// none.
pub fn noise_floor(judged: &mut Judged, pairs_max: usize) -> Vec<String> {
    let mut doubts = Vec::new();
    for metric in &mut judged.metrics {
        let Question::Regress { limit, .. } = metric.question else { continue };
        let name = format!("{} of {}", metric.metric.label(), metric.label);
        if let Some(seen) = metric.change.filter(|seen| seen.excludes(0.0)) {
            doubts.push(format!(
                "{name} differs from itself by {}: with luck, or something tells the two sides apart",
                change(&seen)
            ));
        }
        metric.decided_at = None;
        let Some(least) = metric.smallest_limit else {
            metric.verdict = GateVerdict::Inconclusive;
            continue;
        };
        let told = format!("{pairs_max} pairs settle limits from {} on", percent(least));
        (metric.verdict, metric.reason) = if limit >= least {
            (GateVerdict::Pass, format!("{told}: that of {} can be told here", percent(limit)))
        } else {
            (GateVerdict::Fail, format!("{told}: that of {} is below the noise floor", percent(limit)))
        };
    }
    judged.verdict = overall(&judged.metrics);
    doubts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::{Metric, MetricVerdict};
    use crate::stats::Estimate;

    fn judged(smallest: Option<f64>, low: f64) -> Judged {
        let metric = MetricVerdict {
            smallest_limit: smallest,
            change: Some(Estimate { value: 0.01, low: Some(low), high: Some(0.05), level: 0.9, n: 20 }),
            ..MetricVerdict::blank("c", "envoy", Metric::P99, Question::Regress { limit: 0.1, tolerance: 0.0 })
        };
        Judged { metrics: vec![metric], verdict: GateVerdict::Inconclusive, settled: true }
    }

    #[test]
    fn a_limit_below_the_noise_floor_is_refused() {
        for (smallest, verdict, said) in [
            (Some(0.07), GateVerdict::Pass, "20 pairs settle limits from 7 % on: that of 10 % can be told here"),
            (
                Some(0.125),
                GateVerdict::Fail,
                "20 pairs settle limits from 12.5 % on: that of 10 % is below the noise floor",
            ),
            (None, GateVerdict::Inconclusive, ""),
        ] {
            let mut judged = judged(smallest, -0.03);
            assert!(noise_floor(&mut judged, 20).is_empty());
            assert_eq!((judged.verdict, judged.metrics[0].reason.as_str()), (verdict, said));
        }
        let doubts = noise_floor(&mut judged(Some(0.07), 0.002), 20);
        assert!(doubts[0].starts_with("p99 of envoy differs from itself by +1.00 %"), "{doubts:?}");
    }
}
