//! What any bytes make of a list of requests; see the body.

#![no_main]
#![allow(dead_code)]

// The program is no library: the file that reads such lists is taken as it is, with the error that it refuses by.
#[path = "../bodies/requests_file.rs"]
mod body;
#[path = "../exit.rs"]
mod exit;
#[path = "../../src/load/requests.rs"]
mod requests;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::check(data));
