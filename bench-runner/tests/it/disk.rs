//! `meshtax disk` and `run --disk`: what the figures add up to, what is refused, and that no file is left.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::errors::refused;
use crate::program::{Answer, alone, among_others, call, json, meshtax, skip};
use crate::run::keeps_to;

/// A directory on a disk: the temporary one may be in memory.
fn place() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap()
}

fn tested(more: &[&str]) -> Value {
    let place = place();
    let mut args =
        vec!["disk", place.path().to_str().unwrap(), "--size", "8MiB", "--seconds", "0.3", "--format", "json"];
    args.extend(more);
    let answer = call(&args).done();
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0, "nothing is left");
    let test: Value = serde_json::from_str(&answer.stdout).unwrap();
    keeps_to("record/schemas/disk-test.schema.json", &test);
    for arm in test["arms"].as_array().unwrap() {
        adds_up(arm);
        let kind = arm["kind"].as_str().unwrap();
        assert!(answer.stderr.contains(kind), "{kind} is said when it begins: {}", answer.stderr);
    }
    test
}

fn adds_up(arm: &Value) {
    let windows = arm["windows"].as_array().unwrap();
    let operations = arm["operations"].as_u64().unwrap();
    // On a disk that is busy with others an operation may take longer than the arm.
    assert!(operations + arm["unfinished"].as_u64().unwrap() > 0 && arm["errors"] == 0, "{arm:#}");
    assert_eq!(windows.iter().map(|w| w["operations"].as_u64().unwrap()).sum::<u64>(), operations);
    assert_eq!((windows.len(), arm["measured_ns"].as_u64()), (3, Some(300_000_000)));
    assert!((arm["iops"].as_f64().unwrap() - operations as f64 / 0.3).abs() < 1e-6, "{arm:#}");
    for window in windows {
        assert_eq!(window["gross_ns"].is_null(), window["operations"] == 0, "{window}");
    }
}

fn kinds(test: &Value) -> Vec<&str> {
    let mut kinds: Vec<&str> =
        test["arms"].as_array().unwrap().iter().map(|arm| arm["kind"].as_str().unwrap()).collect();
    kinds.sort_unstable();
    kinds
}

#[test]
fn every_test_is_made_and_its_figures_add_up() {
    let _alone = alone();
    let test = tested(&["--seed", "3"]);
    let all = [
        "append_fdatasync",
        "paced_read_qd1",
        "paced_write_qd1",
        "read_qd1",
        "read_qd32",
        "write_fdatasync",
        "write_qd1",
        "write_qd32",
    ];
    assert_eq!(kinds(&test), all);
    assert_eq!(
        (&test["seed"], &test["cut_off"], &test["file"]["bytes"]),
        (&3.into(), &false.into(), &(8 << 20).into())
    );
}

#[test]
fn threads_stand_in_for_the_ring_when_asked() {
    let _alone = alone();
    let test = tested(&["--only", "read_qd32,write_qd32", "--engine", "threads"]);
    assert_eq!(kinds(&test), ["read_qd32", "write_qd32"]);
    assert!(test["arms"].as_array().unwrap().iter().all(|arm| arm["engine"] == "threads"), "{test:#}");
}

#[test]
fn people_get_a_table_that_names_the_disk_first() {
    let _seat = among_others();
    let place = place();
    let path = place.path().to_str().unwrap();
    let answer =
        call(&["disk", path, "--size", "8MiB", "--seconds", "0.1", "--only", "read_qd1,append_fdatasync"]).done();
    let lines: Vec<&str> = answer.stdout.lines().collect();
    assert!(lines[0].starts_with("disk      ") && lines[0].contains(path), "{}", answer.stdout);
    assert!(
        answer.stdout.contains("\nread, depth 1 ") && answer.stdout.contains("\nlog + fdatasync "),
        "{}",
        answer.stdout
    );
    assert!(answer.stdout.contains("8 MiB only") && answer.stdout.contains("net is without"), "{}", answer.stdout);
}

#[test]
fn memory_and_what_is_no_place_are_refused() {
    let on_tmpfs = Path::new("/dev/shm");
    let magic = rustix::fs::statfs(on_tmpfs).map(|fs| fs.f_type as u64 & 0xffff_ffff);
    if magic == Ok(0x0102_1994) {
        refused(&call(&["disk", "/dev/shm"]), 2, &["/dev/shm", "tmpfs", "memory and not a disk", "try:"]);
        let answer = call(&["run", "--quick", "--disk", "--out", "/dev/shm/meshtax-test-runs"]);
        let left = fs::read_dir("/dev/shm/meshtax-test-runs").map(Iterator::count);
        fs::remove_dir("/dev/shm/meshtax-test-runs").unwrap();
        refused(&answer, 2, &["tmpfs", "try:"]);
        assert_eq!(left.ok(), Some(0), "no run was begun");
    } else {
        skip("/dev/shm is no tmpfs", "REQUIRE_TMPFS");
    }
    refused(&call(&["disk", "/no/such/place"]), 2, &["/no/such/place", "No such file", "try:"]);
    refused(&call(&["disk", "/proc"]), 2, &["/proc", "try:"]);
}

#[test]
fn sizes_and_times_out_of_range_are_refused() {
    let place = place();
    let path = place.path().to_str().unwrap();
    refused(&call(&["disk", path, "--size", "1000000GiB"]), 2, &["out of range", "--size from 1 MiB", "try:"]);
    refused(&call(&["disk", path, "--size", "1KiB"]), 2, &["1024 bytes", "out of range"]);
    refused(&call(&["disk", path, "--size", "much"]), 64, &["--size", "'much'", "256MiB"]);
    refused(&call(&["disk", path, "--seconds", "0"]), 64, &["--seconds", "0.1"]);
    refused(&call(&["disk", path, "--only", "read"]), 64, &["--only", "'read'", "read_qd1"]);
    refused(&call(&["disk"]), 64, &["PATH"]);
}

/// A test of half an hour in its first arm, and what says so.
fn begun(place: &Path) -> (Child, BufReader<ChildStderr>) {
    let mut child = meshtax(&["disk", place.to_str().unwrap(), "--size", "8MiB", "--seconds", "60"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("test 1 of 8") {
        line.clear();
        assert!(said.read_line(&mut line).unwrap() > 0, "it says where it is");
    }
    (child, said)
}

#[test]
fn ctrl_c_ends_it_with_130_and_no_file() {
    let _seat = among_others();
    let place = place();
    let (child, _said) = begun(place.path());
    // Its file is open and has no name.
    let held = fs::read_dir(format!("/proc/{}/fd", child.id())).unwrap().flatten();
    let unnamed = held.filter_map(|fd| fs::metadata(fd.path()).ok()).filter(|m| m.is_file() && m.nlink() == 0);
    assert!(unnamed.map(|m| m.size()).any(|size| size == 8 << 20), "the file of 8 MiB");
    kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("cut off by the user"), "{said}");
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
}

#[test]
fn not_even_sigkill_leaves_a_file() {
    let _seat = among_others();
    let place = place();
    let (mut child, _said) = begun(place.path());
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
}

#[test]
fn a_run_keeps_a_test_from_before_and_one_from_after() {
    let _seat = among_others();
    let place = place();
    let out = place.path().join("runs");
    let answer = call(&[
        "run",
        "--disk",
        "--disk-seconds",
        "0.2",
        "--dataplane",
        "none",
        "--rate",
        "100",
        "--connections",
        "2",
        "--duration",
        "300ms",
        "--warm-up",
        "100ms",
        "--repeats",
        "1",
        "--out",
        out.to_str().unwrap(),
    ])
    .done();
    let directory = answer.run_directory();
    let at = |name: &str| answer.stderr.find(name).unwrap_or_else(|| panic!("no '{name}': {}", answer.stderr));
    assert!(at("disk before: ") < at("trial 1 of 1") && at("trial 1 of 1") < at("disk after: "), "never during");
    for name in ["disk-before.json", "disk-after.json"] {
        let test = json(&directory.join(name));
        keeps_to("record/schemas/disk-test.schema.json", &test);
        assert_eq!((test["arms"].as_array().unwrap().len(), &test["cut_off"]), (8, &false.into()), "{name}");
    }
    let report = call(&["report", directory.to_str().unwrap()]).done();
    for text in [&answer.stdout, &report.stdout] {
        let section = text.split("Disk beside the run").nth(1).unwrap_or_else(|| panic!("no section: {text}"));
        let log = section.lines().find(|line| line.contains("log + fdatasync")).unwrap();
        let figures = log.split_whitespace().skip(3).filter(|figure| figure.parse::<f64>().is_ok());
        assert_eq!(figures.count(), 4, "before and after: {log}");
    }
    assert!(directory.join("disk-before.json").is_file() && directory.join("disk-after.json").is_file());
}

/// Refuses io_uring_setup to itself as a container's filter does, and becomes what it is told.
const WITHOUT_IO_URING: &str = r#"
import ctypes, os, struct, sys
def step(code, yes, no, k): return struct.pack("HBBI", code, yes, no, k)
program = step(0x20, 0, 0, 0) + step(0x15, 0, 1, 425) + step(0x06, 0, 0, 0x00050001) + step(0x06, 0, 0, 0x7fff0000)
kept = ctypes.create_string_buffer(program)
fprog = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", 4, ctypes.addressof(kept)))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, fprog, 0, 0): sys.exit("no seccomp: " + os.strerror(ctypes.get_errno()))
os.execv(sys.argv[1], sys.argv[1:])
"#;

#[test]
fn where_io_uring_is_blocked_threads_do_it_and_that_is_said() {
    let _alone = alone();
    let place = place();
    let blocked = |engine: &str| -> Option<Answer> {
        let mut command = Command::new("python3");
        command.args(["-c", WITHOUT_IO_URING, env!("CARGO_BIN_EXE_meshtax"), "disk"]).arg(place.path());
        command.args(["--size", "8MiB", "--seconds", "0.3", "--only", "read_qd32,write_qd32"]);
        command.args(["--format", "json", "--engine", engine]);
        let answer = Answer::from(command.output().ok()?);
        (!answer.stderr.contains("no seccomp")).then_some(answer)
    };
    let Some(answer) = blocked("auto") else {
        skip("no python3, or no seccomp, to block io_uring with", "REQUIRE_SECCOMP");
        return;
    };
    let test: Value = serde_json::from_str(&answer.done().stdout).unwrap();
    assert_eq!(kinds(&test), ["read_qd32", "write_qd32"]);
    for arm in test["arms"].as_array().unwrap() {
        adds_up(arm);
        let why = arm["engine_reason"].as_str().unwrap();
        assert!(arm["engine"] == "threads" && why.contains("not permitted") && why.contains("seccomp"), "{arm:#}");
    }
    let doubts = test["warnings"].as_array().unwrap().iter().filter(|w| w["kind"] == "not_permitted").count();
    assert_eq!(doubts, 2, "{:#}", test["warnings"]);
    refused(&blocked("uring").unwrap(), 2, &["io_uring is not permitted", "try: --engine threads"]);
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
}
