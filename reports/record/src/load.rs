//! What the load generator says of a whole trial, and `meshtax load --format json` prints.

use serde::{Deserialize, Serialize};

use std::collections::BTreeMap;

use crate::{Histogram, Outcomes, Pace, Process, Reading, Warning};

/// Whether the generator's figures can be taken for the target's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// They can.
    Valid,
    /// There is a doubt, named in the reasons.
    Suspect,
    /// They cannot, for the reasons named.
    Invalid,
}

/// Five points of a distribution, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Quantiles {
    /// Half are at or below.
    pub p50: u64,
    /// Nine tenths are at or below.
    pub p90: u64,
    /// 99 of 100 are at or below.
    pub p99: u64,
    /// 999 of 1000 are at or below.
    pub p999: u64,
    /// The largest.
    pub max: u64,
}

impl From<&Histogram> for Quantiles {
    fn from(h: &Histogram) -> Self {
        Self {
            p50: h.quantile(0.5),
            p90: h.quantile(0.9),
            p99: h.quantile(0.99),
            p999: h.quantile(0.999),
            max: h.max(),
        }
    }
}

/// Send lag, by whose it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Lag {
    /// The generator was late though a connection was free.
    pub ours: Quantiles,
    /// No connection was free.
    pub theirs: Quantiles,
}

/// The result of one load, over its measured phase; `load.json` of a trial.
///
/// `due = answered + failed + censored`, and `censored = unsent + outcomes.cut_by_deadline`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct LoadSummary {
    /// The file format.
    pub schema: u32,
    /// The way the figures are made.
    pub method: u32,
    /// Whether the figures can be taken for the target's.
    pub verdict: Verdict,
    /// Why not, if not.
    pub reasons: Vec<String>,
    /// What was loaded.
    pub url: String,
    /// Requests per second asked for, in total, on average over the measured phase; none where requests fell due
    /// as answers came.
    pub rate_per_second: Option<f64>,
    /// Connections asked for, in total.
    pub connections: u32,
    /// How arrivals were drawn.
    pub arrival: Process,
    /// How the generator waited.
    pub pace: Pace,
    /// The seed of the arrivals.
    pub seed: u64,
    /// When the first request of the measured phase was due (its start), CLOCK_MONOTONIC.
    pub start_ns: u64,
    /// How long requests were due for.
    pub duration_ns: u64,
    /// When the last one ended or was given up, CLOCK_MONOTONIC.
    pub end_ns: u64,
    /// Requests due.
    pub due: u64,
    /// Requests written to a connection.
    pub sent: u64,
    /// Whole responses.
    pub answered: u64,
    /// Due, and never written before the end.
    pub unsent: u64,
    /// Due, and with no end before the end: counted as at least their age.
    pub censored: u64,
    /// How they ended.
    pub outcomes: Outcomes,
    /// Answered, over the measured time.
    pub achieved_per_second: f64,
    /// From intended to done.
    pub response_ns: Quantiles,
    /// From sent to done.
    pub service_ns: Quantiles,
    /// From intended to sent.
    pub lag_ns: Lag,
    /// CPU time of the generator, warm-up and all.
    pub cpu_seconds: f64,
    /// What else was seen of it.
    #[serde(default)]
    pub observed: Observed,
    /// Doubts, with their evidence and remedy.
    pub warnings: Vec<Warning>,
}

/// What is seen of a load besides the times of its requests. Counts and times are of the measured phase, but for the
/// opening of connections.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Observed {
    /// "http/1.1", "http/2" or "grpc", with "over TLS 1.3" and "a connection a request" where it was so.
    pub protocol: String,
    /// The plan in words that the command line reads: "500", "100..1000", "100x5s,200x5s", "max".
    pub plan: String,
    /// The generator's threads.
    pub threads: Vec<ThreadUse>,
    /// CPU time that the hypervisor took from this machine meanwhile, in ticks of 10 ms.
    pub steal_ticks: Reading<u64>,
    /// Requests sent against the plan; none where there was no plan.
    pub pacing: Option<Pacing>,
    /// Requests that were never sent, most of whose wait was the generator's own; none where there were none.
    pub kept_back: Option<KeptBack>,
    /// Sleeps of a closed loop through which several answers came, each of which was stamped late by no more than the sleep;
    /// none where answers were waited for one by one.
    pub naps_ns: Option<Quantiles>,
    /// How long connections took to open.
    pub setup_ns: Setup,
    /// From sent to the first byte of the response.
    pub first_byte_ns: Quantiles,
    /// Bytes of responses, heads included, without TLS.
    pub bytes_read: u64,
    /// Answers by the value of the header that was to be split by, the most frequent first.
    pub split: Vec<Share>,
    /// Answers by the kind of request, where there are several, in the order in which they were given.
    pub requests: Vec<Share>,
    /// Answers that a proxy had to try for more than once (`x-envoy-attempt-count` over 1).
    pub retried: u64,
    /// Tries beyond the first, all together.
    pub extra_attempts: u64,
    /// Answers in which a proxy said that it was overloaded (`x-envoy-overloaded`).
    pub overloaded: u64,
    /// gRPC answers by their own status; a call counts as answered with the HTTP status that stands for it.
    pub grpc_statuses: BTreeMap<u32, u64>,
    /// Messages in gRPC answers.
    pub grpc_messages: u64,
    /// How evenly connections were used.
    pub balance: Option<Balance>,
    /// What this machine adds by itself, measured on loopback just before; none where it was not measured.
    pub noise_floor: Option<NoiseFloor>,
    /// Change over the measured phase; none where it was too short to see one.
    pub stationarity: Option<Stationarity>,
}

/// A thread of the generator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct ThreadUse {
    /// The CPU it was pinned to; none where it was not.
    pub cpu: Option<u32>,
    /// CPU time it used.
    pub cpu_seconds: f64,
    /// Time it waited in a run queue though it could have run.
    pub run_delay_ns: Reading<u64>,
    /// Over how long.
    pub elapsed_ns: u64,
}

/// Requests that a connection was free for and that were not sent: the generator was away until it was too late for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct KeptBack {
    /// How many.
    pub requests: u64,
    /// The longest that was the generator's own of the wait of one.
    pub longest_ns: u64,
}

impl KeptBack {
    /// Adds those of another generator, or of another thread.
    pub fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.longest_ns = self.longest_ns.max(other.longest_ns);
    }
}

/// What came of the pacing, against the plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Pacing {
    /// The window within which the economy pace puts sends together; 0 for the others.
    pub batch_ns: u64,
    /// As it was planned.
    pub planned: Gaps,
    /// As it was sent.
    pub sent: Gaps,
}

/// Times between one request and the next.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Gaps {
    /// Of the gaps.
    pub gap_ns: Quantiles,
    /// The share of gaps under a tenth of the mean planned one.
    pub burst_share: f64,
    /// Variance over mean of the requests in each millisecond: 0 for an even train, 1 for a Poisson process.
    pub dispersion: f64,
}

/// How long connections took to open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Setup {
    /// Connections opened, those in the middle of the load included.
    pub opened: u64,
    /// Looking the name up, once an endpoint.
    pub dns: Quantiles,
    /// To the end of TCP's handshake.
    pub connect: Quantiles,
    /// From there to the end of TLS's.
    pub tls: Quantiles,
}

/// The answers of one backend, or to one kind of request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Share {
    /// The header's value; empty for answers without it, "(others)" for values beyond those kept apart. Of a kind of
    /// request its method and URL.
    pub value: String,
    /// Answers.
    pub answered: u64,
    /// Of which with a status outside 200 to 399.
    pub errors: u64,
    /// From intended to done.
    pub response_ns: Quantiles,
    /// From sent to done.
    pub service_ns: Quantiles,
}

/// How evenly connections were used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Balance {
    /// Connections that carried an answer.
    pub used: u32,
    /// Answers of the one with the fewest.
    pub fewest: u64,
    /// Answers of the one with the most.
    pub most: u64,
}

/// What this machine adds to every figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct NoiseFloor {
    /// Probes made.
    pub probes: u64,
    /// From a due time to being awake.
    pub wake_ns: Quantiles,
    /// A byte over loopback to a thread that sleeps, and back.
    pub round_trip_ns: Quantiles,
}

/// The first third of the measured phase against the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Stationarity {
    /// Response times of the first third.
    pub first_ns: Quantiles,
    /// Response times of the last third.
    pub last_ns: Quantiles,
}
