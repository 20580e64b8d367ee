//! A gate: whether a candidate is worse than a baseline by more than a limit, with stated error rates.

mod annotations;
mod chart;
mod deciders;
mod errors;
mod figures;
mod floor;
mod item;
mod judge;
mod junit;
mod markdown;
mod matching;
mod metric;
mod noise;
mod result;
mod steal;
mod stored;
mod text;
mod words;

pub use annotations::annotations;
pub use deciders::deciders;
pub use figures::{CellTrials, TrialFigures};
pub use floor::noise_floor;
pub use judge::{Asked, Judged, judge, overall};
pub use junit::{OnInconclusive, junit, junit_with};
pub use markdown::{MARKER, markdown, summary};
pub use matching::{Matched, judged, matches};
pub use metric::Metric;
pub use result::{
    Budget, Counted, GateReport, GateVerdict, MetricVerdict, Noise, NoiseSource, Purpose, Question, Side,
    StealAdjusted, Way,
};
pub use stored::{StoredCell, judge_stored};
pub use text::text;
pub use words::{answer, change as change_text, doubts, percent as percent_text};
