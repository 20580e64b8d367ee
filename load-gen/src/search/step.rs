//! One step of a search: what was seen at a rate, and whether the SLO held.

use record::{LoadSummary, Quantiles, Verdict, WarningKind};
use serde::Serialize;

use super::slo::{Clause, Quantile, Slo};

/// The share of the requests due that may be unanswered when the last is due, beyond those on their way.
const MAY_BE_MISSING: f64 = 0.02;
/// So many may be missing however few are due: a queue that holds still is now and then as long.
const MAY_BE_MISSING_ALWAYS: f64 = 10.0;

/// What a step was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// To find a rate that holds and one that breaks.
    Probe,
    /// To find out more where the limit is believed to be.
    Refine,
    /// A longer run, to see whether it is so.
    Confirm,
    /// A rung of a ladder.
    Rung,
}

/// How an SLO was broken.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Broken {
    /// Responses took too long.
    Response {
        /// Which clause.
        quantile: Quantile,
        /// What was seen.
        found_ns: u64,
        /// What was allowed.
        limit_ns: u64,
    },
    /// Too many requests failed, had no end, or were answered outside 200 to 399.
    Errors {
        /// What was seen, in per cent of the requests due.
        found_percent: f64,
        /// What was allowed.
        limit_percent: f64,
    },
    /// Answers came more slowly than requests fell due: a queue grew, and with it every response time in the end.
    Rate {
        /// Answers.
        achieved_per_second: f64,
        /// Requests.
        due_per_second: f64,
    },
    /// Nothing fell due, so nothing was seen.
    NothingDue,
}

/// What was seen at one rate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// What it was for.
    pub phase: Phase,
    /// The rate asked for.
    pub rate_per_second: f64,
    /// The rate that arrivals were drawn at, as it came out: by chance another with Poisson arrivals.
    pub due_per_second: f64,
    /// Answers within the time, over the time.
    pub achieved_per_second: f64,
    /// How long requests fell due.
    pub duration_s: f64,
    /// The seed of its arrivals.
    pub seed: u64,
    /// Requests due.
    pub due: u64,
    /// From intended to done.
    pub response_ns: Quantiles,
    /// Requests failed, without an end, or answered outside 200 to 399, in per cent of those due.
    pub errors_percent: f64,
    /// Whether the generator's figures can be taken for the target's.
    pub verdict: Verdict,
    /// The SLO broke because the generator was late: this says nothing of the target.
    pub generator_limited: bool,
    /// How the SLO was broken; it held where this is empty.
    pub broken: Vec<Broken>,
}

impl Slo {
    /// How a load broke it; empty if it held.
    pub fn broken_by(&self, load: &LoadSummary) -> Vec<Broken> {
        let rate = load.rate_per_second.unwrap_or(load.achieved_per_second);
        let mut broken = Step::new(Phase::Rung, rate, load, Some(self), load.service_ns.p50).broken;
        // A closed loop, and whatever else kept up, has no queue that could grow.
        broken.retain(|b| load.rate_per_second.is_some() || !matches!(b, Broken::Rate { .. }));
        broken
    }
}

impl Step {
    /// Whether every clause held, and answers kept up with requests.
    pub fn held(&self) -> bool {
        self.broken.is_empty()
    }

    /// Judges a load. `base_ns` is the median response time without a queue, so far as it is known: with it, the
    /// requests that are only on their way at the end are not taken for a queue.
    pub(super) fn new(phase: Phase, rate_per_second: f64, load: &LoadSummary, slo: Option<&Slo>, base_ns: u64) -> Self {
        let seconds = (load.duration_ns as f64 / 1e9).max(1e-9);
        let mut step = Self {
            phase,
            rate_per_second,
            due_per_second: load.due as f64 / seconds,
            achieved_per_second: load.achieved_per_second,
            duration_s: seconds,
            seed: load.seed,
            due: load.due,
            response_ns: load.response_ns,
            errors_percent: 100.0 * errors(load) as f64 / load.due.max(1) as f64,
            verdict: load.verdict,
            generator_limited: false,
            broken: Vec::new(),
        };
        step.broken = step.breaks(load, slo, base_ns);
        // What held held in spite of a late generator: response times contain its lag.
        step.generator_limited =
            !step.held() && generator_was_late(load) && step.broken.iter().all(|broken| may_be_by_lag(broken, load));
        step
    }

    fn breaks(&self, load: &LoadSummary, slo: Option<&Slo>, base_ns: u64) -> Vec<Broken> {
        if self.due == 0 {
            return vec![Broken::NothingDue];
        }
        let clauses = slo.map(Slo::clauses).unwrap_or_default();
        let mut broken: Vec<Broken> = clauses.iter().filter_map(|clause| self.breaks_clause(clause)).collect();
        let on_their_way = self.due_per_second * base_ns as f64 / 1e9;
        let missing = self.due as f64 - self.achieved_per_second * self.duration_s;
        // A refusal is no queue; where there is a clause on errors, it judges them.
        let judged = clauses.iter().any(|c| matches!(c, Clause::Errors { .. }));
        let refused = if judged { load.outcomes.connect_failed + load.outcomes.reset } else { 0 };
        let may_be = (MAY_BE_MISSING * self.due as f64).max(MAY_BE_MISSING_ALWAYS);
        if missing > may_be + on_their_way + refused as f64 {
            let Self { achieved_per_second, due_per_second, .. } = *self;
            broken.push(Broken::Rate { achieved_per_second, due_per_second });
        }
        broken
    }

    fn breaks_clause(&self, clause: &Clause) -> Option<Broken> {
        match *clause {
            Clause::Response { quantile, limit_ns } => {
                let found_ns = quantile.of(&self.response_ns);
                (found_ns > limit_ns).then_some(Broken::Response { quantile, found_ns, limit_ns })
            }
            Clause::Errors { limit_percent } => {
                let found_percent = self.errors_percent;
                (found_percent > limit_percent).then_some(Broken::Errors { found_percent, limit_percent })
            }
        }
    }
}

fn errors(load: &LoadSummary) -> u64 {
    load.outcomes.failed() + load.outcomes.error_statuses() + load.censored
}

/// Whether a clause might have held without the generator's lag. One that breaks without it is the target's doing, however
/// late the generator was.
fn may_be_by_lag(broken: &Broken, load: &LoadSummary) -> bool {
    match broken {
        Broken::Response { quantile, found_ns, limit_ns } => {
            found_ns.saturating_sub(quantile.of(&load.lag_ns.ours)) <= *limit_ns
        }
        Broken::Errors { .. } | Broken::Rate { .. } | Broken::NothingDue => true,
    }
}

/// Whether the generator's own lag was what the response times show.
fn generator_was_late(load: &LoadSummary) -> bool {
    load.verdict == Verdict::Invalid
        && load.warnings.iter().any(|w| w.kind == WarningKind::GeneratorLagged)
        // Invalid may have another reason, and the lag be a small part of an overload.
        && load.lag_ns.ours.p99 > load.response_ns.p99 / 2
}
