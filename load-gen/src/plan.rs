//! What load is asked for: where to, how much, for how long, and with which limits.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use record::{Pace, redacted};

use crate::arrivals::Arrivals;
use crate::mix::RequestSpec;
use crate::protocol::{Protocol, kept};
use crate::target::Target;
use crate::tls::Trust;
use crate::{Error, Result};

/// A generator's portion of a plan that several make together: number `at`, from 0, of `of`, has every `of`-th request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Portion {
    /// Which one it is, from 0.
    pub at: u32,
    /// How many there are.
    pub of: u32,
}

impl Portion {
    /// All of it.
    pub const WHOLE: Self = Self { at: 0, of: 1 };
}

impl std::str::FromStr for Portion {
    type Err = String;

    /// Reads "2/4", the second of four.
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let parts = text.split_once('/').and_then(|(at, of)| Some((at.parse::<u32>().ok()?, of.parse::<u32>().ok()?)));
        match parts {
            Some((at, of)) if at >= 1 && at <= of => Ok(Self { at: at - 1, of }),
            _ => Err("it is a number of a total, such as 2/4 for the second of four generators".into()),
        }
    }
}

/// What load is asked for. [`Plan::new`] fills in what is seldom changed.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What is asked for; each kind of request has a weight.
    pub requests: Vec<RequestSpec>,
    /// Which protocol is spoken.
    pub protocol: Protocol,
    /// What TLS is to prove, where a URL is https.
    pub trust: Trust,
    /// A socket in the file system to connect to, instead of the URL's host.
    pub unix: Option<PathBuf>,
    /// How requests fall due, all generators together.
    pub arrivals: Arrivals,
    /// Which of those requests this generator makes.
    pub portion: Portion,
    /// When the first request of the plan is due, CLOCK_MONOTONIC; as soon as all is ready where it is not said.
    pub start_at_ns: Option<u64>,
    /// Connections, in total. All are open before the first request is due.
    pub connections: u32,
    /// Requests under way at a time on each connection; more than 1 with HTTP/2 only.
    pub streams: u32,
    /// Whether a connection carries one request after another; otherwise each request opens its own.
    pub keep_alive: bool,
    /// Threads that make the load together.
    pub threads: u32,
    /// The CPUs to which the threads are pinned, one each; empty pins none.
    pub cpus: Vec<u32>,
    /// Load that is not counted, at the same rate and over the same connections.
    pub warm_up: Duration,
    /// Load that is counted.
    pub duration: Duration,
    /// How the generator waits for the next due time.
    pub pace: Pace,
    /// The window within which the economy pace puts sends together.
    pub batch: Duration,
    /// The seed of the arrivals and of the mix.
    pub seed: u64,
    /// How long a connection may take to open.
    pub connect_timeout: Duration,
    /// How long a request may take, from when it was sent.
    pub request_timeout: Duration,
    /// How long to wait for late answers when nothing more falls due.
    pub drain: Duration,
    /// Requests that may wait for a connection; with more, the oldest is given up as unsent.
    pub backlog: u32,
    /// Slow requests kept whole of each interval.
    pub keep_slow: u32,
    /// The response header by whose value answers are split.
    pub split_by: Option<String>,
    /// How long to measure this machine's own noise before; none does not.
    pub noise_floor: Option<Duration>,
    /// The directory for `intervals.jsonl`, `slow.jsonl` and `load.json`.
    pub record_to: Option<PathBuf>,
}

impl Plan {
    /// Requests that may wait for a connection, unless said otherwise.
    pub const BACKLOG: u32 = 100_000;
    /// How long a connection may take to open, unless said otherwise.
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
    /// How long a request may take, unless said otherwise.
    pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
    /// How long late answers are waited for, unless said otherwise.
    pub const DRAIN: Duration = Duration::from_secs(2);
    /// Slow requests kept of each interval, unless said otherwise.
    pub const KEEP_SLOW: u32 = 3;
    /// The economy pace's window, unless said otherwise.
    pub const BATCH: Duration = Duration::from_millis(1);

    /// The addresses of all its targets, as the resolver has them now.
    ///
    /// # Errors
    /// [`Error::Url`] and [`Error::Resolve`], where a URL is none or its host has no address.
    pub fn addresses(&self) -> Result<Vec<SocketAddr>> {
        let of = |request: &RequestSpec| Target::parse(&request.url)?.addresses();
        Ok(self.requests.iter().map(of).collect::<Result<Vec<_>>>()?.concat())
    }

    /// A constant load of GETs without warm-up, recorded nowhere.
    pub fn new(url: impl Into<String>, rate_per_second: f64, connections: u32, duration: Duration) -> Self {
        Self {
            requests: vec![RequestSpec::get(url)],
            protocol: Protocol::default(),
            trust: Trust::default(),
            unix: None,
            arrivals: Arrivals::constant(rate_per_second),
            connections,
            streams: 1,
            portion: Portion::WHOLE,
            start_at_ns: None,
            keep_alive: true,
            threads: 1,
            cpus: Vec::new(),
            warm_up: Duration::ZERO,
            duration,
            pace: Pace::Hybrid,
            batch: Self::BATCH,
            seed: 1,
            connect_timeout: Self::CONNECT_TIMEOUT,
            request_timeout: Self::REQUEST_TIMEOUT,
            drain: Self::DRAIN,
            backlog: Self::BACKLOG,
            keep_slow: Self::KEEP_SLOW,
            split_by: None,
            noise_floor: None,
            record_to: None,
        }
    }

    /// The response headers whose values are kept.
    pub(crate) fn kept(&self) -> Arc<[String]> {
        kept::names(self.split_by.as_deref())
    }

    /// Requests a second of this generator's portion, on average; none where nothing is planned.
    pub(crate) fn own_rate(&self) -> Option<f64> {
        self.arrivals.mean_rate(self.duration).map(|rate| rate / f64::from(self.portion.of))
    }

    /// The kinds of request by their names.
    pub(crate) fn kinds(&self) -> Vec<String> {
        self.requests.iter().map(|r| format!("{} {}", r.method, redacted::url(&r.url))).collect()
    }

    /// What is loaded, in a word: the URL, or the first of several.
    pub(crate) fn subject(&self) -> String {
        match &self.requests[..] {
            [only] => redacted::url(&only.url),
            [first, rest @ ..] => format!("{} and {} more", redacted::url(&first.url), rest.len()),
            [] => String::new(),
        }
    }

    /// Refuses values that make no load.
    pub(crate) fn check(&self) -> Result<()> {
        let refuse =
            |what, found: &dyn std::fmt::Debug, remedy| Err(Error::Plan { what, found: format!("{found:?}"), remedy });
        self.arrivals.check()?;
        if self.requests.is_empty() {
            return refuse("the list of requests", &"empty", "there must be at least one");
        }
        if self.connections == 0 {
            return refuse("the number of connections", &self.connections, "it must be at least 1");
        }
        if self.streams == 0 || (self.streams > 1 && !self.protocol.multiplexes()) {
            let remedy = "it must be at least 1, and HTTP/1.1 carries one request at a time";
            return refuse("the number of streams", &self.streams, remedy);
        }
        if u64::from(self.streams) * u64::from(self.connections) > 10_000_000 {
            return refuse("the number of streams", &self.streams, "there must be at most 10 million in all");
        }
        if self.protocol.multiplexes() && !self.keep_alive {
            return refuse("the protocol", &self.protocol.word(), "a connection for each request is for HTTP/1.1");
        }
        if self.threads == 0 || self.threads > self.connections {
            let remedy = "it must be at least 1, and each thread needs a connection of its own";
            return refuse("the number of threads", &self.threads, remedy);
        }
        if !self.cpus.is_empty() && self.cpus.len() != self.threads as usize {
            return refuse("the number of CPUs to pin to", &self.cpus.len(), "it must be the number of threads");
        }
        if self.portion.at >= self.portion.of {
            let remedy = "it must be one of as many as there are, counted from 0";
            return refuse("the portion of the load", &self.portion, remedy);
        }
        if self.backlog == 0 {
            return refuse("the backlog", &self.backlog, "it must be at least 1 request");
        }
        for (what, value) in [
            ("the duration", self.duration),
            ("the connect timeout", self.connect_timeout),
            ("the request timeout", self.request_timeout),
            ("the window of the economy pace", self.batch),
        ] {
            if value.is_zero() {
                return refuse(what, &value, "it must be more than 0 seconds");
            }
        }
        for (what, value) in [
            ("the warm-up", self.warm_up),
            ("the duration", self.duration),
            ("the connect timeout", self.connect_timeout),
            ("the request timeout", self.request_timeout),
            ("the drain", self.drain),
            ("the window of the economy pace", self.batch),
        ] {
            if value > Duration::from_secs(30 * 24 * 3600) {
                return refuse(what, &value, "it must be at most 30 days");
            }
        }
        Ok(())
    }
}

/// Nanoseconds of a time the plan has checked to be no longer than 30 days.
pub(crate) fn ns(time: Duration) -> u64 {
    time.as_nanos() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_make_no_load_are_refused_by_name() {
        type Change = fn(&mut Plan);
        let cases: [(&str, Change); 13] = [
            ("the number of threads is 2", |p| p.threads = 2),
            ("the number of CPUs to pin to is 2", |p| p.cpus = vec![0, 1]),
            ("the list of requests is", |p| p.requests.clear()),
            ("the rate is 0.0", |p| p.arrivals = Arrivals::constant(0.0)),
            ("the rate is -1.0", |p| p.arrivals = Arrivals::constant(-1.0)),
            ("the rate is NaN", |p| p.arrivals = Arrivals::constant(f64::NAN)),
            ("the rate is inf", |p| p.arrivals = Arrivals::constant(f64::INFINITY)),
            ("the number of connections is 0", |p| p.connections = 0),
            ("the backlog is 0", |p| p.backlog = 0),
            ("the portion of the load is", |p| p.portion = Portion { at: 2, of: 2 }),
            ("the duration is 0ns", |p| p.duration = Duration::ZERO),
            ("the request timeout is 0ns", |p| p.request_timeout = Duration::ZERO),
            ("the warm-up is", |p| p.warm_up = Duration::MAX),
        ];
        for (want, change) in cases {
            let mut plan = Plan::new("http://127.0.0.1:1/", 1.0, 1, Duration::from_secs(1));
            assert!(plan.check().is_ok());
            change(&mut plan);
            let said = plan.check().unwrap_err().to_string();
            assert!(said.starts_with(want), "{said}");
        }
    }
}
