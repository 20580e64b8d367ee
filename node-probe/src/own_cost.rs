//! What the probe itself uses: its CPU time by the clock of the process, and its memory.

use std::path::Path;

use record::OwnCost;
use rustix::time::{ClockId, clock_gettime};

use crate::proc::process::resident_bytes;
use crate::source::{Page, Source};
use crate::tiers::MEDIUM_NS;
use crate::{Error, Result};

/// The probe's own account.
#[derive(Debug)]
pub(crate) struct Own {
    statm: Source,
    rss_bytes: u64,
    missed_rounds: u64,
}

impl Own {
    /// Always of the running kernel, whatever tree is watched: it is this process that costs.
    ///
    /// # Errors
    /// When its memory cannot be read.
    pub(crate) fn open() -> Result<Self> {
        let path = Path::new("/proc/self/statm");
        let error = |source| Error::OwnCost { path: path.to_owned(), source };
        let statm = Source::open(path).map_err(|errno| error(errno.into()))?;
        let mut page = Page::new();
        let text = statm.read_bytes(&mut page).map_err(|errno| error(errno.into()))?;
        let rss_bytes = resident_bytes(text).map_err(|e| error(std::io::Error::other(e.to_string())))?;
        Ok(Self { statm, rss_bytes, missed_rounds: 0 })
    }

    /// Counts rounds that were not made.
    pub(crate) fn miss(&mut self, rounds: u64) {
        self.missed_rounds += rounds;
    }

    /// The account now, in a round that began so late; its memory is looked at in slow rounds.
    pub(crate) fn sample(&mut self, late_ns: u64, slow: bool, page: &mut Page) -> OwnCost {
        // It was read at the start, so this can hardly fail; then the last figure stands.
        if slow
            && let Ok(text) = self.statm.read_bytes(page)
            && let Ok(bytes) = resident_bytes(text)
        {
            self.rss_bytes = bytes;
        }
        OwnCost {
            cpu_ns: cpu_ns(),
            late_ns,
            missed_rounds: self.missed_rounds,
            rss_bytes: self.rss_bytes,
            pressure_every_ns: MEDIUM_NS,
        }
    }
}

/// CPU time of all threads of this process since it started.
fn cpu_ns() -> u64 {
    let t = clock_gettime(ClockId::ProcessCPUTime);
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}
