//! What any bytes make of a response; see the body.

#![no_main]
#[path = "../bodies/h1_response.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::check(data));
