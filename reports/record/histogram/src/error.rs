//! What can be wrong with a histogram.

/// Why one could not be read, written or merged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(pub(crate) String);
