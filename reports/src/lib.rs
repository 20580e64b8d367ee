//! Explains: a run directory becomes estimates and findings, and these become text, tables and a page; and a load or
//! a probe on its own becomes what other tools read.

mod agreement;
mod attribution;
pub mod clocks;
pub mod csv;
mod error;
mod figure;
mod findings;
pub mod gate;
mod gather;
pub mod history;
pub mod hosts;
pub mod html;
pub mod istio;
pub mod json;
mod kept;
pub mod load;
pub mod markdown;
pub mod open_metrics;
mod plot;
pub mod probe_metrics;
pub mod rates;
pub mod schemas;
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
pub use findings::{
    AllProxies, Attribution, CanaryFindings, Cause, CellFindings, Costs, EventFindings, Figure, Findings, FoundWarning,
    Known, LedgerLine, NodeFindings, PartCosts, PartShare, PerQuantile, Requests, ShiftFindings, SlowWindows, Stretch,
    SubsetFindings, SubsetShare, Tax, TaxAt, TaxKind, WorstWindow, findings,
};
pub use stats::Estimate;
