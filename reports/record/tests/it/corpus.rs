//! The corpora of what is fuzzed in this crate, and changes of them.

#[path = "../../fuzz/bodies/histogram.rs"]
mod histogram;
#[path = "../../fuzz/replay.rs"]
mod replay;
#[path = "../../fuzz/bodies/run_directory.rs"]
mod run_directory;

#[test]
fn a_histogram_of_any_bytes_is_one_or_an_error() {
    replay::replay("histogram", 1500, histogram::check);
}

#[test]
fn a_run_directory_of_any_bytes_is_one_or_an_error_that_names_the_file() {
    replay::replay("run_directory", 400, run_directory::check);
}
