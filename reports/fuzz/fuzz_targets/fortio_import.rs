//! What any bytes make of a result of Fortio; see the body.

#![no_main]
#[path = "../bodies/fortio_import.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::check(data));
