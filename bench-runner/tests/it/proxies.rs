//! Runs with real Envoy and with CPU limits; what they show is shown by the end-to-end script, that they work here.

use crate::program::{alone, among_others, call, is_root, json, skip};

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
    let _seat = among_others();
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

/// What a run of one trial with these arguments has proven, by part and claim; all its requests must have been answered.
fn proven(envoy: Option<&str>, more: &[&str]) -> Vec<(String, String, String)> {
    let _seat = among_others();
    let tmp = tempfile::tempdir().unwrap();
    let mut args = vec!["run", "--dataplane", "envoy", "--services", "2", "--rate", "200", "--connections", "4"];
    args.extend(["--duration", "2s", "--warm-up", "300ms", "--repeats", "1", "--workers", "1"]);
    args.extend(envoy.map(|path| ["--envoy", path]).into_iter().flatten());
    args.extend(more);
    args.extend(["--out", tmp.path().to_str().unwrap()]);
    let directory = call(&args).done().run_directory();
    let id = json(&directory.join("run.json"))["trials"][0]["id"].as_str().unwrap().to_owned();
    let trial = json(&directory.join("trials").join(id).join("trial.json"));
    assert_eq!(trial["load"]["outcomes"]["answered"], serde_json::json!({"200": 400}), "{:#}", trial["load"]);
    let text = |p: &serde_json::Value, field: &str| p[field].as_str().unwrap().to_owned();
    let proofs = trial["proofs"].as_array().unwrap().iter();
    proofs.map(|p| (text(p, "part"), text(p, "claim"), text(p, "found"))).collect()
}

/// The Envoys of this machine: the one that is found, and the oldest that is to work.
fn versions() -> Vec<Option<String>> {
    let oldest = std::env::var("ENVOY_OLDEST").ok();
    if oldest.is_none() {
        skip("ENVOY_OLDEST names no Envoy of 1.36", "REQUIRE_PROXIES");
    }
    std::iter::once(None).chain(oldest.map(Some)).collect()
}

fn no_pods() -> bool {
    scenarios::network::Network::permitted().is_err() && skip("pods need root", "REQUIRE_ROOT")
}

fn found<'a>(proofs: &'a [(String, String, String)], part: &str, claim: &str) -> &'a str {
    let proof = proofs.iter().find(|(p, c, _)| p == part && c == claim);
    proof.map_or_else(|| panic!("no proof of {claim} of {part}: {proofs:#?}"), |(_, _, found)| found.as_str())
}

#[test]
fn in_pods_requests_go_by_way_of_redirected_connections_while_certificates_are_rotated() {
    if no_envoy() || no_pods() {
        return;
    }
    for envoy in versions() {
        let more = ["--platform", "pods", "--mtls", "strict", "--rotate", "500ms", "--canary", "v1=1,v2=1"];
        let proofs = proven(envoy.as_deref(), &more);
        for pod in ["client", "s1"] {
            assert_eq!(found(&proofs, pod, "connections redirected to 15001"), "more than 0");
            assert_eq!(found(&proofs, pod, "connections that went past its sidecar"), "0");
        }
        for pod in ["s1", "s2", "s2-v2"] {
            assert!(found(&proofs, pod, "connections redirected to 15006").ends_with(", all that came"));
        }
        for part in ["s1-sidecar", "s2-sidecar", "s2-v2-sidecar"] {
            assert_eq!(found(&proofs, part, "mTLS of port 8080"), "strict");
            assert_eq!(found(&proofs, part, "a request in clear"), "refused");
        }
        assert_eq!(found(&proofs, "s1-sidecar", "weights outbound to s2"), "v1=1,v2=1");
    }
}

#[test]
fn in_pods_a_log_is_written_by_another_user_where_that_user_cannot_go() {
    if no_envoy() || no_pods() {
        return;
    }
    for envoy in versions() {
        // A directory that nobody but us may enter, as a temporary one is.
        let more = ["--platform", "pods", "--mtls", "permissive", "--access-log", "text", "--log-flush", "50ms"];
        let proofs = proven(envoy.as_deref(), &more);
        let lines: u64 = found(&proofs, "s1-sidecar", "access log lines").parse().unwrap();
        // Each request is logged where it comes in and where it goes out.
        assert!(lines >= 800, "{lines}");
        assert_eq!(found(&proofs, "s1-sidecar", "a request in clear"), "answered");
        let piped = [more.as_slice(), &["--access-log-to", "stdout"]].concat();
        let proofs = proven(envoy.as_deref(), &piped);
        assert!(!found(&proofs, "s1-sidecar", "access log bytes").starts_with("0,"));
    }
}

#[test]
fn in_pods_a_ports_own_mode_stands_beside_that_of_the_workload_and_a_gateway_before_both() {
    if no_envoy() || no_pods() {
        return;
    }
    let more = ["--platform", "pods", "--mtls", "strict", "--port-mtls", "permissive", "--entry", "gateway"];
    let proofs = proven(None, &more);
    assert_eq!(found(&proofs, "s2-sidecar", "mTLS of port 8080"), "permissive");
    assert_eq!(found(&proofs, "s2-sidecar", "mTLS of port 8081"), "strict");
    assert_eq!(found(&proofs, "gateway", "ALPN outbound to s1"), "istio-http/1.1, istio, http/1.1");
}
