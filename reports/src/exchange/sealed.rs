//! The sealed trials of a run, with the times of all their measured requests.

use record::{ClockAnchor, Histogram, Run, RunDirectory, Trial};

use crate::load::Measured;
use crate::{Error, Result};

/// The sealed trials in the order they were made.
///
/// # Errors
/// When one cannot be read, or there is none.
pub(super) fn trials(dir: &RunDirectory, run: &Run) -> Result<Vec<Trial>> {
    let trials = dir.trials(run)?;
    if trials.is_empty() {
        return Err(Error::NothingMeasured { path: dir.path().to_owned(), planned: run.trials.len() });
    }
    if let Some(stray) = trials.iter().find(|trial| run.cell(&trial.cell).is_none()) {
        return Err(Error::UnknownCell { trial: stray.id.clone(), cell: stray.cell.clone() });
    }
    Ok(trials)
}

/// The times of all requests of a trial's measured phase.
pub(super) fn measured(dir: &RunDirectory, trial: &Trial) -> Result<Measured> {
    let mut measured = Measured::default();
    for interval in dir.intervals(&trial.id)? {
        measured.add(&interval?)?;
    }
    Ok(measured)
}

/// Adds the times of one trial to those of its cell.
pub(super) fn add(to: &mut Measured, trial: &Measured) -> Result<()> {
    let Measured { response, service } = trial;
    to.response.add(response)?;
    Ok(to.service.add(service)?)
}

/// The smallest time counted; absent where there is none.
pub(super) fn least_ns(histogram: &Histogram) -> Option<u64> {
    histogram.buckets().next().map(|(ns, _)| ns)
}

/// A moment of a trial's clock as nanoseconds since 1970.
pub(super) fn real_ns(anchor: ClockAnchor, monotonic_ns: u64) -> u64 {
    (anchor.realtime_ns + monotonic_ns).saturating_sub(anchor.monotonic_ns)
}
