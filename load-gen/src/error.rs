//! Why a load could not be made: each error names the thing, the place and the way out.

use std::path::PathBuf;

use crate::target::Place;

/// The result of everything in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a load could not be made. A request that fails is no error but an outcome.
///
/// What the kernel said is part of each message and no source of it, so that a chain does not say it twice.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The target is no URL this generator can load.
    #[error("cannot load '{url}': {reason}\n  try: a URL such as http://127.0.0.1:8080/path")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A value of the plan makes no load.
    #[error("{what} is {found}: {remedy}")]
    Plan {
        /// Which value.
        what: &'static str,
        /// What was given.
        found: String,
        /// What it must be.
        remedy: &'static str,
    },
    /// The moment at which several generators were to begin has passed.
    #[error("the load was to begin {:.3} ms before it could: several generators begin together or not at all\n  try: again; if it comes again, a slower machine needs a later start", *late_ns as f64 / 1e6)]
    LateStart {
        /// By how much.
        late_ns: u64,
    },
    /// The name of the target has no address.
    #[error("cannot find an address of '{host}': {said}\n  try: the address itself, or add the name to /etc/hosts")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver said.
        said: std::io::Error,
    },
    /// The target could not be reached at the start.
    #[error("cannot connect to {place}: {}\n  try: {}", plain(said), connect_remedy(said))]
    Connect {
        /// Where to.
        place: Place,
        /// What the kernel said.
        said: std::io::Error,
    },
    /// The target was reached, and does not speak as it should.
    #[error("{place} answers, but {problem}\n  try: {remedy}")]
    Unfit {
        /// Where to.
        place: Place,
        /// What it does instead.
        problem: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// A file of a key, a certificate or a trusted root is of no use.
    #[error("cannot use {}: {problem}\n  try: {remedy}", path.display())]
    Credential {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// What would be right.
        remedy: &'static str,
    },
    /// TLS could not be set up at all.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
    /// The kernel refused something no load can be made without.
    #[error("the kernel refused to {action}: {said}")]
    Kernel {
        /// What was asked of it, as a verb.
        action: &'static str,
        /// What it said.
        said: std::io::Error,
    },
    /// The directory to record to holds the lines of another load.
    #[error("{} is there already: two loads in one file could not be told apart\n  try: another directory", path.display())]
    AlreadyRecorded {
        /// The file.
        path: PathBuf,
    },
    /// What was measured could not be written.
    #[error(transparent)]
    Record(#[from] record::Error),
    /// The counts of the load do not add up, so none of its figures can be trusted.
    #[error(
        "the counts do not add up: {0}\n  this is a mistake in meshtax, and its figures were withheld; please report it"
    )]
    Unbalanced(String),
    /// A thread of the generator ended before its time.
    #[error("the {0} thread of the load generator ended before its time; please report it")]
    Thread(&'static str),
}

impl From<record::HistogramError> for Error {
    fn from(error: record::HistogramError) -> Self {
        Self::Record(error.into())
    }
}

/// "Connection refused" without the number that std adds to it.
fn plain(said: &std::io::Error) -> String {
    let text = said.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

fn connect_remedy(said: &std::io::Error) -> &'static str {
    use rustix::io::Errno;
    match Errno::from_io_error(said) {
        Some(Errno::MFILE | Errno::NFILE) => "fewer connections, or allow more open files with `ulimit -n`",
        Some(Errno::ADDRNOTAVAIL) => "fewer connections: the local ports towards this address are used up",
        Some(Errno::TIMEDOUT) => "a longer --connect-timeout, or check that no firewall drops the packets",
        Some(Errno::NOENT) => "start the target first, or check the path of the socket",
        _ => "start the target first, or check the host and port of the URL",
    }
}

/// Turns what the kernel said into an error that names what was asked of it.
pub(crate) fn kernel<E: Into<std::io::Error>>(action: &'static str) -> impl FnOnce(E) -> Error {
    move |said| Error::Kernel { action, said: said.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_connection_says_where_and_what_to_do() {
        let said = rustix::io::Errno::CONNREFUSED.into();
        let said = Error::Connect { place: Place::Tcp(([127, 0, 0, 1], 1).into()), said }.to_string();
        assert_eq!(
            said,
            "cannot connect to 127.0.0.1:1: Connection refused\n  try: start the target first, or check the host and port of the URL"
        );
    }

    #[test]
    fn too_many_open_files_has_another_way_out() {
        let said = rustix::io::Errno::MFILE.into();
        let said = Error::Connect { place: Place::Tcp(([127, 0, 0, 1], 1).into()), said }.to_string();
        assert!(said.contains("Too many open files") && said.contains("ulimit -n"), "{said}");
    }
}
