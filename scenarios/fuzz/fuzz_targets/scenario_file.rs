//! What any bytes make of a scenario file; see the body.

#![no_main]
#[path = "../bodies/scenario_file.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::check(data));
