//! The noisy neighbour: a process that does nothing but take CPU, disk and memory bandwidth from others.
//!
//! It is a part of a trial as any other: with a cgroup of its own beside those of the chain, watched by the probe, and
//! its work read back. It ends with its standard input, and by itself after a time that it is told.

mod disk;
mod memory;
mod spin;
mod threads;

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use record::Neighbour;
use rustix::event::{PollFd, PollFlags, Timespec};
use serde::{Deserialize, Serialize};

use crate::ready::Deadline;
use crate::{Error, Result};
pub(crate) use threads::Kind;
use threads::Threads;

/// What it is named in messages, in samples and as a part.
pub(crate) const NAME: &str = "neighbour";

/// What it asks for its tally with.
pub(crate) const TALLY: &str = "tally";

/// What it is told to do.
#[derive(Clone, Debug)]
pub struct NeighbourConfig {
    /// Threads of each kind.
    pub neighbour: Neighbour,
    /// Where the disk's threads write.
    pub directory: PathBuf,
    /// After how long it ends though nobody asked it to.
    pub at_most: Duration,
}

/// What it has done since it began, thread by thread.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Worked {
    /// Rounds of arithmetic by each thread that spins.
    pub cpu_rounds: Vec<u64>,
    /// Bytes written past the page cache by each thread that writes.
    pub disk_bytes: Vec<u64>,
    /// Bytes read from memory and written back by each thread that streams.
    pub memory_bytes: Vec<u64>,
}

/// Whether these threads could be had, before anything is started: a directory whose files are on a disk, and memory
/// enough.
///
/// # Errors
/// [`Error::Neighbour`] with what is missing.
pub(crate) fn possible(config: &NeighbourConfig) -> Result<()> {
    if config.neighbour.disk > 0 {
        disk::possible(&config.directory, config.neighbour.disk)?;
    }
    memory::Size::find(config.neighbour.memory).map(drop)
}

/// The life of `meshtax neighbour`: it says its first tally once all its threads have worked, answers the line "tally"
/// with another, and ends with its standard input.
///
/// # Errors
/// [`Error::Neighbour`] when a thread cannot do its work, or when nobody ended it in time.
pub fn serve(config: &NeighbourConfig) -> Result<()> {
    let deadline = Deadline::after(config.at_most);
    let threads = Threads::start(config)?;
    threads.wait_for_work(&deadline)?;
    say(&threads.worked());
    let mut heard = Vec::new();
    loop {
        if !readable(&deadline) {
            return Err(refused(
                format!("it was at work for {:.0} s and nobody ended it", config.at_most.as_secs_f64()),
                "nothing: it has ended by itself, so that it is in nobody's way",
            ));
        }
        let mut chunk = [0; 256];
        match rustix::io::read(std::io::stdin(), &mut chunk) {
            Ok(0) => return threads.end(),
            Ok(n) => heard.extend(chunk.iter().take(n)),
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return threads.end(),
        }
        while let Some(end) = heard.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = heard.drain(..=end).collect();
            threads.check()?;
            if line.trim_ascii() == TALLY.as_bytes() {
                say(&threads.worked());
            }
        }
    }
}

/// Waits for something on standard input, an end included; false when the time is over.
fn readable(deadline: &Deadline) -> bool {
    loop {
        let Ok(left) = Timespec::try_from(deadline.left()) else { return false };
        let stdin = std::io::stdin();
        let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
        match rustix::event::poll(&mut fds, Some(&left)) {
            Ok(ready) => return ready > 0,
            Err(rustix::io::Errno::INTR) if !deadline.left().is_zero() => {}
            Err(_) => return false,
        }
    }
}

/// Says a line to whoever started it, who may be gone.
fn say(worked: &Worked) {
    if let Ok(mut line) = serde_json::to_vec(worked) {
        line.push(b'\n');
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(&line).and_then(|()| out.flush());
    }
}

fn refused(problem: impl Into<String>, remedy: &str) -> Error {
    Error::Neighbour { problem: problem.into(), remedy: remedy.to_owned() }
}
