//! `meshtax probe`: what it prints of processes with a quota, of very many, of hidden ones, and in which rounds.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use scenarios::limits::CgroupTree;
use serde_json::Value;

use crate::program::{alone, among_others, call, copy_program, is_root, meshtax, skip};

/// Programs that are killed when dropped.
struct Started(Vec<Child>);

impl Drop for Started {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn start(program: &str, args: &[&str]) -> Child {
    Command::new(program).args(args).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()
}

/// The number after a phrase: "waited for CPU 799.1 ms/s" has 799.1 after "waited for CPU ".
fn number_after(text: &str, phrase: &str) -> f64 {
    let at = text.find(phrase).unwrap_or_else(|| panic!("no '{phrase}' in {text}")) + phrase.len();
    let digits: String = text[at..].chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    digits.parse().unwrap_or_else(|_| panic!("no number after '{phrase}' in {text}"))
}

#[test]
fn what_a_quota_takes_is_printed_as_throttling_and_not_as_contention() {
    if !is_root() {
        skip("cgroups need root", "REQUIRE_ROOT");
        return;
    }
    let _alone = alone();
    let tree = CgroupTree::create("probe-test").unwrap();
    let leaf = tree.leaf("spinner", Some("200m".parse().unwrap())).unwrap();
    // It goes before all others, so that it hardly ever waits for another reason than its quota.
    for directory in tree.roots().iter().chain(leaf.directories()) {
        let _ = std::fs::write(directory.join("cpu.shares"), "262144");
        let _ = std::fs::write(directory.join("cpu.weight"), "10000");
    }
    let started = Started(vec![start("sh", &["-c", "while :; do :; done"])]);
    let pid = started.0[0].id().to_string();
    for directory in leaf.directories() {
        std::fs::write(directory.join("cgroup.procs"), &pid).unwrap();
    }
    let answer = call(&["probe", "--pid", &format!("it={pid}"), "--format", "table", "--duration", "4s"]).done();
    drop(started);
    leaf.remove().unwrap();
    scenarios::limits::remove(tree.roots()).unwrap();

    let tables: Vec<&str> = answer.stdout.split("over the last ").skip(1).collect();
    let tables = tables.get(1..).unwrap_or_default();
    assert!(!tables.is_empty(), "{}", answer.stdout);
    let mean = |phrase: &str| tables.iter().map(|t| number_after(t, phrase)).sum::<f64>() / tables.len() as f64;
    let (waited, left) = (mean("waited for CPU "), mean("without throttling "));
    assert!((600.0..=900.0).contains(&waited), "four fifths of each second are waited: {}", answer.stdout);
    assert!(left <= 10.0, "{left} % of the time is left for contention: {}", answer.stdout);
    let (used, throttled) = (mean("spinner: CPU "), mean(" of 20.0 %, throttled "));
    assert!((17.0..=23.0).contains(&used) && (600.0..=900.0).contains(&throttled), "{}", answer.stdout);
    assert!(answer.stdout.contains(" of 20.0 %"), "the limit stands beside it: {}", answer.stdout);
}

#[test]
fn five_hundred_processes_are_watched_once_a_second() {
    let _seat = among_others();
    let started = Started((0..500).map(|_| start("sleep", &["600"])).collect());
    let pids: Vec<String> = started.0.iter().map(|child| child.id().to_string()).collect();
    let mut args = vec!["probe", "--every", "1s", "--duration", "2s", "--format", "jsonl"];
    for pid in &pids {
        args.extend(["--pid", pid]);
    }
    let answer = call(&args).done();
    let samples: Vec<Value> = answer.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!((2..=3).contains(&samples.len()), "{} rounds", samples.len());
    for sample in &samples {
        assert_eq!(sample["processes"].as_object().unwrap().len(), 500);
        for pid in &pids {
            assert!(sample["processes"][pid]["run_ns"].is_u64(), "{pid}: {}", sample["processes"][pid]);
        }
    }
}

#[test]
fn each_source_is_read_in_its_tier_and_says_when() {
    // It is counted what is done in a second.
    let _alone = alone();
    let me = format!("me={}", std::process::id());
    let args = ["probe", "--every", "50ms", "--duration", "1200ms", "--format", "jsonl", "--pid", &me];
    let answer = call(&args).done();
    let samples: Vec<Value> = answer.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let count = |pick: fn(&Value) -> &Value| samples.iter().filter(|sample| !pick(sample).is_null()).count();
    let rounds = samples.len();
    assert!((12..=26).contains(&rounds), "{rounds} rounds");
    assert_eq!(count(|s| &s["node"]["softirqs"]), rounds);
    assert_eq!(count(|s| &s["processes"]["me"]["run_delay_ns"]), rounds);
    let (stat, pressure) = (count(|s| &s["node"]["cpu"]), count(|s| &s["node"]["psi_cpu"]));
    assert!((4..=7).contains(&stat) && stat == pressure, "/proc/stat in {stat} and pressure in {pressure} of {rounds}");
    assert_eq!(count(|s| &s["slow"]), 2, "at the start and a second later");
    assert!(samples[0]["slow"]["memory"]["total_bytes"].as_u64().unwrap() > 1 << 20);
    let interfaces = &samples[0]["networks"]["host"]["interfaces"];
    assert!(interfaces["lo"]["received_bytes"].is_u64(), "{interfaces}");
    assert!(samples[0]["networks"]["host"]["tcp"]["sent_segments"].is_u64());
    assert_eq!(samples[0]["own"]["pressure_every_ns"], 200_000_000);
    for sample in &samples {
        let took = sample["after_ns"].as_u64().unwrap() - sample["before_ns"].as_u64().unwrap();
        for (source, window) in sample["reads"].as_object().unwrap() {
            let (before, after) = (window[0].as_u64().unwrap(), window[1].as_u64().unwrap());
            assert!(before <= after && after <= took, "{source}: {window} in {took}");
        }
    }
}

#[test]
fn processes_that_proc_hides_are_said_to_be_hidden() {
    if !is_root() {
        skip("mounting /proc needs root", "REQUIRE_ROOT");
        return;
    }
    // Another user must be able to reach the program.
    let place = tempfile::tempdir().unwrap();
    let program = place.path().join("meshtax");
    copy_program(meshtax(&[]).get_program(), &program);
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let script = format!(
        "mount -t proc -o hidepid=invisible proc /proc && cd / && \
         exec setpriv --reuid 65534 --regid 65534 --clear-groups {} probe --pid 1 --duration 1s",
        program.display()
    );
    let output = Command::new("unshare").args(["--mount", "sh", "-c", &script]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("mount:") || said.contains("unshare:") {
        skip(&format!("a mount namespace cannot be made here ({})", said.trim()), "REQUIRE_ROOT");
        return;
    }
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("process 1") && said.contains("hidepid=invisible") && said.contains("try:"), "{said}");
}

#[test]
fn descriptors_that_are_used_up_are_an_error_that_names_the_limit() {
    let program = meshtax(&[]).get_program().to_owned();
    let me = std::process::id();
    let script = format!("ulimit -n 16; exec '{}' probe --pid {me} --duration 1s", Path::new(&program).display());
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("RLIMIT_NOFILE") && said.contains("16 files") && said.contains("try:"), "{said}");
}
