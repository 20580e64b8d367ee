//! The sentences of a gate.

use record::WarningKind;

use super::item::Item;
use super::{Counted, GateVerdict, Metric, MetricVerdict, Purpose, Question};
use crate::figure::digits;
use crate::findings::Findings;
use crate::stats::Estimate;
use crate::stats::sequential::{Decision, Judgement, Rule};
use crate::tables;

/// A change for people: "+3.1 % [-2.0, +9.4]".
pub fn change(change: &Estimate) -> String {
    let value = format!("{} %", signed(change.value));
    match (change.low, change.high) {
        (Some(low), Some(high)) => format!("{value} [{}, {}]", signed(low), signed(high)),
        (Some(low), None) => format!("{value} [{}, ..]", signed(low)),
        (None, Some(high)) => format!("{value} [.., {}]", signed(high)),
        (None, None) => value,
    }
}

/// A share as a number of percent with its sign: "+3.1".
fn signed(share: f64) -> String {
    let text = digits(share * 100.0);
    if share >= 0.0 && text != "0" { format!("+{text}") } else { text }
}

/// A limit for people: "5 %".
pub fn percent(share: f64) -> String {
    let text = format!("{:.2}", share * 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// What the limit is: "the limit of 5 %", "25.00 ms".
fn bound(metric: Metric, question: Question) -> String {
    match question {
        Question::Regress { limit, .. } => format!("the limit of {}", percent(limit)),
        Question::Slo { limit } => format!("the bound of {}", metric.shown(limit)),
    }
}

/// Why the verdict is what it is.
pub(super) fn reason(item: &Item<'_>, rule: &Rule, judgement: &Judgement) -> String {
    let (paired, unit) = match item.question {
        Question::Regress { .. } => (true, "pairs"),
        Question::Slo { .. } => (false, "trials"),
    };
    let ratio = judgement.ratio;
    let as_change = Estimate {
        value: ratio.value - 1.0,
        low: ratio.low.map(|v| v - 1.0),
        high: ratio.high.map(|v| v - 1.0),
        ..ratio
    };
    let seen = if paired {
        format!("{} changed by {}", item.metric.label(), change(&as_change))
    } else {
        format!("{} is {} from its bound", item.metric.label(), change(&as_change))
    };
    let bound = bound(item.metric, item.question);
    let over =
        if rule.tolerance > 0.0 { format!("by more than {}", percent(rule.tolerance)) } else { "at all".to_owned() };
    match judgement.decision {
        Decision::Fail if paired => {
            format!("{seen}: worse for sure, and at or over {bound} as far as {} {unit} tell", judgement.look)
        }
        Decision::Fail => format!("{seen}: over {bound} for sure, after {} {unit}", judgement.look),
        Decision::Pass => format!("{seen}: under {bound} for sure, after {} {unit}", judgement.look),
        Decision::Continue if judgement.look == 0 => {
            format!("{seen} in {} {unit}: too few to tell", judgement.pairs)
        }
        Decision::Continue | Decision::Spent if judgement.slower && paired => format!(
            "{seen}: worse for sure, but neither under {bound} for sure nor over it by the estimate, in {} {unit}",
            judgement.pairs
        ),
        Decision::Continue | Decision::Spent if paired => {
            format!("{seen}: neither worse {over} for sure nor under {bound} for sure, in {} {unit}", judgement.pairs)
        }
        Decision::Continue | Decision::Spent => {
            format!("{seen}: neither over nor under {bound} for sure, in {} {unit}", judgement.pairs)
        }
        Decision::Futile => format!(
            "{seen}: given up after {} {unit}, since those left would settle it in {:.0} of 100 cases only",
            judgement.look,
            judgement.chance_to_decide * 100.0
        ),
    }
}

/// Why errors are judged as they are.
pub(super) fn of_errors(counted: &Counted, limit: f64, verdict: GateVerdict) -> String {
    let Counted { bad, due, clustering } = *counted;
    let mut seen = format!("{bad} of {due} requests failed");
    if clustering > 1.5 {
        seen.push_str(&format!(", in clusters, so that they count as {:.0}", (due as f64 / clustering).floor()));
    }
    let bound = format!("the bound of {}", Metric::Errors.shown(limit));
    match verdict {
        GateVerdict::Fail => format!("{seen}: over {bound} for sure"),
        GateVerdict::Pass => format!("{seen}: under {bound} for sure"),
        GateVerdict::Inconclusive => format!("{seen}: neither over nor under {bound} for sure"),
    }
}

/// Why the verdict against stored runs is what it is.
pub(super) fn of_stored(metric: &MetricVerdict, found: &Estimate, limit: f64) -> String {
    let runs = match metric.n {
        1 => "one stored run".to_owned(),
        n => format!("{n} stored runs"),
    };
    let seen = format!("{} changed by {} against {runs}", metric.metric.label(), change(found));
    let limit = format!("the limit of {}", percent(limit));
    match metric.verdict {
        GateVerdict::Fail => format!("{seen}: worse than what drifts between runs explains, and at or over {limit}"),
        GateVerdict::Pass => format!("{seen}: under {limit}, with what drifts between runs allowed for"),
        GateVerdict::Inconclusive => format!("{seen}: what drifts between runs may hide or feign as much"),
    }
}

/// The answer of a gate in a sentence: the metric that decides it, in the words of its own verdict.
pub fn answer(purpose: Purpose, verdict: GateVerdict, metrics: &[MetricVerdict]) -> String {
    let worst = metrics.iter().max_by_key(|m| (m.verdict, m.primary));
    let of = worst.map(|m| format!("{}: {}", m.label, m.reason));
    let of = of.unwrap_or_else(|| "nothing was measured".to_owned());
    match (purpose, verdict) {
        (Purpose::SelfTest, GateVerdict::Pass) => format!("the delay that was put in was found; {of}"),
        (Purpose::SelfTest, _) => {
            format!("the delay that was put in was NOT found: here this gate cannot be relied on; {of}")
        }
        (Purpose::Gate | Purpose::NoiseFloor, GateVerdict::Pass) if metrics.len() > 1 => {
            format!("all {} limits are kept; {of}", metrics.len())
        }
        (Purpose::Gate | Purpose::NoiseFloor, _) => of,
    }
}

/// What is doubted about one of the runs, by the name that it has in the gate. That it has few trials, and no unmeshed cell,
/// is no doubt of a gate.
pub fn doubts(name: &str, findings: &Findings) -> Vec<String> {
    let of_reports = [WarningKind::TooFewTrials, WarningKind::NoBaseline];
    let all = tables::doubts(findings).into_iter().filter(|doubt| !of_reports.contains(&doubt.first.kind));
    all.map(|doubt| format!("{name}: {}", doubt.evidence())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_have_their_sign_and_open_ends_are_shown() {
        let all = Estimate { value: 0.031, low: Some(-0.02), high: Some(0.094), level: 0.9, n: 9 };
        assert_eq!(change(&all), "+3.10 % [-2.00, +9.40]");
        assert_eq!(change(&Estimate { low: None, ..all }), "+3.10 % [.., +9.40]");
        assert_eq!(change(&Estimate { value: 0.0, low: None, high: None, ..all }), "0 %");
        assert_eq!((percent(0.05), percent(0.125), percent(1.0)), ("5 %".into(), "12.5 %".into(), "100 %".into()));
    }
}
