//! The error rates that the statistics promise, on runs of a model of a noisy host. Small versions run with the other tests;
//! the large ones are ignored, and each writes its table to `reports/simulations`:
//! `cargo test --release -p reports --test simulations -- --ignored`.

// In a test a panic is the report; the lint knows only of functions that are tests themselves.
#![allow(clippy::unwrap_used)]

mod between_runs;
mod change_points;
mod coverage;
mod gate;
mod model;
mod plan;
mod table;
