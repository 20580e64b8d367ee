//! A file of the machine with its path, for what to say when it cannot be read, and the window of each read.

use std::path::{Path, PathBuf};

use record::{ReadWindow, Reading};
use rustix::io::Errno;

use crate::source::{Page, Source};
use crate::{Result, absence};

/// A kernel file that is kept open, or why it is not.
#[derive(Debug)]
pub(crate) struct Feed {
    path: PathBuf,
    source: Reading<Source>,
    /// Words for why there is none, or why it cannot be read.
    explain: fn(&Path, Errno) -> String,
}

impl Feed {
    /// Opens it.
    ///
    /// # Errors
    /// When descriptors are used up.
    pub(crate) fn open(path: PathBuf) -> Result<Self> {
        Self::open_or(path, absence::reason)
    }

    /// As [`Self::open`], with words of its own for why there is none.
    ///
    /// # Errors
    /// When descriptors are used up.
    pub(crate) fn open_or(path: PathBuf, explain: fn(&Path, Errno) -> String) -> Result<Self> {
        let source = Source::open_or_absent(&path, explain)?;
        Ok(Self { path, source, explain })
    }

    /// Reads it, and says when, counted from `since_ns`; no time where there is nothing to read.
    pub(crate) fn read<T>(
        &self,
        since_ns: u64,
        page: &mut Page,
        parse: impl FnOnce(&str) -> std::result::Result<T, String>,
    ) -> (Reading<T>, Option<ReadWindow>) {
        let source = match &self.source {
            Reading::Absent { absent } => return (Reading::absent(absent), None),
            Reading::Seen(source) => source,
        };
        let before = record::monotonic_ns();
        let text = source.read(page);
        let window = ReadWindow(before.saturating_sub(since_ns), record::monotonic_ns().saturating_sub(since_ns));
        let parsed = match text {
            Err(errno) => Reading::absent((self.explain)(&self.path, errno)),
            Ok(text) => match parse(text) {
                Ok(value) => Reading::Seen(value),
                Err(e) => Reading::absent(format!("{}: {e}", self.path.display())),
            },
        };
        (parsed, Some(window))
    }
}
