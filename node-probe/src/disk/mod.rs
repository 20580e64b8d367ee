//! The disk under a path: which it is, and its counters.

pub(crate) mod chain;
pub(crate) mod counters;
pub(crate) mod device;
pub(crate) mod identity;
pub(crate) mod place;
pub(crate) mod queue;

pub(crate) use counters::Disk;
