//! What is said of a metric with the hypervisor's steal accounted for, and the guard that may refuse it.
//!
//! Only what comes from outside of the cells may be accounted for: never throttling or CPU of the proxies themselves, and
//! no metric but response times.

use super::figures::{CellTrials, TrialFigures};
use super::item::{change, of_decision};
use super::{GateVerdict, StealAdjusted};
use crate::stats::sequential::{Judgement, Rule};
use crate::stats::steal::{GUARD, PAIRS_FOR_A_SLOPE, judge_adjusted, signals};

/// The differences judged with the steal taken out, and what is said of it. Without a judgement the raw one stands.
pub(super) fn adjusted(rule: &Rule, pairs: &CellTrials, differences: &[f64]) -> (Option<Judgement>, StealAdjusted) {
    let refused = |reason: String| {
        (None, StealAdjusted { verdict: None, change: None, slope: None, guard_p: None, used: false, reason })
    };
    let share = |t: &TrialFigures| t.steal_share.seen().map(|share| share.max(0.0));
    let of_pair = |(candidate, baseline)| Some((share(baseline)?, share(candidate)?));
    let Some(shares) = pairs.candidate.iter().zip(&pairs.baseline).map(of_pair).collect::<Option<Vec<_>>>() else {
        let why = pairs.candidate.iter().chain(&pairs.baseline).find_map(|t| t.steal_share.reason());
        return refused(format!("steal is not known here: {}", why.unwrap_or("no reading")));
    };
    if shares.iter().all(|(baseline, candidate)| baseline + candidate == 0.0) {
        return refused("there was no steal to account for".to_owned());
    }
    let tick = pairs.candidate.iter().map(|t| t.steal_step).fold(f64::MIN_POSITIVE, f64::max);
    let found = judge_adjusted(rule, differences, &signals(&shares, tick), None);
    let (guard_p, slope) = (found.guard_p, found.slope);
    let Some(judgement) = found.adjusted else {
        let (_, said) = refused(format!(
            "the candidate's trials had another steal than the baseline's (p = {guard_p:.3}, under {GUARD}), which it may have caused itself: the raw verdict stands"
        ));
        return (None, StealAdjusted { guard_p: Some(guard_p), slope, ..said });
    };
    let reason = match slope {
        Some(slope) => {
            format!("the metric goes with the power {slope:.2} of the steal, and both sides had the same of it")
        }
        None => format!("nothing is taken out before the slope is known, from {PAIRS_FOR_A_SLOPE} pairs on"),
    };
    let verdict: GateVerdict = of_decision(judgement.decision);
    let change = Some(change(&judgement));
    let said = StealAdjusted { verdict: Some(verdict), change, slope, guard_p: Some(guard_p), used: true, reason };
    (Some(judgement), said)
}
