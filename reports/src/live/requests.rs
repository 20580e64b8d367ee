//! What requests took in a trial that is being made: in the last second, and since it is measured.

use std::collections::VecDeque;

use record::{Histogram, INTERVAL_NS, Outcomes, Phase, Quantiles};
use serde::Serialize;

use super::lines::IntervalLine;

/// Intervals of a second.
const SECOND: usize = (1_000_000_000 / INTERVAL_NS) as usize;

/// Requests of a stretch of a trial that is not over.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct RequestsNow {
    /// How long the stretch is.
    pub length_ns: u64,
    /// Requests that fell due, each second.
    pub due_per_second: f64,
    /// Whole answers, each second.
    pub answered_per_second: f64,
    /// Requests that failed or were answered with an error status.
    pub errors: u64,
    /// From due to ended, of those that ended; absent where none did.
    pub response_ns: Option<Quantiles>,
}

/// What the lines of intervals came to.
#[derive(Debug)]
pub(super) struct Requests {
    last: VecDeque<IntervalLine>,
    measured: Stretch,
    /// The memory that a second's quantiles are taken in.
    second: Histogram,
    phase: Option<Phase>,
}

#[derive(Debug, Default)]
struct Stretch {
    span: Option<(u64, u64)>,
    due: u64,
    outcomes: Outcomes,
    response: Histogram,
}

impl Stretch {
    fn take(&mut self, line: &IntervalLine) {
        let end = line.start_ns + line.length_ns;
        self.span = Some(self.span.map_or((line.start_ns, end), |(from, to)| (from.min(line.start_ns), to.max(end))));
        self.due += line.due;
        self.outcomes.add(&line.outcomes);
        // Of one load they always fit.
        let _ = self.response.add(&line.response);
    }
}

impl Default for Requests {
    fn default() -> Self {
        let last = VecDeque::with_capacity(SECOND + 1);
        Self { last, measured: Stretch::default(), second: Histogram::new(), phase: None }
    }
}

impl Requests {
    pub(super) fn take(&mut self, line: IntervalLine) {
        self.phase = Some(line.phase);
        if line.phase == Phase::Measure {
            self.measured.take(&line);
        }
        self.last.push_back(line);
        if self.last.len() > SECOND {
            self.last.pop_front();
        }
    }

    /// The phase in which the latest requests were due.
    pub(super) fn phase(&self) -> Option<Phase> {
        self.phase
    }

    /// The last second, or what there is of it.
    pub(super) fn last_second(&mut self) -> Option<RequestsNow> {
        self.second.clear();
        let mut all = Stretch { response: std::mem::take(&mut self.second), ..Stretch::default() };
        self.last.iter().for_each(|line| all.take(line));
        let now = told(&all);
        self.second = all.response;
        now
    }

    /// Everything of the measured phase.
    pub(super) fn so_far(&self) -> Option<RequestsNow> {
        told(&self.measured)
    }
}

fn told(stretch: &Stretch) -> Option<RequestsNow> {
    let (from, to) = stretch.span?;
    let length_ns = to - from;
    let seconds = length_ns.max(1) as f64 / 1e9;
    Some(RequestsNow {
        length_ns,
        due_per_second: stretch.due as f64 / seconds,
        answered_per_second: stretch.outcomes.answered_total() as f64 / seconds,
        errors: stretch.outcomes.failed() + stretch.outcomes.error_statuses(),
        response_ns: (!stretch.response.is_empty()).then(|| Quantiles::from(&stretch.response)),
    })
}
