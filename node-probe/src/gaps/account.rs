//! A thread's own counters, read by itself: what it ran, what it waited, and what its cgroup was throttled.

use std::path::Path;

use procfs::FromRead;
use procfs::process::Schedstat;
use record::Reading;
use rustix::io::Errno;
use rustix::time::{ClockId, clock_gettime};

use super::attribute::Growth;
use super::quota::Quota;
use crate::source::{Page, Source};
use crate::{Error, Result, absence};

/// The counters at one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) wall_ns: u64,
    pub(super) cpu_ns: u64,
    pub(super) run_delay_ns: u64,
    pub(super) throttled_ns: u64,
}

impl Account {
    /// What they grew by since `before`.
    pub(super) fn since(&self, before: &Self) -> Growth {
        Growth {
            wall_ns: self.wall_ns.saturating_sub(before.wall_ns),
            cpu_ns: self.cpu_ns.saturating_sub(before.cpu_ns),
            run_delay_ns: self.run_delay_ns.saturating_sub(before.run_delay_ns),
            throttled_ns: self.throttled_ns.saturating_sub(before.throttled_ns),
        }
    }
}

/// Reads the counters of the thread that opened it.
#[derive(Debug)]
pub(super) struct Accounts {
    page: Page,
    schedstat: Source,
    quota: Quota,
    run_delay_ns: u64,
}

impl Accounts {
    /// Opens them for the calling thread.
    ///
    /// # Errors
    /// When this kernel does not count run delay: no gap could be attributed then.
    pub(super) fn open() -> Result<Self> {
        let path = Path::new("/proc/thread-self/schedstat");
        let refuse = |reason: String| Error::Gaps { reason };
        let mut page = Page::new();
        let schedstat = Source::open(path).map_err(|errno| refuse(absence::reason(path, errno)))?;
        let run_delay_ns = run_delay(&schedstat, &mut page).map_err(|errno| refuse(absence::reason(path, errno)))?;
        let quota = Quota::open(Path::new("/"), &mut page);
        Ok(Self { page, schedstat, quota, run_delay_ns })
    }

    /// The counters now.
    pub(super) fn read(&mut self) -> Account {
        // It was read at the start, so this can hardly fail; then the last figure stands.
        if let Ok(ns) = run_delay(&self.schedstat, &mut self.page) {
            self.run_delay_ns = ns;
        }
        let throttled_ns = self.quota.throttled_ns(&mut self.page);
        // These two stand next to one another, because their difference is used.
        Account {
            cpu_ns: thread_cpu_ns(),
            wall_ns: record::monotonic_ns(),
            run_delay_ns: self.run_delay_ns,
            throttled_ns,
        }
    }

    /// The cgroups whose throttled time is read.
    pub(super) fn quota_watched(&self) -> &Reading<Vec<String>> {
        self.quota.watched()
    }
}

/// Schedstat's second field, in nanoseconds (Documentation/scheduler/sched-stats.rst).
fn run_delay(source: &Source, page: &mut Page) -> std::result::Result<u64, Errno> {
    let text = source.read_bytes(page)?;
    Schedstat::from_read(text).map(|schedstat| schedstat.run_delay).map_err(|_| Errno::PROTO)
}

/// CPU time of the calling thread, to the nanosecond.
pub(super) fn thread_cpu_ns() -> u64 {
    let t = clock_gettime(ClockId::ThreadCPUTime);
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}
