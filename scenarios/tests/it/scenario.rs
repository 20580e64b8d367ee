//! Scenario files: what they become, and what is said about those that are wrong.

use record::{Cell, Dataplane, Mtls};
use scenarios::{Error, Scenario, library};

fn parse(text: &str) -> Scenario {
    Scenario::parse(text, "mine.toml").unwrap()
}

fn cells(text: &str) -> Vec<Cell> {
    parse(text).cells().unwrap()
}

fn ids(text: &str) -> Vec<String> {
    cells(text).into_iter().map(|c| c.id).collect()
}

fn labels(text: &str) -> Vec<String> {
    cells(text).into_iter().map(|c| c.label).collect()
}

fn said(text: &str) -> String {
    match Scenario::parse(text, "mine.toml") {
        Err(e @ Error::Scenario { .. }) => e.to_string(),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn the_library_loads_and_each_scenario_bears_its_name() {
    for (name, text) in library() {
        let scenario = Scenario::parse(text, name).unwrap();
        assert_eq!(scenario.name, name);
        assert!(scenario.teaches.ends_with('.'), "{name} teaches: {}", scenario.teaches);
        let cells = scenario.cells().unwrap();
        assert!(cells.iter().any(|c| !c.factors.meshed()), "{name} has no baseline");
        let mut ids: Vec<&str> = cells.iter().map(|c| c.id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), cells.len(), "{name}: ids are not unique");
    }
}

#[test]
fn the_default_run_is_over_in_eighty_seconds() {
    let (name, text) = library()[0];
    assert_eq!(name, "first-look");
    let scenario = parse(text);
    let record::Timing { settle_ns, warm_up_ns, measure_ns, cool_down_ns } = scenario.timing;
    let trials = scenario.cells().unwrap().len() as u64 * u64::from(scenario.plan.repeats);
    // One second for each trial's start and end is a lot.
    let total_ns = trials * (settle_ns + warm_up_ns + measure_ns + cool_down_ns + 1_000_000_000);
    assert!(total_ns < 80_000_000_000, "{trials} trials take {total_ns} ns");
}

#[test]
fn what_is_written_reads_back_to_the_same() {
    for (name, text) in library() {
        let scenario = parse(text);
        assert_eq!(parse(&scenario.to_toml()), scenario, "{name}");
    }
    let odd = parse(
        "name = 'odd'\nteaches = 'a \"quoted\" \\ sentence'\n[load]\nrate = [0.5, 1000]\narrival = ['poisson', 'constant']\n\
         [mesh]\ncpu_limit = ['none', 1.5, 2, '100m']\nmtls = ['disable', 'strict']\n[trial]\nsettle = '0s'\nwarm_up = '1.25s'\n\
         [plan]\nseed = 9223372036854775807\nlevel = 0.9\naa = true",
    );
    assert_eq!(parse(&odd.to_toml()), odd);
}

#[test]
fn an_empty_file_is_the_defaults() {
    assert_eq!(parse(""), Scenario::default());
    assert_eq!(ids(""), ["chain3-none", "chain3-embedded"]);
}

#[test]
fn lists_make_a_matrix_and_the_unmeshed_cell_stands_once() {
    let text = "[mesh]\ndataplane = ['none', 'envoy', 'embedded']\ncpu_limit = ['none', '500m']\nworkers = [1, 2]";
    assert_eq!(
        ids(text),
        [
            "chain3-none",
            "chain3-envoy-1workers",
            "chain3-envoy-2workers",
            "chain3-envoy-500m-1workers",
            "chain3-envoy-500m-2workers",
            "chain3-embedded-1workers",
            "chain3-embedded-2workers",
            "chain3-embedded-500m-1workers",
            "chain3-embedded-500m-2workers",
        ]
    );
    let unmeshed = &cells(text)[0].factors;
    assert_eq!((unmeshed.mtls, unmeshed.cpu_limit, unmeshed.workers), (Mtls::Disable, None, 0));
}

#[test]
fn each_load_has_a_baseline_of_its_own() {
    let text = "[load]\nrate = [100, 500]\nconnections = 8";
    assert_eq!(
        ids(text),
        ["chain3-none-100rps", "chain3-embedded-100rps", "chain3-none-500rps", "chain3-embedded-500rps"]
    );
    for cell in cells(text) {
        assert!(cells(text).iter().any(|c| c.factors == cell.factors.baseline()), "{}", cell.id);
    }
}

#[test]
fn a_value_given_twice_is_one_cell() {
    assert_eq!(ids("[mesh]\ndataplane = ['none', 'none', 'envoy', 'envoy']"), ["chain3-none", "chain3-envoy"]);
}

#[test]
fn labels_name_only_what_varies() {
    assert_eq!(labels(""), ["none", "embedded"]);
    assert_eq!(
        labels("[mesh]\ndataplane = ['none', 'envoy']\ncpu_limit = ['none', '500m']"),
        ["none", "envoy, no limit", "envoy, 500m"]
    );
    assert_eq!(labels("[mesh]\ndataplane = 'envoy'\ncpu_limit = ['500m', '0.1']"), ["500m", "100m"]);
    assert_eq!(labels("[chain]\nservices = [1, 2]\n[mesh]\ndataplane = 'none'"), ["1 service", "2 services"]);
    assert_eq!(labels("[mesh]\ndataplane = 'embedded'\nmtls = ['strict', 'disable']"), ["mtls", "plaintext"]);
    assert_eq!(labels("[mesh]\ndataplane = 'envoy'"), ["envoy"]);
}

#[test]
fn an_aa_pair_is_the_unmeshed_cell_and_its_twin() {
    let text = "[plan]\naa = true";
    assert_eq!(ids(text), ["chain3-none", "chain3-embedded", "chain3-none-again"]);
    assert_eq!(labels(text), ["none", "embedded", "none, again"]);
    let all = cells(text);
    assert_eq!(all[0].factors.differences(&all[2].factors), [("twin", "0".to_owned(), "1".to_owned())]);
}

#[test]
fn an_aa_pair_without_an_unmeshed_cell_is_an_error() {
    let e = parse("[mesh]\ndataplane = 'envoy'\n[plan]\naa = true").cells().unwrap_err().to_string();
    assert_eq!(
        e,
        "plan.aa: there is no unmeshed cell to make a twin of\n  try: add \"none\" to mesh.dataplane, or leave aa out"
    );
}

#[test]
fn a_matrix_that_is_too_large_is_an_error_and_not_a_lot_of_memory() {
    let list = |n: u32| (1..=n).map(|k| k.to_string()).collect::<Vec<_>>().join(",");
    let text = format!(
        "[chain]\nwork_us = [{}]\nresponse_bytes = [{}]\n[load]\nrate = [{}]\nconnections = [{}]",
        list(1000),
        list(1000),
        list(1000),
        list(1000)
    );
    let e = parse(&text).cells().unwrap_err().to_string();
    assert!(e.contains("more than 1000 cells"), "{e}");
}

#[test]
fn factors_of_a_cell_are_those_of_the_file() {
    let text = "[chain]\nservices = 2\nwork_us = 50\nresponse_bytes = 10\n[load]\nrate = 12.5\nconnections = 3\narrival = 'poisson'\n\
                pace = 'economy'\n[mesh]\ndataplane = 'envoy'\nmtls = 'disable'\ncpu_limit = '50m'\nworkers = 4";
    let [cell] = cells(text).try_into().unwrap();
    let f = cell.factors;
    assert_eq!((f.chain.as_str(), f.services, f.hops, f.work_us, f.response_bytes), ("chain2", 2, 2, 50, 10));
    assert_eq!((f.rate_per_second, f.connections, f.workers, f.twin), (12.5, 3, 4, 0));
    assert_eq!(
        (f.arrival.word(), f.pace.word(), f.dataplane, f.mtls),
        ("poisson", "economy", Dataplane::Envoy, Mtls::Disable)
    );
    assert_eq!(f.cpu_limit.unwrap().millicores(), 50);
    assert_eq!(cell.id, "chain2-envoy-50m");
}

#[test]
fn an_unknown_key_is_named_with_its_place_and_the_known_ones() {
    assert_eq!(
        said("name = 'x'\n\n[load]\nrate = 100\nconections = 4\n"),
        "mine.toml line 5, column 1: unknown key 'conections' in [load]\n    5 | conections = 4\n      | ^^^^^^^^^^\n  \
         try: one of rate, connections, keepalive, arrival, pace"
    );
    let top = said("[laod]\nrate = 100\n");
    assert!(top.starts_with("mine.toml line 1, column 2: unknown key 'laod' at the top\n"), "{top}");
    assert!(top.ends_with("try: one of name, teaches, chain, load, mesh, canary, host, trial, plan"), "{top}");
}

#[test]
fn a_wrong_type_is_named_with_its_place() {
    assert_eq!(
        said("[chain]\nservices = \"three\""),
        "mine.toml line 2, column 12: services: expected a whole number, found the text \"three\"\n    \
         2 | services = \"three\"\n      |            ^^^^^^^\n  try: a whole number"
    );
    for (text, place, what) in [
        ("load = 5", "line 1, column 8", "load is a table"),
        ("[load]\nrate = [100, true]", "line 2, column 14", "expected a number, found true"),
        ("[load]\nrate = []", "line 2, column 8", "expected a number, found an empty list"),
        ("[plan]\naa = 1", "line 2, column 6", "expected true or false, found the number 1"),
        ("[plan]\nseed = [1]", "line 2, column 8", "expected a whole number, found a list"),
        ("[trial]\nmeasure = 5", "line 2, column 11", "expected a time with its unit in quotes"),
        ("[trial]\nmeasure = \"5\"", "line 2, column 11", "\"5\" is no length of time"),
        ("name = 1979-05-27", "line 1, column 8", "expected a text in quotes, found a date"),
        ("[mesh]\nmtls = 'lenient'", "line 2, column 8", "'lenient' is none of disable, permissive, strict"),
        ("[mesh]\ncpu_limit = 'half'", "line 2, column 13", "'half' is not a CPU quantity"),
    ] {
        let e = said(text);
        assert!(e.starts_with(&format!("mine.toml {place}: ")), "{text}: {e}");
        assert!(e.contains(what), "{text}: {e}");
        assert!(e.contains("\n  try: "), "{text}: {e}");
    }
}

#[test]
fn a_value_out_of_range_is_named_with_its_place_and_the_range() {
    for (text, place, remedy) in [
        ("[load]\nrate = 0", "line 2, column 8", "more than 0 and at most 1000000"),
        ("[load]\nrate = -5", "line 2, column 8", "more than 0"),
        ("[load]\nrate = inf", "line 2, column 8", "more than 0"),
        ("[load]\nrate = nan", "line 2, column 8", "more than 0"),
        ("[load]\nconnections = 0", "line 2, column 15", "from 1 to 10000"),
        ("[chain]\nservices = 0", "line 2, column 12", "from 1 to 50"),
        ("[chain]\nservices = [3, 51]", "line 2, column 16", "from 1 to 50"),
        ("[chain]\nwork_us = -1", "line 2, column 11", "from 0"),
        ("[chain]\nservices = 99999999999999999999", "line 2, column 12", "from 0 to 4294967295"),
        ("[mesh]\nworkers = 0", "line 2, column 11", "a number of threads, or a rule"),
        ("[mesh]\nworkers = 129", "line 2, column 11", "from 1 to 128"),
        ("[mesh]\ndataplane = 'istio'", "line 2, column 13", "\"none\", \"embedded\", \"envoy\""),
        ("[mesh]\ncpu_limit = '0'", "line 2, column 13", "\"500m\""),
        ("[mesh]\ncpu_limit = ['none', '9m']", "line 2, column 22", "from \"10m\""),
        ("[trial]\nmeasure = '0s'", "line 2, column 11", "at least one interval"),
        ("[trial]\nwarm_up = '90m'", "line 2, column 11", "at most an hour"),
        ("[plan]\nrepeats = 0", "line 2, column 11", "from 1 to 1000"),
        ("[plan]\nlevel = 1.0", "line 2, column 9", "below 1"),
        ("name = 'a/b'", "line 1, column 8", "letters, digits"),
    ] {
        let e = said(text);
        assert!(e.starts_with(&format!("mine.toml {place}: ")), "{text}: {e}");
        assert!(e.split("try: ").nth(1).is_some_and(|r| r.contains(remedy)), "{text}: {e}");
    }
}

#[test]
fn what_is_no_toml_is_an_error_with_its_place() {
    let e = said("[load]\nrate = = 5\n");
    assert!(e.starts_with("mine.toml line 2, column 8: "), "{e}");
    let twice = said("[load]\nrate = 5\nrate = 6\n");
    assert!(twice.starts_with("mine.toml line 3, column 1: "), "{twice}");
}

#[test]
fn values_set_by_hand_are_checked_too() {
    let mut scenario = Scenario::default();
    scenario.load.rate = vec![500.0, 0.0];
    let e = scenario.cells().unwrap_err().to_string();
    assert!(e.starts_with("load.rate: 0 is out of range\n  try: requests per second"), "{e}");
    scenario.load.rate.clear();
    assert_eq!(scenario.check().unwrap_err().to_string(), "load.rate: the list is empty\n  try: at least one value");
}
