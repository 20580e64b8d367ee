//! Explains: a run directory becomes estimates and findings, and these become text, tables and a page; and a load or
//! a probe on its own becomes what other tools read.

mod agreement;
mod attribution;
pub mod csv;
mod error;
mod figure;
mod findings;
mod gather;
pub mod html;
pub mod istio;
pub mod json;
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
mod usage;
mod validity;

pub use agreement::comparable;
pub use error::{Error, Result};
pub use findings::{
    AllProxies, Attribution, CanaryFindings, Cause, CellFindings, Costs, EventFindings, Figure, Findings, FoundWarning,
    NodeFindings, PartCosts, PerQuantile, Requests, ShiftFindings, Stretch, SubsetFindings, SubsetShare, Tax, TaxAt,
    TaxKind, findings,
};
pub use stats::Estimate;
