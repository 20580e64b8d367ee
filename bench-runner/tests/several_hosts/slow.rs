//! An agent at the end of a long and thin line: what it measures is whole, and marked with what is not known.

use std::net::SocketAddr;
use std::time::Duration;

use crate::agents::{Agent, Hosts, PORT, permitted};
use crate::program::{among_others, json};
use crate::relay::{Line, Relay};

#[test]
fn a_slow_link_loses_nothing_and_marks_the_trial_with_the_bound_that_it_leaves() {
    if !permitted() {
        return;
    }
    let _others = among_others();
    let hosts = Hosts::new(&["driver", "chain"]);
    let _driver = Agent::paired(&hosts, "driver", 0);
    let chain = Agent::start(&hosts, "chain", 3, None);
    let agent = SocketAddr::from((hosts.address("chain"), PORT));
    // Only the runner is far away: the load reaches the chain as ever.
    let line = Line { delay: Duration::from_millis(100), bytes_per_second: 400_000 };
    let relay = Relay::new(&hosts, "runner", agent, line);
    chain.pair(&hosts, "chain", &relay.address.to_string());
    let file = hosts.file(&format!(
        "[[host]]\nname = 'driver'\nroles = ['load']\n[[host]]\nname = 'chain'\nroles = ['services']\nserve_at = '{}'\n",
        agent.ip()
    ));
    let out = hosts.out();
    let mut args = vec!["run", "--hosts", &file, "--out", &out, "--duration", "1s", "--warm-up", "300ms"];
    args.extend(["--dataplane", "none", "--rate", "200", "--repeats", "1"]);
    let answer = hosts.call(&args).done();
    let run = answer.run_directory();
    let findings = json(&run.join("findings.json"));
    assert_eq!((&findings["trials_sealed"], findings["hosts"]["losses"].as_array().unwrap().len()), (&1.into(), 0));

    let trial = std::fs::read_dir(run.join("trials")).unwrap().flatten().next().unwrap().path();
    let sealed = json(&trial.join("trial.json"));
    assert_eq!((&sealed["load"]["due"], &sealed["load"]["answered"]), (&200.into(), &200.into()), "{}", sealed["load"]);
    // The clock of the chain is where it was put, within a bound that is now as wide as the way is long.
    let driver = &json(&trial.join("hosts.json"))["hosts"][0];
    let (ahead, error) = (driver["ahead_ns"].as_i64().unwrap(), driver["error_ns"].as_u64().unwrap());
    assert!((ahead + 3_000_000_000).unsigned_abs() <= error, "{driver}");
    assert!((50_000_000..1_000_000_000).contains(&error), "{driver}");
    let marks = sealed["warnings"].as_array().unwrap().iter().filter(|w| w["kind"] == "slow_link").count();
    assert_eq!(marks, 1, "{}", sealed["warnings"]);
    assert!(findings["warnings"].as_array().unwrap().iter().any(|w| w["kind"] == "slow_link"), "{answer:#?}");
    assert_eq!((&findings["hosts"]["trials_apart"], &findings["hosts"]["trials_compared"]), (&1.into(), &0.into()));
    let flat = answer.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains("the way to the first service and the way back are not told apart"), "{}", answer.stdout);
    drop(relay);
}

#[test]
fn a_host_far_from_the_runner_still_meets_its_callees_when_its_proofs_are_taken() {
    if !permitted() {
        return;
    }
    let _others = among_others();
    let hosts = Hosts::new(&["a", "b"]);
    let a = Agent::start(&hosts, "a", 0, None);
    let _b = Agent::paired(&hosts, "b", 0);
    // What b is told comes so much earlier than what a is told.
    let line = Line { delay: Duration::from_millis(300), bytes_per_second: 4_000_000 };
    let relay = Relay::new(&hosts, "runner", SocketAddr::from((hosts.address("a"), PORT)), line);
    a.pair(&hosts, "a", &relay.address.to_string());
    let file = hosts.file(&format!(
        "[[host]]\nname = 'a'\nroles = ['load', 'services']\nserve_at = '{}'\nservices = ['s1']\n\
         [[host]]\nname = 'b'\nroles = ['services']\nservices = ['s2', 's3']\n",
        hosts.address("a")
    ));
    let out = hosts.out();
    let mut args = vec!["run", "--hosts", &file, "--out", &out, "--duration", "1s", "--warm-up", "300ms"];
    // Permissive: a request in clear at a's sidecar goes through all of the chain.
    args.extend(["--dataplane", "embedded", "--mtls", "permissive", "--rate", "100", "--repeats", "1"]);
    let run = hosts.call(&args).done().run_directory();
    let trial = std::fs::read_dir(run.join("trials")).unwrap().flatten().next().unwrap().path();
    let sealed = json(&trial.join("trial.json"));
    let clear = sealed["proofs"].as_array().unwrap().iter().filter(|p| p["claim"] == "a request in clear");
    let found: Vec<_> =
        clear.map(|proof| (proof["part"].as_str().unwrap(), proof["found"].as_str().unwrap())).collect();
    assert_eq!(found, ["s1-sidecar", "s2-sidecar", "s3-sidecar"].map(|part| (part, "answered")));
    drop(relay);
}
