//! Pure numbers: estimates over independent trials, and what chance alone would do.

pub(crate) mod binomial;
pub(crate) mod changeover;
pub(crate) mod discovery;
mod estimate;
mod shift;
mod signed_rank;

pub use estimate::{Estimate, Scale};
pub(crate) use shift::{Track, chance_of, touched_by_chance};
