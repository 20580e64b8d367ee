//! Runs with HAProxy and nginx.

use crate::program::{alone, among_others, call, is_root, json, skip};

/// Whether doctor finds a proxy here; says so when a test is skipped for it.
fn found(proxy: &str) -> bool {
    let doctor = call(&["doctor", "--format", "json"]).stdout;
    let findings: serde_json::Value = serde_json::from_str(&doctor).unwrap();
    let finding = findings.as_array().unwrap().iter().find(|f| f["what"] == proxy).unwrap();
    finding["weight"] == "good" || !skip(&format!("there is no {proxy}"), "REQUIRE_PROXIES")
}

/// The sealed trials of a short run, all of whose requests were answered.
fn answered_trials(arguments: &[&str], trials: usize) -> Vec<serde_json::Value> {
    let tmp = tempfile::tempdir().unwrap();
    let load = ["--rate", "200", "--connections", "4", "--duration", "1s", "--warm-up", "300ms", "--repeats", "1"];
    let out = ["--out", tmp.path().to_str().unwrap()];
    let all: Vec<&str> = ["run"].iter().chain(arguments).chain(&load).chain(&out).copied().collect();
    let directory = call(&all).done().run_directory();
    let run = json(&directory.join("run.json"));
    let read = |planned: &serde_json::Value| {
        let id = planned["id"].as_str().unwrap();
        let trial = json(&directory.join("trials").join(id).join("trial.json"));
        assert_eq!((&trial["load"]["due"], &trial["load"]["answered"]), (&200.into(), &200.into()), "{id}");
        trial
    };
    let read: Vec<_> = run["trials"].as_array().unwrap().iter().map(read).collect();
    assert_eq!(read.len(), trials);
    read
}

fn claims(trial: &serde_json::Value, claim: &str) -> usize {
    trial["proofs"].as_array().unwrap().iter().filter(|p| p["claim"].as_str().unwrap().contains(claim)).count()
}

#[test]
fn haproxy_and_nginx_sidecars_answer_and_their_mtls_is_proven() {
    if !found("haproxy") || !found("nginx") {
        return;
    }
    let _seat = among_others();
    let trials = answered_trials(&["--dataplane", "haproxy,nginx", "--services", "2", "--workers", "2"], 2);
    for trial in &trials {
        let nginx = trial["cell"].as_str().unwrap().contains("nginx");
        let workers = if nginx { "worker processes" } else { "worker threads" };
        assert_eq!((claims(trial, workers), claims(trial, "program")), (3, 3), "{:#}", trial["proofs"]);
        assert!(claims(trial, "mTLS handshakes") >= 2 && claims(trial, "a request in clear") == 2);
        let lacks = trial["lacks"].as_array().unwrap();
        assert!(lacks.iter().any(|lack| lack["what"] == "SPIFFE identities"), "{lacks:#?}");
    }
}

#[test]
fn haproxy_shifts_and_rotates_under_load_without_a_failed_request() {
    if !found("haproxy") {
        return;
    }
    // It is counted what is done in a second.
    let _alone = alone();
    let tmp = tempfile::tempdir().unwrap();
    let scenario = tmp.path().join("canary.toml");
    let text = "[mesh]\nrotate = [\"400ms\"]\n[canary]\nservice = \"s2\"\nweights = [\"v1=90,v2=10\"]\n\
                shift = [{at=\"500ms\", v2=50}]\n";
    std::fs::write(&scenario, text).unwrap();
    let trials = answered_trials(&[scenario.to_str().unwrap(), "--dataplane", "haproxy", "--services", "2"], 1);
    let events = trials[0]["events"].to_string();
    assert!(events.contains("v1=50,v2=50"), "{events}");
    assert_eq!(claims(&trials[0], "weight of to_s2/"), 2);
    let seen = trials[0]["events"].as_array().unwrap().iter().filter(|e| e.to_string().contains("certificate")).count();
    assert!(seen >= 4, "{events}");
}

#[test]
fn haproxy_and_nginx_stand_behind_redirection() {
    if !found("haproxy") || !found("nginx") {
        return;
    }
    if !is_root() {
        assert!(skip("pods need root here", "REQUIRE_ROOT"));
        return;
    }
    let _seat = among_others();
    let arguments =
        ["--dataplane", "haproxy,nginx", "--platform", "pods", "--services", "2", "--entry", "gateway,sidecar"];
    for trial in answered_trials(&arguments, 4) {
        let passed_on = if trial["cell"].as_str().unwrap().contains("nginx") { "went to" } else { "passed on" };
        assert!(claims(&trial, "mTLS handshakes") >= 2 && claims(&trial, passed_on) >= 2, "{:#}", trial["proofs"]);
    }
}
