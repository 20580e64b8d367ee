//! Parts as processes: the threads they have, the CPU they use, and how they end.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use record::{Mtls, Protocol};
use rustix::process::{Pid, Signal, kill_process};
use scenarios::proxy::embedded::{self, InboundConfig, PortConfig, SidecarConfig};
use scenarios::service::{self, ServiceConfig};
use serde::de::DeserializeOwned;

use crate::caller::Caller;
use crate::part::{ANY, idle_service};

/// The variables that make a test of this program play a part: the configuration file of a sidecar, or the work of a
/// service in microseconds.
const SIDECAR: &str = "MESHTAX_TEST_SIDECAR";
const SERVICE: &str = "MESHTAX_TEST_SERVICE";

/// No test of its own: the body of a child.
#[test]
fn plays_a_part() {
    if let Some(path) = std::env::var_os(SIDECAR) {
        embedded::serve(SidecarConfig::read(Path::new(&path)).unwrap()).unwrap();
    } else if let Ok(work_us) = std::env::var(SERVICE) {
        service::serve(ServiceConfig { work_us: work_us.parse().unwrap(), ..idle_service("s1") }).unwrap();
    }
}

/// A child that is killed if the test doesn't end it.
struct Process {
    child: Child,
    input: Option<ChildStdin>,
    /// Kept open: the test program says more when its part is over, and must find a reader.
    output: BufReader<ChildStdout>,
}

impl Process {
    /// Starts it, and reads the line in which it says that it is ready.
    fn start<T: DeserializeOwned>(variable: &str, value: impl AsRef<std::ffi::OsStr>) -> (Self, T) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "process::plays_a_part", "--nocapture", "--test-threads", "1"])
            .env(variable, value)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take();
        let mut process = Self { output: BufReader::new(child.stdout.take().unwrap()), child, input };
        let mut line = String::new();
        while process.output.read_line(&mut line).unwrap() > 0 {
            // The test program says the test's name first, on the same line.
            if let Some((_, json)) = line.split_once("{\"ready\":") {
                return (process, serde_json::from_str(&format!("{{\"ready\":{json}")).unwrap());
            }
            line.clear();
        }
        panic!("it ended without a word");
    }

    fn proc(&self, file: &str) -> String {
        format!("/proc/{}/{file}", self.child.id())
    }

    /// The names of its threads.
    fn threads(&self) -> Vec<String> {
        let tasks = std::fs::read_dir(self.proc("task")).unwrap();
        tasks.map(|t| std::fs::read_to_string(t.unwrap().path().join("comm")).unwrap().trim().to_owned()).collect()
    }

    /// CPU it has used, in microseconds: the first field of schedstat of each thread, in nanoseconds.
    fn cpu_us(&self) -> u64 {
        let tasks = std::fs::read_dir(self.proc("task")).unwrap();
        let ns = |path: std::path::PathBuf| -> u64 {
            let text = std::fs::read_to_string(path.join("schedstat")).unwrap();
            text.split(' ').next().unwrap().parse().unwrap()
        };
        tasks.map(|t| ns(t.unwrap().path())).sum::<u64>() / 1000
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended if all went well, and then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn sidecar(workers: u32) -> (tempfile::TempDir, Process, embedded::Listening) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("sidecar.json");
    let config = SidecarConfig {
        name: "s1-sidecar".into(),
        workers,
        protocol: Protocol::Http,
        retries: 0,
        requests_per_connection: 0,
        inbound: Some(InboundConfig {
            listen: ANY,
            redirected: false,
            ports: vec![PortConfig { app: ([127, 0, 0, 1], 9).into(), mtls: Mtls::Disable }],
            mtls: Mtls::Disable,
            from: None,
        }),
        access_log: None,
        outbound: None,
        identity: None,
        admin: ANY,
        ready: None,
    };
    std::fs::write(&file, serde_json::to_string(&config).unwrap()).unwrap();
    let (process, ready) = Process::start::<embedded::Ready>(SIDECAR, &file);
    (directory, process, ready.ready)
}

#[test]
fn worker_threads_are_as_many_as_asked_for_and_told_apart_by_their_names() {
    for workers in [1, 3] {
        let (_kept, process, at) = sidecar(workers);
        let threads = process.threads();
        let mut names: Vec<&str> = threads.iter().map(String::as_str).filter(|t| t.starts_with("wrk:")).collect();
        names.sort_unstable();
        assert_eq!(names, ["wrk:0", "wrk:1", "wrk:2"][..workers as usize], "{threads:?}");
        let stats: embedded::Stats = serde_json::from_slice(&Caller::connect(at.admin).get("/stats").body).unwrap();
        assert_eq!(stats.workers, workers);
    }
}

#[test]
fn the_end_of_standard_input_is_the_end_of_the_process() {
    let (_kept, mut process, at) = sidecar(2);
    // A connection that is left open holds nothing up.
    let mut idle = Caller::connect(at.inbound.unwrap());
    assert_eq!(idle.get("/").status, 503);
    drop(process.input.take());
    assert!(process.child.wait().unwrap().success());
    assert!(idle.is_closed());
}

#[test]
fn sigterm_is_a_good_end_for_a_sidecar_and_for_a_service() {
    let (_kept, mut sidecar, _) = sidecar(1);
    let (mut service, _) = Process::start::<service::Ready>(SERVICE, "0");
    for process in [&mut sidecar, &mut service] {
        kill_process(Pid::from_child(&process.child), Signal::TERM).unwrap();
        assert!(process.child.wait().unwrap().success());
    }
}

#[test]
fn a_service_burns_the_cpu_it_was_told_to() {
    let (process, ready) = Process::start::<service::Ready>(SERVICE, "5000");
    let mut caller = Caller::connect(ready.ready.listen);
    assert_eq!(caller.get("/").status, 200);
    let before = process.cpu_us();
    for _ in 0..20 {
        assert_eq!(caller.get("/").status, 200);
    }
    let burnt = process.cpu_us() - before;
    // 20 times 5 ms, and some tens of microseconds for each request itself. The slack is for time that a hypervisor
    // takes away and the kernel counts as used; twice the work would still show.
    assert!((100_000..150_000).contains(&burnt), "{burnt} us");
}
