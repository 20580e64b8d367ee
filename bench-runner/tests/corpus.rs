//! The corpora of what is fuzzed in this crate, and changes of them. The program is no library: the files that read what others
//! wrote are taken as they are.

// In a test a panic is the report. Of the files that are taken in, other parts are for the program alone.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stderr, dead_code)]

#[path = "../fuzz/bodies/agent_frame.rs"]
mod agent_frame;
#[path = "../src/duration.rs"]
mod duration;
#[path = "../fuzz/exit.rs"]
mod exit;
#[path = "../src/agent/frame.rs"]
mod frame;
#[path = "../src/hosts/file.rs"]
mod hosts_file;
#[path = "../fuzz/bodies/hosts_file.rs"]
mod hosts_file_body;
#[path = "../src/load/rate.rs"]
mod rate;
#[path = "../../reports/record/fuzz/replay.rs"]
mod replay;
#[path = "../fuzz/bodies/replay_csv.rs"]
mod replay_csv;
#[path = "../src/load/requests.rs"]
mod requests;
#[path = "../fuzz/bodies/requests_file.rs"]
mod requests_file;
#[path = "../src/agent/words.rs"]
mod words;

#[test]
fn a_peer_of_any_bytes_is_read_within_the_limit() {
    replay::replay("agent_frame", 1500, agent_frame::check);
}

#[test]
fn a_hosts_file_of_any_text_is_one_or_an_error() {
    replay::replay("hosts_file", 1500, hosts_file_body::check);
}

#[test]
fn moments_of_any_text_are_a_load_or_an_error_in_their_line() {
    replay::replay("replay_csv", 1500, replay_csv::check);
}

#[test]
fn requests_of_any_text_are_kinds_of_request_or_an_error() {
    replay::replay("requests_file", 200, requests_file::check);
}
