//! What any bytes make of an agent's decoder; see the body.

#![no_main]
#![allow(dead_code)]

// The program is no library: the two files that read a peer's bytes are taken as they are.
#[path = "../bodies/agent_frame.rs"]
mod body;
#[path = "../../src/agent/frame.rs"]
mod frame;
#[path = "../../src/agent/words.rs"]
mod words;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::check(data));
