//! How requests ended, one by one and counted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How one request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A whole response came, with this status.
    Answered(u16),
    /// No connection could be made.
    ConnectFailed,
    /// The connection broke, or what came was no response.
    Reset,
    /// It took longer than the request timeout.
    TimedOut,
    /// The run ended first.
    CutByDeadline,
}

/// Requests counted by how they ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Outcomes {
    /// Whole responses, by status.
    pub answered: BTreeMap<u16, u64>,
    /// No connection could be made.
    pub connect_failed: u64,
    /// The connection broke, or what came was no response.
    pub reset: u64,
    /// Longer than the request timeout.
    pub timed_out: u64,
    /// The run ended first.
    pub cut_by_deadline: u64,
}

impl Outcomes {
    /// Counts one more.
    pub fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Answered(status) => *self.answered.entry(status).or_default() += 1,
            Outcome::ConnectFailed => self.connect_failed += 1,
            Outcome::Reset => self.reset += 1,
            Outcome::TimedOut => self.timed_out += 1,
            Outcome::CutByDeadline => self.cut_by_deadline += 1,
        }
    }

    /// Adds the counts of others.
    pub fn add(&mut self, others: &Outcomes) {
        let Outcomes { answered, connect_failed, reset, timed_out, cut_by_deadline } = others;
        let add = |sum: &mut u64, n: &u64| *sum = sum.saturating_add(*n);
        for (status, n) in answered {
            add(self.answered.entry(*status).or_default(), n);
        }
        add(&mut self.connect_failed, connect_failed);
        add(&mut self.reset, reset);
        add(&mut self.timed_out, timed_out);
        add(&mut self.cut_by_deadline, cut_by_deadline);
    }

    /// Requests with a whole response, whatever its status.
    pub fn answered_total(&self) -> u64 {
        sum(self.answered.values().copied())
    }

    /// Requests that failed: no connection, reset, timed out.
    pub fn failed(&self) -> u64 {
        let Outcomes { answered: _, connect_failed, reset, timed_out, cut_by_deadline: _ } = self;
        sum([*connect_failed, *reset, *timed_out])
    }

    /// Requests answered with a status outside 200 to 399.
    pub fn error_statuses(&self) -> u64 {
        sum(self.answered.iter().filter(|(status, _)| !(200..400).contains(*status)).map(|(_, n)| *n))
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        sum([self.answered_total(), self.failed(), self.cut_by_deadline])
    }
}

/// Stops at the largest number: a file may say anything, and what has gone round would look like a count.
fn sum(counts: impl IntoIterator<Item = u64>) -> u64 {
    counts.into_iter().fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_the_same_in_any_order_and_lose_nothing() {
        let all = [
            Outcome::Answered(200),
            Outcome::Answered(503),
            Outcome::ConnectFailed,
            Outcome::Reset,
            Outcome::TimedOut,
            Outcome::CutByDeadline,
        ];
        let mut one = Outcomes::default();
        let mut two = Outcomes::default();
        for (i, o) in all.iter().enumerate() {
            if i % 2 == 0 { one.count(*o) } else { two.count(*o) }
        }
        let (mut a, mut b) = (one.clone(), two.clone());
        a.add(&two);
        b.add(&one);
        assert_eq!(a, b);
        assert_eq!((a.total(), a.answered_total(), a.failed(), a.error_statuses()), (6, 2, 3, 1));
    }
}
