//! The text files of /proc, one parser a file.

pub(crate) mod interfaces;
pub(crate) mod interrupts;
pub(crate) mod load;
pub(crate) mod memory;
pub(crate) mod mountinfo;
pub(crate) mod pressure;
pub(crate) mod process;
pub(crate) mod run_queue;
pub(crate) mod softirqs;
pub(crate) mod softnet;
pub(crate) mod stat;
pub(crate) mod taskstats;
pub(crate) mod tcp;
pub(crate) mod threads;
pub(crate) mod vm;
