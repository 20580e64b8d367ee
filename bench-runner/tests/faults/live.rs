//! A meshtax at work, stopped where a fault is to strike, and brought to its end.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, nice};

use crate::aftermath::Traces;
use crate::program::{Answer, descendants};

/// No command of a row takes as long; one that does hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// The variable by which a process is known to be of a row, however deep below it.
pub(crate) const TOKEN: &str = "MESHTAX_FAULTS_ROW";

/// A thread that goes before what it looks at: a stage may be over in a tenth of a second, and rows are played beside one another.
/// Where that is refused, a stage is missed now and then on a busy machine.
pub(crate) struct Urgent {
    granted: bool,
}

/// By so much.
const NICER: i32 = 15;

impl Urgent {
    /// From now on, until it is dropped. Of the calling thread alone, on Linux.
    pub(crate) fn begin() -> Self {
        Self { granted: nice(-NICER).is_ok() }
    }
}

impl Drop for Urgent {
    fn drop(&mut self) {
        if self.granted {
            let _ = nice(NICER);
        }
    }
}

/// A stage was over before the fault could strike: what of it was seen.
#[derive(Debug)]
pub(crate) struct Missed(pub(crate) &'static str);

/// A command that ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// "0", "2", "signal 9".
    pub(crate) how: String,
    pub(crate) answer: Answer,
    /// By which what it left is found.
    pub(crate) traces: Traces,
}

/// Starts a command and waits for its end.
pub(crate) fn to_its_end(command: Command, aside: &Path) -> Ended {
    Live::start(command, aside, None).end()
}

/// A command that runs.
pub(crate) struct Live {
    child: Child,
    pub(crate) traces: Traces,
    said: Arc<Mutex<String>>,
    /// It was stopped when it said that it was in the phase.
    at_phase: Arc<AtomicBool>,
    readers: Vec<JoinHandle<String>>,
    held: bool,
}

impl Live {
    /// Starts it; with a phase, it is stopped as soon as it says that it is there.
    pub(crate) fn start(mut command: Command, aside: &Path, phase: Option<&'static str>) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let token = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let temporary: PathBuf = aside.join("tmp");
        let _ = std::fs::create_dir_all(&temporary);
        command.env(TOKEN, &token).env("TMPDIR", &temporary).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let traces = Traces { pid: child.id(), token, temporary };
        let (said, at_phase) = (Arc::new(Mutex::new(String::new())), Arc::new(AtomicBool::new(false)));
        let mut stdout = child.stdout.take().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let pid = traces.pid;
        let (words, there) = (Arc::clone(&said), Arc::clone(&at_phase));
        let readers = vec![
            std::thread::spawn(move || {
                let mut text = Vec::new();
                let _ = stdout.read_to_end(&mut text);
                String::from_utf8_lossy(&text).into_owned()
            }),
            std::thread::spawn(move || {
                let _urgent = Urgent::begin();
                for line in stderr.split(b'\n').map_while(Result::ok) {
                    let line = String::from_utf8_lossy(&line).into_owned() + "\n";
                    if phase.is_some_and(|phase| line.contains(phase)) && !there.load(Ordering::Acquire) {
                        signal(pid, Signal::STOP);
                        there.store(true, Ordering::Release);
                    }
                    words.lock().unwrap_or_else(PoisonError::into_inner).push_str(&line);
                }
                String::new()
            }),
        ];
        Self { child, traces, said, at_phase, readers, held: false }
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.traces.pid
    }

    /// What it has said on stderr.
    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it stands still in the phase that it was started with.
    pub(crate) fn wait_for_phase(&mut self) -> Result<(), Missed> {
        let there = Arc::clone(&self.at_phase);
        self.wait_for("its phase", |_| there.load(Ordering::Acquire))?;
        self.held = true;
        Ok(())
    }

    /// Waits until something is so, and stops it then.
    pub(crate) fn hold_when(&mut self, what: &str, so: impl FnMut(&Self) -> bool) -> Result<(), Missed> {
        self.wait_for(what, so)?;
        signal(self.pid(), Signal::STOP);
        self.held = true;
        Ok(())
    }

    /// Waits until something is so. It is missed where the command was done before it was seen.
    pub(crate) fn wait_for(&mut self, what: &str, mut so: impl FnMut(&Self) -> bool) -> Result<(), Missed> {
        let end = Instant::now() + PATIENCE;
        while !so(self) {
            if let Some(status) = self.child.try_wait().unwrap() {
                if status.success() {
                    return Err(Missed("it was done before"));
                }
                panic!("it ended ({}) before {what}:\n{}", how(status), self.said());
            }
            if Instant::now() > end {
                let said = self.said();
                let _ = self.child.kill();
                panic!("not within {PATIENCE:?}: {what}; it said:\n{said}");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Lets it go on, if it was stopped.
    pub(crate) fn go_on(&mut self) {
        if std::mem::take(&mut self.held) {
            signal(self.pid(), Signal::CONT);
        }
    }

    /// The processes it has started, with their command lines.
    pub(crate) fn parts(&self) -> Vec<(u32, String)> {
        let line = |pid: u32| {
            let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            (pid, String::from_utf8_lossy(&bytes).into_owned())
        };
        below(self.pid()).into_iter().map(line).collect()
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Ended {
        self.go_on();
        let end = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > end {
                let said = self.said();
                let _ = self.child.kill();
                panic!("it hangs; it said:\n{said}");
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        // All of them, so that every word is there.
        let texts: Vec<String> = self.readers.drain(..).map(|reader| reader.join().unwrap()).collect();
        let stdout = texts.into_iter().next().unwrap_or_default();
        let answer = Answer { code: status.code(), stdout, stderr: self.said() };
        Ended { how: how(status), answer, traces: self.traces.clone() }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // Only where the row failed before its end.
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => code.to_string(),
        (None, signal) => format!("signal {}", signal.unwrap_or(0)),
    }
}

/// Every process below another one. As the kernel lists them where it does: a walk over all of /proc takes as long as a stage
/// may.
fn below(parent: u32) -> Vec<u32> {
    let lists = |pid: u32| -> Option<Vec<u32>> {
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
        let texts = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
        Some(
            texts
                .flat_map(|text| text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
                .collect(),
        )
    };
    if !std::path::Path::new("/proc/self/task").join(std::process::id().to_string()).join("children").exists() {
        return descendants(parent);
    }
    let mut all = vec![parent];
    let mut at = 0;
    while let Some(pid) = all.get(at).copied() {
        all.extend(lists(pid).unwrap_or_default());
        at += 1;
    }
    all.split_off(1)
}

/// Sends a signal to one process; one that is gone needs none.
pub(crate) fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}
