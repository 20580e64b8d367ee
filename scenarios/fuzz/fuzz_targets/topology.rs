//! What any bytes make of a topology; see the body.

#![no_main]
#[path = "../bodies/topology.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::check(data));
