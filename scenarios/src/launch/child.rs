//! A child of ours: its life, its words and its log.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, ExitStatus};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use super::drain::Drain;
use crate::limits::MemoryWatch;
use crate::ready::Deadline;
use crate::{Error, Result};

/// A child of ours. Dropping it kills it.
#[derive(Debug)]
pub struct Launched {
    name: String,
    child: std::process::Child,
    log: PathBuf,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    /// Who reads its stdout and drops what it says, once it is told to.
    drain: Option<Drain>,
    /// What was read of its stdout and not yet asked for.
    unread: Vec<u8>,
    /// The memory limit it may die of.
    memory: Option<MemoryWatch>,
}

/// A line longer than this is no answer of ours.
const LONGEST_ANSWER: usize = 64 << 10;

impl Launched {
    pub(super) fn new(name: String, mut child: std::process::Child, log: PathBuf) -> Self {
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        Self { name, child, log, stdin, stdout, drain: None, unread: Vec::new(), memory: None }
    }

    /// Has an end by the kernel for want of memory told from others.
    pub(crate) fn watch_memory(&mut self, watch: MemoryWatch) {
        self.memory = Some(watch);
    }

    /// The part's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id, the same before and after it became its program.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub fn alive(&self) -> bool {
        self.ending().is_none()
    }

    /// How it ended, for people: "exit status 1", "signal 9"; none while it runs.
    pub fn ending(&self) -> Option<String> {
        // Looked at without reaping, so that its id stays its own for as long as we hold it.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let status = match rustix::process::waitid(WaitId::Pid(self.id()?), options) {
            Ok(status) => status?,
            Err(e) => return Some(format!("unknown: {e}")),
        };
        Some(match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => format!("exit status {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "unknown".to_owned(),
        })
    }

    /// How it ended, and none while it runs.
    ///
    /// # Errors
    /// [`Error::Answer`] when the kernel knows no such child.
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().map_err(|e| self.answer(format!("its end could not be asked for: {e}")))
    }

    /// An error if it has ended, with its last log lines.
    ///
    /// # Errors
    /// [`Error::Died`], and [`Error::OutOfMemory`] when it was killed for want of memory.
    pub fn expect_alive(&self, doing: &str) -> Result<()> {
        let Some(status) = self.ending() else { return Ok(()) };
        let (part, doing, log) = (self.name.clone(), doing.to_owned(), self.log_tail(LINES_SHOWN));
        let killed = status == format!("signal {}", Signal::KILL.as_raw());
        match &self.memory {
            Some(memory) if killed && memory.killed() => {
                Err(Error::OutOfMemory { part, limit: memory.limit, doing, log })
            }
            _ => Err(Error::Died { part, status, doing, log }),
        }
    }

    /// The last lines of its log.
    pub fn log_tail(&self, lines: usize) -> Vec<String> {
        log_tail(&self.log, lines)
    }

    /// Says a line to it; the line's end is added.
    ///
    /// # Errors
    /// [`Error::Died`] when it has ended, [`Error::Answer`] when it does not listen.
    pub fn write_line(&mut self, line: &str) -> Result<()> {
        let stdin = self.stdin.as_mut();
        let written = stdin.map_or_else(
            || Err(std::io::Error::other("it was launched without a stdin")),
            |stdin| stdin.write_all(format!("{line}\n").as_bytes()),
        );
        written.map_err(|e| {
            let died = self.expect_alive(&format!("being told '{line}'")).err();
            died.unwrap_or_else(|| self.answer(format!("it could not be told '{line}': {e}")))
        })
    }

    /// The next line it says, without its end.
    ///
    /// # Errors
    /// [`Error::Died`] when it ends first, [`Error::NotReady`] when it says nothing in time, [`Error::Answer`] when
    /// it has closed its stdout, or says a line without an end.
    pub fn read_line(&mut self, patience: Duration, waited_for: &str) -> Result<String> {
        let deadline = Deadline::after(patience);
        loop {
            if let Some(end) = self.unread.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            if self.unread.len() > LONGEST_ANSWER {
                return Err(self.answer(format!("it said a line without an end instead of {waited_for}")));
            }
            if !self.readable(&deadline) {
                self.expect_alive(&format!("waiting for {waited_for}"))?;
                return Err(deadline.missed(self, waited_for));
            }
            if !self.read_some() {
                // Closed: it has ended or is about to. The kernel may show us the one before the other.
                return crate::ready::until(self, waited_for, &deadline, || Ok(None));
            }
        }
    }

    /// The next line it says, read as JSON.
    ///
    /// # Errors
    /// As [`Self::read_line`], and [`Error::Answer`] when it is not what was waited for.
    pub fn read_json<T: serde::de::DeserializeOwned>(&mut self, patience: Duration, waited_for: &str) -> Result<T> {
        let line = self.read_line(patience, waited_for)?;
        serde_json::from_str(&line).map_err(|e| self.answer(format!("it said '{line}' instead of {waited_for} ({e})")))
    }

    /// Reads what there is; false at the end.
    fn read_some(&mut self) -> bool {
        let mut chunk = [0; 4096];
        match self.stdout.as_mut().map(|stdout| stdout.read(&mut chunk)) {
            Some(Ok(n)) if n > 0 => {
                self.unread.extend(chunk.iter().take(n));
                true
            }
            Some(Err(e)) => e.kind() == std::io::ErrorKind::Interrupted,
            _ => false,
        }
    }

    /// Whether there is something to read before the deadline; an end counts.
    fn readable(&self, deadline: &Deadline) -> bool {
        let Some(stdout) = &self.stdout else { return true };
        loop {
            let Ok(left) = Timespec::try_from(deadline.left()) else { return false };
            let mut fds = [PollFd::new(stdout, PollFlags::IN)];
            match rustix::event::poll(&mut fds, Some(&left)) {
                Ok(ready) => return ready > 0,
                Err(rustix::io::Errno::INTR) if !deadline.left().is_zero() => {}
                Err(_) => return false,
            }
        }
    }

    /// From now on reads whatever it says and drops it, as long as it lives: a pipe that nobody reads holds up its
    /// writer.
    ///
    /// # Errors
    /// [`Error::Thread`] when there is no thread to be had.
    pub(crate) fn drain(&mut self) -> Result<()> {
        if let Some(stdout) = self.stdout.take() {
            self.drain = Some(Drain::start(&self.name, stdout)?);
        }
        Ok(())
    }

    /// The bytes that were read and dropped; none where they are not.
    pub(crate) fn drained(&self) -> Option<u64> {
        self.drain.as_ref().map(Drain::bytes)
    }

    /// Asks it to end: its stdin is closed and SIGTERM sent. So many can be asked before the first is waited for.
    pub fn ask_to_end(&mut self) {
        drop(self.stdin.take());
        if let Some(pid) = self.id()
            && self.alive()
        {
            let _ = rustix::process::kill_process(pid, Signal::TERM);
        }
    }

    /// Asks it to end, kills it when it has not within `grace`, and returns how it ended.
    ///
    /// # Errors
    /// [`Error::Answer`] when the kernel knows no such child.
    pub fn terminate(&mut self, grace: Duration) -> Result<ExitStatus> {
        self.ask_to_end();
        let until = Instant::now() + grace;
        while self.alive() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(2));
        }
        if let Some(status) = self.try_wait()? {
            return Ok(status);
        }
        self.kill();
        self.child.wait().map_err(|e| self.answer(format!("its end could not be waited for: {e}")))
    }

    /// The error that it said or did something else.
    pub(crate) fn answer(&self, problem: String) -> Error {
        Error::Answer { part: self.name.clone(), problem, log: self.log_tail(LINES_SHOWN) }
    }

    fn id(&self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.child.id()).ok()?)
    }

    /// Kills it and whatever it started that is still in its session.
    fn kill(&mut self) {
        if let Some(pid) = self.id() {
            // Until it is reaped the id, and so the group, can be no one else's.
            let _ = rustix::process::kill_process_group(pid, Signal::KILL);
        }
        let _ = self.child.kill();
    }
}

impl Drop for Launched {
    fn drop(&mut self) {
        // A child that was reaped has its status kept; its id may be someone else's by now.
        if let Ok(None) = self.child.try_wait() {
            self.kill();
            let _ = self.child.wait();
        }
    }
}

/// How many log lines an error shows.
pub(crate) const LINES_SHOWN: usize = 8;

/// A line of a log longer than this is cut in an error.
const LONGEST_LINE: usize = 300;

/// The last lines of a log file; none when it cannot be read.
pub fn log_tail(log: &Path, lines: usize) -> Vec<String> {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(64 << 10)))?;
        let mut bytes = Vec::new();
        file.take(64 << 10).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let Ok(bytes) = read() else { return Vec::new() };
    let text = String::from_utf8_lossy(&bytes);
    let kept: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
    let shorten = |line: &&str| -> String {
        if line.chars().count() <= LONGEST_LINE {
            return (*line).to_owned();
        }
        line.chars().take(LONGEST_LINE).chain("...".chars()).collect()
    };
    kept.iter().skip(kept.len().saturating_sub(lines)).map(shorten).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_of_a_log_is_its_last_lines_cut_to_a_screen() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        assert!(log_tail(&log, 3).is_empty());
        std::fs::write(&log, format!("one\ntwo\n\nthree\n{}\n", "x".repeat(1000))).unwrap();
        let tail = log_tail(&log, 3);
        assert_eq!(tail[..2], ["two", "three"]);
        assert_eq!(tail[2].len(), LONGEST_LINE + 3);
    }
}
