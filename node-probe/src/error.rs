//! What keeps a probe from starting: each error names what was to be watched, and the way out.

use std::path::PathBuf;

/// The result of everything in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a probe cannot start.
///
/// Only the start can fail: what goes missing later is an absent reading in the samples.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The descriptors of this process are used up.
    #[error(
        "cannot open {}: {limit}\n  every watched process keeps 3 files open, and one more for each of its threads where taskstats is not \
         permitted (CAP_NET_ADMIN)\n  \
         try: raise the limit (`ulimit -n 65536`), or watch fewer processes",
        path.display()
    )]
    Descriptors {
        /// The file that was one too many.
        path: PathBuf,
        /// Which limit it was, with its value.
        limit: String,
    },
    /// A process that was to be watched cannot be.
    #[error("cannot watch process {pid} ('{name}'): {reason}")]
    Process {
        /// The name it was given.
        name: String,
        /// Its process id.
        pid: u32,
        /// Why, and the way out.
        reason: String,
    },
    /// A cgroup that was to be watched cannot be.
    #[error("cannot watch cgroup '{name}' at {}: {reason}", path.display())]
    Cgroup {
        /// The name it was given.
        name: String,
        /// The directory.
        path: PathBuf,
        /// Why, and the way out.
        reason: String,
    },
    /// Two watched things of one kind have the same name.
    #[error("two watched {kind} are named '{name}'\n  try: give each a name of its own, as NAME=...")]
    SameName {
        /// "processes" or "cgroups".
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// A disk cannot be tested.
    #[error("cannot test the disk under {}: {problem}\n  try: {remedy}", path.display())]
    DiskTest {
        /// The directory that was given.
        path: PathBuf,
        /// What is in the way.
        problem: String,
        /// The way out.
        remedy: String,
    },
    /// The io_uring of a disk test failed in the middle.
    #[error("the io_uring of the disk test failed: {source}\n  try: --engine threads")]
    Ring {
        /// What the kernel said.
        source: std::io::Error,
    },
    /// A thread of a disk test could not be started.
    #[error(
        "cannot start the threads of the disk test: {source}\n  try: raise the limit (`ulimit -u`), or --only the tests of depth 1"
    )]
    Thread {
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The probe cannot read its own memory, so it could not say what it costs.
    #[error("cannot read {}: {source}\n  try: run where /proc is mounted; every figure of the probe comes from it", path.display())]
    OwnCost {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// A thread cannot be kept on the CPU asked for.
    #[error("cannot watch CPU {cpu}: {reason}\n  try: one of {allowed}, or none to have one chosen")]
    Pin {
        /// The CPU's number.
        cpu: u32,
        /// What is in the way.
        reason: String,
        /// The CPUs that are allowed.
        allowed: String,
    },
    /// Gaps cannot be watched here.
    #[error(
        "cannot watch for gaps: {reason}\n  try: a kernel that counts the run delay of threads (CONFIG_SCHED_INFO, on \
         in all distributions), and /proc mounted"
    )]
    Gaps {
        /// What is in the way.
        reason: String,
    },
}
