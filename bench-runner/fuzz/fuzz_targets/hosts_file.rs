//! What any bytes make of a hosts.toml; see the body.

#![no_main]
#![allow(dead_code)]

// The program is no library: the file that reads hosts.toml is taken as it is, with the error that it refuses by.
#[path = "../bodies/hosts_file.rs"]
mod body;
#[path = "../exit.rs"]
mod exit;
#[path = "../../src/hosts/file.rs"]
mod hosts_file;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::check(data));
