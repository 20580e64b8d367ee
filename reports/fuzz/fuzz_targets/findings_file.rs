//! What any bytes make of the findings of a run; see the body.

#![no_main]
#[path = "../bodies/findings_file.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::check(data));
