//! What any bytes make of the files of a run directory; see the body.

#![no_main]
#[path = "../bodies/run_directory.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::check(data));
