//! Ground that is not steady: a node's clock that is set, and a runner that cannot look after the chain.

use std::path::{Path, PathBuf};

use hyper::Method;
use serde_json::Value;

use crate::api::{Api, What};
use crate::clock::Clock;
use crate::run::{json, run};

/// An answer that keeps who asks from asking again for longer than a chain may be left alone.
pub(crate) const BUSY: What = What::Refuse(429, "too many requests", Some(("retry-after", "2")));

/// What the first trial of a run doubts, by its kind and evidence.
pub(crate) fn doubts(run: &Path) -> Vec<(String, String)> {
    let trial = std::fs::read_dir(run.join("trials")).unwrap().next().unwrap().unwrap().path();
    let text = |warning: &Value, key: &str| warning[key].as_str().unwrap().to_owned();
    let sealed = json(&trial.join("trial.json"));
    sealed["warnings"].as_array().unwrap().iter().map(|w| (text(w, "kind"), text(w, "evidence"))).collect()
}

#[test]
fn a_node_whose_clock_is_set_marks_the_trial() {
    let api = Api::start(76);
    let aside = tempfile::tempdir().unwrap();
    let clock = Clock::new(aside.path());
    api.lock().kubelet.mood.clock = Some(clock.clone());
    let (said, _folder) = std::thread::scope(|scope| {
        let measured = scope.spawn(|| run(&api, &[]));
        api.until_the_load_goes(|| measured.is_finished());
        clock.set(-3600);
        // Nothing falls due in this trial, so that nothing comes late.
        api.fault(Method::GET, "proxy/", 1, BUSY);
        measured.join().unwrap()
    });
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let found = doubts(&PathBuf::from(said.stdout.lines().last().unwrap()));
    let stepped: Vec<&String> =
        found.iter().filter(|(kind, _)| kind == "clock_stepped").map(|(_, evidence)| evidence).collect();
    assert_eq!(stepped.len(), 1, "{found:?}");
    assert!(stepped[0].starts_with("on node node-a the time of day was set back by 3600."), "{found:?}");
    assert!(!found.iter().any(|(kind, _)| kind == "runner_late"), "{found:?}");
}
