//! A run that is cut off: nothing stays behind, what was sealed is kept, and `resume` finishes it.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use crate::program::{
    Answer, alive, among_others, call, cgroups, descendants, is_root, json, listeners, listening_ports, meshtax,
    namespaces, scratch_directories, skip, within,
};

/// A run in its second trial, with everything it has started.
struct Running {
    child: Child,
    pids: Vec<u32>,
    ports: Vec<u16>,
    directory: PathBuf,
}

fn start(out: &Path, platform: &str) -> Running {
    let mut child = meshtax(&[
        "run",
        "--dataplane",
        "none,embedded",
        "--rate",
        "100",
        "--connections",
        "2",
        "--duration",
        "2s",
        "--warm-up",
        "200ms",
        "--repeats",
        "2",
        "--platform",
        platform,
        "--out",
        out.to_str().unwrap(),
    ])
    .stdout(Stdio::piped())
    .stderr(Stdio::piped())
    .spawn()
    .unwrap();
    // The first trial is sealed when the second begins.
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    loop {
        let line = lines.next().expect("the run says where it is").unwrap();
        if line.starts_with("trial 2 of 4") {
            break;
        }
    }
    // Nobody else reads it, and a full pipe would stop the run.
    std::thread::spawn(move || lines.for_each(drop));
    let directory = std::fs::read_dir(out).unwrap().next().unwrap().unwrap().path();
    let load_runs = |pids: &[u32]| {
        pids.iter()
            .any(|pid| std::fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|c| c.contains("\0probe\0")))
    };
    let mut pids = Vec::new();
    within(Duration::from_secs(10), || {
        pids = descendants(child.id());
        if load_runs(&pids) { Ok(()) } else { Err(format!("the second trial has no probe yet: {pids:?}")) }
    });
    let ports = listening_ports(&pids).into_iter().collect::<Vec<_>>();
    // The ports of pods are in namespaces of their own.
    assert!(pids.len() >= 5 && (ports.len() >= 3 || platform == "pods"), "{pids:?} {ports:?}");
    Running { child, pids, ports, directory }
}

fn nothing_is_left(running: &Running) {
    let runner = running.child.id();
    // The kernel alone may take two seconds to let go of a cgroup.
    within(Duration::from_secs(20), || {
        let left: Vec<u32> = running.pids.iter().copied().filter(|pid| alive(*pid)).collect();
        if !left.is_empty() {
            return Err(format!("processes {left:?} are still there"));
        }
        let open: Vec<u16> =
            listeners().into_iter().map(|(_, port)| port).filter(|p| running.ports.contains(p)).collect();
        if !open.is_empty() {
            return Err(format!("ports {open:?} are still open"));
        }
        let ours = |p: &PathBuf| p.to_string_lossy().contains(&format!("-{runner}-"));
        let left: Vec<PathBuf> =
            cgroups().into_iter().chain(scratch_directories()).chain(namespaces()).filter(ours).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?} are still there")) }
    });
}

fn finishes(directory: &Path) {
    let sealed = |id: &str| directory.join("trials").join(id).join("trial.json");
    let run = json(&directory.join("run.json"));
    let ids: Vec<&str> = run["trials"].as_array().unwrap().iter().map(|t| t["id"].as_str().unwrap()).collect();
    let first = std::fs::metadata(sealed(ids[0])).expect("the first trial was sealed").modified().unwrap();
    assert!(!sealed(ids[3]).exists());
    let cut: Answer = call(&["report", directory.to_str().unwrap()]).done();
    assert!(cut.stdout.contains("meshtax resume"), "a report of a part says so: {}", cut.stdout);
    let answer = call(&["resume", directory.to_str().unwrap()]).done();
    assert_eq!(answer.run_directory(), directory);
    assert!(ids.iter().all(|id| sealed(id).is_file()));
    assert_eq!(
        std::fs::metadata(sealed(ids[0])).unwrap().modified().unwrap(),
        first,
        "what was sealed was not touched"
    );
    let findings = json(&directory.join("findings.json"));
    assert!(findings["cells"].as_array().unwrap().iter().all(|c| c["trials"] == 2), "{findings:#}");
    assert!(directory.join("report.html").is_file());
}

#[test]
fn sigkill_of_the_runner() {
    let _seat = among_others();
    let tmp = tempfile::tempdir().unwrap();
    let mut running = start(tmp.path(), "processes");
    running.child.kill().unwrap();
    running.child.wait().unwrap();
    nothing_is_left(&running);
    finishes(&running.directory);
}

#[test]
fn sigkill_of_the_runner_with_pods() {
    if !is_root() {
        assert!(skip("pods need root", "REQUIRE_ROOT"));
        return;
    }
    let _seat = among_others();
    let tmp = tempfile::tempdir().unwrap();
    let mut running = start(tmp.path(), "pods");
    let of_it = |p: &PathBuf| p.to_string_lossy().contains(&format!("-{}-", running.child.id()));
    assert!(namespaces().iter().any(of_it), "it has namespaces while it runs: {:?}", namespaces());
    running.child.kill().unwrap();
    running.child.wait().unwrap();
    nothing_is_left(&running);
    finishes(&running.directory);
}

#[test]
fn the_warden_ends_who_writes_into_the_scratch_directory_and_nobody_else() {
    let tmp = tempfile::tempdir().unwrap();
    let scratch = tmp.path().join("meshtax-scratch-1-test");
    std::fs::create_dir(&scratch).unwrap();
    std::fs::write(scratch.join("key"), "secret").unwrap();
    let sleeping = |at: &Path| {
        let log = std::fs::File::create(at.join("log")).unwrap();
        std::process::Command::new("sleep").arg("60").stdout(log).spawn().unwrap()
    };
    let (mut inside, mut outside) = (sleeping(&scratch), sleeping(tmp.path()));
    let key = std::fs::File::open(scratch.join("key")).unwrap();
    let mut reader = std::process::Command::new("sleep").arg("60").stdin(key).spawn().unwrap();
    // Its pipe is closed from the start, as when the runner is gone.
    call(&["warden", "--scratch", scratch.to_str().unwrap()]).done();
    use std::os::unix::process::ExitStatusExt as _;
    assert_eq!(inside.wait().unwrap().signal(), Some(9));
    assert_eq!(std::fs::read_dir(tmp.path()).unwrap().count(), 1, "the log beside it alone is left");
    for other in [&mut outside, &mut reader] {
        assert!(other.try_wait().unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
    }
}

/// Of the next runner, which tidies up too: it has keys of the dead one's open, to write zeros over them.
#[test]
fn the_warden_does_not_end_who_tidies_up_beside_it() {
    let tmp = tempfile::tempdir().unwrap();
    let mut gone = std::process::Command::new("true").spawn().unwrap();
    gone.wait().unwrap();
    let scratch = tmp.path().join(format!("meshtax-scratch-{}-test", gone.id()));
    std::fs::create_dir(&scratch).unwrap();
    // So many that it is found at it.
    (0..5000).for_each(|key| std::fs::write(scratch.join(key.to_string()), "secret").unwrap());
    let other = meshtax(&["clean"]).env("TMPDIR", tmp.path()).stdout(Stdio::piped()).spawn().unwrap();
    let writes = |pid: u32| {
        let open = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        open.filter_map(|entry| std::fs::read_link(entry.path()).ok())
            .any(|file| file.starts_with(tmp.path()) && file.parent() != Some(tmp.path()))
    };
    let (pid, held) = (other.id(), Pid::from_child(&other));
    // Looked at when it stands still: it opens and closes one after the other.
    within(Duration::from_secs(20), || {
        kill_process(held, Signal::STOP).unwrap();
        let stopped = waitpid(Some(held), WaitOptions::UNTRACED).unwrap();
        assert!(stopped.is_some_and(|(_, status)| status.stopped()), "it ended before it was seen at it");
        if writes(pid) {
            return Ok(());
        }
        kill_process(held, Signal::CONT).unwrap();
        Err("it does not write".to_owned())
    });
    call(&["warden", "--scratch", scratch.to_str().unwrap()]).done();
    kill_process(held, Signal::CONT).unwrap();
    let said = other.wait_with_output().unwrap();
    assert!(said.status.success(), "{said:?}");
    assert!(String::from_utf8_lossy(&said.stdout).contains(scratch.to_str().unwrap()), "{said:?}");
    assert_eq!(std::fs::read_dir(tmp.path()).unwrap().count(), 0);
}

#[test]
fn ctrl_c() {
    let _seat = among_others();
    let tmp = tempfile::tempdir().unwrap();
    let mut running = start(tmp.path(), "processes");
    let pid = Pid::from_raw(i32::try_from(running.child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let status = running.child.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    let mut said = String::new();
    std::io::Read::read_to_string(&mut running.child.stdout.take().unwrap(), &mut said).unwrap();
    assert_eq!(PathBuf::from(said.lines().last().unwrap()), running.directory, "the directory is named all the same");
    nothing_is_left(&running);
    finishes(&running.directory);
}
