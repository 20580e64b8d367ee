//! One question about one cell: the differences that answer it, and the answer.

use super::errors::{self, Errors};
use super::figures::CellTrials;
use super::judge::{Asked, value};
use super::{GateVerdict, Metric, MetricVerdict, Question, noise, steal, words};
use crate::stats::power;
use crate::stats::sequential::{Decision, Judgement, Rule};
use crate::stats::{Estimate, Scale};

/// Trials that may lack a metric before it is given up.
const TRIES: usize = 3;

/// A question about a cell, with what its trials say.
pub(super) struct Item<'a> {
    pub(super) cell: &'a CellTrials,
    pub(super) metric: Metric,
    pub(super) question: Question,
    pub(super) primary: bool,
    /// Differences of logarithms in the order of the trials; none where there is not one.
    pub(super) differences: Option<Vec<f64>>,
    /// Why trials lack the metric, of the first that does.
    lack: Option<String>,
    errors: Option<Errors>,
    /// The trials that the differences are of: whole pairs, or those of the candidate against a bound.
    pairs: CellTrials,
    alpha_of_errors: f64,
}

impl<'a> Item<'a> {
    pub(super) fn of(asked: &Asked, cell: &'a CellTrials, metric: Metric, question: Question, cells: usize) -> Self {
        let mut item = Self {
            cell,
            metric,
            question,
            primary: false,
            differences: None,
            lack: None,
            errors: None,
            pairs: CellTrials { candidate: Vec::new(), baseline: Vec::new(), ..cell.clone() },
            alpha_of_errors: asked.alpha_of_errors(cells),
        };
        if metric == Metric::Errors {
            if let Question::Slo { limit } = question {
                let trials: Vec<(u64, u64)> = cell.candidate.iter().map(|t| (t.bad, t.due)).collect();
                let levels = (item.alpha_of_errors, asked.beta);
                item.errors = Some(errors::judge(&trials, limit, levels, asked.pairs_max));
            }
            return item;
        }
        let mut differences = Vec::new();
        for (at, candidate) in cell.candidate.iter().enumerate() {
            let baseline = cell.baseline.get(at).filter(|_| matches!(question, Question::Regress { .. }));
            let reference = match (question, baseline) {
                (Question::Slo { limit }, _) => Ok(limit),
                (Question::Regress { .. }, Some(baseline)) => baseline.value(metric),
                (Question::Regress { .. }, None) => Err("its pair is not made".to_owned()),
            };
            match (candidate.value(metric), reference) {
                (Ok(value), Ok(reference)) => {
                    differences.push((value / reference).ln());
                    item.pairs.candidate.push(candidate.clone());
                    item.pairs.baseline.extend(baseline.cloned());
                }
                (Err(why), _) | (_, Err(why)) => item.lack = item.lack.or(Some(why)),
            }
        }
        if !differences.is_empty() {
            item.differences = Some(differences);
        }
        item
    }

    /// The answer, and whether more pairs would change nothing about it. Of a family of so many.
    pub(super) fn verdict(
        &self,
        asked: &Asked,
        raw: Option<&(Rule, Judgement)>,
        family: usize,
    ) -> (MetricVerdict, bool) {
        if let Some(errors) = &self.errors {
            return self.of_errors(asked, errors);
        }
        let Some((rule, judgement)) = raw else {
            // What no trial so far could measure, none will; without a trial there is nothing to go by.
            return (self.unmeasured(asked), self.cell.candidate.len() >= TRIES);
        };
        let mut metric = self.of_judgement(asked, rule, judgement);
        let mut decided = judgement.decision.is_final();
        let paired = matches!(self.question, Question::Regress { .. });
        if let (Some(differences), true) = (&self.differences, asked.adjust_steal && paired && self.metric.is_time()) {
            // Each on its own, with an equal part of alpha.
            let rule = Rule { alpha: rule.alpha / family.max(1) as f64, ..*rule };
            let (adjusted, said) = steal::adjusted(&rule, &self.pairs, differences);
            if let Some(judgement) = adjusted {
                metric.verdict = of_decision(judgement.decision);
                metric.decided_at = decided_at(&judgement);
                metric.change = Some(change(&judgement));
                (metric.p_slower, metric.p_below) = (Some(judgement.p_slower), Some(judgement.p_below));
                metric.reason = format!("{}, with the steal accounted for", words::reason(self, &rule, &judgement));
                decided = judgement.decision.is_final();
            }
            metric.steal_adjusted = Some(said);
        }
        (metric, decided)
    }

    fn blank(&self, asked: &Asked) -> MetricVerdict {
        MetricVerdict {
            baseline_cell: self.cell.baseline_cell.clone(),
            primary: self.primary,
            candidate: value(&self.cell.candidate, self.metric, asked.level),
            baseline: value(&self.cell.baseline, self.metric, asked.level),
            ..MetricVerdict::blank(&self.cell.cell, &self.cell.label, self.metric, self.question)
        }
    }

    fn unmeasured(&self, asked: &Asked) -> MetricVerdict {
        let why = self.lack.as_deref().unwrap_or("there is no trial of it");
        MetricVerdict { reason: format!("{} was not measured: {why}", self.metric.label()), ..self.blank(asked) }
    }

    fn of_judgement(&self, asked: &Asked, rule: &Rule, judgement: &Judgement) -> MetricVerdict {
        let verdict = of_decision(judgement.decision);
        let differences = self.differences.as_deref().unwrap_or_default();
        let sd = power::spread(differences);
        let paired = matches!(self.question, Question::Regress { .. });
        MetricVerdict {
            verdict,
            raw_verdict: verdict,
            n: judgement.pairs,
            decided_at: decided_at(judgement),
            change: Some(change(judgement)),
            p_slower: Some(judgement.p_slower),
            p_below: Some(judgement.p_below),
            minimum_detectable: sd.and_then(|sd| power::detectable_by(rule, sd)),
            pairs_needed: sd.filter(|_| paired).and_then(|sd| power::pairs_needed(rule, sd)),
            smallest_limit: sd.filter(|_| paired).and_then(|sd| power::limit_decidable(rule, sd)),
            noise: noise::largest(&self.pairs, self.metric, differences),
            reason: words::reason(self, rule, judgement),
            ..self.blank(asked)
        }
    }

    fn of_errors(&self, asked: &Asked, errors: &Errors) -> (MetricVerdict, bool) {
        let Question::Slo { limit } = self.question else { return (self.unmeasured(asked), true) };
        let verdict = errors.decided.map_or(GateVerdict::Inconclusive, |(_, verdict)| verdict);
        let shares: Vec<f64> =
            self.cell.candidate.iter().filter(|t| t.due > 0).map(|t| t.bad as f64 / t.due as f64).collect();
        let n = self.cell.candidate.len();
        let decided_at = errors.decided.map(|(look, _)| look);
        let metric = MetricVerdict {
            verdict,
            raw_verdict: verdict,
            n,
            decided_at,
            candidate: Estimate::over(&shares, Scale::Plain, asked.level).map(|e| e.within(0.0, 1.0)),
            baseline: None,
            counted: Some(errors.counted),
            p_slower: Some(errors.p_over.min(1.0)),
            p_below: Some(errors.p_under.min(1.0)),
            p_slower_adjusted: Some((errors.p_over * asked.alpha / self.alpha_of_errors).min(1.0)),
            reason: words::of_errors(&errors.counted, limit, verdict),
            ..self.blank(asked)
        };
        (metric, decided_at.is_some() || n >= asked.pairs_max)
    }
}

pub(super) fn of_decision(decision: Decision) -> GateVerdict {
    match decision {
        Decision::Fail => GateVerdict::Fail,
        Decision::Pass => GateVerdict::Pass,
        Decision::Continue | Decision::Futile | Decision::Spent => GateVerdict::Inconclusive,
    }
}

fn decided_at(judgement: &Judgement) -> Option<usize> {
    matches!(judgement.decision, Decision::Fail | Decision::Pass).then_some(judgement.look)
}

/// A ratio as a change.
pub(super) fn change(judgement: &Judgement) -> Estimate {
    let ratio = judgement.ratio;
    Estimate { value: ratio.value - 1.0, low: ratio.low.map(|v| v - 1.0), high: ratio.high.map(|v| v - 1.0), ..ratio }
}
