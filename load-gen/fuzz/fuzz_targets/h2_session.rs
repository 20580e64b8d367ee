//! What any bytes make of a peer of HTTP/2; see the body.

#![no_main]
#[path = "../bodies/h2_session.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::check(data));
