//! The files of a run, tried as a reader and a writer of them would.

// In a test a panic is the report; the lint knows only of functions that are tests themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod contained;
mod corpus;
mod directory;
mod example;
mod properties;
mod schemas;
