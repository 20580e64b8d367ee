//! The corpora of what is fuzzed in this crate, and changes of them.

use std::path::{Path, PathBuf};

#[path = "../../fuzz/bodies/istio.rs"]
mod istio;
#[path = "../../../reports/record/fuzz/replay.rs"]
mod replay;
#[path = "../../fuzz/bodies/scenario_file.rs"]
mod scenario_file;
#[path = "../../fuzz/bodies/topology.rs"]
mod topology;

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

#[test]
fn a_scenario_of_any_text_is_one_or_an_error_in_its_line() {
    replay::replay(&corpus("scenario_file"), 1500, scenario_file::check);
}

#[test]
fn a_topology_of_any_text_is_one_or_an_error_in_its_line() {
    replay::replay(&corpus("topology"), 300, topology::check);
}

#[test]
fn istio_of_any_yaml_is_settings_or_fields_that_are_refused() {
    replay::replay(&corpus("istio"), 300, istio::check);
}
