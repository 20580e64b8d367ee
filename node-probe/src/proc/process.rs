//! A watched process: /proc/PID/stat and its threads, on descriptors that no other process inherits.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use procfs::FromRead;
use procfs::process::{Stat, StatM};
use record::{Accounts, ProcessSample, ProcessState, Reading};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

use super::mountinfo;
use super::taskstats::Totals;
use super::threads::{RunTimes, Threads, Unread};
use crate::host::proc_view::hidepid;
use crate::source::{Page, Source};
use crate::{Error, Result, absence};

/// Said of every counter once the process has ended.
pub(crate) const EXITED: &str = "exited";

/// One watched process.
#[derive(Debug)]
pub(crate) struct Process {
    pid: u32,
    path: PathBuf,
    stat: Source,
    threads: Threads,
    last: RunTimes,
}

/// What was found of a process in a round, before it is put into a sample.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) read_ns: u64,
    pub(crate) took_ns: u64,
    /// Threads now, where that was looked at.
    pub(crate) count: Option<u64>,
    pub(crate) times: std::result::Result<RunTimes, String>,
    /// The kernel's own sum, where that was asked for.
    pub(crate) totals: Option<Totals>,
}

impl Process {
    /// Opens what is watched of it.
    ///
    /// # Errors
    /// When there is no such process, it is hidden, or descriptors are used up.
    pub(crate) fn open(root: &Path, name: &str, pid: u32) -> Result<Self> {
        let path = root.join(format!("proc/{pid}"));
        Self::open_all(&path, pid).map_err(|errno| match errno {
            Errno::MFILE | Errno::NFILE => no_descriptors(path.clone(), errno),
            _ => Error::Process { name: name.to_owned(), pid, reason: why_not(root, &path, pid, errno) },
        })
    }

    /// Everything is opened below one directory, so that all of it is of the same process.
    fn open_all(path: &Path, pid: u32) -> std::result::Result<Self, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = openat(CWD, path, flags, Mode::empty())?;
        let task = openat(directory.as_fd(), "task", flags, Mode::empty())?;
        let process = Self {
            pid,
            path: path.to_owned(),
            stat: Source::open_at(directory.as_fd(), Path::new("stat"))?,
            threads: Threads::new(task, &path.join("task"))?,
            last: RunTimes::default(),
        };
        if let Err(Absence::Exited) = process.stat(&mut Page::new()) {
            return Err(Errno::SRCH);
        }
        Ok(process)
    }

    /// Opens the files of its threads, so that running out of descriptors is said before anything is measured.
    ///
    /// # Errors
    /// When descriptors are used up.
    pub(crate) fn open_threads(&mut self, page: &mut Page) -> Result<()> {
        match self.count(page).map(|count| self.threads.sum(count, page)) {
            Ok(Err(Unread::Descriptors { path, errno })) => Err(no_descriptors(path, errno)),
            _ => Ok(()),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Threads now. This descriptor's directory has none once the process has ended, whoever has its number by then.
    ///
    /// # Errors
    /// The reason, in words, when it has ended or cannot be read.
    pub(crate) fn count(&self, page: &mut Page) -> std::result::Result<u64, String> {
        match self.threads.count() {
            Some(0) => Err(EXITED.to_owned()),
            Some(count) => Ok(count),
            None => self.stat(page).map(|stat| count(&stat)).map_err(|absence| absence.to_string()),
        }
    }

    /// The run times summed over its threads' own files.
    pub(crate) fn sum_threads(&mut self, count: u64, page: &mut Page) -> Found {
        let read_ns = record::monotonic_ns();
        let times = self.threads.sum(count, page).map_err(|unread| unread.to_string());
        let took_ns = record::monotonic_ns().saturating_sub(read_ns);
        Found { read_ns, took_ns, count: Some(count), times, totals: None }
    }

    /// Puts what was found into a sample, and what is due besides.
    pub(crate) fn sample(
        &mut self,
        found: Found,
        slow: bool,
        delay_accounting: bool,
        page: &mut Page,
    ) -> ProcessSample {
        let Found { read_ns, took_ns, count, times, totals } = found;
        let sample = ProcessSample {
            pid: self.pid,
            read_ns,
            took_ns,
            threads: count.map_or_else(Reading::default, Reading::Seen),
            ..ProcessSample::default()
        };
        let times = match times {
            Ok(times) => times,
            Err(reason) if reason == EXITED => return self.exited(read_ns),
            Err(reason) => {
                let [run_ns, run_delay_ns, timeslices] = [(); 3].map(|()| Reading::absent(&reason));
                let sample = ProcessSample { run_ns, run_delay_ns, timeslices, ..sample };
                return self.with_slow(sample, slow, None, delay_accounting, page);
            }
        };
        // A zombie still has its files, and the kernel's sum forgets the time of a main thread that ended.
        let still = times.timeslices <= self.last.timeslices;
        let mut state = Reading::default();
        if still {
            // Asked only of one that does nothing, which costs least and tells most: it rests, or it is held up.
            state = match self.stat(page) {
                Err(Absence::Exited) if count.is_some_and(|count| count <= 1) => return self.exited(read_ns),
                stat => Reading::from_result(stat.map(|stat| ProcessState::from_letter(stat.state))),
            };
        }
        self.last = times;
        let RunTimes { run_ns, run_delay_ns, timeslices } = times;
        let sample = ProcessSample {
            run_ns: Reading::Seen(run_ns),
            run_delay_ns: Reading::Seen(run_delay_ns),
            timeslices: Reading::Seen(timeslices),
            state,
            ..sample
        };
        self.with_slow(sample, slow, totals, delay_accounting, page)
    }

    /// Adds what is read once a second.
    fn with_slow(
        &self,
        mut sample: ProcessSample,
        slow: bool,
        totals: Option<Totals>,
        delay_accounting: bool,
        page: &mut Page,
    ) -> ProcessSample {
        if !slow {
            return sample;
        }
        let stat = self.stat(page).map_err(|absence| absence.to_string());
        let of_stat = |pick: fn(&Stat) -> u64| Reading::from_result(stat.as_ref().map(pick));
        sample.user_ticks = of_stat(|stat| stat.utime);
        sample.system_ticks = of_stat(|stat| stat.stime);
        sample.threads = of_stat(count);
        sample.state = Reading::from_result(stat.as_ref().map(|stat| ProcessState::from_letter(stat.state)));
        sample.rss_bytes = of_stat(|stat| stat.rss.saturating_mul(rustix::param::page_size() as u64));
        sample.accounts = Some(if totals.is_some() { Accounts::Taskstats } else { Accounts::Threads });
        match totals {
            Some(totals) => {
                sample.voluntary_switches = Reading::Seen(totals.voluntary_switches);
                sample.involuntary_switches = Reading::Seen(totals.involuntary_switches);
                sample.block_io_delay_ns = match totals.block_io_delay_ns {
                    0 if !delay_accounting => Reading::absent("delay accounting is off (kernel.task_delayacct=0)"),
                    ns => Reading::Seen(ns),
                };
            }
            None => {
                let switches = self.threads.switches(page).map_err(|unread| unread.to_string());
                sample.voluntary_switches = Reading::from_result(switches.clone().map(|(gave, _)| gave));
                sample.involuntary_switches = Reading::from_result(switches.map(|(_, taken)| taken));
                sample.block_io_delay_ns = Reading::absent("needs taskstats (CAP_NET_ADMIN)");
            }
        }
        sample
    }

    /// The sample of one that has ended, in every round alike.
    pub(crate) fn exited(&self, read_ns: u64) -> ProcessSample {
        let exited = || Reading::absent(EXITED);
        ProcessSample {
            pid: self.pid,
            read_ns,
            user_ticks: exited(),
            system_ticks: exited(),
            rss_bytes: exited(),
            run_ns: exited(),
            run_delay_ns: exited(),
            threads: exited(),
            took_ns: 0,
            timeslices: exited(),
            accounts: None,
            cgroup: None,
            voluntary_switches: exited(),
            involuntary_switches: exited(),
            block_io_delay_ns: exited(),
            state: Reading::absent(EXITED),
        }
    }

    fn stat(&self, page: &mut Page) -> std::result::Result<Stat, Absence> {
        let text = self.stat.read_bytes(page).map_err(|errno| match errno {
            Errno::SRCH => Absence::Exited,
            other => Absence::Unread(absence::reason(&self.path.join("stat"), other)),
        })?;
        if !has_its_brackets(text) {
            return Err(Absence::Unread(format!("{}/stat is not as it should be", self.path.display())));
        }
        let stat = Stat::from_read(text).map_err(|e| Absence::Unread(format!("{}/stat: {e}", self.path.display())))?;
        // A zombie still has its files. A main thread that ended before the others is one too, though
        // the process lives on.
        if matches!(stat.state, 'Z' | 'X') && stat.num_threads <= 1 {
            return Err(Absence::Exited);
        }
        Ok(stat)
    }
}

fn no_descriptors(path: PathBuf, errno: Errno) -> Error {
    Error::Descriptors { path, limit: absence::descriptor_limit(errno) }
}

/// Whether a stat file is "PID (NAME) S ...": `procfs` cuts it at the brackets, whatever is beside them.
fn has_its_brackets(text: &[u8]) -> bool {
    let place = |of: u8| text.iter().position(|byte| *byte == of);
    let (Some(open), Some(close)) = (place(b'('), text.iter().rposition(|byte| *byte == b')')) else { return false };
    let pid = text.get(..open).and_then(|before| before.strip_suffix(b" ")).unwrap_or_default();
    let numbered = !pid.is_empty() && pid.iter().all(u8::is_ascii_digit);
    numbered
        && open < close
        && text.get(close + 1) == Some(&b' ')
        && text.get(close + 2).is_some_and(u8::is_ascii_graphic)
}

/// Threads of the process, the main one included.
fn count(stat: &Stat) -> u64 {
    u64::try_from(stat.num_threads).unwrap_or(0)
}

/// Resident memory from the text of a statm file.
pub(crate) fn resident_bytes(text: &[u8]) -> std::result::Result<u64, procfs::ProcError> {
    Ok(StatM::from_read(text)?.resident.saturating_mul(rustix::param::page_size() as u64))
}

/// Why a process has no counters in this round.
#[derive(Debug, thiserror::Error)]
enum Absence {
    #[error("{EXITED}")]
    Exited,
    #[error("{0}")]
    Unread(String),
}

fn why_not(root: &Path, path: &Path, pid: u32, errno: Errno) -> String {
    let hidden = mountinfo::read(root).ok().and_then(|mounts| hidepid(&mounts));
    match (errno, hidden) {
        (Errno::NOENT | Errno::SRCH | Errno::PERM | Errno::ACCESS, Some(value)) => format!(
            "it has ended or is hidden, since /proc is mounted with hidepid={value}\n  \
             try: run as root or as the user of the process, or add the group that `gid=` of the mount names"
        ),
        (Errno::NOENT | Errno::SRCH, None) => {
            format!("there is no such process, or it has ended\n  try: `ps -p {pid}` shows whether it runs")
        }
        _ => absence::reason(path, errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_not_there_is_an_error_with_the_way_out() {
        let tree = tempfile::tempdir().unwrap();
        let said = Process::open(tree.path(), "s1", 4711).unwrap_err().to_string();
        assert!(said.contains("4711 ('s1')") && said.contains("ps -p 4711"), "{said}");
    }

    #[test]
    fn hidden_processes_are_named_as_hidden() {
        let tree = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(tree.path().join("proc/self")).unwrap();
        std::fs::write(
            tree.path().join("proc/self/mountinfo"),
            "22 27 0:21 / /proc rw,relatime - proc proc rw,gid=4,hidepid=invisible\n",
        )
        .unwrap();
        let said = Process::open(tree.path(), "s1", 4711).unwrap_err().to_string();
        assert!(said.contains("hidepid=invisible") && said.contains("run as root"), "{said}");
    }

    #[test]
    fn a_name_may_hold_anything_and_what_is_beside_it_may_not() {
        for text in ["1 (a) S 1", "4711 (a) (b) S 1", "4711 ()) S"] {
            assert!(has_its_brackets(text.as_bytes()), "{text}");
        }
        assert!(has_its_brackets(b"4711 (\xff\xfe) S 1"));
        for text in [
            "",
            "(a) S",
            " (a) S",
            "1(a) S",
            "x (a) S",
            "1 )a( S",
            "1 (a",
            "1 (a)",
            "1 (a) ",
            "1 (a)  ",
            "\u{fffd} (a) S",
        ] {
            assert!(!has_its_brackets(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn resident_memory_is_pages_times_their_size() {
        let page = rustix::param::page_size() as u64;
        assert_eq!(resident_bytes(b"1300 250 180 90 0 400 0\n").unwrap(), 250 * page);
    }
}
