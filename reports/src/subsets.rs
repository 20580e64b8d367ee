//! The answers of a canary's trial by subset, window by window and over the measured phase.

use std::collections::BTreeMap;

use record::{Interval, Quantiles, Split};

use crate::Result;
use crate::usage::Span;

/// One window of the measured phase.
#[derive(Clone, Debug)]
pub(crate) struct SubsetWindow {
    pub(crate) span: Span,
    /// Answers by the subset that they name.
    pub(crate) answered: BTreeMap<String, u64>,
    /// Requests that ended without an answer.
    pub(crate) failed: u64,
    /// Answers with a status outside 200 to 399.
    pub(crate) errors: u64,
}

/// What the answers of one subset were like.
#[derive(Clone, Debug)]
pub(crate) struct SubsetAnswers {
    pub(crate) answered: u64,
    pub(crate) errors: u64,
    pub(crate) response: Quantiles,
    pub(crate) service: Quantiles,
}

/// All of a trial.
#[derive(Clone, Debug, Default)]
pub(crate) struct Subsets {
    /// In the order of time.
    pub(crate) windows: Vec<SubsetWindow>,
    pub(crate) answers: BTreeMap<String, SubsetAnswers>,
}

/// A trial's, while its intervals are read.
#[derive(Default)]
pub(crate) struct Reader {
    windows: Vec<SubsetWindow>,
    all: Split,
}

impl Reader {
    /// Takes an interval of the measured phase in.
    pub(crate) fn take(&mut self, interval: &Interval) -> Result<()> {
        let by_value = interval.split.by_value();
        self.windows.push(SubsetWindow {
            span: Span { start_ns: interval.start_ns, end_ns: interval.start_ns + interval.length_ns },
            answered: by_value.iter().map(|(value, answers)| ((*value).to_owned(), answers.answered)).collect(),
            failed: interval.outcomes.failed() + interval.outcomes.cut_by_deadline,
            errors: interval.outcomes.error_statuses(),
        });
        Ok(self.all.add(&interval.split)?)
    }

    pub(crate) fn finish(mut self) -> Subsets {
        self.windows.sort_by_key(|w| w.span.start_ns);
        let answers = self.all.by_value().into_iter().map(|(value, a)| {
            let answers = SubsetAnswers {
                answered: a.answered,
                errors: a.errors,
                response: Quantiles::from(&a.response),
                service: Quantiles::from(&a.service),
            };
            (value.to_owned(), answers)
        });
        Subsets { answers: answers.collect(), windows: self.windows }
    }
}
