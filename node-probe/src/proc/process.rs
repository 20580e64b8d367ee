//! A watched process: /proc/PID/{stat,statm} and its threads, on descriptors that no other process inherits.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use procfs::FromRead;
use procfs::process::{Stat, StatM};
use record::{ProcessSample, Reading};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

use super::mountinfo;
use super::threads::{Threads, Unread};
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
    statm: Source,
    threads: Threads,
}

impl Process {
    /// Opens what is watched of it.
    ///
    /// # Errors
    /// When there is no such process, it is hidden, or descriptors are used up.
    pub(crate) fn open(root: &Path, name: &str, pid: u32) -> Result<Self> {
        let path = root.join(format!("proc/{pid}"));
        let no_descriptors = |path, errno| Error::Descriptors { path, limit: absence::descriptor_limit(errno) };
        let mut process = Self::open_all(&path, pid).map_err(|errno| match errno {
            Errno::MFILE | Errno::NFILE => no_descriptors(path.clone(), errno),
            _ => Error::Process { name: name.to_owned(), pid, reason: why_not(root, &path, pid, errno) },
        })?;
        // Its threads are opened now, so that running out of descriptors is said before anything is measured.
        let mut page = Page::new();
        if let Ok(stat) = process.stat(&mut page)
            && let Err(Unread::Descriptors { path, errno }) = process.threads.sum(count(&stat), &mut page)
        {
            return Err(no_descriptors(path, errno));
        }
        Ok(process)
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
            statm: Source::open_at(directory.as_fd(), Path::new("statm"))?,
            threads: Threads::new(task, &path.join("task"))?,
        };
        if let Err(Absence::Exited) = process.stat(&mut Page::new()) {
            return Err(Errno::SRCH);
        }
        Ok(process)
    }

    /// Its counters now.
    pub(crate) fn sample(&mut self, page: &mut Page) -> ProcessSample {
        let read_ns = record::monotonic_ns();
        let stat = match self.stat(page) {
            Ok(stat) => stat,
            Err(absence) => return self.absent(read_ns, &absence.to_string()),
        };
        let count = count(&stat);
        let (run_ns, run_delay_ns) = match self.threads.sum(count, page) {
            Ok(sum) => (Reading::Seen(sum.run_ns), Reading::Seen(sum.run_delay_ns)),
            Err(unread) => (Reading::absent(unread.to_string()), Reading::absent(unread.to_string())),
        };
        ProcessSample {
            pid: self.pid,
            read_ns,
            user_ticks: Reading::Seen(stat.utime),
            system_ticks: Reading::Seen(stat.stime),
            rss_bytes: self.rss(page),
            run_ns,
            run_delay_ns,
            threads: Reading::Seen(count),
        }
    }

    fn absent(&self, read_ns: u64, reason: &str) -> ProcessSample {
        ProcessSample {
            pid: self.pid,
            read_ns,
            user_ticks: Reading::absent(reason),
            system_ticks: Reading::absent(reason),
            rss_bytes: Reading::absent(reason),
            run_ns: Reading::absent(reason),
            run_delay_ns: Reading::absent(reason),
            threads: Reading::absent(reason),
        }
    }

    fn stat(&self, page: &mut Page) -> std::result::Result<Stat, Absence> {
        let text = self.stat.read_bytes(page).map_err(|errno| match errno {
            Errno::SRCH => Absence::Exited,
            other => Absence::Unread(absence::reason(&self.path.join("stat"), other)),
        })?;
        let stat = Stat::from_read(text).map_err(|e| Absence::Unread(format!("{}/stat: {e}", self.path.display())))?;
        // A zombie still has its files. A main thread that ended before the others is one too, though
        // the process lives on.
        if matches!(stat.state, 'Z' | 'X') && stat.num_threads <= 1 {
            return Err(Absence::Exited);
        }
        Ok(stat)
    }

    fn rss(&self, page: &mut Page) -> Reading<u64> {
        match self.statm.read_bytes(page) {
            Err(Errno::SRCH) => Reading::absent(EXITED),
            Err(errno) => Reading::absent(absence::reason(&self.path.join("statm"), errno)),
            Ok(text) => Reading::from_result(resident_bytes(text)),
        }
    }
}

/// Threads of the process, the main one included.
fn count(stat: &Stat) -> u64 {
    u64::try_from(stat.num_threads).unwrap_or(0)
}

/// Resident memory from the text of a statm file.
pub(crate) fn resident_bytes(text: &[u8]) -> std::result::Result<u64, procfs::ProcError> {
    Ok(StatM::from_read(text)?.resident * rustix::param::page_size() as u64)
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

fn hidepid(mounts: &[mountinfo::Mount]) -> Option<String> {
    let proc = mounts.iter().rev().find(|m| m.filesystem == "proc" && m.point == Path::new("/proc"))?;
    let value = proc.option("hidepid")?;
    (!matches!(value, "0" | "off")).then(|| value.to_owned())
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
    fn resident_memory_is_pages_times_their_size() {
        let page = rustix::param::page_size() as u64;
        assert_eq!(resident_bytes(b"1300 250 180 90 0 400 0\n").unwrap(), 250 * page);
    }
}
