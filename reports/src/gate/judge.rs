//! The verdicts on pairs of trials, and on trials against a bound of their own.

use super::figures::{CellTrials, TrialFigures};
use super::item::Item;
use super::{GateVerdict, Metric, MetricVerdict, Question};
use crate::stats::holm;
use crate::stats::sequential::{Judgement, Rule, judge_family};

/// What is asked, and how sure the answer must be.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// The questions in the order in which they were put: the first is the primary one.
    pub questions: Vec<(Metric, Question)>,
    /// The chance to fail what is no worse than the tolerance, over all metrics of all cells.
    pub alpha: f64,
    /// The chance to pass what is as bad as a limit.
    pub beta: f64,
    /// Pairs of trials at most.
    pub pairs_max: usize,
    /// The level of the intervals of values.
    pub level: f64,
    /// Whether the hypervisor's steal is accounted for.
    pub adjust_steal: bool,
}

/// The verdicts after some pairs.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// Each question of each cell, the primary first.
    pub metrics: Vec<MetricVerdict>,
    /// A fail if any fails, a pass if all pass.
    pub verdict: GateVerdict,
    /// Whether more pairs would change nothing: it failed, or each question is answered or given up.
    pub settled: bool,
}

impl Asked {
    /// The part of alpha that each question about errors has. The others are one family with the rest.
    pub(super) fn alpha_of_errors(&self, cells: usize) -> f64 {
        self.alpha / (self.questions.len() * cells).max(1) as f64
    }

    fn alpha_of_family(&self, cells: usize) -> f64 {
        let of_errors = self.questions.iter().filter(|(metric, _)| *metric == Metric::Errors).count();
        self.alpha - self.alpha_of_errors(cells) * (of_errors * cells) as f64
    }

    /// The rule for one question. A bound of its own is a limit of nothing on the differences to it.
    fn rule(&self, question: Question, cells: usize) -> Rule {
        let (limit, tolerance) = match question {
            Question::Regress { limit, tolerance } => (limit, tolerance),
            Question::Slo { .. } => (0.0, 0.0),
        };
        Rule { limit, tolerance, alpha: self.alpha_of_family(cells), beta: self.beta, pairs_max: self.pairs_max }
    }
}

/// Judges the trials so far.
///
/// Errors are counted and have their own part of alpha; all other questions are one family, and the chance that any of
/// it fails without cause is the rest of alpha (Holm). To pass, each must pass at beta, which needs no correction.
pub fn judge(asked: &Asked, cells: &[CellTrials]) -> Judged {
    let mut items: Vec<Item<'_>> = Vec::new();
    for (metric, question) in &asked.questions {
        items.extend(cells.iter().map(|cell| Item::of(asked, cell, *metric, *question, cells.len())));
    }
    if let Some(first) = items.first_mut() {
        first.primary = true;
    }
    let raw = family(asked, cells.len(), &items);
    let members = raw.iter().flatten().count();
    let mut settled = true;
    let mut metrics = Vec::new();
    for (item, raw) in items.iter().zip(&raw) {
        let (mut metric, decided) = item.verdict(asked, raw.as_ref(), members);
        if let (GateVerdict::Pass, true, Some(why)) = (metric.verdict, metric.metric.is_time(), item.cell.more_errors())
        {
            (metric.verdict, metric.decided_at, metric.reason) = (GateVerdict::Inconclusive, None, why);
        }
        settled &= decided;
        metrics.push(metric);
    }
    correct(&mut metrics);
    let verdict = overall(&metrics);
    Judged { metrics, verdict, settled: settled || verdict == GateVerdict::Fail }
}

/// The judgements of all items that have differences, as one family.
fn family(asked: &Asked, cells: usize, items: &[Item<'_>]) -> Vec<Option<(Rule, Judgement)>> {
    let rules: Vec<Option<(Rule, &[f64])>> =
        items.iter().map(|item| Some((asked.rule(item.question, cells), item.differences.as_deref()?))).collect();
    let members: Vec<(Rule, &[f64])> = rules.iter().flatten().copied().collect();
    let mut judged = judge_family(&members).into_iter();
    rules.into_iter().map(|rule| rule.and_then(|(rule, _)| Some((rule, judged.next()?)))).collect()
}

/// Puts the levels corrected by Holm beside those of each metric on its own; errors are a family of their own.
pub(super) fn correct(metrics: &mut [MetricVerdict]) {
    let of_family = |m: &&mut MetricVerdict| m.metric != Metric::Errors && m.p_slower.is_some();
    let mut family: Vec<&mut MetricVerdict> = metrics.iter_mut().filter(of_family).collect();
    let levels: Vec<f64> = family.iter().filter_map(|m| m.p_slower).collect();
    for (metric, adjusted) in family.iter_mut().zip(holm::adjusted(&levels)) {
        metric.p_slower_adjusted = Some(adjusted);
    }
}

/// A fail if any fails, a pass if all pass, and otherwise neither; of no question at all neither.
pub fn overall(metrics: &[MetricVerdict]) -> GateVerdict {
    let has = |verdict| metrics.iter().any(|m| m.verdict == verdict);
    match metrics {
        [] => GateVerdict::Inconclusive,
        _ if has(GateVerdict::Fail) => GateVerdict::Fail,
        _ if has(GateVerdict::Inconclusive) => GateVerdict::Inconclusive,
        _ => GateVerdict::Pass,
    }
}

/// The values of a metric in trials, as a figure; none where no trial has it.
pub(super) fn value(trials: &[TrialFigures], metric: Metric, level: f64) -> Option<crate::stats::Estimate> {
    let values: Vec<f64> = trials.iter().filter_map(|t| t.value(metric).ok()).collect();
    crate::stats::Estimate::over(&values, crate::stats::Scale::Factor, level)
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
