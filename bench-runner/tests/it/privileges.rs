//! What a run does not need it does not have: root's rights, ears beyond loopback, keys that others could read.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use record::Dataplane;
use scenarios::proxy::{envoy, packaged};
use serde_json::Value;

use crate::onlooking::{Onlooking, Seen, look_on};
use crate::program::{Answer, among_others, copy_program, is_root, json, scratch_directories, skip};

/// Users who own nothing: of services, generators and neighbours, and of proxies on loopback.
const SERVICE_USER: u32 = 65_521;
const PROXY_USER: u32 = 65_522;

/// The program where nobody but its owner can go, as below /root.
fn hidden(folder: &Path, mode: u32) -> PathBuf {
    hide(folder, Path::new(env!("CARGO_BIN_EXE_meshtax")), "meshtax", mode)
}

fn hide(folder: &Path, program: &Path, name: &str, mode: u32) -> PathBuf {
    let place = folder.join("hidden");
    std::fs::create_dir_all(&place).unwrap();
    // And the run directory beside it.
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).unwrap();
    let copy = place.join(name);
    copy_program(program, &copy);
    std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(mode)).unwrap();
    copy
}

/// A run of two services, with what is asked for on top.
fn run(program: &Path, out: &Path, also: &[&str]) -> (Onlooking, Answer) {
    let mut command = Command::new(program);
    command.args(["run", "--services", "2", "--rate", "100", "--connections", "2", "--duration", "1s"]);
    command.args(["--warm-up", "100ms", "--repeats", "1", "--mtls", "strict", "--out"]).arg(out).args(also);
    let (seen, answer) = look_on(command.env("NO_COLOR", "1"));
    (seen, answer.done())
}

fn owns_nothing(of: &[&Seen], user: u32, least: usize) {
    assert!(of.len() >= least, "{} of {least}: {of:?}", of.len());
    for seen in of {
        assert_eq!(seen.ids, [user; 8], "{seen:?}");
        assert_eq!(seen.groups, [0_u32; 0], "{seen:?}");
        assert_eq!(seen.rights, ["0000000000000000".to_owned()].into(), "{seen:?}");
        assert!(seen.no_new_privileges, "{seen:?}");
    }
}

/// A core would hold keys.
fn leaves_no_core(seen: &Onlooking) {
    let some: Vec<_> = seen.processes.iter().filter(|(_, seen)| seen.core != "0").collect();
    assert!(some.is_empty(), "{some:?}");
}

fn on_loopback_alone(seen: &Onlooking, least: usize) {
    assert!(seen.listening.len() >= least, "{:?}", seen.listening);
    let others = seen.listening.iter().filter(|at| !at.starts_with("127.") && !at.starts_with("[::1]"));
    assert_eq!(others.collect::<Vec<_>>(), [] as [&String; 0]);
}

/// What was proven of the user of each part, in all trials of a run.
fn proven(run: &Path) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for trial in std::fs::read_dir(run.join("trials")).unwrap().flatten() {
        let trial = json(&trial.path().join("trial.json"));
        let proofs = trial["proofs"].as_array().unwrap().iter().filter(|proof| proof["claim"] == "user and rights");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        all.extend(proofs.map(|proof| (text(&proof["part"]), text(&proof["found"]))));
    }
    all.sort();
    all
}

fn says(user: u32) -> String {
    format!("user {user}, group {user}, no other group, rights 0000000000000000, no new privileges")
}

#[test]
fn parts_of_a_run_by_root_are_users_who_own_nothing_also_where_they_cannot_go() {
    if !is_root() && skip("who is not root becomes nobody else", "REQUIRE_ROOT") {
        return;
    }
    let _seat = among_others();
    let tmp = tempfile::tempdir().unwrap();
    let out = tmp.path().join("runs");
    let (seen, answer) = run(&hidden(tmp.path(), 0o755), &out, &["--dataplane", "embedded", "--neighbour", "cpu:1"]);
    owns_nothing(&seen.of("service"), SERVICE_USER, 2);
    owns_nothing(&seen.of("neighbour"), SERVICE_USER, 1);
    owns_nothing(&seen.of("load"), SERVICE_USER, 1);
    owns_nothing(&seen.of("sidecar"), PROXY_USER, 3);
    // It reads what other users' processes show to root alone.
    assert!(seen.of("probe").iter().all(|probe| probe.ids == [0; 8]) && seen.of("probe").len() == 1);
    let known = ["run", "warden", "probe", "service", "sidecar", "load", "neighbour"];
    let others: Vec<_> = seen.processes.keys().filter(|(what, _)| !known.contains(&what.as_str())).collect();
    assert!(others.is_empty(), "who are these? {others:?}");
    leaves_no_core(&seen);
    on_loopback_alone(&seen, 6);
    assert!(seen.keys.len() >= 3, "{:?}", seen.keys);
    for (file, key) in &seen.keys {
        assert_eq!(*key, (0o600, 0o700, PROXY_USER, PROXY_USER), "{}", file.display());
    }
    let left: Vec<PathBuf> =
        scratch_directories().into_iter().filter(|path| seen.keys.keys().any(|key| key.starts_with(path))).collect();
    assert_eq!(left, [] as [PathBuf; 0]);
    let run = answer.run_directory();
    let proven = proven(&run);
    let parts: Vec<&str> = proven.iter().map(|(part, _)| part.as_str()).collect();
    assert_eq!(parts, ["entry-sidecar", "neighbour", "s1", "s1-sidecar", "s2", "s2-sidecar"]);
    for (part, found) in &proven {
        assert_eq!(*found, says(if part.ends_with("sidecar") { PROXY_USER } else { SERVICE_USER }), "{part}");
    }
    let warned = json(&run.join("run.json"))["warnings"].to_string();
    assert!(!warned.contains("root"), "{warned}");
}

#[test]
fn proxies_of_the_users_choice_are_so_too() {
    if !is_root() && skip("who is not root becomes nobody else", "REQUIRE_ROOT") {
        return;
    }
    // The wheel of Envoy has a script on PATH, which leads to it.
    let envoy = envoy::find(None).map(|found| found.path);
    let packaged = |dataplane| packaged::find(dataplane, None).map(|found| found.path);
    let found = [envoy, packaged(Dataplane::Haproxy), packaged(Dataplane::Nginx)];
    let Ok(found) = found.into_iter().collect::<scenarios::Result<Vec<PathBuf>>>() else {
        assert!(skip("envoy, haproxy and nginx are not all here", "REQUIRE_PROXIES"));
        return;
    };
    let _seat = among_others();
    let tmp = tempfile::tempdir().unwrap();
    let out = tmp.path().join("runs");
    let mut also = vec!["--dataplane".to_owned(), "envoy,haproxy,nginx".to_owned()];
    for (name, path) in ["envoy", "haproxy", "nginx"].into_iter().zip(found) {
        let copy = hide(tmp.path(), &path, name, 0o755);
        also.extend([format!("--{name}"), copy.display().to_string()]);
    }
    let also: Vec<&str> = also.iter().map(String::as_str).collect();
    let (seen, answer) = run(Path::new(env!("CARGO_BIN_EXE_meshtax")), &out, &also);
    // What they have become by a path of another name is told by their ids.
    let proxies: Vec<&Seen> = seen.processes.values().filter(|seen| seen.ids.contains(&PROXY_USER)).collect();
    owns_nothing(&proxies, PROXY_USER, 9);
    let root: Vec<_> =
        seen.processes.iter().filter(|(_, seen)| seen.ids.contains(&0)).map(|((what, _), _)| what).collect();
    assert!(root.iter().all(|what| ["run", "warden", "probe"].contains(&what.as_str())), "{root:?}");
    leaves_no_core(&seen);
    on_loopback_alone(&seen, 15);
    for (file, key) in &seen.keys {
        assert_eq!(*key, (0o600, 0o700, PROXY_USER, PROXY_USER), "{}", file.display());
    }
    let proven = proven(&answer.run_directory());
    assert_eq!(proven.iter().filter(|(_, found)| *found == says(PROXY_USER)).count(), 9, "{proven:?}");
    assert_eq!(proven.iter().filter(|(_, found)| *found == says(SERVICE_USER)).count(), 6, "{proven:?}");
}

#[test]
fn in_pods_services_and_the_load_are_so_and_proxies_are_those_of_the_rules() {
    if !is_root() && skip("pods need root", "REQUIRE_ROOT") {
        return;
    }
    let _seat = among_others();
    let tmp = tempfile::tempdir().unwrap();
    let out = tmp.path().join("runs");
    let also = ["--dataplane", "embedded", "--platform", "pods"];
    let (seen, _) = run(&hidden(tmp.path(), 0o755), &out, &also);
    owns_nothing(&seen.of("service"), SERVICE_USER, 2);
    owns_nothing(&seen.of("load"), SERVICE_USER, 1);
    owns_nothing(&seen.of("sidecar"), 1337, 3);
    // Those in pods are in networks of their own.
    leaves_no_core(&seen);
    on_loopback_alone(&seen, 0);
}

#[test]
fn a_program_that_its_owner_alone_may_execute_is_its_owners_and_that_is_said() {
    if !is_root() && skip("who is not root becomes nobody else", "REQUIRE_ROOT") {
        return;
    }
    let _seat = among_others();
    let tmp = tempfile::tempdir().unwrap();
    let out = tmp.path().join("runs");
    let program = hidden(tmp.path(), 0o700);
    let (seen, answer) = run(&program, &out, &["--dataplane", "embedded"]);
    assert!(seen.of("service").iter().all(|service| service.ids == [0; 8]), "{seen:?}");
    // It becomes another by itself, without being executed again.
    owns_nothing(&seen.of("load"), SERVICE_USER, 1);
    let run = json(&answer.run_directory().join("run.json"));
    let warning = run["warnings"].as_array().unwrap().iter().find(|w| w["kind"] == "not_permitted").unwrap();
    let (evidence, remedy) = (warning["evidence"].as_str().unwrap(), warning["remedy"].as_str().unwrap());
    assert!(evidence.contains(&format!("{} runs as root", program.display())), "{warning}");
    assert!(remedy.contains(&format!("chmod 755 {}", program.display())), "{warning}");
    assert_eq!(proven(&answer.run_directory()), []);
}
