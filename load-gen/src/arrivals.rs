//! How requests fall due: a process drawn along a profile of rates, moments given one by one, or a closed loop.

use std::sync::Arc;
use std::time::Duration;

use record::Process;

use crate::{Error, Result};

/// How requests fall due. Rates are totals, whatever the number of threads, connections or targets.
#[derive(Clone, Debug, PartialEq)]
pub enum Arrivals {
    /// By a plan that the target cannot move: an open loop.
    Open {
        /// How single arrivals are drawn.
        draw: Draw,
        /// How many there are on average.
        profile: Profile,
    },
    /// At these offsets from the start of the measured phase, in nanoseconds, in rising order.
    Replay(Arc<[u64]>),
    /// Whenever a connection (or stream) has been free for so long: a closed loop, and without a pause as much as
    /// the target can take.
    Closed {
        /// The pause between an answer and the next request.
        think: Duration,
    },
}

/// How the arrivals of an open loop are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draw {
    /// Evenly spaced.
    Constant,
    /// Independent of one another, with exponential gaps.
    Poisson,
    /// So many at the same moment, the moments evenly spaced.
    Burst(u32),
}

/// Requests per second over the time of the measured phase. The warm-up has the rate with which the profile begins.
#[derive(Clone, Debug, PartialEq)]
pub enum Profile {
    /// The same all the time.
    Flat(f64),
    /// From the one to the other in a straight line over the measured phase.
    Ramp {
        /// At its beginning.
        from: f64,
        /// At its end.
        to: f64,
    },
    /// One rate after the other, each for its time.
    Steps(Vec<(f64, Duration)>),
}

impl Arrivals {
    /// The most requests that fall due in a second; none for a closed loop, which nothing bounds but the target. Of arrivals
    /// that are drawn it is the rate that is asked for.
    pub fn highest(&self) -> Option<f64> {
        const SECOND_NS: u64 = 1_000_000_000;
        match self {
            Self::Closed { .. } => None,
            Self::Open { profile: Profile::Flat(rate), .. } => Some(*rate),
            Self::Open { profile: Profile::Ramp { from, to }, .. } => Some(from.max(*to)),
            Self::Open { profile: Profile::Steps(steps), .. } => {
                Some(steps.iter().map(|(rate, _)| *rate).fold(0.0, f64::max))
            }
            Self::Replay(offsets) => {
                let within = |first: usize| {
                    let end = offsets.get(first).copied().unwrap_or_default().saturating_add(SECOND_NS);
                    offsets.partition_point(|offset| *offset < end) - first
                };
                Some((0..offsets.len()).map(within).max().unwrap_or_default() as f64)
            }
        }
    }

    /// Evenly spaced at one rate.
    pub fn constant(rate: f64) -> Self {
        Self::Open { draw: Draw::Constant, profile: Profile::Flat(rate) }
    }

    /// A closed loop without a pause.
    pub fn max() -> Self {
        Self::Closed { think: Duration::ZERO }
    }

    /// The word for it in a summary.
    pub fn process(&self) -> Process {
        match self {
            Self::Open { draw: Draw::Constant, .. } => Process::Constant,
            Self::Open { draw: Draw::Poisson, .. } => Process::Poisson,
            Self::Open { draw: Draw::Burst(_), .. } => Process::Burst,
            Self::Replay(_) => Process::Replay,
            Self::Closed { .. } => Process::Closed,
        }
    }

    /// How long the plan itself lasts, where it says so.
    pub fn own_duration(&self) -> Option<Duration> {
        match self {
            Self::Open { profile: Profile::Steps(steps), .. } => Some(steps.iter().map(|(_, length)| *length).sum()),
            // The last one has a moment of its own to be due in.
            Self::Replay(offsets) => offsets.last().map(|last| Duration::from_nanos(last.saturating_add(1))),
            _ => None,
        }
    }

    /// Requests per second on average over a measured phase; none without a plan.
    pub fn mean_rate(&self, duration: Duration) -> Option<f64> {
        let seconds = duration.as_secs_f64();
        match self {
            Self::Open { profile: Profile::Flat(rate), .. } => Some(*rate),
            Self::Open { profile: Profile::Ramp { from, to }, .. } => Some((from + to) / 2.0),
            Self::Open { profile: Profile::Steps(steps), .. } => {
                let due: f64 = steps.iter().map(|(rate, length)| rate * length.as_secs_f64()).sum();
                Some(due / steps.iter().map(|(_, length)| length.as_secs_f64()).sum::<f64>())
            }
            Self::Replay(offsets) => Some(offsets.len() as f64 / seconds),
            Self::Closed { .. } => None,
        }
    }

    /// Refuses what makes no load.
    pub(crate) fn check(&self) -> Result<()> {
        let refuse =
            |what, found: &dyn std::fmt::Debug, remedy| Err(Error::Plan { what, found: format!("{found:?}"), remedy });
        let rates = match self {
            Self::Open { draw: Draw::Burst(0), .. } => {
                return refuse("the size of a burst", &0, "it must be at least 1 request");
            }
            Self::Open { profile, .. } => profile.rates(),
            Self::Replay(offsets) if offsets.is_empty() => {
                return refuse("the list of offsets", &"empty", "there must be at least one request");
            }
            Self::Replay(offsets) if !offsets.is_sorted() => {
                return refuse("the list of offsets", &"not in order", "each must be at or after the one before");
            }
            Self::Replay(_) | Self::Closed { .. } => Vec::new(),
        };
        for rate in rates {
            if !rate.is_finite() || rate <= 0.0 {
                return refuse("the rate", &rate, "it must be more than 0 requests per second");
            }
            // Due times are whole nanoseconds: beyond this, requests would share them.
            if rate > 1e9 {
                return refuse("the rate", &rate, "it must be at most 1e9 requests per second");
            }
        }
        Ok(())
    }
}

impl Profile {
    fn rates(&self) -> Vec<f64> {
        match self {
            Self::Flat(rate) => vec![*rate],
            Self::Ramp { from, to } => vec![*from, *to],
            // No step is no load, and is refused as its rate would be.
            Self::Steps(steps) if steps.is_empty() => vec![0.0],
            Self::Steps(steps) => steps.iter().map(|(rate, _)| *rate).collect(),
        }
    }

    /// The rate with which it begins.
    pub(crate) fn first_rate(&self) -> f64 {
        match self {
            Self::Flat(rate) | Self::Ramp { from: rate, .. } => *rate,
            Self::Steps(steps) => steps.first().map_or(0.0, |(rate, _)| *rate),
        }
    }
}

/// As the command line reads it: "500", "100..1000", "100x5s,200x5s", "max"; the draw has an option of its own.
impl std::fmt::Display for Arrivals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Open { profile: Profile::Flat(rate), .. } => write!(f, "{rate}"),
            Self::Open { profile: Profile::Ramp { from, to }, .. } => write!(f, "{from}..{to}"),
            Self::Open { profile: Profile::Steps(steps), .. } => {
                for (at, (rate, length)) in steps.iter().enumerate() {
                    let comma = if at > 0 { "," } else { "" };
                    write!(f, "{comma}{rate}x{}s", length.as_secs_f64())?;
                }
                Ok(())
            }
            Self::Replay(offsets) => write!(f, "{} given moments", offsets.len()),
            Self::Closed { think } if think.is_zero() => f.write_str("max"),
            Self::Closed { think } => write!(f, "max, {} s after each answer", think.as_secs_f64()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_rate_is_that_of_the_worst_second() {
        let open = |profile| Arrivals::Open { draw: Draw::Poisson, profile };
        assert_eq!(open(Profile::Flat(500.0)).highest(), Some(500.0));
        assert_eq!(open(Profile::Ramp { from: 900.0, to: 100.0 }).highest(), Some(900.0));
        let steps = [(100.0, Duration::from_secs(1)), (400.0, Duration::from_secs(2))];
        assert_eq!(open(Profile::Steps(steps.to_vec())).highest(), Some(400.0));
        assert_eq!(Arrivals::Closed { think: Duration::from_secs(9) }.highest(), None);
        // Three within the second from 0.5 s on, the one at its end being of the next.
        let replay = [0, 500_000_000, 900_000_000, 1_400_000_000, 1_500_000_000];
        assert_eq!(Arrivals::Replay(replay.into()).highest(), Some(3.0));
        assert_eq!(Arrivals::Replay([].into()).highest(), Some(0.0));
    }
}
