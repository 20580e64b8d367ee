//! Runs with real Envoy and with CPU limits; what they show is shown by the end-to-end script, that they work here.

use crate::program::{alone, call, is_root, json, skip};

fn no_envoy() -> bool {
    let doctor = call(&["doctor", "--format", "json"]).stdout;
    let findings: serde_json::Value = serde_json::from_str(&doctor).unwrap();
    let envoy = findings.as_array().unwrap().iter().find(|f| f["what"] == "envoy").unwrap();
    envoy["weight"] != "good" && skip("there is no Envoy", "REQUIRE_PROXIES")
}

#[test]
fn envoy_sidecars_answer_and_their_mtls_is_proven() {
    if no_envoy() {
        return;
    }
    let _alone = alone();
    let tmp = tempfile::tempdir().unwrap();
    let answer = call(&[
        "run",
        "--dataplane",
        "none,envoy",
        "--rate",
        "200",
        "--connections",
        "4",
        "--duration",
        "1s",
        "--warm-up",
        "300ms",
        "--repeats",
        "1",
        "--workers",
        "1",
        "--out",
        tmp.path().to_str().unwrap(),
    ])
    .done();
    let directory = answer.run_directory();
    let run = json(&directory.join("run.json"));
    assert!(run["versions"]["envoy"].is_string());
    for planned in run["trials"].as_array().unwrap() {
        let id = planned["id"].as_str().unwrap();
        let trial = json(&directory.join("trials").join(id).join("trial.json"));
        assert_eq!((&trial["load"]["due"], &trial["load"]["answered"]), (&200.into(), &200.into()));
        if id.contains("envoy") {
            let proofs = trial["proofs"].as_array().unwrap();
            let of = |claim: &str| proofs.iter().filter(|p| p["claim"].as_str().unwrap().contains(claim)).count();
            assert!(of("worker threads") == 4 && of("mTLS") >= 4 && of("program") >= 4, "{proofs:#?}");
            assert!(
                directory.join("trials").join(id).join("s2-sidecar.envoy.yaml").is_file(),
                "the configuration is kept"
            );
        }
    }
}

#[test]
fn a_limit_throttles_and_is_seen() {
    if !is_root() {
        assert!(skip("a CPU limit needs root here", "REQUIRE_ROOT"));
        return;
    }
    let _alone = alone();
    let tmp = tempfile::tempdir().unwrap();
    // The embedded sidecars of 5 % of a core cannot carry this without being throttled.
    let answer = call(&[
        "run",
        "--dataplane",
        "embedded",
        "--cpu-limit",
        "50m",
        "--rate",
        "400",
        "--duration",
        "2s",
        "--warm-up",
        "500ms",
        "--repeats",
        "1",
        "--out",
        tmp.path().to_str().unwrap(),
    ])
    .done();
    let findings = json(&answer.run_directory().join("findings.json"));
    let cell = &findings["cells"][0];
    assert_eq!(cell["factors"]["cpu_limit"], "50m");
    assert!(cell["proxies"]["throttled_periods"]["value"].as_f64().unwrap() >= 5.0, "{:#}", cell["proxies"]);
    assert!(cell["proxies"]["throttled_ns"]["value"].as_f64().unwrap() > 1e8, "{:#}", cell["proxies"]);
}
