//! Watches the node: raw counters of the kernel, read on kept descriptors and stamped, nothing interpreted.
//!
//! [`Sampler`] opens every source once and fills [`record::Sample`]s; [`watch_until`] does so on an absolute
//! schedule; [`host()`] says what machine it is. [`watch_gaps`] and [`GapSensor`] see stolen time without being told of
//! it. [`measure_speed`] and [`disk_test`] alone act instead of watching, and never while something is measured. Rates,
//! shares and causes are made by readers of the samples.

mod absence;
mod cgroup;
mod disk;
pub mod disk_test;
mod edges;
mod error;
mod exits;
mod feed;
mod gaps;
mod host;
mod networks;
mod node;
mod one_part;
mod own_cost;
mod proc;
mod processes;
mod sampler;
mod schedule;
mod source;
mod speed;
#[cfg(test)]
mod text_tree;
mod tiers;

pub use edges::edges;
pub use error::{Error, Result};
pub use gaps::{GapSensor, GapWatch, SENSOR_BIAS, SensorConfig, watch_gaps};
pub use host::host;
pub use sampler::{Sampler, Watch};
pub use schedule::watch_until;
pub use speed::{Effort, measure_speed};
