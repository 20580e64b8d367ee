//! The corpora of what is fuzzed in this crate, and changes of them.

#[path = "../../fuzz/bodies/istio.rs"]
mod istio;
#[path = "../../../reports/record/fuzz/replay.rs"]
mod replay;
#[path = "../../fuzz/bodies/scenario_file.rs"]
mod scenario_file;
#[path = "../../fuzz/bodies/topology.rs"]
mod topology;

#[test]
fn a_scenario_of_any_text_is_one_or_an_error_in_its_line() {
    replay::replay("scenario_file", 1500, scenario_file::check);
}

#[test]
fn a_topology_of_any_text_is_one_or_an_error_in_its_line() {
    replay::replay("topology", 300, topology::check);
}

#[test]
fn istio_of_any_yaml_is_settings_or_fields_that_are_refused() {
    replay::replay("istio", 300, istio::check);
}
