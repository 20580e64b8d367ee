//! Runs with one node proxy for all services: every request answered, what is proven of it, and what it cannot be.

use std::path::Path;

use serde_json::Value;

use crate::program::{alone, among_others, call, is_root, json, skip};

/// Runs it beside no mesh; returns the ambient trial and its directory.
fn run(out: &Path, more: &[&str]) -> (Value, std::path::PathBuf) {
    let short = ["--rate", "200", "--connections", "4", "--duration", "1s", "--warm-up", "300ms", "--repeats", "1"];
    let out = ["--out", out.to_str().unwrap()];
    let answer = call(&[&["run", "--dataplane", "none,ambient"], &short[..], &out[..], more].concat()).done();
    let directory = answer.run_directory();
    let run = json(&directory.join("run.json"));
    let ids: Vec<&str> = run["trials"].as_array().unwrap().iter().map(|t| t["id"].as_str().unwrap()).collect();
    let of = |id: &str| directory.join("trials").join(id);
    for id in &ids {
        let load = json(&of(id).join("trial.json"))["load"].clone();
        assert_eq!((&load["due"], &load["outcomes"]["answered"]["200"]), (&200.into(), &200.into()), "{id}");
    }
    let ambient = of(ids.iter().find(|id| id.contains("ambient")).unwrap());
    (json(&ambient.join("trial.json")), ambient)
}

fn proofs<'a>(trial: &'a Value, claim: &str) -> Vec<&'a str> {
    let all = trial["proofs"].as_array().unwrap().iter();
    let of = all.filter(|p| p["part"] == "node-proxy" && p["claim"].as_str().unwrap().contains(claim));
    of.map(|p| p["found"].as_str().unwrap()).collect()
}

fn has_one_node_proxy(trial: &Value) {
    let parts = trial["parts"].as_array().unwrap();
    let proxies: Vec<&Value> = parts.iter().filter(|p| p["role"] != "service").collect();
    let names: Vec<&str> = proxies.iter().map(|p| p["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["node-proxy", "load", "probe"]);
    assert_eq!(proxies[0]["role"], "node_proxy");
    assert_eq!(proofs(trial, "worker threads"), ["2"]);
    let id = |name: &str| format!("spiffe://cluster.local/ns/meshtax/sa/{name}");
    assert_eq!(proofs(trial, "inbound.peers"), [id("entry"), id("s1"), id("s2")]);
    assert_eq!(proofs(trial, ".peers").len(), 6);
}

#[test]
fn one_node_proxy_carries_a_chain_and_its_cost_is_that_of_the_proxies() {
    let _alone = alone();
    let tmp = tempfile::tempdir().unwrap();
    let (trial, directory) = run(tmp.path(), &["--workers", "2"]);
    has_one_node_proxy(&trial);
    assert_eq!(proofs(&trial, "a request in clear"), ["refused"; 3]);
    let calls: Vec<&str> = trial["proofs"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|p| p["claim"] == "calls")
        .map(|p| p["found"].as_str().unwrap())
        .collect();
    assert_eq!(calls, ["node-proxy, for s1 to s2", "node-proxy, for s2 to s3"]);
    assert!(directory.join("node-proxy.json").is_file(), "the configuration is kept");
    let findings = json(&directory.parent().unwrap().parent().unwrap().join("findings.json"));
    let cells = findings["cells"].as_array().unwrap();
    let cell = cells.iter().find(|cell| cell["factors"]["dataplane"] == "ambient").unwrap();
    let cost = cell["proxies"]["cpu_millicores_per_1000_rps"]["value"].as_f64().unwrap();
    let rss = cell["proxies"]["rss_bytes"]["value"].as_f64().unwrap();
    assert!(cost > 1.0 && rss > 1e6, "{:#}", cell["proxies"]);
    assert!(cell["proxies"]["parts"]["node-proxy"].is_object());
    let lacks: Vec<&str> = trial["lacks"].as_array().unwrap().iter().map(|l| l["what"].as_str().unwrap()).collect();
    assert!(lacks.contains(&"retries"), "{lacks:?}");
}

#[test]
fn a_load_from_outside_of_the_mesh_is_let_in_under_permissive_and_the_rest_is_tunnelled() {
    let _seat = among_others();
    let tmp = tempfile::tempdir().unwrap();
    let (trial, _) = run(tmp.path(), &["--mtls", "permissive", "--entry", "plain"]);
    let id = |name: &str| format!("spiffe://cluster.local/ns/meshtax/sa/{name}");
    assert_eq!(proofs(&trial, "inbound.peers"), [String::new(), id("s1"), id("s2")]);
    assert_eq!(proofs(&trial, "s1 inbound.streams"), ["0"]);
    assert!(proofs(&trial, "s1 inbound.clear").last().unwrap().parse::<u64>().unwrap() >= 4);
    assert_eq!(proofs(&trial, "a request in clear"), ["answered"; 3]);
}

#[test]
fn certificates_are_rotated_and_its_counters_asked_for_without_a_failed_request() {
    // It is counted what is done in a second.
    let _alone = alone();
    let tmp = tempfile::tempdir().unwrap();
    let (trial, _) = run(tmp.path(), &["--rotate", "400ms", "--stats-scrape", "300ms"]);
    let events = trial["events"].as_array().unwrap();
    let of =
        |kind: &str| events.iter().filter(|e| e.as_object().unwrap().values().any(|v| v == kind)).collect::<Vec<_>>();
    let (rotated, seen) = (of("certificate-rotated"), of("certificate-seen"));
    // Of four workloads, the load generator's among them, three can be called and so looked at.
    assert!(rotated.len() >= 8 && rotated.len() % 4 == 0, "{events:#?}");
    assert_eq!(seen.len(), rotated.len() / 4 * 3);
    assert!(seen.iter().all(|e| rotated.iter().any(|r| r["serial"] == e["serial"])));
    assert!(of("stats-scraped").len() >= 3, "{events:#?}");
}

#[test]
fn in_pods_it_makes_its_sockets_inside_of_them() {
    if !is_root() {
        assert!(skip("pods need root", "REQUIRE_ROOT"));
        return;
    }
    let _seat = among_others();
    let tmp = tempfile::tempdir().unwrap();
    let (trial, directory) = run(tmp.path(), &["--platform", "pods", "--workers", "2", "--rotate", "500ms"]);
    has_one_node_proxy_that_was_looked_at(&trial);
    // Of each service's two ports.
    assert_eq!(proofs(&trial, "a request in clear"), ["refused"; 6]);
    assert_eq!(proofs(&trial, "misdirected"), ["0"; 4]);
    assert_eq!(proofs(&trial, "user and rights"), ["user 1337, group 1337, rights 0000000000200000"]);
    let config = json(&directory.join("node-proxy.json"));
    assert_eq!(config["user"], 1337);
    let namespaces = config["workloads"].as_array().unwrap().iter().map(|w| w["namespace"].as_str().unwrap());
    assert_eq!(namespaces.filter(|n| n.starts_with("/run/netns/meshtax-")).count(), 4);
}

#[test]
fn in_pods_a_port_may_have_a_mode_of_its_own() {
    if !is_root() {
        assert!(skip("pods need root", "REQUIRE_ROOT"));
        return;
    }
    let _seat = among_others();
    let tmp = tempfile::tempdir().unwrap();
    let modes = ["--mtls", "strict", "--port-mtls", "permissive", "--entry", "plain"];
    let (trial, _) = run(tmp.path(), &[&["--platform", "pods"], &modes[..]].concat());
    assert_eq!(proofs(&trial, "a request in clear"), ["answered", "refused"].repeat(3));
}

/// As after a rotation: whoever looked at a certificate was a caller too.
fn has_one_node_proxy_that_was_looked_at(trial: &Value) {
    let found = proofs(trial, "inbound.peers");
    let id = |name: &str| format!("spiffe://cluster.local/ns/meshtax/sa/{name}");
    let ours = id("onlooker");
    let expected =
        [format!("{}, {ours}", id("entry")), format!("{ours}, {}", id("s1")), format!("{ours}, {}", id("s2"))];
    assert_eq!(found, expected);
    assert_eq!(proofs(trial, "worker threads"), ["2"]);
}

#[test]
fn what_needs_the_reading_of_requests_is_left_out_with_its_reason() {
    let _seat = among_others();
    let tmp = tempfile::tempdir().unwrap();
    let out = ["--out", tmp.path().to_str().unwrap(), "--duration", "500ms", "--warm-up", "100ms", "--repeats", "1"];
    let matrix = ["run", "--dataplane", "none,ambient", "--mtls", "strict,disable", "--access-log", "off,text"];
    let answer = call(&[&matrix[..], &out[..]].concat()).done();
    let run = json(&answer.run_directory().join("run.json"));
    let reasons: Vec<&str> =
        run["left_out"].as_array().unwrap().iter().map(|l| l["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons.iter().filter(|r| r.contains("ambient has no mode disable")).count(), 2, "{reasons:?}");
    assert_eq!(reasons.iter().filter(|r| r.contains("ambient reads no requests")).count(), 1, "{reasons:?}");
    assert_eq!(run["trials"].as_array().unwrap().len(), 2);
}
