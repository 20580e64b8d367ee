//! The error of bad arguments, as the program has it in src/exit.rs with the exit codes that nobody asks for here.

/// Bad arguments: what is wrong, where, and what would be right.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);
