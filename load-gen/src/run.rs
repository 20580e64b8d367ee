//! One load from its plan to its summary.

use std::sync::atomic::AtomicBool;

use record::LoadSummary;

use crate::generator::Generator;
use crate::kept::{Kept, prepare};
use crate::writer::Watch;
use crate::{Plan, Result};

/// Makes the load and says how it went. Setting `stop` ends it early: nothing more is sent, answers on the
/// way are waited for within the drain, and the summary counts what was due by then.
///
/// # Errors
/// When the plan makes no load, the target cannot be reached at the start, or the record cannot be written.
/// A request that fails is no error.
pub fn run(plan: &Plan, stop: &AtomicBool) -> Result<LoadSummary> {
    watched(plan, stop, None)
}

/// The same, while somebody sees each interval when it is over; how it is measured does not change by that.
///
/// # Errors
/// As [`run`].
pub fn watched(plan: &Plan, stop: &AtomicBool, watch: Option<Watch<'_>>) -> Result<LoadSummary> {
    plan.check()?;
    if let Some(directory) = &plan.record_to {
        prepare(directory)?;
    }
    Generator::open(plan)?.load(&plan.arrivals, plan.warm_up, plan.duration, plan.seed, stop, watch)
}

/// The same into files that are open already, in place of the directory that the plan names.
///
/// # Errors
/// As [`run`].
pub fn kept(plan: &Plan, kept: Kept, stop: &AtomicBool, watch: Option<Watch<'_>>) -> Result<LoadSummary> {
    let mut generator = Generator::open(plan)?;
    generator.keep(kept);
    generator.load(&plan.arrivals, plan.warm_up, plan.duration, plan.seed, stop, watch)
}
