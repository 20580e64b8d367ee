//! What any bytes make of the numbers of a run; see the body.

#![no_main]
#[path = "../bodies/run_findings.rs"]
mod body;
#[allow(dead_code)]
#[path = "../../tests/it/made.rs"]
mod made;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::check(data));
