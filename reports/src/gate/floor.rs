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
