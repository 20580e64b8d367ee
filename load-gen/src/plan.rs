//! What load is asked for: where to, how much, for how long, and with which limits.

use std::path::PathBuf;
use std::time::Duration;

use record::{Arrival, Pace};

use crate::{Error, Result};

/// The method of every request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// Answered with a body.
    #[default]
    Get,
    /// Answered with a head only.
    Head,
}

impl Method {
    /// The word in the request line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
        }
    }
}

/// What load is asked for. [`Plan::new`] fills in what is seldom changed.
#[derive(Clone, Debug)]
pub struct Plan {
    /// `http://host:port/path`.
    pub url: String,
    /// The `Host` header, where it is to differ from the URL's.
    pub host: Option<String>,
    /// The method of every request.
    pub method: Method,
    /// Requests per second, in total.
    pub rate_per_second: f64,
    /// Connections, in total. All are open before the first request is due.
    pub connections: u32,
    /// Load that is not counted, at the same rate and over the same connections.
    pub warm_up: Duration,
    /// Load that is counted.
    pub duration: Duration,
    /// How arrivals are drawn.
    pub arrival: Arrival,
    /// How the generator waits for the next due time.
    pub pace: Pace,
    /// The seed of the arrivals.
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

    /// A constant load without warm-up, recorded nowhere.
    pub fn new(url: impl Into<String>, rate_per_second: f64, connections: u32, duration: Duration) -> Self {
        Self {
            url: url.into(),
            host: None,
            method: Method::Get,
            rate_per_second,
            connections,
            warm_up: Duration::ZERO,
            duration,
            arrival: Arrival::Constant,
            pace: Pace::Hybrid,
            seed: 1,
            connect_timeout: Self::CONNECT_TIMEOUT,
            request_timeout: Self::REQUEST_TIMEOUT,
            drain: Self::DRAIN,
            backlog: Self::BACKLOG,
            keep_slow: Self::KEEP_SLOW,
            record_to: None,
        }
    }

    /// Refuses values that make no load.
    pub(crate) fn check(&self) -> Result<()> {
        let refuse =
            |what, found: &dyn std::fmt::Debug, remedy| Err(Error::Plan { what, found: format!("{found:?}"), remedy });
        let rate = self.rate_per_second;
        if !rate.is_finite() || rate <= 0.0 {
            return refuse("the rate", &rate, "it must be more than 0 requests per second");
        }
        // Due times are whole nanoseconds: beyond this, requests would share them.
        if rate > 1e9 {
            return refuse("the rate", &rate, "it must be at most 1e9 requests per second");
        }
        if self.connections == 0 {
            return refuse("the number of connections", &self.connections, "it must be at least 1");
        }
        if self.backlog == 0 {
            return refuse("the backlog", &self.backlog, "it must be at least 1 request");
        }
        for (what, value) in [
            ("the duration", self.duration),
            ("the connect timeout", self.connect_timeout),
            ("the request timeout", self.request_timeout),
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
        let cases: [(&str, Change); 9] = [
            ("the rate is 0.0", |p| p.rate_per_second = 0.0),
            ("the rate is -1.0", |p| p.rate_per_second = -1.0),
            ("the rate is NaN", |p| p.rate_per_second = f64::NAN),
            ("the rate is inf", |p| p.rate_per_second = f64::INFINITY),
            ("the number of connections is 0", |p| p.connections = 0),
            ("the backlog is 0", |p| p.backlog = 0),
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
