//! Pure numbers: estimates over independent trials, and what chance alone would do.

pub(crate) mod binomial;
pub mod centre;
#[cfg(test)]
pub(crate) mod chance;
pub mod change_points;
pub(crate) mod changeover;
pub mod components;
mod course;
pub mod cuts;
pub(crate) mod discovery;
pub mod drift;
mod estimate;
pub mod holm;
pub mod modes;
pub mod power;
pub mod prediction;
#[cfg(test)]
mod properties;
pub mod sequential;
mod shift;
mod signed_rank;
pub mod steal;

pub use estimate::{Estimate, Scale};
pub(crate) use shift::{Track, chance_of, touched_by_chance};
