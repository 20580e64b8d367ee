//! What any bytes make of a directory of Istio's configuration; see the body.

#![no_main]
#[path = "../bodies/istio.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::check(data));
