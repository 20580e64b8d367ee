//! What can go wrong with the files of a run: each error names the file, the place and the way out.

use std::path::PathBuf;

/// The result of everything in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// An error about the words or the files of a run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("cannot {action} {}: {source}{}", path.display(), remedy(source))]
    File {
        /// What was tried, as a verb: "read", "create".
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The directory given is no run directory.
    #[error("{} is not a run directory: it has no run.json\n  try: the path that `meshtax run` printed last, such as runs/2026-11-23T0510-a1b2", path.display())]
    NotARun {
        /// The directory.
        path: PathBuf,
    },
    /// A file is of a later format than this program knows.
    #[error("{} has schema {found}, and this meshtax reads up to {}\n  try: the meshtax that wrote it, or a newer one", path.display(), crate::SCHEMA)]
    FutureSchema {
        /// The file.
        path: PathBuf,
        /// The number in it.
        found: u64,
    },
    /// A JSON file does not hold what it should.
    #[error("{} line {line}, column {column}: {message}\n  the file was changed or cut off after it was written; restore it from where it was copied", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Line in the file, from 1.
        line: usize,
        /// Column in the line, from 1.
        column: usize,
        /// What the parser said.
        message: String,
    },
    /// A line of a JSON-lines file is broken or cut off.
    #[error("{} line {line} is {what}: {message}\n  the {good} lines before it are whole; to go on without this trial, remove its directory and run `meshtax resume` on the run", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Line in the file, from 1.
        line: usize,
        /// "cut off" or "not what it should be".
        what: &'static str,
        /// What the parser or the decompressor said.
        message: String,
        /// How many lines before it were whole.
        good: usize,
    },
    /// `run.json` or a file of a sealed trial is not as it was written.
    #[error("{} is not as it was written: {what}\n  the file was changed or damaged since; restore it from where it was copied; a trial can be made anew as well: remove its directory and run `meshtax resume` on the run", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// In what it differs: its sum, its length, whose trial it is.
        what: String,
    },
    /// The lines of a trial do not hold together, so that it is not sealed.
    #[error("{} does not hold together: {what}\n  lines were lost or moved before the trial could be sealed; run `meshtax resume` on the run, which makes the trial anew", path.display())]
    Inconsistent {
        /// The file.
        path: PathBuf,
        /// What does not.
        what: String,
    },
    /// A histogram could not be decoded or merged.
    #[error("histogram: {0}")]
    Histogram(#[from] histogram::Error),
    /// A CPU quantity is not one.
    #[error(
        "'{text}' is not a CPU quantity: {reason}\n  try: cores as '2' or '1.5', or thousandths of a core as '100m'"
    )]
    CpuQuantity {
        /// What was given.
        text: String,
        /// Why not.
        reason: &'static str,
    },
    /// A memory quantity is not one.
    #[error("'{text}' is not a memory quantity: {reason}\n  try: '128Mi', '1.5Gi', '64M', or plain bytes")]
    MemoryQuantity {
        /// What was given.
        text: String,
        /// Why not.
        reason: &'static str,
    },
    /// What should say who the noisy neighbour is does not.
    #[error(
        "'{text}' is no neighbour: {reason}\n  try: 'none', 'cpu:2', 'disk:1', 'memory:1', or several joined by '+'"
    )]
    Neighbour {
        /// What was given.
        text: String,
        /// Why not.
        reason: &'static str,
    },
    /// What should say how many worker threads a proxy has does not.
    #[error(
        "'{text}' is no number of worker threads and no rule for one\n  try: a number from 1 on, or 'istio', 'envoy' or 'linkerd'"
    )]
    WorkerRule {
        /// What was given.
        text: String,
    },
    /// A name in a run directory is a path, and could lead out of it.
    #[error("{} names a {what} '{name}', which is no name of a file\n  try: the run as meshtax wrote it; this one was changed", path.display())]
    Name {
        /// The file that has it, or the directory it was to be put into.
        path: PathBuf,
        /// What it names: "trial".
        what: &'static str,
        /// The name.
        name: String,
    },
    /// There is a link where a run has files and directories.
    #[error("{} is a link, and a run has its files in its own directory\n  try: what it leads to in its place (cp --recursive --dereference)", path.display())]
    Link {
        /// The link.
        path: PathBuf,
    },
    /// Another meshtax is at work in this run directory.
    #[error("another meshtax is writing to {}\n  try: wait until it ends; two writers would mix their trials", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
}

/// The way out of [`used_up`], as the end of a message.
pub const USED_UP: &str = "\n  try: `ulimit -n`, which says how many files a process may open, and a higher limit";

/// Whether there were no more descriptors to be had, in this process (EMFILE) or in the system (ENFILE).
pub fn used_up(source: &std::io::Error) -> bool {
    const EMFILE: i32 = 24;
    const ENFILE: i32 = 23;
    matches!(source.raw_os_error(), Some(EMFILE | ENFILE))
}

fn remedy(source: &std::io::Error) -> &'static str {
    match source.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            "\n  try: free space on that disk, or choose another with --out DIR; sealed trials are kept and `meshtax resume` goes on"
        }
        std::io::ErrorKind::PermissionDenied => "\n  try: a directory you may write to, with --out DIR",
        std::io::ErrorKind::ReadOnlyFilesystem => {
            "\n  try: a directory on a file system that may be written to, with --out DIR; sealed trials are kept and `meshtax resume` goes on"
        }
        _ if used_up(source) => USED_UP,
        _ => "",
    }
}
