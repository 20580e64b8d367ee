//! What any bytes make of a price list; see the body.

#![no_main]
#[path = "../bodies/prices.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::check(data));
