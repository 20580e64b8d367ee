//! Whole machines as trees of their text, where every answer is known: their cards, samples and disks.

// In a test a panic is the report.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod cards;
mod chains;
mod corpus;
mod edges;
mod laid;
mod samples;
mod texts;
mod tiers;
