//! A whole run without root's help or Envoy: what it prints, what it leaves in the directory, and what not.

use std::path::Path;

use serde_json::Value;

use crate::program::{alone, among_others, call, json, processes_of};

/// A schema of `record` by name.
fn schema(name: &str) -> jsonschema::Validator {
    let path = format!(concat!(env!("CARGO_MANIFEST_DIR"), "/../reports/{}"), name);
    jsonschema::validator_for(&json(Path::new(&path))).unwrap()
}

pub(crate) fn keeps_to(name: &str, value: &Value) {
    let faults: Vec<String> = schema(name).iter_errors(value).map(|e| format!("{}: {e}", e.instance_path)).collect();
    assert_eq!(faults, Vec::<String>::new(), "{name}");
}

#[test]
fn a_run_seals_its_trials_proves_them_and_reports() {
    let _alone = alone();
    let tmp = tempfile::tempdir().unwrap();
    let out = tmp.path().join("runs");
    let answer = call(&[
        "run",
        "--dataplane",
        "none,embedded",
        "--rate",
        "200",
        "--duration",
        "1s",
        "--warm-up",
        "300ms",
        "--repeats",
        "2",
        "--connections",
        "4",
        "--out",
        out.to_str().unwrap(),
    ])
    .done();
    let directory = answer.run_directory();
    assert!(directory.starts_with(&out), "{directory:?}");
    assert!(answer.stderr.contains("trial 4 of 4"), "{}", answer.stderr);

    let run = json(&directory.join("run.json"));
    keeps_to("record/schemas/run.schema.json", &run);
    let planned: Vec<&str> = run["trials"].as_array().unwrap().iter().map(|t| t["id"].as_str().unwrap()).collect();
    assert_eq!(planned.len(), 4);
    for id in planned {
        let trial = json(&directory.join("trials").join(id).join("trial.json"));
        keeps_to("record/schemas/trial.schema.json", &trial);
        let load = &trial["load"];
        assert_eq!((load["due"].as_u64(), load["answered"].as_u64()), (Some(200), Some(200)), "{load:#}");
        let names: Vec<&str> = trial["parts"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
        let proofs = trial["proofs"].as_array().unwrap();
        if id.contains("embedded") {
            assert!(names.contains(&"entry-sidecar") && names.contains(&"s3-sidecar"), "{names:?}");
            let proven = |claim: &str| proofs.iter().filter(|p| p["claim"].as_str().unwrap().contains(claim)).count();
            assert!(proven("worker threads") == 4 && proven("mTLS") >= 4, "{proofs:#?}");
        } else {
            assert_eq!(names, ["s1", "s2", "s3", "load", "probe"]);
        }
        for (edge, loading) in [("before", true), ("after", false)] {
            let processes = &trial["edges"][edge]["processes"];
            assert!(processes["s1"]["pss_bytes"].as_u64() > Some(0), "{edge}: {processes:#}");
            assert_eq!(processes["load"]["rss_bytes"].is_u64(), loading, "{edge}: {processes:#}");
        }
        let at = record::RunDirectory::open(&directory).unwrap();
        let due: u64 = at
            .intervals(id)
            .unwrap()
            .map(|i| i.unwrap())
            .filter(|i| i.phase == record::Phase::Measure)
            .map(|i| i.due)
            .sum();
        assert_eq!(due, 200);
        let samples = at.samples(id).unwrap().map(Result::unwrap).collect::<Vec<_>>();
        assert!(samples.len() >= 15, "{} samples in over 1.6 s", samples.len());
        assert!(samples[0].processes.contains_key("s1") && samples[0].processes.contains_key("load"));
        let slow = at.slow(id).unwrap().map(Result::unwrap).collect::<Vec<_>>();
        assert!(slow.iter().any(|s| s.hops.len() == 3 && s.hops[0].service == "s1"), "every hop's stamps are kept");
    }

    let findings = json(&directory.join("findings.json"));
    keeps_to("schemas/findings.schema.json", &findings);
    assert_eq!(findings["taxes"].as_array().unwrap().len(), 1);
    assert!(findings["taxes"][0]["response_ns"]["p50"]["difference"]["value"].as_f64().unwrap() > 0.0);
    assert!(directory.join("report.html").is_file());
    for format in ["text", "json", "csv", "html", "markdown"] {
        let report = call(&["report", directory.to_str().unwrap(), "--format", format]).done();
        assert!(report.stdout.len() > 300, "{format}: {}", report.stdout);
    }
    for line in call(&["report", directory.to_str().unwrap()]).done().stdout.lines() {
        assert!(line.chars().count() <= 80, "wider than 80 columns: {line}");
    }
    assert_eq!(processes_of(&directory), Vec::<String>::new());
}

#[test]
fn a_scenario_of_the_library_can_be_printed_and_run_from_a_file() {
    let _seat = among_others();
    let tmp = tempfile::tempdir().unwrap();
    let list = call(&["scenarios"]).done().stdout;
    assert!(list.contains("first-look") && list.contains("cpu-limits"), "{list}");
    let text = call(&["scenarios", "show", "quick"]).done().stdout;
    let path = tmp.path().join("mine.toml");
    std::fs::write(&path, text).unwrap();
    let out = tmp.path().join("runs");
    let answer = call(&[
        "run",
        path.to_str().unwrap(),
        "--dataplane",
        "none",
        "--aa",
        "--repeats",
        "1",
        "--duration",
        "500ms",
        "--warm-up",
        "0s",
        "--out",
        out.to_str().unwrap(),
    ])
    .done();
    let run = json(&answer.run_directory().join("run.json"));
    let cells = run["cells"].as_array().unwrap();
    assert_eq!(cells.len(), 2, "an A/A pair");
    assert_eq!((&cells[0]["factors"]["twin"], &cells[1]["factors"]["twin"]), (&0.into(), &1.into()));
    let strict = call(&["report", answer.run_directory().to_str().unwrap(), "--strict"]);
    assert_eq!(strict.code, Some(1), "one repeat is too few, which is a warning: {}", strict.stdout);
}

#[test]
fn the_doctor_answers_in_text_and_json() {
    let text = call(&["doctor"]);
    assert!(matches!(text.code, Some(0)), "{text:#?}");
    for what in ["cpu", "cpu limits", "ports", "open files", "governor", "envoy"] {
        assert!(text.stdout.contains(what), "{what}: {}", text.stdout);
    }
    let findings: Value = serde_json::from_str(&call(&["doctor", "--format", "json"]).stdout).unwrap();
    assert!(findings.as_array().unwrap().len() >= 10);
}

#[test]
fn the_doctors_card_tells_the_host_in_text_and_json() {
    let text = call(&["doctor", "--card"]).stdout;
    for what in ["processor", "ticks a second", "limits around this program", "from the path down", "findings"] {
        assert!(text.contains(what), "{what}: {text}");
    }
    let answer: Value = serde_json::from_str(&call(&["doctor", "--card", "--format", "json"]).stdout).unwrap();
    assert!(answer["findings"].as_array().unwrap().len() >= 10);
    let host: record::Host = serde_json::from_value(answer["host"].clone()).unwrap();
    assert_eq!(host.kernel, std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap().trim());
    let layers = host.disk_chain.seen().unwrap();
    assert_eq!((layers[0].depth, layers[0].kind), (0, record::LayerKind::FileSystem));
}

/// After how many blocks of a run to 99 % of its p50 what is sealed suffices for the first time.
fn first_that_suffices(directory: &Path) -> u64 {
    let directory = record::RunDirectory::open(directory).unwrap();
    let run = directory.run().unwrap();
    let trials = directory.trials(&run).unwrap();
    let suffices = |blocks: &usize| {
        let of: Vec<_> = trials.iter().filter(|trial| trial.block as usize <= *blocks).cloned().collect();
        reports::tightness::loosest(&run, &of, 0.5).is_some_and(|known| known.half_width <= 0.99)
    };
    let looks = reports::stats::cuts::looks(run.repeats as usize);
    looks.into_iter().find(suffices).unwrap_or_else(|| panic!("no look suffices")) as u64
}

#[test]
fn a_run_until_the_tax_is_known_ends_before_its_plan_and_is_complete() {
    let _alone = alone();
    let tmp = tempfile::tempdir().unwrap();
    let args = ["run", "--dataplane", "none,embedded", "--services", "1", "--rate", "200", "--duration", "300ms"];
    // Nearly any interval is tight enough, so the first look that has one ends it, after six blocks of ten where no trial is spoilt.
    let until = ["--warm-up", "100ms", "--repeats", "10", "--level", "0.9", "--until", "p50=99%"];
    let out = ["--out", tmp.path().to_str().unwrap()];
    let answer = call(&[&args[..], &until, &out].concat()).done();
    let directory = answer.run_directory();
    let end = json(&directory.join("end.json"));
    keeps_to("record/schemas/end.schema.json", &end);
    let blocks = first_that_suffices(&directory);
    assert_eq!((end["reason"].as_str(), end["trials"].as_u64()), (Some("tight"), Some(2 * blocks)), "{end:#}");
    assert!(blocks >= 6, "five blocks have no such interval: {end:#}");
    let findings = json(&directory.join("findings.json"));
    assert_eq!((findings["resume"].is_null(), findings["sequential"].as_bool()), (true, Some(true)));
    let ratio = &findings["taxes"][0]["response_ns"]["p50"]["ratio"];
    assert_eq!((ratio["n"].as_u64(), ratio["level"].as_f64()), (Some(blocks), Some(0.9)), "{ratio:#}");
    assert!(answer.stdout.contains("Ended before the most trials that were planned"), "{}", answer.stdout);
    let resumed = call(&["resume", directory.to_str().unwrap()]);
    assert!(resumed.stderr.contains("this run is at its end"), "{}", resumed.stderr);
}
