//! The files of a load that are opened before its first connection, so that whoever makes it need not be one who may
//! open them.

use std::path::Path;

use record::{Interval, LineWriter, LoadFile, SlowRequest, TrialDirectory};

use crate::{Error, Result};

/// The open files of a load that has not begun.
#[derive(Debug)]
pub struct Kept {
    pub(crate) lines: KeptLines,
    pub(crate) summary: LoadFile,
}

/// Those that are appended to while it runs.
#[derive(Debug)]
pub(crate) struct KeptLines {
    pub(crate) intervals: LineWriter<Interval>,
    pub(crate) slow: LineWriter<SlowRequest>,
}

impl Kept {
    /// Makes the directory where it is missing, and the files in it. The summary's is empty until the load has ended.
    ///
    /// # Errors
    /// [`Error::AlreadyRecorded`] for one that holds a load; when the files cannot be made.
    pub fn open(directory: &Path) -> Result<Self> {
        let trial = prepare(directory)?;
        Ok(Self { lines: KeptLines::open(&trial)?, summary: trial.open_load()? })
    }
}

impl KeptLines {
    pub(crate) fn open(trial: &TrialDirectory) -> record::Result<Self> {
        Ok(Self { intervals: LineWriter::open(&trial.intervals_path())?, slow: LineWriter::open(&trial.slow_path())? })
    }
}

/// Makes the directory, and refuses one that holds a load already.
pub(crate) fn prepare(directory: &Path) -> Result<TrialDirectory> {
    let trial = TrialDirectory::at(directory);
    std::fs::create_dir_all(directory).map_err(|source| {
        Error::Record(record::Error::File { action: "create", path: directory.to_owned(), source })
    })?;
    for path in [trial.intervals_path(), trial.slow_path(), trial.load_path()] {
        if path.exists() {
            return Err(Error::AlreadyRecorded { path });
        }
    }
    Ok(trial)
}
