//! Pure numbers: estimates over independent trials, and what chance alone would do.

pub(crate) mod binomial;
#[cfg(test)]
mod chance;
pub(crate) mod changeover;
pub mod cuts;
mod estimate;
pub mod power;
pub mod sequential;
mod shift;
mod signed_rank;

pub use estimate::{Estimate, Scale};
pub(crate) use shift::{Track, chance_of};
