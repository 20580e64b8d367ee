//! What any bytes make of a histogram; see the body.

#![no_main]
#[path = "../bodies/histogram.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::check(data));
