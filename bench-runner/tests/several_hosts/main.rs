//! Runs on several hosts: network namespaces of this machine, each with an agent. Needs root, and minutes.

// In a test a panic is the report.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, dead_code)]

mod agents;
mod apart;
mod chain;
#[path = "../faults/deeds/clock.rs"]
mod clock;
mod losses;
mod pairing;
mod plans;
#[path = "../it/program.rs"]
mod program;
mod relay;
mod slow;
mod steady;
