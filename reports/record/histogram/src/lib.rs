//! The histogram of everything that is timed here. A crate of its own, since counting and adding are what a request costs and
//! what a test waits for: it is made fast in every build, and what else is in `record` need not be.

mod error;
mod histogram;
mod interchange;

pub use error::Error;
pub use histogram::Histogram;

/// The result of what can fail here.
pub type Result<T> = std::result::Result<T, Error>;
