//! A tenth of a second of load: what was due, sent and answered in it, and how long it took.

use serde::{Deserialize, Serialize};

use crate::{Histogram, Outcomes, Phase, Result, Split};

/// The length of an interval: 100 ms.
pub const INTERVAL_NS: u64 = 100_000_000;

/// What was recorded in one window of the load, for the requests of one phase; a line of `intervals.jsonl`.
///
/// `due` and `sent` count by when that happened; histograms and outcomes count requests that *ended* in
/// the window. A request belongs to the phase in which it was due, so the interval at a boundary may be
/// written twice, once for each phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// The phase in which these requests were due.
    pub phase: Phase,
    /// Start of the window, CLOCK_MONOTONIC.
    pub start_ns: u64,
    /// Length of the window; 100 ms but for the last.
    pub length_ns: u64,
    /// Requests whose intended time lay in the window.
    pub due: u64,
    /// Requests written to a connection in the window.
    pub sent: u64,
    /// How those ended that ended in the window.
    pub outcomes: Outcomes,
    /// From intended to done, of all that ended (a failed or censored one as its age).
    pub response: Histogram,
    /// From sent to done, of those that were sent.
    pub service: Histogram,
    /// From sent to the first byte of the response, of those whose response began.
    #[serde(default)]
    pub first_byte: Histogram,
    /// From intended to sent, the generator's own part: it was late though a connection was free.
    pub lag_ours: Histogram,
    /// From intended to sent, the part spent waiting because no connection was free.
    pub lag_theirs: Histogram,
    /// The longest intended-to-sent among those sent in the window.
    pub worst_send_lag_ns: u64,
    /// The answers by the value of a response header, where they were to be split by one; what ended without an answer
    /// bore none.
    #[serde(default, skip_serializing_if = "Split::is_empty")]
    pub split: Split,
}

impl Interval {
    /// An empty window.
    pub fn empty(phase: Phase, start_ns: u64, length_ns: u64) -> Self {
        Self {
            phase,
            start_ns,
            length_ns,
            due: 0,
            sent: 0,
            outcomes: Outcomes::default(),
            response: Histogram::new(),
            service: Histogram::new(),
            first_byte: Histogram::new(),
            lag_ours: Histogram::new(),
            lag_theirs: Histogram::new(),
            worst_send_lag_ns: 0,
            split: Split::default(),
        }
    }

    /// Whether nothing at all happened in it.
    pub fn is_empty(&self) -> bool {
        self.due == 0 && self.sent == 0 && self.outcomes.total() == 0
    }

    /// Adds another window: the result spans both. The phase stays this one's.
    ///
    /// # Errors
    /// When the histograms do not fit, which those of one run always do.
    pub fn add(&mut self, other: &Interval) -> Result<()> {
        // Destructured, so that a new field does not compile until it is summed here.
        let Interval {
            phase: _,
            start_ns,
            length_ns,
            due,
            sent,
            outcomes,
            response,
            service,
            first_byte,
            lag_ours,
            lag_theirs,
            worst_send_lag_ns,
            split,
        } = other;
        // A file may say anything: what is too large stays at the largest, and does not go round.
        let end = self.start_ns.saturating_add(self.length_ns).max(start_ns.saturating_add(*length_ns));
        self.start_ns = self.start_ns.min(*start_ns);
        self.length_ns = end - self.start_ns;
        self.due = self.due.saturating_add(*due);
        self.sent = self.sent.saturating_add(*sent);
        self.outcomes.add(outcomes);
        self.response.add(response)?;
        self.service.add(service)?;
        self.first_byte.add(first_byte)?;
        self.lag_ours.add(lag_ours)?;
        self.lag_theirs.add(lag_theirs)?;
        self.worst_send_lag_ns = self.worst_send_lag_ns.max(*worst_send_lag_ns);
        self.split.add(split)
    }

    /// Makes it a new, empty window with the memory of the old one.
    pub fn clear(&mut self, start_ns: u64, length_ns: u64) {
        let Interval {
            phase: _,
            start_ns: start,
            length_ns: length,
            due,
            sent,
            outcomes,
            response,
            service,
            first_byte,
            lag_ours,
            lag_theirs,
            worst_send_lag_ns,
            split,
        } = self;
        *start = start_ns;
        *length = length_ns;
        *due = 0;
        *sent = 0;
        *outcomes = Outcomes::default();
        for h in [response, service, first_byte, lag_ours, lag_theirs] {
            h.clear();
        }
        *worst_send_lag_ns = 0;
        split.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Outcome;

    fn interval(start_ns: u64, ns: u64) -> Interval {
        let mut i = Interval::empty(Phase::Measure, start_ns, INTERVAL_NS);
        i.due = 3;
        i.sent = 2;
        i.outcomes.count(Outcome::Answered(200));
        i.outcomes.count(Outcome::TimedOut);
        i.response.record(ns);
        i.service.record(ns / 2);
        i.first_byte.record(ns / 5);
        i.lag_ours.record(ns / 3);
        i.lag_theirs.record(ns / 4);
        i.worst_send_lag_ns = ns / 3;
        i.split.count(if ns > 500 { b"v1" } else { b"v2" }, false, ns, ns / 2);
        i
    }

    #[test]
    fn merging_in_any_order_gives_the_same_interval() {
        let parts = [interval(0, 1000), interval(INTERVAL_NS, 5_000_000), interval(2 * INTERVAL_NS, 77)];
        let sum = |order: [usize; 3]| {
            let mut all = parts[order[0]].clone();
            all.add(&parts[order[1]]).unwrap();
            all.add(&parts[order[2]]).unwrap();
            all
        };
        let want = sum([0, 1, 2]);
        assert_eq!((want.due, want.sent, want.outcomes.total(), want.response.count()), (9, 6, 6, 3));
        assert_eq!((want.start_ns, want.length_ns, want.worst_send_lag_ns), (0, 3 * INTERVAL_NS, 1_666_666));
        for order in [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            assert_eq!(sum(order), want);
        }
    }

    #[test]
    fn a_cleared_interval_is_an_empty_one() {
        let mut i = interval(5, 1000);
        i.clear(7, 9);
        assert_eq!(i, Interval::empty(Phase::Measure, 7, 9));
    }
}
