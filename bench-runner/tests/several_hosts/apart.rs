//! Load and services on hosts of their own, whose clocks are ten seconds apart.

use serde_json::Value;

use crate::agents::{Agent, Hosts, permitted};
use crate::program::{alone, json};

fn clock<'a>(findings: &'a Value, name: &str) -> &'a Value {
    let hosts = findings["hosts"]["hosts"].as_array().unwrap();
    &hosts.iter().find(|h| h["name"] == name).unwrap()["clock"]
}

#[test]
fn two_generators_and_a_chain_on_three_hosts_make_one_run_on_one_clock() {
    if !permitted() {
        return;
    }
    let _alone = alone();
    let hosts = Hosts::new(&["driver1", "driver2", "chain"]);
    let _agents =
        [Agent::paired(&hosts, "driver1", 5), Agent::paired(&hosts, "driver2", 0), Agent::paired(&hosts, "chain", -5)];
    let file = hosts.file(
        "[[host]]\nname = 'driver1'\nroles = ['load', 'probe']\n[[host]]\nname = 'driver2'\nroles = ['load']\n\
         [[host]]\nname = 'chain'\nroles = ['services']\nprice = { per_month = 3.79, currency = 'EUR' }\n",
    );
    let out = hosts.out();
    let mut args = vec!["run", "--hosts", &file, "--out", &out, "--duration", "1s", "--warm-up", "500ms"];
    args.extend(["--dataplane", "none,embedded,envoy", "--rate", "400", "--connections", "7", "--repeats", "2"]);
    let answer = hosts.call(&args).done();
    let run = answer.run_directory();
    let findings = json(&run.join("findings.json"));
    assert_eq!(findings["trials_sealed"], 6, "{answer:#?}");

    // Both clocks are where they were put, within what is said of them, and that is little on one machine.
    for (name, truth) in [("driver1", 5e9), ("driver2", 0.0), ("chain", -5e9)] {
        let of = &clock(&findings, name)["ahead_ns"];
        let (value, error) = (of["value"].as_f64().unwrap(), of["error"].as_f64().unwrap());
        assert!((value - truth).abs() <= error && error < 5e6, "{name}: {value} ± {error}");
        let drift = &clock(&findings, name)["drift_ppm"];
        assert!(drift["value"].as_f64().unwrap().abs() <= drift["error"].as_f64().unwrap(), "{drift}");
    }
    assert_eq!(findings["hosts"]["trials_apart"], 6);
    assert!(answer.stdout.contains("The hosts and their clocks") && answer.stdout.contains("3.79 EUR a month"));

    for trial in std::fs::read_dir(run.join("trials")).unwrap().flatten() {
        let sealed = json(&trial.path().join("trial.json"));
        let of = json(&trial.path().join("hosts.json"));
        // All requests of the plan, each made by one of the two.
        assert_eq!(sealed["load"]["due"], 400, "{}", trial.path().display());
        assert_eq!(sealed["load"]["connections"], 7);
        assert_eq!(sealed["load"]["observed"]["threads"].as_array().unwrap().len(), 2);
        let ahead = |name: &str| {
            let all = of["hosts"].as_array().unwrap();
            all.iter().find(|h| h["name"] == name).unwrap()["ahead_ns"].as_i64().unwrap()
        };
        assert!((ahead("driver1") - 10_000_000_000).abs() < 5_000_000, "{of}");
        assert!((ahead("driver2") - 5_000_000_000).abs() < 5_000_000, "{of}");
        // On the clock of the chain's host: the measured phase lies within what its probe has read.
        let phase = |name: &str, end: &str| {
            let all = sealed["phases"].as_array().unwrap();
            all.iter().find(|p| p["phase"] == name).unwrap()[end].as_u64().unwrap()
        };
        assert!(phase("settle", "start_ns") < phase("warm_up", "start_ns"));
        assert!(phase("measure", "end_ns") <= phase("cool_down", "end_ns"), "{}", sealed["phases"]);
        assert!(trial.path().join("hosts/driver1/load/samples.jsonl").exists(), "its probe watched the driver too");
        assert!(!trial.path().join("hosts/driver1/load/intervals.jsonl").exists(), "that is in the merged file");
    }
    let cells = findings["cells"].as_array().unwrap();
    assert!(cells.iter().all(|c| c["proxies"].is_object() && c["trials"] == 2));
    // Nothing is left on the hosts.
    for name in ["driver1", "driver2", "chain"] {
        let left = std::fs::read_dir(hosts.folder.path().join(name).join("runs")).unwrap().count();
        assert_eq!(left, 0, "{name}");
    }
}

#[test]
fn what_cannot_be_on_hosts_is_said_before_anything_starts() {
    if !permitted() {
        return;
    }
    let hosts = Hosts::new(&["a"]);
    let _agent = Agent::paired(&hosts, "a", 0);
    let both = hosts.file("[[host]]\nname = 'a'\nroles = ['load', 'services']\n");
    let (out, refused) = (hosts.out(), |args: &[&str], says: &str| {
        let answer = hosts.call(args);
        assert_eq!(answer.code, Some(64), "{answer:#?}");
        assert!(answer.stderr.contains(says) && answer.stderr.contains("try: "), "{answer:#?}");
    });
    refused(&["run", "--hosts", &both, "--out", &out, "--platform", "pods"], "pods are reached from their own host");
    refused(&["run", "--hosts", &both, "--out", &out, "--dataplane", "none,ambient"], "the node proxy takes the load");
    refused(&["run", "--hosts", &both, "--out", &out, "--disk"], "the disk is tested on this host");
    // One chain over hosts that does not come out; nobody is asked for it.
    let chain = |a: &str, b: &str| {
        hosts.file(&format!(
            "[[host]]\nname = 'a'\nroles = ['load', 'services']\n{a}\n[[host]]\nname = 'b'\nroles = ['services']\n{b}\n"
        ))
    };
    for (a, b, more, says) in [
        ("services = ['s1']", "services = ['s2']", vec![], "s3 of chain3 stands on no host"),
        ("services = ['s1', 's2']", "services = ['s2', 's3']", vec![], "s2 is to stand on a and on b"),
        ("services = ['s1', 's3']", "services = ['s2', 's4']", vec![], "chain3 has no such service"),
        ("services = ['s1', 's3']", "", vec![], "a says which services stand on it, and b has"),
        ("", "", vec![], "nothing says which of them"),
        ("services = ['s1']", "services = ['s2', 's3']", vec!["--each", "in-turn"], "--each makes the same run"),
        ("services = ['s1']", "services = ['s2', 's3']", vec!["--neighbour", "cpu:1"], "a neighbour is at work on one"),
        ("services = ['s1']", "services = ['s2', 's3']", vec!["--platform", "pods"], "pods are reached from their own"),
    ] {
        let file = chain(a, b);
        let mut args = vec!["run", "--hosts", &file, "--out", &out, "--services", "3"];
        args.extend(more);
        refused(&args, says);
    }
    let unknown = hosts.file("[[host]]\nname = 'b'\nroles = ['load', 'services']\n");
    refused(&["run", "--hosts", &unknown, "--out", &out], "no agent is paired under the name 'b' (paired: a)");
    assert!(hosts.runs().is_empty());
}
