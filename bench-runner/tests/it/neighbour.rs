//! A noisy neighbour: proven and watched in a trial, gone with it, and refused where it could not work.

use std::process::Stdio;

use serde_json::Value;

use crate::errors::refused;
use crate::program::{alone, call, json, meshtax, processes_of};

#[test]
fn a_trial_beside_a_neighbour_proves_it_and_its_baseline_has_it_too() {
    let _alone = alone();
    // On a disk: direct I/O is what it is for.
    let tmp = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let answer = call(&[
        "run",
        "--dataplane",
        "none,embedded",
        "--services",
        "1",
        "--rate",
        "50",
        "--duration",
        "2s",
        "--warm-up",
        "0s",
        "--repeats",
        "1",
        "--neighbour",
        "cpu:2+disk:1+memory:1",
        "--out",
        tmp.path().to_str().unwrap(),
    ])
    .done();
    let directory = answer.run_directory();
    let trials: Vec<Value> = std::fs::read_dir(directory.join("trials"))
        .unwrap()
        .map(|entry| json(&entry.unwrap().path().join("trial.json")))
        .collect();
    assert_eq!(trials.len(), 2);
    for trial in &trials {
        let part = trial["parts"].as_array().unwrap().iter().find(|p| p["role"] == "neighbour").unwrap();
        assert_eq!(part["name"], "neighbour");
        let found: Vec<(&str, &str)> = trial["proofs"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|p| p["part"] == "neighbour")
            .map(|p| (p["claim"].as_str().unwrap(), p["found"].as_str().unwrap()))
            .filter(|(claim, _)| claim.contains("threads"))
            .collect();
        let want = [
            ("cpu threads", "2"),
            ("cpu threads that worked", "2"),
            ("disk threads", "1"),
            ("disk threads that worked", "1"),
            ("memory threads", "1"),
            ("memory threads that worked", "1"),
        ];
        assert_eq!(found, want, "{trial:#}");
        let at = record::RunDirectory::open(&directory).unwrap();
        let samples = at.samples(trial["id"].as_str().unwrap()).unwrap();
        let run_ns = samples.filter_map(|s| s.unwrap().processes.get("neighbour")?.run_ns.seen().copied());
        let run_ns: Vec<u64> = run_ns.collect();
        assert!(run_ns.last() > run_ns.first(), "it is watched as any part: {run_ns:?}");
    }
    // What it used is no proxy's.
    let findings = json(&directory.join("findings.json"));
    let cells = findings["cells"].as_array().unwrap();
    let meshed = cells.iter().find(|cell| cell["factors"]["dataplane"] == "embedded").unwrap();
    assert_eq!(meshed["factors"]["neighbour"], "cpu:2+disk:1+memory:1");
    assert!(meshed["proxies"]["parts"]["neighbour"].is_null() && !meshed["proxies"]["parts"]["s1-sidecar"].is_null());
    let used = &meshed["neighbours"]["neighbour"]["cpu_millicores"];
    assert!(used["value"].as_f64() > Some(0.0), "{used}");
    for format in ["text", "html", "markdown"] {
        let page = call(&["report", directory.to_str().unwrap(), "--format", format]).done().stdout;
        assert!(page.contains("The noisy neighbour, which was asked for"), "{format}: {page}");
    }
    assert_eq!(processes_of(&directory), Vec::<String>::new());
}

#[test]
fn it_says_what_it_did_and_ends_with_whoever_started_it() {
    // Standard input is at its end from the start.
    let answer = call(&["neighbour", "--cpu", "2", "--memory", "1"]).done();
    let worked: Value = serde_json::from_str(&answer.stdout).unwrap();
    let rounds: Vec<u64> = serde_json::from_value(worked["cpu_rounds"].clone()).unwrap();
    assert!(rounds.len() == 2 && rounds.iter().all(|n| *n > 0), "{worked}");
    assert!(
        worked["memory_bytes"][0].as_u64() > Some(0) && worked["disk_bytes"] == Value::Array(Vec::new()),
        "{worked}"
    );
}

#[test]
fn one_that_nobody_ends_does_so_by_itself() {
    let mut child = meshtax(&["neighbour", "--cpu", "1", "--at-most", "300ms"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Held open until it has ended.
    let pipe = child.stdin.take();
    let answer = child.wait_with_output().unwrap().into();
    drop(pipe);
    refused(&answer, 2, &["the noisy neighbour", "nobody ended it"]);
}

#[test]
fn a_disk_that_is_none_is_refused_before_anything_is_measured() {
    let memory = std::path::Path::new("/dev/shm");
    if !memory.is_dir() {
        return;
    }
    let tmp = tempfile::tempdir_in(memory).unwrap();
    let out = tmp.path().to_str().unwrap();
    let answer = call(&["run", "--dataplane", "none", "--quick", "--neighbour", "disk:1", "--out", out]);
    refused(&answer, 2, &["noisy neighbour", "past the page cache", "tmpfs", "try: --out"]);
    assert_eq!(processes_of(tmp.path()), Vec::<String>::new());
}
