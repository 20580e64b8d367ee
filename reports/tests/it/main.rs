//! Runs whose answer is known, made through `record`, and what the reports say of them.

// In a test a panic is the report; the lint knows only of functions that are tests themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod canary;
mod compare;
mod corpus;
mod exchange;
mod gates;
mod history;
mod hostile;
mod hosts;
mod made;
mod manifests;
mod pages;
mod plans;
mod schemas;
mod shelf;
mod truths;
