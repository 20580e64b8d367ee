//! A run in the forms that other tools read: what was recorded, for each trial and for each cell.

mod files;
mod fortio;
mod hlog;
mod open_metrics;
mod sealed;
mod smp;
mod tables;

pub use files::Form;
pub use open_metrics::render as open_metrics;
pub use smp::{Extension, ExtensionOf};
pub use tables::{intervals_csv, samples_csv};

use std::path::{Path, PathBuf};

use record::RunDirectory;

use crate::{Findings, Result};

/// Writes a form that is of many files into a folder, which is made where it is missing; returns what was written.
///
/// Only sealed trials are written. `findings` are those of the run.
///
/// # Errors
/// When the run cannot be read, holds nothing that was measured, or a file cannot be written.
pub fn write(dir: &RunDirectory, findings: &Findings, form: Form, folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = files::Files::into(folder)?;
    match form {
        Form::Hlog => hlog::write(dir, &mut files)?,
        Form::Fortio => fortio::write(dir, &mut files)?,
        Form::Smp => smp::write(dir, findings, &mut files)?,
    }
    Ok(files.written())
}
