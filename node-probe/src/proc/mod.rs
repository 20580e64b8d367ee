//! The text files of /proc, one parser a file.

pub(crate) mod load;
pub(crate) mod mountinfo;
pub(crate) mod pressure;
pub(crate) mod process;
pub(crate) mod stat;
pub(crate) mod threads;
