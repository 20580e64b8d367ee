//! Hosts whose ground is not steady: a clock that is set, a worker that is killed, a hand that is stopped for a while, and a
//! generator that is.

use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::agents::{Agent, Hosts, permitted};
use crate::clock::Clock;
use crate::losses::{APART, ended, second_of};
use crate::program::{among_others, descendants, json, within};

fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal).unwrap();
}

/// What is below an agent and has these words in its command line.
fn below(agent: &Agent, words: &[&str]) -> Vec<u32> {
    let said = |pid: &u32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        words.iter().all(|word| line.contains(word))
    };
    descendants(agent.pid()).into_iter().filter(said).collect()
}

/// What the trials of a run doubt of their ground.
fn doubts(run: &Path) -> Vec<String> {
    let findings = json(&run.join("findings.json"));
    let of_ground = |kind: &str| ["clock_stepped", "runner_late", "worker_lost"].contains(&kind);
    let warnings = findings["warnings"].as_array().unwrap().iter();
    let of_trials = warnings.filter(|w| of_ground(w["kind"].as_str().unwrap()));
    of_trials.map(|w| format!("{}: {}", w["kind"].as_str().unwrap(), w["evidence"].as_str().unwrap())).collect()
}

/// The number that stands between these words.
fn number(said: &str, before: &str, after: &str) -> Option<f64> {
    let (number, _) = said.strip_prefix(before)?.split_once(after)?;
    number.parse().ok()
}

#[test]
fn ground_that_is_not_steady_marks_the_trial_with_the_host_that_it_was_on() {
    if !permitted() {
        return;
    }
    let _others = among_others();
    let hosts = Hosts::new(&["driver", "chain"]);
    let clock = Clock::new(hosts.folder.path());
    let _driver = Agent::with_clock(&hosts, "driver", &clock);
    let chain = Agent::paired(&hosts, "chain", 0);
    let (mut run, directory) = second_of(&hosts, APART, "nginx", 5);
    clock.set(3600);
    let workers = below(&chain, &["nginx: worker process"]);
    signal(workers[0], Signal::KILL);
    let hands = below(&chain, &["meshtax hand", "--side services"]);
    assert_eq!(hands.len(), 1, "{hands:?}");
    signal(hands[0], Signal::STOP);
    std::thread::sleep(Duration::from_millis(2500));
    signal(hands[0], Signal::CONT);
    assert_eq!(ended(&hosts, &mut run), Some(0), "{}", hosts.said());
    let found = doubts(&directory);
    for words in [
        "clock_stepped: on driver the time of day was set forward by 3600.",
        "worker_lost: on chain workers of proxies ended while the trial was made: ",
    ] {
        assert_eq!(found.iter().filter(|said| said.starts_with(words)).count(), 1, "{words}: {found:?}");
    }
    // As long as it was stopped, and longer on a busy machine.
    let alone = "runner_late: on chain the agent's hand did not look after the chain for ";
    let seconds = found.iter().filter_map(|said| number(said, alone, " s"));
    assert_eq!(seconds.filter(|seconds| *seconds >= 2.5).count(), 1, "{found:?}");
}

#[test]
fn a_generator_that_comes_too_late_has_its_trial_made_again_and_marked() {
    if !permitted() {
        return;
    }
    let _others = among_others();
    let hosts = Hosts::new(&["driver", "chain"]);
    let driver = Agent::paired(&hosts, "driver", 0);
    let _chain = Agent::paired(&hosts, "chain", 0);
    let path = hosts.folder.path().join("late.toml");
    // It settles so long that the generator is stopped in it, however late we are.
    std::fs::write(&path, "name = \"late\"\n[trial]\nsettle = \"5s\"\n").unwrap();
    let (scenario, file, out) = (path.to_string_lossy().into_owned(), hosts.file(APART), hosts.out());
    let mut args = vec!["run", &scenario, "--hosts", &file, "--out", &out, "--duration", "1s", "--warm-up", "1s"];
    args.extend(["--dataplane", "none", "--rate", "100", "--repeats", "1"]);
    let mut run = hosts.start(&args);
    let mut held = None;
    within(Duration::from_secs(90), || {
        held = below(&driver, &["load", "--hold"]).first().copied();
        if held.is_some() { Ok(()) } else { Err(hosts.said()) }
    });
    signal(held.unwrap(), Signal::STOP);
    within(Duration::from_secs(90), || {
        let said = hosts.said();
        // The moment that was agreed on is a warm-up ago then.
        let past = said.lines().any(|l| l.contains("trial 1 of 1: ") && l.contains(", measure"));
        if past { Ok(()) } else { Err(said) }
    });
    signal(held.unwrap(), Signal::CONT);
    assert_eq!(ended(&hosts, &mut run), Some(0), "{}", hosts.said());
    assert!(hosts.said().contains(" ms before it could; try 1 of 3"), "{}", hosts.said());
    let directory = hosts.runs().pop().unwrap();
    assert!(!directory.join("losses.jsonl").exists(), "no host was lost: {}", hosts.said());
    let trial = std::fs::read_dir(directory.join("trials")).unwrap().flatten().next().unwrap().path();
    assert_eq!(json(&trial.join("trial.json"))["load"]["due"], 100);
    // Each try but the one that is sealed came too late, the first of them since it was stopped.
    let attempt = json(&trial.join("hosts.json"))["attempt"].as_u64().unwrap();
    let found = doubts(&directory);
    let by_ms = |said: &String| number(said, "runner_late: the load on driver was to begin ", " ms before it could; ");
    let late: Vec<f64> = found.iter().filter_map(by_ms).collect();
    assert!(attempt >= 2 && late.len() as u64 == attempt - 1, "try {attempt}: {found:?}");
    assert!(late[0] >= 1000.0, "{found:?}");
    for name in ["driver", "chain"] {
        let left = std::fs::read_dir(hosts.folder.path().join(name).join("runs")).unwrap().count();
        assert_eq!(left, 0, "{name}");
    }
}
