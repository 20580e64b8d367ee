//! Runs with the built-in sidecar in all that it can be: what was asked for is what is proven, and no request fails.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use scenarios::network::Network;
use serde_json::Value;

use crate::program::{alone, among_others, call, json, meshtax, skip, within};

/// Whether pods are permitted here; says so when a test is skipped for it.
fn permitted() -> bool {
    let Err(why) = Network::permitted() else { return true };
    !skip(&why.to_string(), "REQUIRE_ROOT")
}

/// A scenario with these tables.
fn written(folder: &Path, tables: &str) -> PathBuf {
    let scenario = folder.join("scenario.toml");
    let text = format!(
        "name = \"sidecars\"\nteaches = \"what was asked for is what is proven\"\n{tables}\n\
         [trial]\nsettle = \"100ms\"\nwarm_up = \"300ms\"\nmeasure = \"2500ms\"\ncool_down = \"200ms\"\n\
         [plan]\nrepeats = 1\n"
    );
    std::fs::write(&scenario, text).unwrap();
    scenario
}

/// Runs a scenario with these tables and flags; the trials in the order of the plan.
fn run(tables: &str, flags: &[&str]) -> Vec<Value> {
    let _seat = among_others();
    made(tables, flags)
}

/// The same where it is asked what was done by when: on a machine with more work than it can do, what is due comes late.
fn run_in_time(tables: &str, flags: &[&str]) -> Vec<Value> {
    let _alone = alone();
    made(tables, flags)
}

fn made(tables: &str, flags: &[&str]) -> Vec<Value> {
    let tmp = tempfile::tempdir().unwrap();
    let scenario = written(tmp.path(), tables);
    let out = tmp.path().to_string_lossy().into_owned();
    let mut args = vec!["run", scenario.to_str().unwrap(), "--out", &out];
    args.extend(["--dataplane", "embedded", "--rate", "200", "--connections", "4"]);
    args.extend(flags);
    let directory = call(&args).done().run_directory();
    let planned = json(&directory.join("run.json"));
    let ids = planned["trials"].as_array().unwrap().iter().map(|t| t["id"].as_str().unwrap());
    let trials: Vec<Value> = ids.map(|id| trial(&directory.join("trials").join(id))).collect();
    assert!(!trials.is_empty());
    trials
}

/// A trial in which every request was answered.
fn trial(directory: &Path) -> Value {
    let trial = json(&directory.join("trial.json"));
    let load = &trial["load"];
    assert_eq!((&load["due"], &load["outcomes"]["answered"]["200"]), (&500.into(), &500.into()), "{load:#}");
    trial
}

/// What was found for a claim, by part.
fn found<'a>(trial: &'a Value, claim: &str) -> Vec<(&'a str, &'a str)> {
    let proofs = trial["proofs"].as_array().unwrap().iter().filter(|p| p["claim"] == claim);
    proofs.map(|p| (p["part"].as_str().unwrap(), p["found"].as_str().unwrap())).collect()
}

fn events(trial: &Value, kind: &str) -> usize {
    // Where there are none, there is no list.
    trial["events"].as_array().map_or(0, |events| events.iter().filter(|e| e["kind"] == kind).count())
}

const SHIFTED: &str = "[canary]\nservice = \"s2\"\nweights = [\"v1=90,v2=10\"]\n\
     shift = [{at = \"300ms\", v2 = 50}, {at = \"600ms\", v2 = 100}, {at = \"900ms\", v2 = 25}]\n";

#[test]
fn weights_keys_and_counters_are_tended_under_load_on_loopback() {
    let flags = ["--rotate", "400ms", "--stats-scrape", "200ms", "--access-log", "json", "--shape", "fan-out"];
    for trial in run_in_time(SHIFTED, &flags) {
        assert_eq!(events(&trial, "weights-shifted"), 3);
        assert!(events(&trial, "certificate-rotated") >= 8 && events(&trial, "certificate-seen") >= 8);
        assert!(events(&trial, "stats-scraped") >= 20);
        assert_eq!(found(&trial, "weights outbound to s2"), [("s1-sidecar", "v1=75,v2=25")]);
        assert_eq!(found(&trial, "access log").iter().map(|f| f.1).collect::<Vec<_>>(), ["json"; 5]);
        assert!(found(&trial, "bytes of its access log").iter().all(|(_, bytes)| bytes.parse::<u64>().unwrap() > 0));
        assert_eq!(found(&trial, "serial number of its certificate").len(), 5);
        assert!(trial["lacks"].as_array().unwrap().iter().any(|l| l["what"] == "a chain of HTTP filters"));
    }
}

#[test]
fn the_same_is_tended_in_pods_and_each_port_has_its_mode() {
    if !permitted() {
        return;
    }
    let flags = [
        "--platform",
        "pods",
        "--rotate",
        "400ms",
        "--stats-scrape",
        "200ms",
        "--access-log",
        "text",
        "--access-log-to",
        "stdout",
        "--port-mtls",
        "permissive",
        "--protocol",
        "auto",
    ];
    for trial in run_in_time(SHIFTED, &flags) {
        assert_eq!(events(&trial, "weights-shifted"), 3);
        assert!(events(&trial, "certificate-rotated") >= 8 && events(&trial, "stats-scraped") >= 20);
        assert_eq!(found(&trial, "weights outbound to s2"), [("s1-sidecar", "v1=75,v2=25")]);
        let modes = |claim| found(&trial, claim).iter().map(|f| f.1).collect::<Vec<_>>();
        assert_eq!(modes("mode of port 8080"), ["permissive"; 4]);
        assert_eq!(modes("mode of port 8081"), ["strict"; 4]);
        assert_eq!(modes("mode of all other ports"), ["strict"; 4]);
        let pipes = trial["proofs"].as_array().unwrap().iter().filter(|p| p["source"] == "its stdout, a pipe");
        assert_eq!(pipes.count(), 5);
    }
}

#[test]
fn a_shift_that_was_not_made_before_the_load_ended_is_told() {
    // The runner has to be stopped before the shift is due.
    let _alone = alone();
    let tmp = tempfile::tempdir().unwrap();
    let late = "[canary]\nservice = \"s2\"\nweights = [\"v1=90,v2=10\"]\nshift = [{at = \"2300ms\", v2 = 50}]\n";
    let scenario = written(tmp.path(), late);
    let out = tmp.path().join("runs");
    let mut runner = meshtax(&["run", scenario.to_str().unwrap(), "--out", out.to_str().unwrap()])
        .args(["--dataplane", "embedded", "--rate", "200", "--connections", "4"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // A file of its only trial, once there is something in it.
    let file = |name: &str| {
        let run = std::fs::read_dir(&out).ok()?.flatten().next()?.path();
        let trial = std::fs::read_dir(run.join("trials")).ok()?.flatten().next()?.path();
        let path = trial.join(name);
        std::fs::metadata(&path).is_ok_and(|file| file.len() > 0).then_some(path)
    };
    let comes = |name: &str| within(Duration::from_secs(30), || file(name).map(drop).ok_or(format!("no {name}")));
    comes("intervals.jsonl");
    kill_process(Pid::from_child(&runner), Signal::STOP).unwrap();
    comes("load.json");
    // It ends after that.
    std::thread::sleep(Duration::from_millis(300));
    kill_process(Pid::from_child(&runner), Signal::CONT).unwrap();
    assert!(runner.wait().unwrap().success());
    let trial = json(&file("trial.json").unwrap());
    assert_eq!(events(&trial, "weights-shifted"), 0);
    let told = |warning: &Value| {
        let evidence = warning["evidence"].as_str().unwrap();
        warning["kind"] == "runner_late" && evidence.contains("had not made a shift to v1=50,v2=50 due 2.3 s into")
    };
    assert!(trial["warnings"].as_array().unwrap().iter().any(told), "{:#}", trial["warnings"]);
}

/// Every entry and every side, each in a cell of its own.
fn every_way_in(platform: &str) {
    for trial in run("", &["--platform", platform, "--entry", "gateway,sidecar", "--requests-per-connection", "7"]) {
        assert_eq!(found(&trial, "most requests on one connection to s2"), [("s1-sidecar", "7")]);
    }
    let flags =
        ["--platform", platform, "--entry", "plain,sidecar", "--sidecars", "both,client", "--mtls", "permissive"];
    assert_eq!(run("", &flags).len(), 4);
    let flags =
        ["--platform", platform, "--sidecars", "server", "--mtls", "disable,permissive", "--keepalive", "false"];
    assert_eq!(run("", &flags).len(), 2);
}

#[test]
fn every_way_in_is_answered_and_proven_on_loopback() {
    every_way_in("processes");
}

#[test]
fn every_way_in_is_answered_and_proven_in_pods() {
    if permitted() {
        every_way_in("pods");
    }
}
