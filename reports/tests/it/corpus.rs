//! The corpora of what is fuzzed in this crate, and changes of them.

#[path = "../../fuzz/bodies/findings_file.rs"]
mod findings_file;
#[path = "../../fuzz/bodies/fortio_import.rs"]
mod fortio_import;
#[path = "../../fuzz/bodies/prices.rs"]
mod prices;
#[path = "../../record/fuzz/replay.rs"]
mod replay;
#[path = "../../fuzz/bodies/run_findings.rs"]
mod run_findings;

#[test]
fn a_price_list_of_any_text_is_one_or_an_error_in_its_line() {
    replay::replay("prices", 1500, prices::check);
}

#[test]
fn a_result_of_fortio_of_any_text_is_one_or_an_error() {
    replay::replay("fortio_import", 1500, fortio_import::check);
}

#[test]
fn findings_of_any_bytes_are_followed_or_left_out() {
    replay::replay("findings_file", 150, findings_file::check);
}

#[test]
fn a_run_whose_numbers_were_changed_is_explained_or_refused() {
    replay::replay("run_findings", 60, run_findings::check);
}
