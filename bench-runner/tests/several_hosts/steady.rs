//! Hosts whose ground is not steady: a clock that is set, a worker that is killed, and a hand that is stopped for a while.

use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::agents::{Agent, Hosts, permitted};
use crate::clock::Clock;
use crate::losses::{APART, ended, second_of};
use crate::program::{among_others, descendants, json};

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
        "runner_late: on chain the agent's hand did not look after the chain for 2.",
    ] {
        assert_eq!(found.iter().filter(|said| said.starts_with(words)).count(), 1, "{words}: {found:?}");
    }
}
