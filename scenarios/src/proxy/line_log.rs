//! The access log of a proxy that has one line for each request: where it goes, and whether it came there.

use std::path::{Path, PathBuf};

use record::{AccessLog, Factors, LogSink, Proof};

use super::{Folders, Place, proof};
use crate::Result;
use crate::launch::Launched;

/// Whether it goes to standard output, which is a pipe that we read and drop.
pub(super) fn piped(factors: &Factors) -> bool {
    factors.access_log != AccessLog::Off && factors.access_log_to == LogSink::Stdout
}

/// The file it goes to; none where it is piped, or there is none.
pub(super) fn file(place: &Place, folders: &Folders) -> Option<PathBuf> {
    let factors = &place.factors;
    if factors.access_log == AccessLog::Off || factors.access_log_to == LogSink::Stdout {
        return None;
    }
    let name = format!("{}.access.log", place.name);
    Some(match factors.access_log_dir.as_str() {
        "" => folders.logs.join(name),
        directory => Path::new(directory).join(name),
    })
}

/// Whether lines were written; none where none are asked for.
pub(super) fn prove(place: &Place, part: &Launched, folders: &Folders) -> Result<Option<Proof>> {
    if place.factors.access_log == AccessLog::Off {
        return Ok(None);
    }
    let (bytes, source) = match file(place, folders) {
        Some(path) => (std::fs::metadata(&path).map(|about| about.len()).unwrap_or(0), path.display().to_string()),
        None => (part.drained().unwrap_or(0), "its standard output".to_owned()),
    };
    let expected = "more than 0 bytes";
    proof::held(bytes > 0, &place.name, "access log", expected, &format!("{bytes} bytes"), &source).map(Some)
}
