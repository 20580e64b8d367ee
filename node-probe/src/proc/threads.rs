//! /proc/PID/task/*/schedstat: run time and run delay of a process, summed over all of its threads. It is what is left
//! where the kernel may not be asked for the sum (see [`super::taskstats`]).
//!
//! /proc/PID/schedstat is the main thread alone, and a thread takes its numbers with it when it ends; so
//! each thread is kept with what it said last.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use procfs::FromRead;
use procfs::process::Schedstat;
use rustix::fs::Dir;
use rustix::io::Errno;

use crate::absence;
use crate::source::{Page, Source};

/// Time on a CPU, and time waiting for one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RunTimes {
    pub(crate) run_ns: u64,
    pub(crate) run_delay_ns: u64,
    pub(crate) timeslices: u64,
}

impl std::ops::AddAssign for RunTimes {
    fn add_assign(&mut self, other: Self) {
        let Self { run_ns, run_delay_ns, timeslices } = other;
        self.timeslices = self.timeslices.saturating_add(timeslices);
        self.run_ns = self.run_ns.saturating_add(run_ns);
        self.run_delay_ns = self.run_delay_ns.saturating_add(run_delay_ns);
    }
}

/// Why the threads of a process cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Unread {
    /// Descriptors are used up: at the start that is an error, not a property of the machine.
    #[error("{}", absence::reason(path, *errno))]
    Descriptors { path: PathBuf, errno: Errno },
    #[error("{0}")]
    Lacking(String),
}

/// The threads of one process.
#[derive(Debug)]
pub(crate) struct Threads {
    path: PathBuf,
    directory: Dir,
    alive: BTreeMap<u32, Thread>,
    ended: RunTimes,
}

#[derive(Debug)]
struct Thread {
    source: Source,
    last: RunTimes,
}

impl Threads {
    /// Keeps `task`, the directory of the threads, which `path` is for messages.
    pub(crate) fn new(task: OwnedFd, path: &Path) -> Result<Self, Errno> {
        let directory = Dir::new(task)?;
        Ok(Self { path: path.to_owned(), directory, alive: BTreeMap::new(), ended: RunTimes::default() })
    }

    /// How many there are, from the number of directories alone; none where the file system does not count them. A
    /// process that has ended and was waited for has none.
    pub(crate) fn count(&self) -> Option<u64> {
        // "." and ".." are links too; a file system that does not count says 1 (proc_task_getattr, stat(2)).
        let links = self.directory.stat().ok()?.st_nlink;
        #[allow(clippy::useless_conversion, reason = "its type differs by architecture")]
        u64::from(links).checked_sub(2)
    }

    /// Times the threads that live gave up their CPU, and times they were taken off it. The files are opened each
    /// time: this is asked for once a second, and would keep as many descriptors again.
    pub(crate) fn switches(&self, page: &mut Page) -> Result<(u64, u64), Unread> {
        let (mut voluntary, mut involuntary) = (0, 0);
        let directory = self.directory.fd().map_err(|errno| unread(&self.path, errno))?;
        for tid in self.alive.keys() {
            let name = format!("{tid}/status");
            let read = Source::open_at(directory, Path::new(&name))
                .and_then(|source| source.read_bytes(page).map(switches_in));
            match read {
                Ok(Some((gave, taken))) => {
                    voluntary += gave;
                    involuntary += taken;
                }
                Ok(None) => return Err(Unread::Lacking(format!("{}/{name} has no switches", self.path.display()))),
                Err(Errno::SRCH | Errno::NOENT) => {}
                Err(errno) => return Err(unread(&self.path.join(&name), errno)),
            }
        }
        Ok((voluntary, involuntary))
    }

    /// The sum over all threads, when the process says it has `count` of them now.
    ///
    /// The directory is listed again only when the threads that are known are not as many: with those
    /// that ended taken out first, a thread that came for one that went shows as well.
    pub(crate) fn sum(&mut self, count: u64, page: &mut Page) -> Result<RunTimes, Unread> {
        self.reread(page)?;
        if self.alive.len() as u64 != count {
            self.find_new(page)?;
        }
        let mut sum = self.ended;
        for thread in self.alive.values() {
            sum += thread.last;
        }
        if sum.run_ns == 0 {
            // A process that was started has run; kernels before 5.14 can have this accounting off.
            let path = self.path.display();
            return Err(Unread::Lacking(format!("{path}: this kernel does not account the run time of threads")));
        }
        Ok(sum)
    }

    /// Reads every known thread; those that ended are taken out with what they said last.
    fn reread(&mut self, page: &mut Page) -> Result<(), Unread> {
        let mut gone = Vec::new();
        for (&tid, thread) in &mut self.alive {
            match read(&thread.source, page) {
                Ok(now) => {
                    if now.run_ns < thread.last.run_ns {
                        // The number went to another task (exec by a thread): what was there has ended.
                        self.ended += thread.last;
                    }
                    thread.last = now;
                }
                Err(Errno::SRCH | Errno::NOENT) => gone.push(tid),
                Err(errno) => return Err(unread(&self.path, errno)),
            }
        }
        for tid in gone {
            if let Some(thread) = self.alive.remove(&tid) {
                self.ended += thread.last;
            }
        }
        Ok(())
    }

    fn find_new(&mut self, page: &mut Page) -> Result<(), Unread> {
        self.directory.rewind();
        let mut found = Vec::new();
        while let Some(entry) = self.directory.read() {
            match entry {
                Ok(entry) => found.extend(number(entry.file_name())),
                Err(Errno::NOENT | Errno::SRCH) => break,
                Err(errno) => return Err(unread(&self.path, errno)),
            }
        }
        for tid in found {
            if self.alive.contains_key(&tid) {
                continue;
            }
            if let Some(thread) = self.open(tid, page)? {
                self.alive.insert(tid, thread);
            }
        }
        Ok(())
    }

    /// Opens a thread's file and reads it; none if the thread ended in between.
    fn open(&self, tid: u32, page: &mut Page) -> Result<Option<Thread>, Unread> {
        let name = format!("{tid}/schedstat");
        let explain = |errno| unread(&self.path.join(&name), errno);
        let directory = self.directory.fd().map_err(explain)?;
        let opened = Source::open_at(directory, Path::new(&name)).and_then(|source| {
            let last = read(&source, page)?;
            Ok(Thread { source, last })
        });
        match opened {
            Ok(thread) => Ok(Some(thread)),
            Err(Errno::SRCH) => Ok(None),
            // The thread's directory is gone with it; if it stands, the file is what this kernel lacks.
            Err(Errno::NOENT) if !self.path.join(tid.to_string()).is_dir() => Ok(None),
            Err(Errno::NOENT) => {
                let path = self.path.display();
                Err(Unread::Lacking(format!("{path}: no schedstat here (kernel without CONFIG_SCHED_INFO)")))
            }
            Err(errno) => Err(explain(errno)),
        }
    }
}

fn unread(path: &Path, errno: Errno) -> Unread {
    match errno {
        Errno::MFILE | Errno::NFILE => Unread::Descriptors { path: path.to_owned(), errno },
        other => Unread::Lacking(absence::reason(path, other)),
    }
}

/// The two counts near the end of a status file (the rest of it, which `procfs` would parse too, is not wanted).
fn switches_in(status: &[u8]) -> Option<(u64, u64)> {
    let text = String::from_utf8_lossy(status);
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    Some((value("voluntary_ctxt_switches:")?, value("nonvoluntary_ctxt_switches:")?))
}

fn number(name: &CStr) -> Option<u32> {
    name.to_str().ok()?.parse().ok()
}

fn read(source: &Source, page: &mut Page) -> Result<RunTimes, Errno> {
    let text = source.read_bytes(page)?;
    let Schedstat { sum_exec_runtime, run_delay, pcount } = Schedstat::from_read(text).map_err(|_| Errno::PROTO)?;
    Ok(RunTimes { run_ns: sum_exec_runtime, run_delay_ns: run_delay, timeslices: pcount })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rustix::fs::{CWD, Mode, OFlags, openat};

    use super::*;

    /// A task directory of text, and the threads of it.
    fn tree() -> (tempfile::TempDir, Threads) {
        let tree = tempfile::tempdir().unwrap();
        let task = openat(CWD, tree.path(), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
        let threads = Threads::new(task, tree.path()).unwrap();
        (tree, threads)
    }

    fn times(run_ns: u64, run_delay_ns: u64, timeslices: u64) -> RunTimes {
        RunTimes { run_ns, run_delay_ns, timeslices }
    }

    fn put(tree: &Path, tid: u32, run: u64, delay: u64) {
        fs::create_dir_all(tree.join(tid.to_string())).unwrap();
        fs::write(tree.join(format!("{tid}/schedstat")), format!("{run} {delay} 5\n")).unwrap();
    }

    #[test]
    fn the_sum_is_over_all_threads_and_a_new_one_is_found_by_the_count() {
        let (tree, mut threads) = tree();
        let mut page = Page::new();
        put(tree.path(), 100, 10, 1);
        put(tree.path(), 101, 200, 20);
        assert_eq!(threads.sum(2, &mut page), Ok(times(210, 21, 10)));
        put(tree.path(), 102, 3000, 300);
        assert_eq!(threads.sum(2, &mut page), Ok(times(210, 21, 10)), "count unchanged");
        assert_eq!(threads.sum(3, &mut page), Ok(times(3210, 321, 15)));
        put(tree.path(), 100, 11, 2);
        assert_eq!(threads.sum(3, &mut page), Ok(times(3211, 322, 15)));
    }

    #[test]
    fn a_number_that_was_given_to_another_task_does_not_take_the_old_time_away() {
        let (tree, mut threads) = tree();
        let mut page = Page::new();
        put(tree.path(), 100, 500, 50);
        assert_eq!(threads.sum(1, &mut page), Ok(times(500, 50, 5)));
        put(tree.path(), 100, 7, 3);
        assert_eq!(threads.sum(1, &mut page), Ok(times(507, 53, 10)));
    }

    #[test]
    fn switches_are_those_of_the_threads_that_live() {
        let (tree, mut threads) = tree();
        let mut page = Page::new();
        put(tree.path(), 100, 10, 1);
        put(tree.path(), 101, 20, 2);
        threads.sum(2, &mut page).unwrap();
        let status = |tid: u32, gave: u64, taken: u64| {
            let text = format!("Name:\tit\nvoluntary_ctxt_switches:\t{gave}\nnonvoluntary_ctxt_switches:\t{taken}\n");
            fs::write(tree.path().join(format!("{tid}/status")), text).unwrap();
        };
        status(100, 5, 1);
        assert_eq!(threads.switches(&mut page), Ok((5, 1)), "one without the file has ended");
        status(101, 7, 2);
        assert_eq!(threads.switches(&mut page), Ok((12, 3)));
        fs::write(tree.path().join("101/status"), "Name:\tit\n").unwrap();
        assert!(threads.switches(&mut page).unwrap_err().to_string().contains("101/status has no switches"));
    }

    #[test]
    fn a_kernel_that_does_not_account_is_absent_with_the_reason() {
        let (tree, mut threads) = tree();
        put(tree.path(), 100, 0, 0);
        let said = threads.sum(1, &mut Page::new()).unwrap_err().to_string();
        assert!(said.contains("does not account"), "{said}");

        let (tree, mut threads) = self::tree();
        fs::create_dir(tree.path().join("100")).unwrap();
        let said = threads.sum(1, &mut Page::new()).unwrap_err().to_string();
        assert!(said.contains("CONFIG_SCHED_INFO"), "{said}");
    }
}
