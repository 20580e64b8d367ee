//! A gate: whether a candidate is worse than a baseline by more than a limit, with stated error rates.

mod metric;
mod result;

pub use metric::Metric;
pub use result::{
    Budget, Counted, GateReport, GateVerdict, HostCard, MetricVerdict, Noise, NoiseSource, Purpose, Question, Side,
    StealAdjusted, Way,
};
