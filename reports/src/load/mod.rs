//! The result of a load on its own in the forms that other tools read, and Fortio's results read back.

mod buckets;
mod csv;
mod error;
pub mod fortio;
pub mod fortio_import;
mod hlog;
pub mod open_metrics;
#[cfg(test)]
mod tests;

pub use csv::CsvWriter;
pub use error::Error;
pub use fortio_import::{Imported, ImportedQuantile};
pub use hlog::HlogWriter;

use record::{Histogram, Interval, Phase};

use crate::Result;

/// The times of all measured requests of a load, summed over its intervals.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// From intended to done, nanoseconds.
    pub response: Histogram,
    /// From sent to done, nanoseconds.
    pub service: Histogram,
}

impl Measured {
    /// Adds an interval; one of another phase than the measured one adds nothing.
    ///
    /// # Errors
    /// When the histograms do not fit, which those of one run always do.
    pub fn add(&mut self, interval: &Interval) -> Result<()> {
        if interval.phase == Phase::Measure {
            self.response.add(&interval.response)?;
            self.service.add(&interval.service)?;
        }
        Ok(())
    }
}
