//! What any bytes make of a text of the kernel; see the body.

#![no_main]
#[path = "../bodies/machine_texts.rs"]
mod body;
#[path = "../../tests/hosts/laid.rs"]
mod laid;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::check(data));
