//! Experiments on the running machine, with a truth that is known without the probe.

// Here a panic is the report, and standard error is where a skipped test says so; clippy knows neither outside
// of functions marked as tests.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]

mod busy;
mod disk;
mod disk_test;
mod gaps;
mod groups;
mod pressure;
mod processes;
mod quota;
mod rounds;
