//! Explains: a run directory becomes estimates and findings, and these become text, tables and a page; and a load or
//! a probe on its own becomes what other tools read.

mod agreement;
mod attribution;
pub mod clocks;
pub mod compare;
pub mod csv;
mod error;
pub mod exchange;
mod explanation;
mod figure;
mod findings;
pub mod gate;
mod gather;
pub mod history;
mod host_card;
pub mod hosts;
pub mod html;
pub mod istio;
pub mod json;
mod kept;
pub mod live;
pub mod load;
pub mod markdown;
pub mod open_metrics;
pub mod picture;
pub mod planning;
mod plot;
pub mod probe_metrics;
pub mod rates;
pub mod samples_csv;
#[cfg(feature = "schemas")]
pub mod schemas;
mod several;
pub mod shelf;
pub mod stats;
mod subsets;
mod tables;
pub mod text;
pub mod tightness;
pub mod trackers;
mod usage;
mod validity;

pub use agreement::comparable;
pub use error::{Error, Result};
pub use explanation::{Explanation, explain};
pub use findings::{
    AllProxies, Attribution, CanaryFindings, Cause, CellFindings, Costs, EventFindings, Figure, Findings, FoundWarning,
    Headline, Known, LedgerLine, LimitPoint, LimitSweep, NodeFindings, PartCosts, PartShare, PerQuantile, ProofLine,
    Repeat, Requests, ShiftFindings, SlowWindows, SlowestHop, SlowestRequest, Stretch, SubsetFindings, SubsetShare,
    Tax, TaxAt, TaxKind, Timeline, WorstWindow, findings,
};
pub use host_card::HostCard;
pub use stats::Estimate;
pub use validity::{quota_cores, tightest_quota};
