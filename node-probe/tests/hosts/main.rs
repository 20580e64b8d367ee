//! Whole machines as trees of their text, where every answer is known: their cards, samples and disks.

// In a test a panic is the report.
#![allow(clippy::unwrap_used, clippy::panic)]

mod cards;
mod chains;
mod edges;
mod laid;
mod samples;
mod texts;
mod tiers;
