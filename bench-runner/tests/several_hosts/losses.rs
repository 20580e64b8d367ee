//! Hosts that are lost in mid-trial: one killed, one cut off, and a runner that is gone.

use std::path::Path;
use std::time::Duration;

use crate::agents::{Agent, Hosts, permitted};
use crate::program::{alive, among_others, descendants, json, processes_of, within};

pub(crate) const APART: &str =
    "[[host]]\nname = 'driver'\nroles = ['load']\n[[host]]\nname = 'chain'\nroles = ['services']\n";

fn sealed(run: &Path) -> Vec<String> {
    let trials = std::fs::read_dir(run.join("trials")).map(|t| t.flatten().collect::<Vec<_>>()).unwrap_or_default();
    let whole = trials.iter().filter(|t| t.path().join("trial.json").is_file());
    whole.map(|t| t.file_name().to_string_lossy().into_owned()).collect()
}

/// Starts a run of three trials of `seconds` each and waits until the second measures.
fn second_measures(hosts: &Hosts, seconds: u32) -> (std::process::Child, std::path::PathBuf) {
    second_of(hosts, APART, "none", seconds)
}

/// The same on other hosts, of another dataplane.
pub(crate) fn second_of(
    hosts: &Hosts,
    file: &str,
    dataplane: &str,
    seconds: u32,
) -> (std::process::Child, std::path::PathBuf) {
    let (file, out, duration) = (hosts.file(file), hosts.out(), format!("{seconds}s"));
    let mut args = vec!["run", "--hosts", &file, "--out", &out, "--duration", &duration, "--warm-up", "300ms"];
    args.extend(["--dataplane", dataplane, "--rate", "100", "--repeats", "3"]);
    let run = hosts.start(&args);
    within(Duration::from_secs(90), || {
        let said = hosts.said();
        let measures = said.lines().any(|l| l.contains("trial 2 of 3: ") && l.contains(", measure"));
        if measures { Ok(()) } else { Err(said) }
    });
    let directory = hosts.runs().pop().unwrap();
    assert_eq!(sealed(&directory).len(), 1);
    (run, directory)
}

pub(crate) fn ended(hosts: &Hosts, run: &mut std::process::Child) -> Option<i32> {
    within(Duration::from_secs(240), || match run.try_wait().unwrap() {
        Some(_) => Ok(()),
        None => Err(hosts.said()),
    });
    run.wait().unwrap().code()
}

/// Waits until the runner has noted that a host is gone.
fn until_lost(hosts: &Hosts) {
    within(Duration::from_secs(60), || if hosts.said().contains("lost: ") { Ok(()) } else { Err(hosts.said()) });
}

fn losses(run: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(run.join("losses.jsonl")).unwrap();
    text.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

fn first_seal(run: &Path) -> Vec<u8> {
    let mut names = sealed(run);
    names.sort();
    std::fs::read(run.join("trials").join(&names[0]).join("trial.json")).unwrap()
}

#[test]
fn a_host_that_is_started_anew_loses_nothing_sealed_and_its_trial_is_marked_and_made_again() {
    if !permitted() {
        return;
    }
    let _others = among_others();
    let hosts = Hosts::new(&["driver", "chain"]);
    let driver = Agent::paired(&hosts, "driver", 0);
    let _chain = Agent::paired(&hosts, "chain", 0);
    let (mut run, directory) = second_measures(&hosts, 3);
    let before = first_seal(&directory);
    let started = descendants(driver.pid());
    assert!(started.len() >= 2, "a hand and a generator: {started:?}");
    driver.kill();
    within(Duration::from_secs(5), || match started.iter().filter(|pid| alive(**pid)).count() {
        0 => Ok(()),
        n => Err(format!("{n} processes outlive their agent")),
    });
    // As after a power failure: its clock begins anew, and it is another start of that host.
    let _driver = Agent::rebooted(&hosts, "driver", 40);
    assert_eq!(ended(&hosts, &mut run), Some(0), "{}", hosts.said());
    assert_eq!(sealed(&directory).len(), 3);
    assert_eq!(first_seal(&directory), before);
    let lost = losses(&directory);
    assert_eq!((lost.len(), &lost[0]["host"], &lost[0]["attempt"]), (1, &"driver".into(), &1.into()), "{lost:?}");
    let findings = json(&directory.join("findings.json"));
    let marked = |w: &&serde_json::Value| w["kind"] == "host_lost" && w["trial"] == lost[0]["trial"];
    assert_eq!(findings["warnings"].as_array().unwrap().iter().filter(marked).count(), 1, "{}", findings["warnings"]);
    assert_eq!(findings["trials_sealed"], 3);
    let clock = &findings["hosts"]["hosts"][0]["clock"];
    let (value, error) = (clock["ahead_ns"]["value"].as_f64().unwrap(), clock["ahead_ns"]["error"].as_f64().unwrap());
    assert!(clock["restarts"] == 1 && (value - 40e9).abs() <= error, "{clock}");
    // What it had of the lost try is here, and in no figure.
    let name = format!("{}~1", lost[0]["trial"].as_str().unwrap());
    assert!(directory.join("lost").join(name).join("driver/load/intervals.jsonl").is_file(), "{}", hosts.said());
}

#[test]
fn a_runner_that_is_cut_off_gets_what_the_hosts_sealed_without_it() {
    if !permitted() {
        return;
    }
    let _others = among_others();
    let hosts = Hosts::new(&["driver", "chain"]);
    let _agents = [Agent::paired(&hosts, "driver", 3), Agent::paired(&hosts, "chain", 0)];
    let (mut run, directory) = second_measures(&hosts, 4);
    hosts.link("runner", false);
    // Longer than a host may be silent; load and chain still reach one another.
    std::thread::sleep(Duration::from_secs(9));
    hosts.link("runner", true);
    assert_eq!(ended(&hosts, &mut run), Some(0), "{}", hosts.said());
    assert_eq!(sealed(&directory).len(), 3);
    let lost = losses(&directory);
    assert_eq!(lost.len(), 1, "{lost:?}");
    let trial = lost[0]["trial"].as_str().unwrap();
    let of = json(&directory.join("trials").join(trial).join("trial.json"));
    let marks = of["warnings"].as_array().unwrap().iter().filter(|w| w["kind"] == "host_lost").count();
    let attempt = json(&directory.join("trials").join(trial).join("hosts.json"))["attempt"].clone();
    // Either every side was sealed meanwhile, and that try is the trial, marked; or it was made again.
    assert_eq!(marks == 1, attempt == 1, "marks {marks}, attempt {attempt}");
    assert_eq!(of["load"]["due"], 400);
}

#[test]
fn a_host_that_is_cut_off_from_all_others_has_its_trial_marked_and_the_run_goes_on() {
    if !permitted() {
        return;
    }
    let _others = among_others();
    let hosts = Hosts::new(&["driver", "chain"]);
    let _agents = [Agent::paired(&hosts, "driver", 0), Agent::paired(&hosts, "chain", 0)];
    let (mut run, directory) = second_measures(&hosts, 3);
    let before = first_seal(&directory);
    hosts.link("chain", false);
    until_lost(&hosts);
    hosts.link("chain", true);
    assert_eq!(ended(&hosts, &mut run), Some(0), "{}", hosts.said());
    assert_eq!((sealed(&directory).len(), first_seal(&directory)), (3, before));
    let lost = losses(&directory);
    assert_eq!((lost.len(), &lost[0]["host"]), (1, &"chain".into()), "{lost:?}");
    let findings = json(&directory.join("findings.json"));
    let marked = |w: &&serde_json::Value| w["kind"] == "host_lost" && w["trial"] == lost[0]["trial"];
    assert!(findings["warnings"].as_array().unwrap().iter().any(|w| marked(&w)), "{}", findings["warnings"]);
}

#[test]
fn what_a_killed_runner_left_is_ended_by_the_agents_and_sealed_by_resume() {
    if !permitted() {
        return;
    }
    let _others = among_others();
    let hosts = Hosts::new(&["driver", "chain"]);
    let agents = [Agent::paired(&hosts, "driver", 0), Agent::paired(&hosts, "chain", 0)];
    let (mut run, directory) = second_measures(&hosts, 4);
    run.kill().unwrap();
    run.wait().unwrap();
    within(Duration::from_secs(40), || {
        let left: Vec<u32> = agents.iter().flat_map(|a| descendants(a.pid())).filter(|pid| alive(*pid)).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("still there: {left:?}")) }
    });
    let path = directory.to_string_lossy().into_owned();
    let answer = hosts.call(&["resume", &path]).done();
    assert_eq!(sealed(&directory).len(), 3, "{answer:#?}");
    let lost = losses(&directory);
    assert_eq!((lost.len(), &lost[0]["host"]), (1, &"the runner".into()), "{answer:#?}");
    drop(agents);
    assert_eq!(processes_of(hosts.folder.path()), Vec::<String>::new());
}

#[test]
fn a_host_with_a_part_of_the_chain_that_is_cut_off_has_its_trial_marked_and_the_run_goes_on() {
    if !permitted() {
        return;
    }
    let _others = among_others();
    let hosts = Hosts::new(&["a", "b", "c"]);
    let _agents = [Agent::paired(&hosts, "a", 0), Agent::paired(&hosts, "b", 0), Agent::paired(&hosts, "c", 7)];
    let file = "[[host]]\nname = 'a'\nroles = ['load', 'services']\nservices = ['s1']\n\
                [[host]]\nname = 'b'\nroles = ['services']\nservices = ['s2']\n\
                [[host]]\nname = 'c'\nroles = ['services']\nservices = ['s3']\n";
    let (mut run, directory) = second_of(&hosts, file, "embedded", 2);
    let before = first_seal(&directory);
    hosts.link("c", false);
    until_lost(&hosts);
    hosts.link("c", true);
    assert_eq!(ended(&hosts, &mut run), Some(0), "{}", hosts.said());
    assert_eq!((sealed(&directory).len(), first_seal(&directory)), (3, before));
    let lost = losses(&directory);
    assert_eq!((lost.len(), &lost[0]["host"]), (1, &"c".into()), "{lost:?}");
    let findings = json(&directory.join("findings.json"));
    let marked = |w: &&serde_json::Value| w["kind"] == "host_lost" && w["trial"] == lost[0]["trial"];
    assert!(findings["warnings"].as_array().unwrap().iter().any(|w| marked(&w)), "{}", findings["warnings"]);
    // Three parts of one chain, each by its own clock, on one in the record.
    let of = json(&directory.join("trials").join(&sealed(&directory)[0]).join("hosts.json"));
    let ahead = |at: usize| of["hosts"][at]["ahead_ns"].as_i64().unwrap();
    assert!(ahead(0) == 0 && ahead(1).abs() < 50_000_000 && (ahead(2) - 7_000_000_000).abs() < 50_000_000, "{of}");
    assert_eq!(findings["cells"][0]["factors"]["placement"], "s1/s2/s3");
}
