//! Whole runs: pods are processes that a kubelet of a kind starts, and the run directory is one as any other.

use std::collections::BTreeSet;
use std::path::PathBuf;

use hyper::Method;
use serde_json::Value;

use crate::api::{Api, What};
use crate::manifests::documents;
use crate::{Answer, answer, meshtax};

/// A run of two services for a second, in a folder of its own.
pub(crate) fn run(api: &Api, more: &[&str]) -> (Answer, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_string_lossy().into_owned();
    let usual = [
        ("--services", "2"),
        ("--rate", "100"),
        ("--connections", "4"),
        ("--duration", "1s"),
        ("--warm-up", "200ms"),
        ("--repeats", "1"),
        ("--mesh", "none"),
        ("--out", &out),
    ];
    let mut args = vec!["k8s", "run", "quick"];
    for (flag, value) in usual.iter().filter(|(flag, _)| !more.contains(flag)) {
        args.extend([*flag, *value]);
    }
    args.extend(more);
    let said = answer(meshtax(&args).env("KUBECONFIG", api.kubeconfig()));
    (said, folder)
}

pub(crate) fn json(path: &std::path::Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))).unwrap()
}

#[test]
fn a_run_in_a_cluster_becomes_an_ordinary_run_directory() {
    let api = Api::start(20);
    let (said, _folder) = run(&api, &["--aa", "--repeats", "2"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let directory = PathBuf::from(said.stdout.lines().last().unwrap());
    let recorded = json(&directory.join("run.json"));
    assert_eq!(recorded["versions"]["kubernetes"], "v1.37.0-test");
    assert_eq!(recorded["cells"][0]["factors"]["platform"], "kubernetes");
    let findings = json(&directory.join("findings.json"));
    assert_eq!(findings["cells"].as_array().unwrap().len(), 2);
    for cell in findings["cells"].as_array().unwrap() {
        assert_eq!(cell["trials"], 2, "{cell}");
        assert!(cell["response_ns"]["p99"]["value"].as_f64().unwrap() > 0.0);
    }
    // The whole chain has answered, and what was watched are its processes.
    let trials: Vec<PathBuf> =
        std::fs::read_dir(directory.join("trials")).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(trials.len(), 4);
    let trial = json(&trials[0].join("trial.json"));
    let parts: BTreeSet<&str> =
        trial["parts"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
    assert_eq!(parts, ["load", "s1", "s2"].into());
    assert!(trial["load"]["answered"].as_u64().unwrap() >= 95, "{}", trial["load"]);
    let node = trial["proofs"].as_array().unwrap().iter().find(|p| p["claim"] == "node" && p["part"] == "s1").unwrap();
    assert_eq!((node["expected"].as_str(), node["found"].as_str()), (Some("node-a"), Some("node-a")));
    assert!(trials[0].join("samples.jsonl.zst").is_file() && trials[0].join("logs/s1.log").is_file());
    // Nothing is left: no namespace, no process.
    let state = api.lock();
    assert_eq!(state.namespaces(), Vec::<&String>::new());
    assert!(state.kubelet.is_empty());
}

#[test]
fn reports_read_it_and_several_generators_are_one() {
    let api = Api::start(21);
    let (said, _folder) = run(&api, &["--generators", "2", "--arrival", "poisson", "--rate", "200"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let directory = said.stdout.lines().last().unwrap();
    let trial = std::fs::read_dir(format!("{directory}/trials")).unwrap().next().unwrap().unwrap().path();
    let load = &json(&trial.join("trial.json"))["load"];
    assert_eq!((load["connections"].as_u64(), load["rate_per_second"].as_f64()), (Some(4), Some(200.0)));
    let due = load["due"].as_u64().unwrap();
    assert!((120..280).contains(&due), "{due}");
    let report = answer(&mut meshtax(&["report", directory, "--format", "markdown"]));
    assert_eq!(report.code, Some(0), "{}", report.stderr);
    assert!(report.stdout.contains("Platform kubernetes"), "{}", report.stdout);
}

/// The rights that the runner's ClusterRole gives are those that a run asks for, and no others.
#[test]
fn the_runners_rights_are_those_that_it_uses() {
    let api = Api::start(22);
    let (said, _folder) = run(&api, &[]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    rights_are_those_used(&api, &["--mesh", "none"]);
}

/// Holds the printed ClusterRole of a run against what was asked for in it.
pub(crate) fn rights_are_those_used(api: &Api, flags: &[&str]) {
    let mut used: BTreeSet<(String, String, String)> = api.lock().rights.iter().cloned().collect();
    // What is asked only when pods do not come.
    used.insert(("list".into(), String::new(), "events".into()));
    let printed = answer(&mut meshtax(&[&["k8s", "manifests", "quick", "--runner"], flags].concat())).stdout;
    let role = documents(&printed).into_iter().find(|o| o["kind"] == "ClusterRole").unwrap();
    let texts = |v: &Value| v.as_array().unwrap().iter().map(|t| t.as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let mut given = BTreeSet::new();
    for rule in role["rules"].as_array().unwrap() {
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                given.extend(texts(&rule["verbs"]).into_iter().map(|verb| (verb, group.clone(), resource.clone())));
            }
        }
    }
    let missing: Vec<_> = used.difference(&given).collect();
    let unused: Vec<_> = given.difference(&used).collect();
    assert_eq!((missing, unused), (vec![], vec![]));
}

#[test]
fn watches_that_break_off_or_are_too_old_begin_anew() {
    let api = Api::start(23);
    api.fault(Method::GET, "watch=1", 1, What::Gone);
    api.fault(Method::GET, "watch=1", 1, What::Break);
    api.fault(Method::GET, "watch=1", 1, What::Disconnect);
    api.fault(
        Method::PATCH,
        "deployments/s2",
        1,
        What::Refuse(409, "Operation cannot be fulfilled: the object has been modified", None),
    );
    api.fault(Method::PATCH, "services/s1", 1, What::Refuse(429, "too many", Some(("retry-after", "1"))));
    let (said, _folder) = run(&api, &[]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
}

/// With `KUBECONFIG`: the whole road in a cluster that is there. The image must be one that its nodes have:
/// `MESHTAX_IMAGE`.
#[test]
#[ignore = "needs a cluster: KUBECONFIG, and MESHTAX_IMAGE"]
fn a_real_cluster_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_string_lossy().into_owned();
    let image = std::env::var("MESHTAX_IMAGE").expect("MESHTAX_IMAGE names an image that the nodes can have");
    assert!(std::env::var_os("KUBECONFIG").is_some(), "KUBECONFIG names a cluster");
    let said = answer(&mut meshtax(&[
        "k8s", "run", "quick", "--mesh", "none", "--quick", "--aa", "--out", &out, "--image", &image,
    ]));
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let directory = PathBuf::from(said.stdout.lines().last().unwrap());
    let findings = json(&directory.join("findings.json"));
    assert_eq!(findings["cells"].as_array().unwrap().len(), 2);
    let left = answer(&mut meshtax(&["k8s", "clean"]));
    assert_eq!(left.stdout, "nothing was removed\n");
}
