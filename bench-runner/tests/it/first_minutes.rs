//! The first ten minutes on machines that lack something: it works, or says in one screen what to do.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::errors::refused;
use crate::program::{Answer, alone, among_others, call, copy_program, is_root, skip};

const PROGRAM: &str = env!("CARGO_BIN_EXE_meshtax");

/// The shortest run there is.
const SHORT: &str = "run --quick --duration 300ms --repeats 1";

/// A shell in namespaces of its own, which does this and then becomes the program.
fn in_namespaces(which: &[&str], first: &str, args: &str, folder: &Path) -> Answer {
    let script = format!("set -e; {first}\nexec {PROGRAM} {args}");
    let mut command = Command::new("unshare");
    command.args(which).args(["sh", "-c", &script]).current_dir(folder).env("NO_COLOR", "1");
    command.stdin(std::process::Stdio::null()).output().unwrap().into()
}

fn without_root(what: &str) -> bool {
    !is_root() && skip(&format!("no root for {what}"), "REQUIRE_ROOT")
}

#[test]
fn without_a_place_for_runs_another_one_is_named() {
    let said = call(&["run", "--quick", "--out", "/proc/no/such"]);
    refused(&said, 2, &["cannot create /proc/no/such: ", "try: another place, with --out DIR"]);
}

#[test]
fn without_loopback_nothing_is_waited_for() {
    if without_root("a network namespace") {
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    let answer = in_namespaces(&["--net"], "", SHORT, tmp.path());
    refused(&answer, 2, &["127.0.0.1 cannot be used: ", "try: bring the loopback interface up: ip link set lo up"]);
    assert_eq!(fs::read_dir(tmp.path().join("runs")).unwrap().count(), 0, "no run was begun");
}

#[test]
fn pods_without_root_are_refused_before_there_is_a_run() {
    if without_root("being another user") {
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    // Where another user may read it, and write beside it.
    let program = tmp.path().join("meshtax");
    copy_program(PROGRAM, &program);
    for (path, mode) in [(tmp.path(), "777"), (program.as_path(), "755")] {
        assert!(Command::new("chmod").arg(mode).arg(path).status().unwrap().success());
    }
    let nobody = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let run = |args: &[&str]| -> Answer {
        let mut command = Command::new("setpriv");
        command.args(nobody).arg(&program).args(args).current_dir(tmp.path());
        command.env("NO_COLOR", "1").env_remove("XDG_STATE_HOME").env("HOME", "/nonexistent").output().unwrap().into()
    };
    let answer = run(&["run", "--quick", "--platform", "pods"]);
    refused(&answer, 2, &["only root may make them", "try: as root, or with --platform processes"]);
    assert_eq!(fs::read_dir(tmp.path().join("runs")).unwrap().count(), 0, "no run was begun");
    // With neither a home nor a cgroup it measures all the same.
    let _seat = among_others();
    let answer = run(&SHORT.split(' ').collect::<Vec<_>>()).done();
    assert!(answer.stderr.contains("have no cgroup of their own here"), "{}", answer.stderr);
}

#[test]
fn without_room_for_keys_a_place_with_room_is_asked_for() {
    if without_root("a mount namespace") {
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    let full =
        "mount -t tmpfs -o size=4k none /dev/shm; mkdir t; mount -t tmpfs -o size=4k none t; export TMPDIR=$PWD/t";
    let answer = in_namespaces(&["--mount"], full, SHORT, tmp.path());
    refused(&answer, 2, &["no room for keys: less than 1024 KiB are free in ", "try: TMPDIR=DIR"]);
    let gone = "mount -t tmpfs -o ro none /dev/shm; export TMPDIR=/no/such";
    let answer = in_namespaces(&["--mount"], gone, SHORT, tmp.path());
    refused(&answer, 2, &["cannot create the private directory /no/such/", "try: TMPDIR=DIR"]);
}

#[test]
fn it_measures_on_one_cpu_and_without_pressure_or_a_cgroup_and_says_what_is_absent() {
    if without_root("a mount namespace") {
        return;
    }
    let _alone = alone();
    let tmp = tempfile::tempdir().unwrap();
    let less = "mkdir empty; [ ! -d /proc/pressure ] || mount --bind empty /proc/pressure\n\
                mount -t tmpfs none /sys/fs/cgroup; taskset -p -c 0 $$ > /dev/null";
    let answer = in_namespaces(&["--mount"], less, SHORT, tmp.path()).done();
    assert!(answer.stdout.contains("embedded sidecars"), "{}", answer.stdout);
    assert!(answer.stdout.contains("no PSI: /proc/pressure is missing"), "{}", answer.stdout);
    let doctor = in_namespaces(&["--mount"], &less.replace("mkdir empty;", ""), "doctor", tmp.path()).done().stdout;
    let note = |what: &str| doctor.lines().any(|line| line.starts_with("note") && line.contains(what));
    assert!(note("cpu             1 of ") && note("pressure") && note("cpu limits"), "{doctor}");
    assert!(doctor.lines().count() <= 40, "{doctor}");
}

#[test]
fn a_table_that_would_stay_empty_is_refused() {
    let said = call(&["probe", "--format", "table", "--duration", "500ms"]);
    refused(&said, 64, &["--duration 0.5 s", "two samples, 1 s apart", "try: --duration 1s or more"]);
}
