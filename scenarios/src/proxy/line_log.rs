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

/// The file it goes to, on the disk that was chosen; none where it is piped, or there is none. A proxy is handed it open,
/// since it may lie where its user cannot go.
pub(super) fn file(place: &Place, folders: &Folders) -> Option<PathBuf> {
    let factors = &place.factors;
    if factors.access_log == AccessLog::Off || factors.access_log_to == LogSink::Stdout {
        return None;
    }
    let name = format!("{}.access.log", place.name);
    if factors.access_log_dir.is_empty() {
        return Some(folders.logs.join(name));
    }
    // Other trials write there too, and those of other runs: RUN/trials/TRIAL.
    let part = |path: Option<&Path>| path.and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
    let (run, trial) = (part(folders.kept.ancestors().nth(2)), part(Some(&folders.kept)));
    Some(Path::new(&factors.access_log_dir).join(format!("{run}-{trial}-{name}")))
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
