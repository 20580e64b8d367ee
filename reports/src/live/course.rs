//! The course of a trial that is being made: a point for each tenth of a second.

use record::Phase;
use serde::Serialize;

use super::lines::IntervalLine;

/// Points kept: a minute. Of a longer trial the last ones.
const KEPT: usize = 600;

/// What requests took that ended in one interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Tenth {
    /// When the interval began, since the first one.
    pub at_ns: u64,
    /// Whether its requests count.
    pub measured: bool,
    /// Half took this long or less; absent where none ended.
    pub p50_ns: Option<u64>,
    /// 99 of 100 took this long or less.
    pub p99_ns: Option<u64>,
    /// The longest.
    pub max_ns: Option<u64>,
}

#[derive(Debug, Default)]
pub(super) struct Course {
    first_ns: Option<u64>,
    tenths: std::collections::VecDeque<Tenth>,
}

impl Course {
    pub(super) fn take(&mut self, line: &IntervalLine) {
        let first_ns = *self.first_ns.get_or_insert(line.start_ns);
        let some = !line.response.is_empty();
        let at = |quantile| some.then(|| line.response.quantile(quantile));
        self.tenths.push_back(Tenth {
            at_ns: line.start_ns.saturating_sub(first_ns),
            measured: line.phase == Phase::Measure,
            p50_ns: at(0.5),
            p99_ns: at(0.99),
            max_ns: at(1.0),
        });
        if self.tenths.len() > KEPT {
            self.tenths.pop_front();
        }
    }

    pub(super) fn tenths(&self) -> impl Iterator<Item = &Tenth> {
        self.tenths.iter()
    }
}
