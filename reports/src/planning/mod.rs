//! Which hosts, how many, and which proxy limits hold an SLO at the least cost.

mod advice;
mod capacity;
mod choice;
mod cliff;
mod emit;
mod markdown;
mod measured;
mod placement;
mod prices;
mod quota;
mod report;
mod sizing;
mod slo;
mod tables;
mod text;

pub use capacity::{Capacity, Point};
pub use choice::{Asked, plan};
pub use emit::{Form, Workload, emit};
pub use markdown::markdown;
pub use measured::{Measured, ProxySeen, Setup, TrialSeen};
pub use prices::{HostPlan, Named, Prices};
pub use report::{
    Bound, Cliff, Confirmed, HeldAt, Placement, PlanAsked, PlanReport, PlanRow, PlanVerdict, Recommendation, Shown,
    Sizing, ToMeasure,
};
pub use slo::{Clause, Slo, Standing};
pub use text::text;
