//! A gate: whether a candidate is worse than a baseline by more than a limit, with stated error rates.

mod annotations;
mod chart;
mod junit;
mod markdown;
mod metric;
mod result;

pub use annotations::annotations;
pub use junit::{OnInconclusive, junit, junit_with};
pub use markdown::{MARKER, markdown, summary};
pub use metric::Metric;
pub use result::{
    Budget, Counted, GateReport, GateVerdict, HostCard, MetricVerdict, Noise, NoiseSource, Purpose, Question, Side,
    StealAdjusted, Way,
};
