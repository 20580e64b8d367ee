//! What any bytes make of a table of moments; see the body.

#![no_main]
#![allow(dead_code)]

// The program is no library: the files that read moments are taken as they are, with the error that they refuse by.
#[path = "../bodies/replay_csv.rs"]
mod body;
#[path = "../../src/duration.rs"]
mod duration;
#[path = "../exit.rs"]
mod exit;
#[path = "../../src/load/rate.rs"]
mod rate;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::check(data));
