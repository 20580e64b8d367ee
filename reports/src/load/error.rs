//! What can go wrong while a load is written for other tools, or theirs are read.

use std::path::PathBuf;

/// An error about a form of a load.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file or pipe that a form goes to took no more.
    #[error(
        "the {form} cannot be written: {source}\n  check that its directory exists, may be written to and has room"
    )]
    Write {
        /// The form.
        form: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// A log whose stamps may only rise was given an earlier interval.
    #[error(
        "the {form} cannot go back in time: an interval from {start_ns} ns came after one from {after_ns} ns\n  this is a defect of meshtax; please report it with the run's intervals.jsonl"
    )]
    OutOfOrder {
        /// The form.
        form: &'static str,
        /// Start of the interval that came too late, CLOCK_MONOTONIC.
        start_ns: u64,
        /// Start of the one before it, CLOCK_MONOTONIC.
        after_ns: u64,
    },
    /// A file to be imported is no JSON at all.
    #[error(
        "{} is no JSON: {message}\n  Fortio's printed text cannot be read; try: fortio load -json {} URL",
        path.display(),
        path.display()
    )]
    NotJson {
        /// The file.
        path: PathBuf,
        /// What the reader said, with the line.
        message: String,
    },
    /// A file to be imported is JSON, and not what Fortio writes.
    #[error(
        "{} is no result of Fortio: '{key}' is {problem}\n  try: a file that `fortio load -json FILE URL` wrote",
        path.display()
    )]
    NotFortio {
        /// The file.
        path: PathBuf,
        /// The key: `DurationHistogram.Data[3].End`.
        key: String,
        /// "missing", "no number".
        problem: &'static str,
    },
    /// A result of Fortio without a single request.
    #[error(
        "{} holds no request: its DurationHistogram counts none\n  its RetCodes or its message say why; run Fortio again once the target answers",
        path.display()
    )]
    NoRequests {
        /// The file.
        path: PathBuf,
    },
    /// A result of Fortio whose numbers do not fit one another.
    #[error(
        "{} contradicts itself: {contradiction}\n  it was cut or edited; take the file as Fortio wrote it",
        path.display()
    )]
    Contradiction {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        contradiction: String,
    },
}
