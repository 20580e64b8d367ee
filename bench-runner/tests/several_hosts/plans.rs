//! The same run on two hosts that cost a different amount, one of which has half a core.

use std::path::PathBuf;

use crate::agents::{Agent, Hosts, permitted};
use crate::program::{alone, among_others, json, skip};

/// A cgroup of half a core, of either version; removed with the test.
struct HalfCore(PathBuf);

impl HalfCore {
    fn new() -> Option<Self> {
        let name = format!("mtxt-half-{}", std::process::id());
        for (root, file, limit) in
            [("/sys/fs/cgroup/cpu", "cpu.cfs_quota_us", "50000"), ("/sys/fs/cgroup", "cpu.max", "50000 100000")]
        {
            let path = PathBuf::from(root).join(&name);
            if std::fs::create_dir(&path).is_ok() {
                if std::fs::write(path.join(file), limit).is_ok() {
                    return Some(Self(path));
                }
                let _ = std::fs::remove_dir(&path);
            }
        }
        None
    }
}

impl Drop for HalfCore {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[test]
fn of_two_plans_the_one_with_half_a_core_is_found_slower_with_intervals_that_part() {
    if !permitted() {
        return;
    }
    let _alone = alone();
    let Some(half) = HalfCore::new() else {
        skip("half a core needs a cgroup that may be written", "REQUIRE_ROOT");
        return;
    };
    let hosts = Hosts::new(&["small", "large"]);
    let small = Agent::start(&hosts, "small", 0, Some(&half.0));
    let address = format!("{}:7464", hosts.address("small"));
    hosts.call(&["hosts", "pair", "small", &address, &small.code()]).done();
    let large = Agent::paired(&hosts, "large", 0);
    let file = hosts.file(
        "[[host]]\nname = 'small'\nroles = ['load', 'services']\nprice = { per_month = 3.0, currency = 'EUR' }\n\
         [[host]]\nname = 'large'\nroles = ['load', 'services']\nprice = { per_month = 6.0, currency = 'EUR' }\n",
    );
    let out = hosts.out();
    let mut args = vec!["run", "--hosts", &file, "--each", "in-turn", "--out", &out, "--duration", "1s"];
    // With the generator more work than half a core does, and no more than other tests leave of a whole one.
    args.extend(["--warm-up", "500ms", "--dataplane", "none", "--services", "1", "--rate", "150"]);
    args.extend(["--work-us", "3000", "--repeats", "5"]);
    let answer = hosts.call(&args).done();
    let runs = hosts.runs();
    assert_eq!(runs.len(), 2, "{answer:#?}");
    let of = |name: &str| {
        let run = runs.iter().find(|r| json(&r.join("hosts.json"))["hosts"][0]["name"] == name).unwrap();
        let findings = json(&run.join("findings.json"));
        assert_eq!(findings["trials_sealed"], 5);
        findings["cells"][0]["response_ns"]["p50"].clone()
    };
    let (slow, fast) = (of("small"), of("large"));
    assert!(slow["low"].as_f64().unwrap() > fast["high"].as_f64().unwrap(), "small {slow}, large {fast}");
    assert_eq!((&slow["n"], &fast["n"]), (&5.into(), &5.into()));
    assert!(answer.stderr.contains("compare them: meshtax compare "), "{answer:#?}");
    drop((small, large));
}

#[test]
fn both_plans_can_be_measured_at_the_same_time() {
    if !permitted() {
        return;
    }
    let _others = among_others();
    let hosts = Hosts::new(&["one", "two"]);
    let _agents = [Agent::paired(&hosts, "one", 0), Agent::paired(&hosts, "two", 0)];
    let file = hosts.file(
        "[[host]]\nname = 'one'\nroles = ['load', 'services']\n[[host]]\nname = 'two'\nroles = ['load', 'services']\n",
    );
    let out = hosts.out();
    let mut args = vec!["run", "--hosts", &file, "--each", "together", "--out", &out, "--quick"];
    args.extend(["--dataplane", "none", "--rate", "50"]);
    let answer = hosts.call(&args).done();
    let sealed: Vec<_> = hosts.runs().iter().map(|r| json(&r.join("findings.json"))["trials_sealed"].clone()).collect();
    assert_eq!(sealed, [3, 3], "{answer:#?}");
}
