//! One chain of which the services stand on several hosts.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::agents::{Agent, Hosts, permitted};
use crate::program::{among_others, json};

/// The load, and a chain of three that goes from a to b and back to a.
const THERE_AND_BACK: &str = "[[host]]\nname = 'driver'\nroles = ['load']\n\
    [[host]]\nname = 'b'\nroles = ['services']\nservices = ['s2']\n\
    [[host]]\nname = 'a'\nroles = ['services']\nservices = ['s1', 's3']\n";

fn trials(run: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = std::fs::read_dir(run.join("trials")).unwrap().flatten().map(|e| e.path()).collect();
    all.sort();
    all
}

fn proof<'a>(trial: &'a Value, part: &str, claim: &str) -> &'a Value {
    let all = trial["proofs"].as_array().unwrap();
    let found = all.iter().find(|p| p["part"] == part && p["claim"].as_str().unwrap().starts_with(claim));
    found.unwrap_or_else(|| panic!("no proof of {claim} of {part} in {all:#?}"))
}

fn names(trial: &Value) -> Vec<&str> {
    trial["parts"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect()
}

/// All stamps of a kept request stand on one clock, as well as it is known: each between the one before and the one after it on
/// a road that goes to the other host and back, so that one which was not moved, or the wrong way, is out of its place.
fn in_order(trial: &Path, error_ns: i64) -> usize {
    let text = std::fs::read_to_string(trial.join("slow.jsonl")).unwrap();
    let mut seen = 0;
    for request in text.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()) {
        let stamp = |of: &Value, name: &str| of[name].as_i64().unwrap();
        let [s1, s2, s3] = request["hops"].as_array().unwrap().as_slice() else { panic!("{request}") };
        let there = [(&request, "sent_ns"), (s1, "received_ns"), (s1, "called_ns"), (s2, "received_ns")];
        let last = [(s2, "called_ns"), (s3, "received_ns"), (s3, "answered_ns"), (s2, "returned_ns")];
        let back = [(s2, "answered_ns"), (s1, "returned_ns"), (s1, "answered_ns"), (&request, "done_ns")];
        let road: Vec<i64> = [there, last, back].concat().into_iter().map(|(of, name)| stamp(of, name)).collect();
        assert!(road.windows(2).all(|leg| leg[0] <= leg[1] + error_ns), "{road:?}: {request}");
        seen += 1;
    }
    seen
}

#[test]
fn a_chain_that_goes_to_another_host_and_back_is_one_trial_proven_on_both() {
    if !permitted() {
        return;
    }
    let _others = among_others();
    let hosts = Hosts::new(&["driver", "a", "b"]);
    let _agents = [Agent::paired(&hosts, "driver", 0), Agent::paired(&hosts, "a", 0), Agent::paired(&hosts, "b", -5)];
    let (file, out) = (hosts.file(THERE_AND_BACK), hosts.out());
    let mut args = vec!["run", "--hosts", &file, "--out", &out, "--duration", "1s", "--warm-up", "500ms"];
    args.extend(["--dataplane", "none,embedded,envoy", "--rate", "100", "--connections", "4", "--repeats", "1"]);
    let before = hosts.packets_in("b");
    let answer = hosts.call(&args).done();
    // Each request comes to b from s1, and the answer of s3 does.
    let came = hosts.packets_in("b") - before;
    assert!(came > 3 * 2 * 150, "{came} packets came to b for 450 requests");
    let run = answer.run_directory();
    let findings = json(&run.join("findings.json"));
    assert_eq!(findings["trials_sealed"], 3, "{answer:#?}");
    assert!(answer.stderr.contains("the services on a (s1, s3) + b (s2)"), "{}", answer.stderr);
    let flat = answer.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for said in
        ["a (services) with s1 and s3", "b (services) with s2", "moved to the clock of a, which the load enters"]
    {
        assert!(flat.contains(said), "{said}: {}", answer.stdout);
    }

    let run_json = json(&run.join("run.json"));
    for path in trials(&run) {
        let (trial, of) = (json(&path.join("trial.json")), json(&path.join("hosts.json")));
        assert_eq!(
            (&trial["load"]["due"], &trial["load"]["answered"]),
            (&100.into(), &100.into()),
            "{}",
            trial["load"]
        );
        let cell = run_json["cells"].as_array().unwrap().iter().find(|c| c["id"] == trial["cell"]).unwrap();
        assert_eq!(cell["factors"]["placement"], "s1+s3/s2");
        let host = |name: &str| of["hosts"].as_array().unwrap().iter().find(|h| h["name"] == name).unwrap();
        assert_eq!((&host("a")["ahead_ns"], &host("b")["services"][0]), (&0.into(), &"s2".into()), "{of}");
        let error = host("b")["error_ns"].as_i64().unwrap();
        assert!((host("b")["ahead_ns"].as_i64().unwrap() + 5_000_000_000).abs() <= error && error < 10_000_000, "{of}");
        assert!(in_order(&path, error + host("driver")["error_ns"].as_i64().unwrap()) > 0, "{}", path.display());
        let parts = names(&trial);
        assert!(
            ["s1", "s2", "s3", "probe"].iter().all(|part| parts.iter().filter(|p| *p == part).count() == 1),
            "{parts:?}"
        );
        let (at_a, at_b) = (hosts.address("a").to_string(), hosts.address("b").to_string());
        if cell["factors"]["dataplane"] == "none" {
            let calls = |part: &str, whom: &str, at: &str| {
                let proof = proof(&trial, part, "calls");
                assert!(proof["found"] == whom && proof["source"].as_str().unwrap().contains(at), "{proof}");
            };
            calls("s1", "s2", &at_b);
            calls("s2", "s3", &at_a);
            continue;
        }
        // Across the network with mTLS, by certificates of one authority.
        for (caller, callee) in [("s1", "s2"), ("s2", "s3")] {
            let sidecar = format!("{callee}-sidecar");
            if cell["factors"]["dataplane"] == "embedded" {
                // Envoy checks the peer as well, and counts those that it refused.
                let peer = format!("spiffe://cluster.local/ns/meshtax/sa/{caller}");
                assert_eq!(proof(&trial, &sidecar, "inbound peer")["found"], peer.as_str());
            }
            assert_ne!(proof(&trial, &sidecar, "inbound mTLS handshakes")["found"], "0");
            let sent = format!("which {caller}-sidecar sent");
            let of = |p: &&Value| p["part"] == sidecar.as_str() && p["expected"].as_str().unwrap().ends_with(&sent);
            let passed = trial["proofs"].as_array().unwrap().iter().find(of);
            assert_eq!(passed.expect("of both hosts together")["claim"], "requests passed on");
            assert_eq!(proof(&trial, &sidecar, "a request in clear")["found"], "refused");
        }
        let clear = proof(&trial, "s2-sidecar", "a request in clear");
        assert!(clear["source"].as_str().unwrap().contains(&at_b), "it takes callers at the address of b: {clear}");
        let config = |name: &str| {
            std::fs::read_dir(&path).unwrap().flatten().find(|f| f.file_name().to_string_lossy().starts_with(name))
        };
        let s1 = std::fs::read_to_string(config("s1-sidecar.").expect("of a").path()).unwrap();
        assert!(s1.contains(&at_b), "{s1}");
        assert!(config("s2-sidecar.").is_some(), "what ran on b is kept beside what ran on a");
    }
    let cells = findings["cells"].as_array().unwrap();
    // What the sidecar of b used is among what all used.
    assert!(
        cells.iter().filter(|c| c["factors"]["dataplane"] != "none").all(|c| c["proxies"]["rss_bytes"].is_object())
    );
    for name in ["driver", "a", "b"] {
        let left = std::fs::read_dir(hosts.folder.path().join(name).join("runs")).unwrap().count();
        assert_eq!(left, 0, "{name}");
    }
}

#[test]
fn keys_of_a_chain_over_hosts_are_nowhere_but_in_private_directories_that_are_gone() {
    if !permitted() {
        return;
    }
    let _others = among_others();
    let hosts = Hosts::new(&["a", "b"]);
    let _agents = [Agent::paired(&hosts, "a", 0), Agent::paired(&hosts, "b", 0)];
    let file = hosts.file(
        "[[host]]\nname = 'a'\nroles = ['load', 'services']\nservices = ['s1']\n\
         [[host]]\nname = 'b'\nroles = ['services']\nservices = ['s2', 's3']\n",
    );
    let out = hosts.out();
    let mut args =
        vec!["run", "--hosts", &file, "--out", &out, "--duration", "2s", "--warm-up", "300ms", "--rate", "100"];
    // Permissive: what hosts ask of one another in clear goes on to others, whose counters must not be taken for wrong.
    // The certificates are renewed on each host, by the one authority.
    args.extend(["--dataplane", "embedded", "--mtls", "permissive", "--entry", "gateway", "--rotate", "1s"]);
    args.extend(["--repeats", "1"]);
    let answer = hosts.call(&args).done();
    let run = answer.run_directory();
    let trial = json(&trials(&run)[0].join("trial.json"));
    let renewed = |part: &str| {
        let all = trial["events"].as_array().unwrap();
        all.iter().filter(|e| e["kind"] == "certificate-rotated" && e["part"] == part).count()
    };
    assert!(renewed("s1-sidecar") > 0 && renewed("s3-sidecar") > 0, "{}", trial["events"]);
    assert_eq!(proof(&trial, "s2-sidecar", "a request in clear")["found"], "answered");
    let found = holding_keys(hosts.folder.path());
    // Those of the agents and of the runner themselves, and no others.
    assert!(found.iter().all(|path| !path.starts_with(run.as_path())), "{found:?}");
    assert!(found.iter().all(|path| !path.to_string_lossy().contains("/runs/")), "{found:?}");
}

/// Files below a directory that hold a private key.
fn holding_keys(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap().flatten() {
        if entry.path().is_dir() {
            found.extend(holding_keys(&entry.path()));
        } else if std::fs::read(entry.path()).is_ok_and(|text| text.windows(11).any(|w| w == b"PRIVATE KEY")) {
            found.push(entry.path());
        }
    }
    found
}
