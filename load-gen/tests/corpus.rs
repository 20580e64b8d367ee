//! The corpora of what is fuzzed in this crate, and changes of them. A program of its own: it keeps CPUs busy, and the tests of
//! loads look at times.

// In a test a panic is the report.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stderr)]

#[path = "../fuzz/bodies/h1_response.rs"]
mod h1_response;
#[path = "../fuzz/bodies/h2_session.rs"]
mod h2_session;
#[path = "../../reports/record/fuzz/replay.rs"]
mod replay;

#[test]
fn a_response_of_any_bytes_is_the_same_in_any_pieces() {
    replay::replay("h1_response", 1500, h1_response::check);
}

#[test]
fn a_peer_that_sends_any_bytes_ends_each_request_once() {
    replay::replay("h2_session", 1500, h2_session::check);
}
