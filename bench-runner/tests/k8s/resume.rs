//! Runs that were cut off go on in the same cluster, at the first trial that is not sealed, or say why they cannot.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use hyper::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::api::{Api, What};
use crate::run::json as read;
use crate::{Answer, answer, meshtax};

/// A run of four trials that is under way.
struct Begun {
    child: Child,
    folder: tempfile::TempDir,
}

fn begin(api: &Api) -> Begun {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--services", "2", "--rate", "100", "--connections", "4", "--duration", "1s", "--warm-up", "200ms"];
    let child = meshtax(&[&["k8s", "run", "quick", "--mesh", "none", "--aa", "--repeats", "2"], &flags[..]].concat())
        .arg("--out")
        .arg(folder.path())
        .env("KUBECONFIG", api.kubeconfig())
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    Begun { child, folder }
}

impl Begun {
    /// Waits until loads have begun so often.
    fn comes_to_load(&mut self, api: &Api, number: usize) {
        self.comes_to(&|_| api.lock().heard.iter().filter(|line| line.contains("proxy/go")).count() >= number);
    }

    fn comes_to(&mut self, there: &dyn Fn(&Path) -> bool) {
        let begun = Instant::now();
        while !there(self.folder.path()) {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none() && begun.elapsed().as_secs() < 120, "it never came so far: {ended:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends a signal and waits for the end.
    fn end(self, signal: Option<Signal>) -> (Answer, PathBuf, tempfile::TempDir) {
        if let Some(signal) = signal {
            kill_process(Pid::from_child(&self.child), signal).unwrap();
        }
        let o = self.child.wait_with_output().unwrap();
        let text = |b: Vec<u8>| String::from_utf8_lossy(&b).into_owned();
        let said = Answer { code: o.status.code(), stdout: text(o.stdout), stderr: text(o.stderr) };
        let directory = self.folder.path().read_dir().unwrap().next().unwrap().unwrap().path();
        (said, directory, self.folder)
    }
}

fn resume(api: &Api, directory: &Path, more: &[&str]) -> Answer {
    let directory = directory.to_string_lossy();
    answer(meshtax(&[&["resume", &*directory], more].concat()).env("KUBECONFIG", api.kubeconfig()))
}

/// The files of all sealed trials with what is in them.
fn sealed(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let all = std::fs::read_dir(directory.join("trials")).into_iter().flatten().map(|e| e.unwrap().path());
    let mut folders: Vec<PathBuf> = all.filter(|trial| trial.join("trial.json").is_file()).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry)
            } else {
                drop(files.insert(entry.clone(), std::fs::read(&entry).unwrap()))
            }
        }
    }
    files
}

fn trials(files: &BTreeMap<PathBuf, Vec<u8>>) -> usize {
    files.keys().filter(|path| path.ends_with("trial.json")).count()
}

/// What was there before is there as it was; then the run is whole, and nothing is left of it in the cluster.
fn is_whole(api: &Api, directory: &Path, before: &BTreeMap<PathBuf, Vec<u8>>) {
    let after = sealed(directory);
    for (path, bytes) in before {
        assert!(after.get(path) == Some(bytes), "{} was changed", path.display());
    }
    assert_eq!(trials(&after), 4);
    let findings = read(&directory.join("findings.json"));
    let counts: Vec<u64> =
        findings["cells"].as_array().unwrap().iter().map(|cell| cell["trials"].as_u64().unwrap()).collect();
    assert_eq!(counts, [2, 2]);
    let state = api.lock();
    assert_eq!(state.namespaces(), Vec::<&String>::new());
    assert!(state.kubelet.is_empty());
}

#[test]
fn a_runner_that_was_killed_goes_on_at_the_first_trial_that_is_not_sealed() {
    let api = Api::start(70);
    let mut begun = begin(&api);
    begun.comes_to_load(&api, 2);
    let (_, directory, _folder) = begun.end(Some(Signal::KILL));
    let before = sealed(&directory);
    assert_eq!(trials(&before), 1);
    // It left its pods, which count as alive for some minutes yet.
    let left: Vec<String> = api.lock().namespaces().into_iter().cloned().collect();
    assert!(left.len() >= 2 && !api.lock().kubelet.is_empty(), "{left:?}");
    let heard = api.lock().heard.len();
    let said = resume(&api, &directory, &[]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(said.stderr.contains("removed what this run and others had left: meshtax-"), "{}", said.stderr);
    assert_eq!(said.stdout.lines().last(), Some(&*directory.to_string_lossy()));
    is_whole(&api, &directory, &before);
    // All of it went before anything was put there.
    let since: Vec<String> = api.lock().heard[heard..].to_vec();
    let first = |method: &str| since.iter().position(|line| line.starts_with(method)).unwrap();
    let removed = since[..first("PATCH")].iter().filter(|line| line.starts_with("DELETE")).count();
    assert_eq!(removed, left.len(), "{since:?}");
    // It stands where it stood, of the image of which it was.
    let cluster = read(&directory.join("cluster.json"));
    assert_eq!((&cluster["nodes"]["s1"], &cluster["nodes"]["load"]), (&json!("node-a"), &json!("node-a")));
    let again = resume(&api, &directory, &[]);
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    assert!(again.stderr.contains("all trials are sealed already"), "{}", again.stderr);
}

#[test]
fn what_the_user_or_the_api_server_has_cut_off_goes_on_too() {
    for (net, cut) in [(71, true), (72, false)] {
        let api = Api::start(net);
        let mut begun = begin(&api);
        let signal = if cut {
            begun.comes_to_load(&api, 2);
            Some(Signal::INT)
        } else {
            // An order may not be given twice, so that it is not known whether it was heard.
            begun.comes_to(&|folder| folder.read_dir().unwrap().flatten().any(|run| !sealed(&run.path()).is_empty()));
            api.fault(Method::POST, "proxy/go", 1, What::Disconnect);
            None
        };
        let (said, directory, _folder) = begun.end(signal);
        assert_eq!(said.code, Some(if cut { 130 } else { 2 }), "{}", said.stderr);
        assert!(cut || said.stderr.contains("the API server did not answer"), "{}", said.stderr);
        let how = format!("of 4 trials are sealed and kept; go on with: meshtax resume {}", directory.display());
        assert!(said.stderr.contains(&how), "{}", said.stderr);
        assert_eq!(said.stdout.lines().last(), Some(&*directory.to_string_lossy()));
        assert_eq!(api.lock().namespaces(), Vec::<&String>::new());
        let before = sealed(&directory);
        let said = resume(&api, &directory, &[]);
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        is_whole(&api, &directory, &before);
    }
}

#[test]
fn another_cluster_another_version_and_another_image_are_refused() {
    let api = Api::start(73);
    let mut begun = begin(&api);
    begun.comes_to_load(&api, 2);
    let (_, directory, _folder) = begun.end(Some(Signal::INT));
    let before = sealed(&directory);
    let refused = |api: &Api, more: &[&str], code: i32, says: &[&str]| {
        let said = resume(api, &directory, more);
        assert_eq!(said.code, Some(code), "{}", said.stderr);
        for words in says.iter().chain(&["try: "]) {
            assert!(said.stderr.contains(words), "'{words}' is not in\n{}", said.stderr);
        }
        assert!(sealed(&directory) == before);
        assert_eq!(api.lock().namespaces(), Vec::<&String>::new());
    };
    let other = Api::start(74);
    refused(&other, &[], 64, &["begun in another cluster", "the uid cluster-73, and here it is cluster-74"]);
    refused(&api, &["--context", "prod"], 2, &["no cluster is named", "(there are test)"]);
    api.lock().version = "v1.38.0-test";
    refused(&api, &[], 64, &["begun with Kubernetes v1.37.0-test, and the cluster has v1.38.0-test now"]);
    api.lock().version = "v1.37.0-test";
    api.lock().kubelet.mood.image = Some("meshtax@sha256:9".into());
    let both = ["is of meshtax@sha256:9", "before it were of meshtax@sha256:0", "a new run"];
    refused(&api, &[], 2, &both);
    api.lock().kubelet.mood.image = None;
    // What was refused has cost nothing.
    let said = resume(&api, &directory, &["--context", "test"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    is_whole(&api, &directory, &before);
}
