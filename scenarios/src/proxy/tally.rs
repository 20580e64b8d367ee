//! What a proxy says it is and has counted.

/// What a proxy says it is and has counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Its name and version: "envoy 1.40.0".
    pub(crate) program: String,
    /// Where the program was read.
    pub(crate) program_source: String,
    pub(crate) inbound: Option<Way>,
    /// By callee.
    pub(crate) outbound: Vec<(String, Way)>,
    /// Tries beyond the first of a request, where it tells them.
    pub(crate) retries: Option<Counter>,
}

impl Tally {
    /// The way out to a callee.
    pub(crate) fn to(&self, callee: &str) -> Option<&Way> {
        self.outbound.iter().find(|(service, _)| service == callee).map(|(_, way)| way)
    }
}

/// What a proxy has counted in one direction, on its side towards the other proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Way {
    /// Requests that were sent to the callee, retries included (out), or came from callers (in).
    pub(crate) requests: Counter,
    /// Handshakes in which both sides were who they had to be.
    pub(crate) handshakes: Counter,
    /// Peers turned away since they were someone else, or no one, where it tells them from those that gave up.
    pub(crate) strangers: Option<Counter>,
    /// Connections that broke off before they were secure, where it says so; something in clear is one of them.
    pub(crate) broken: Option<Counter>,
    /// Requests that were read in clear, where it says so.
    pub(crate) in_clear: Option<Counter>,
    /// The peers' SPIFFE ids, where it says them.
    pub(crate) peers: Option<Vec<String>>,
}

/// A figure and where it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counter {
    pub(crate) value: u64,
    pub(crate) source: String,
}
