//! One load from its plan to its summary.

use std::sync::atomic::AtomicBool;

use record::{LoadSummary, TrialDirectory};

use crate::generator::Generator;
use crate::writer::Watch;
use crate::{Error, Plan, Result};

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
        prepare(&TrialDirectory::at(directory))?;
    }
    Generator::open(plan)?.load(&plan.arrivals, plan.warm_up, plan.duration, plan.seed, stop, watch)
}

/// Makes the directory, and refuses one that holds a load already.
fn prepare(trial: &TrialDirectory) -> Result<()> {
    std::fs::create_dir_all(trial.path()).map_err(|source| {
        Error::Record(record::Error::File { action: "create", path: trial.path().to_owned(), source })
    })?;
    for path in [trial.intervals_path(), trial.slow_path(), trial.load_path()] {
        if path.exists() {
            return Err(Error::AlreadyRecorded { path });
        }
    }
    Ok(())
}
