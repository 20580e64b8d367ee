//! How far the clock of another host is ahead of the runner's, by exchanges of stamps: never a figure without its bound.
//!
//! Each exchange holds the offset between two sides (`ClockExchange::ahead_ns`), half of the round trip from the middle.
//! Two exchanges hold the drift between the slopes that fit both. At any moment the offset is where all exchanges, each
//! carried there at a drift that is possible, meet. Nothing is averaged, so that the bound holds whatever the delays are
//! made of, as long as the drift changes by less than `WANDER` within `REACH_NS`; where exchanges do not meet it did,
//! and each is carried at the most that a clock can drift instead.

use record::ClockExchange;

/// The most that one clock can run ahead of another: NTP may slew each by 500 ppm.
const FASTEST: f64 = 1e-3;

/// By how much a crystal's rate may change while it is looked at: temperature moves it by less.
const WANDER: f64 = 1e-6;

/// Exchanges within this time of a moment are looked at.
const REACH_NS: u64 = 120_000_000_000;

/// Of those, so many: the ones with the least delay of equal parts of the time.
const LOOKED_AT: usize = 48;

/// A figure and by how much it may be wrong, either way; not an estimate of trials but a bound.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Bounded {
    /// The figure.
    pub value: f64,
    /// It lies within so much of the truth.
    pub error: f64,
}

impl Bounded {
    fn between(low: f64, high: f64) -> Self {
        Self { value: f64::midpoint(low, high), error: (high - low) / 2.0 }
    }
}

/// The clock of one host, from one of its starts to the next, against the runner's.
#[derive(Clone, Debug)]
pub struct HostClock {
    /// The host.
    pub host: String,
    /// Which start of it.
    pub boot: String,
    points: Vec<Point>,
    /// What all offsets are counted from, so that floating point keeps each nanosecond.
    base_ns: i128,
    /// The agent's clock of day less its monotonic clock, less the runner's own difference, at the last exchange.
    day_ns: i128,
}

/// An exchange: when it was, and between which two values the offset lay.
#[derive(Clone, Copy, Debug)]
struct Point {
    at_ns: u64,
    low: f64,
    high: f64,
}

impl HostClock {
    /// The clocks of all hosts and starts in these exchanges, in the order in which they were first heard of.
    pub fn of(exchanges: &[ClockExchange]) -> Vec<Self> {
        let mut clocks: Vec<Self> = Vec::new();
        for exchange in exchanges {
            let known = clocks.iter().position(|c| c.host == exchange.host && c.boot == exchange.boot);
            let at = known.unwrap_or_else(|| {
                clocks.push(Self {
                    host: exchange.host.clone(),
                    boot: exchange.boot.clone(),
                    points: Vec::new(),
                    base_ns: exchange.ahead_ns().0,
                    day_ns: 0,
                });
                clocks.len() - 1
            });
            if let Some(clock) = clocks.get_mut(at) {
                clock.take(exchange);
            }
        }
        clocks
    }

    fn take(&mut self, exchange: &ClockExchange) {
        let (low, high) = exchange.ahead_ns();
        // The two stamps of the agent are of moments that differ from the middle by the delay at most.
        let doubt = exchange.delay_ns() as f64 * FASTEST;
        let from_base = |ns: i128| (ns - self.base_ns) as f64;
        self.points.push(Point {
            at_ns: exchange.asked_ns.midpoint(exchange.heard_ns),
            low: from_base(low) - doubt,
            high: from_base(high) + doubt,
        });
        let difference = |real: u64, monotonic: u64| i128::from(real) - i128::from(monotonic);
        self.day_ns = difference(exchange.agent_realtime_ns, exchange.answered_ns)
            - difference(exchange.runner_realtime_ns, exchange.heard_ns);
    }

    /// How far its CLOCK_MONOTONIC is ahead of the runner's when that shows `runner_ns`, in nanoseconds; none without an
    /// exchange near it, or where the clock jumped.
    pub fn ahead_ns(&self, runner_ns: u64) -> Option<Bounded> {
        let near = self.near(runner_ns);
        let (slowest, fastest) = slopes(&near)?;
        meeting(&near, runner_ns, slowest, fastest)
            .or_else(|| meeting(&near, runner_ns, -FASTEST, FASTEST))
            .map(|b| Bounded { value: b.value + self.base_ns as f64, error: b.error })
    }

    /// What the runner's clock showed when this one showed `own_ns`; none where that is not near an exchange.
    fn runner_ns(&self, own_ns: u64) -> Option<u64> {
        let first = self.points.first()?;
        let guess = own_ns.saturating_add_signed(-((self.base_ns + first.low as i128) as i64));
        let ahead = self.ahead_ns(guess)?;
        Some(own_ns.saturating_add_signed(-(ahead.value.round() as i64)))
    }

    /// How much faster it runs than the runner's, in parts per million, over all exchanges.
    pub fn drift_ppm(&self) -> Option<Bounded> {
        let (slowest, fastest) = slopes(&least_delayed(&self.points))?;
        Some(Bounded::between(slowest * 1e6, fastest * 1e6))
    }

    /// How far its time of day is ahead of the runner's, in nanoseconds, at the last exchange.
    pub fn day_ahead_ns(&self) -> Option<Bounded> {
        let last = self.points.last()?;
        self.ahead_ns(last.at_ns).map(|b| Bounded { value: b.value + self.day_ns as f64, error: b.error })
    }

    /// The first and the last moment of exchanges, by the runner's clock.
    pub fn span_ns(&self) -> Option<(u64, u64)> {
        Some((self.points.first()?.at_ns, self.points.last()?.at_ns))
    }

    /// How many exchanges there are.
    pub fn exchanges(&self) -> usize {
        self.points.len()
    }

    fn near(&self, runner_ns: u64) -> Vec<Point> {
        let near: Vec<Point> =
            self.points.iter().filter(|p| p.at_ns.abs_diff(runner_ns) <= REACH_NS).copied().collect();
        least_delayed(&near)
    }
}

/// How far the clock of one host is ahead of another's, in nanoseconds, from one moment to another of the first; the
/// error holds from the one to the other. None where one of the clocks is not known.
pub fn apart_ns(clocks: &[HostClock], of: &str, from: &str, span_ns: (u64, u64)) -> Option<Bounded> {
    let middle_ns = span_ns.0.midpoint(span_ns.1);
    let (mut middle, mut error) = (None, 0.0_f64);
    for at_ns in [middle_ns, span_ns.0, span_ns.1] {
        // Since its start a host's clock only rises: the start with an exchange near this moment is the one.
        let seen = clocks.iter().filter(|c| c.host == of).find_map(|c| Some((c.runner_ns(at_ns)?, c)));
        let (runner_ns, clock) = seen?;
        let one = clock.ahead_ns(runner_ns)?;
        let others = clocks.iter().filter(|c| c.host == from);
        let other = others.filter_map(|c| c.ahead_ns(runner_ns)).min_by(|a, b| a.error.total_cmp(&b.error))?;
        let value = one.value - other.value;
        let middle = *middle.get_or_insert(value);
        error = error.max((value - middle).abs() + one.error + other.error);
    }
    middle.map(|value| Bounded { value, error })
}

/// Of each of equal parts of the time the exchange that is the narrowest.
fn least_delayed(points: &[Point]) -> Vec<Point> {
    let each = points.len().div_ceil(LOOKED_AT).max(1);
    let width = |p: &Point| p.high - p.low;
    points.chunks(each).filter_map(|part| part.iter().min_by(|a, b| width(a).total_cmp(&width(b)))).copied().collect()
}

/// The slowest and the fastest drift that all exchanges leave possible, with what a crystal may wander.
fn slopes(points: &[Point]) -> Option<(f64, f64)> {
    points.first()?;
    let (mut slowest, mut fastest) = (-FASTEST, FASTEST);
    for (at, late) in points.iter().enumerate() {
        for early in points.iter().take(at) {
            let between = late.at_ns.saturating_sub(early.at_ns) as f64;
            if between > 0.0 {
                slowest = slowest.max((late.low - early.high) / between);
                fastest = fastest.min((late.high - early.low) / between);
            }
        }
    }
    if slowest > fastest {
        return Some((-FASTEST, FASTEST));
    }
    Some((slowest - WANDER, fastest + WANDER))
}

/// Where all exchanges, carried to a moment at these drifts, meet.
fn meeting(points: &[Point], at_ns: u64, slowest: f64, fastest: f64) -> Option<Bounded> {
    let (mut low, mut high) = (f64::NEG_INFINITY, f64::INFINITY);
    for point in points {
        let later = at_ns as f64 - point.at_ns as f64;
        let (one, other) = (later * slowest, later * fastest);
        low = low.max(point.low + one.min(other));
        high = high.min(point.high + one.max(other));
    }
    (low <= high && low.is_finite()).then(|| Bounded::between(low, high))
}

#[cfg(test)]
#[path = "clocks_tests.rs"]
mod tests;
