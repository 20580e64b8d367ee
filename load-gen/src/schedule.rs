//! When requests are due: offsets from the start of the load, by arithmetic and never from a clock.
//!
//! An open loop is drawn in two steps. The draw gives positions on the axis of counts: 0, 1, 2 ... for evenly spaced
//! arrivals, a running sum of exponential gaps of mean 1 for Poisson ones, 0, 0, 0, 3, 3, 3 ... for bursts. The
//! profile turns a position into a time: the moment by which so many requests should have been due, the inverse of
//! its cumulative rate. So every draw follows every profile, and no error adds up over time.

use std::sync::Arc;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::arrivals::{Arrivals, Draw, Profile};

/// No request falls due any more, or none by a plan.
pub const NEVER: u64 = u64::MAX;

/// The due times of one load, one after the other; the same seed draws the same times.
#[derive(Clone, Debug)]
pub struct Schedule {
    drawn: u64,
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    Open { draw: Drawing, curve: Curve },
    Replay { offsets: Arc<[u64]>, warm_up_ns: u64 },
    Nothing,
}

#[derive(Clone, Debug)]
enum Drawing {
    Constant,
    Poisson { chance: ChaCha8Rng, at: f64 },
    Burst(u64),
}

/// A profile with its warm-up, as the time by which a number of requests is due.
#[derive(Clone, Debug)]
enum Curve {
    Flat {
        rate: f64,
    },
    /// The warm-up at the first rate, then from one rate to the other.
    Ramp {
        warm_up_ns: f64,
        warm_up_count: f64,
        from: f64,
        to: f64,
        length_s: f64,
    },
    /// The count and the time at which each step begins, its rate, and at the end the last count.
    Steps {
        steps: Vec<(f64, f64, f64)>,
        end_count: f64,
        at: usize,
    },
}

impl Schedule {
    /// The schedule of a load with this warm-up before its measured phase of this length.
    pub fn new(arrivals: &Arrivals, warm_up_ns: u64, measure_ns: u64, seed: u64) -> Self {
        let source = match arrivals {
            Arrivals::Open { draw, profile } => {
                let draw = match draw {
                    Draw::Constant => Drawing::Constant,
                    Draw::Poisson => Drawing::Poisson { chance: ChaCha8Rng::seed_from_u64(seed), at: 0.0 },
                    Draw::Burst(size) => Drawing::Burst(u64::from(*size).max(1)),
                };
                Source::Open { draw, curve: Curve::new(profile, warm_up_ns as f64, measure_ns as f64) }
            }
            Arrivals::Replay(offsets) => Source::Replay { offsets: Arc::clone(offsets), warm_up_ns },
            Arrivals::Closed { .. } => Source::Nothing,
        };
        Self { drawn: 0, source }
    }

    /// The next due time, in nanoseconds from the start; never less than the one before, and [`NEVER`] after the last.
    #[inline]
    pub fn next_offset_ns(&mut self) -> u64 {
        let index = self.drawn;
        self.drawn += 1;
        match &mut self.source {
            Source::Open { draw, curve } => {
                let position = match draw {
                    Drawing::Constant => index as f64,
                    Drawing::Poisson { chance, at } => {
                        // `random` draws from [0, 1): its complement has a logarithm always.
                        let share: f64 = 1.0 - chance.random::<f64>();
                        *at -= share.ln();
                        *at
                    }
                    Drawing::Burst(size) => (index / *size * *size) as f64,
                };
                curve.time_ns(position)
            }
            Source::Replay { offsets, warm_up_ns } => {
                offsets.get(index as usize).map_or(NEVER, |offset| offset.saturating_add(*warm_up_ns))
            }
            Source::Nothing => NEVER,
        }
    }
}

impl Curve {
    fn new(profile: &Profile, warm_up_ns: f64, measure_ns: f64) -> Self {
        let warm_up_count = warm_up_ns * profile.first_rate() / 1e9;
        match profile {
            Profile::Flat(rate) => Self::Flat { rate: *rate },
            Profile::Ramp { from, to } => {
                Self::Ramp { warm_up_ns, warm_up_count, from: *from, to: *to, length_s: measure_ns / 1e9 }
            }
            Profile::Steps(steps) => {
                let mut found = vec![(0.0, 0.0, profile.first_rate())];
                let (mut count, mut time) = (warm_up_count, warm_up_ns);
                for (rate, length) in steps {
                    found.push((count, time, *rate));
                    count += rate * length.as_secs_f64();
                    time += length.as_nanos() as f64;
                }
                Self::Steps { steps: found, end_count: count, at: 0 }
            }
        }
    }

    /// When so many requests should have been due.
    #[inline]
    fn time_ns(&mut self, count: f64) -> u64 {
        match self {
            Self::Flat { rate } => (count * 1e9 / *rate) as u64,
            Self::Ramp { warm_up_ns, warm_up_count, from, to, length_s } => {
                if count < *warm_up_count {
                    return (count * 1e9 / *from) as u64;
                }
                let count = count - *warm_up_count;
                // count = from t + (to - from) t^2 / 2 length, solved for t in the form that does not cancel.
                let bend = (*to - *from) / *length_s;
                let root = (*from * *from + 2.0 * bend * count).max(0.0).sqrt();
                let after = 2.0 * count / (*from + root);
                // Past the end of a falling ramp nothing is due any more.
                if after.is_finite() { (*warm_up_ns + after * 1e9) as u64 } else { NEVER }
            }
            Self::Steps { steps, end_count, at } => {
                if count >= *end_count {
                    return NEVER;
                }
                // Positions rise, so the step is this one or a later one.
                while steps.get(*at + 1).is_some_and(|(begins, _, _)| count >= *begins) {
                    *at += 1;
                }
                let Some((begins, time_ns, rate)) = steps.get(*at) else { return NEVER };
                (time_ns + (count - begins) * 1e9 / rate) as u64
            }
        }
    }
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
