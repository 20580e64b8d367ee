//! What must hold: bounds on response times and on errors, and by how much a trial kept or broke them.

use record::Quantiles;
use serde::{Deserialize, Serialize};

use crate::gate::Metric;
use crate::{Error, Result};

/// A bound that a trial must keep.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Clause {
    /// Of what: a response time, or errors.
    pub metric: Metric,
    /// At most so much: nanoseconds of a response time, a share (0 to 1) of errors.
    pub limit: f64,
}

/// Every bound that must hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Slo {
    clauses: Vec<Clause>,
}

/// How a trial stands to an SLO.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// The logarithm of the worst response time over its bound: at most 0 where all hold.
    pub excess: f64,
    /// Whether it broke in a way that has no middle: errors, or answers that did not keep up with requests.
    pub wall: bool,
}

impl Standing {
    /// Whether the trial held.
    pub fn holds(&self) -> bool {
        !self.wall && self.excess <= 0.0
    }
}

impl Slo {
    /// The SLO of these bounds.
    ///
    /// # Errors
    /// [`Error::PlanAsked`] where there is none, where one is of what is no promise to users, or where two are of one thing.
    pub fn new(clauses: Vec<Clause>) -> Result<Self> {
        let refuse = |problem: String| {
            Err(Error::PlanAsked { problem, remedy: "bounds of p50, p90, p99, p999 and errors: p99=25ms,errors=0.1%" })
        };
        if !clauses.iter().any(|c| c.metric.is_time()) {
            return refuse("--slo bounds no response time, so that no rate can be told to be too high".to_owned());
        }
        for (at, clause) in clauses.iter().enumerate() {
            if !clause.metric.is_time() && clause.metric != Metric::Errors {
                return refuse(format!("--slo {}: what a proxy uses is what a plan finds out", clause.metric));
            }
            if clauses.iter().take(at).any(|c| c.metric == clause.metric) {
                return refuse(format!("--slo bounds {} twice", clause.metric));
            }
        }
        Ok(Self { clauses })
    }

    /// The bounds, as they were asked for.
    pub fn clauses(&self) -> &[Clause] {
        &self.clauses
    }

    /// The first bound of a response time, which every SLO has.
    pub(crate) fn time(&self) -> Option<Clause> {
        self.clauses.iter().copied().find(|c| c.metric.is_time())
    }

    /// How a trial stands to it.
    pub fn standing(&self, response_ns: &Quantiles, error_rate: f64, kept_up: bool) -> Standing {
        let mut standing = Standing { excess: f64::NEG_INFINITY, wall: !kept_up };
        for clause in &self.clauses {
            let value = match clause.metric {
                Metric::P50 => response_ns.p50,
                Metric::P90 => response_ns.p90,
                Metric::P999 => response_ns.p999,
                Metric::P99 | Metric::Cpu | Metric::Rss => response_ns.p99,
                Metric::Errors => {
                    standing.wall |= error_rate > clause.limit;
                    continue;
                }
            };
            standing.excess = standing.excess.max((value.max(1) as f64 / clause.limit).ln());
        }
        standing
    }

    /// As it is written on the command line: `p99=25ms,errors=0.1%`.
    pub fn text(&self) -> String {
        let shown = |c: &Clause| match c.metric {
            Metric::Errors => format!("errors={}%", trimmed(c.limit * 100.0)),
            _ if c.limit < 1e6 => format!("{}={}us", c.metric, trimmed(c.limit / 1e3)),
            _ => format!("{}={}ms", c.metric, trimmed(c.limit / 1e6)),
        };
        self.clauses.iter().map(shown).collect::<Vec<_>>().join(",")
    }
}

/// At most three digits behind the point, and no zeros at the end.
pub(crate) fn trimmed(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slo() -> Slo {
        let clause = |metric, limit| Clause { metric, limit };
        Slo::new(vec![clause(Metric::P99, 25e6), clause(Metric::Errors, 0.001)]).unwrap()
    }

    fn at(p99_ms: f64) -> Quantiles {
        Quantiles { p50: 1, p90: 1, p99: (p99_ms * 1e6) as u64, p999: u64::MAX, max: u64::MAX }
    }

    #[test]
    fn a_trial_holds_where_every_bound_does() {
        assert!(slo().standing(&at(25.0), 0.001, true).holds());
        assert!(!slo().standing(&at(25.1), 0.0, true).holds());
        assert!(!slo().standing(&at(1.0), 0.0011, true).holds());
        assert!(!slo().standing(&at(1.0), 0.0, false).holds(), "a queue that grows holds nothing");
        let excess = slo().standing(&at(50.0), 0.0, true).excess;
        assert!((excess - 2f64.ln()).abs() < 1e-9, "{excess}");
    }

    #[test]
    fn it_is_shown_as_it_is_asked_for() {
        assert_eq!(slo().text(), "p99=25ms,errors=0.1%");
    }

    #[test]
    fn what_is_no_promise_to_users_is_refused_with_the_way_out() {
        let clause = |metric| Clause { metric, limit: 1.0 };
        for (clauses, said) in [
            (vec![], "no response time"),
            (vec![clause(Metric::Errors)], "no response time"),
            (vec![clause(Metric::P99), clause(Metric::Cpu)], "cpu"),
            (vec![clause(Metric::P99), clause(Metric::P99)], "p99 twice"),
        ] {
            let error = Slo::new(clauses).unwrap_err().to_string();
            assert!(error.contains(said) && error.contains("\n  try: "), "{error}");
        }
    }
}
