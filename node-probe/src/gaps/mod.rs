//! Stolen time, seen by its gaps: a thread that spins on the clock misses what others take, told or not.
//!
//! [`watch_gaps`] spins for a while on one CPU and says what each gap was; [`GapSensor`] does a little of it all the
//! time, with a fixed piece of work in the place of the bare clock, so that it sees the speed of the CPU as well.

mod account;
mod attribute;
mod board;
mod place;
mod quota;
mod sensor;
mod tally;
mod watch;
mod watcher;

pub(crate) use place::{allowed_cpus, pin};
pub use sensor::{GapSensor, SENSOR_BIAS, SensorConfig};
pub use watch::{GapWatch, watch_gaps};
