//! Lines on standard error about what should not have happened, bounded so that a storm of them costs nothing.

use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Lines in one second, and lines in a life. A trial has a handful of parts: what is beyond this says nothing new.
const PER_SECOND: u64 = 5;
const IN_ALL: u64 = 500;

/// What one part complains through.
pub(crate) struct Complaints {
    part: String,
    second: AtomicU64,
    in_second: AtomicU64,
    written: AtomicU64,
    suppressed: AtomicU64,
}

impl Complaints {
    pub(crate) fn new(part: &str) -> Self {
        let zero = || AtomicU64::new(0);
        Self { part: part.to_owned(), second: zero(), in_second: zero(), written: zero(), suppressed: zero() }
    }

    /// Writes a line, or counts it when there were too many.
    pub(crate) fn write(&self, line: impl std::fmt::Display) {
        if let Some(line) = self.admit(record::monotonic_ns() / 1_000_000_000, line) {
            // Nobody to tell that standard error is gone.
            let _ = writeln!(std::io::stderr().lock(), "{line}");
        }
    }

    /// The line as it is to be written, if it is. Workers may race here by a line: the bound is for the disk.
    fn admit(&self, second: u64, line: impl std::fmt::Display) -> Option<String> {
        if self.second.swap(second, Relaxed) != second {
            self.in_second.store(0, Relaxed);
        }
        if self.in_second.fetch_add(1, Relaxed) >= PER_SECOND || self.written.load(Relaxed) >= IN_ALL {
            self.suppressed.fetch_add(1, Relaxed);
            return None;
        }
        self.written.fetch_add(1, Relaxed);
        let part = &self.part;
        Some(match self.suppressed.swap(0, Relaxed) {
            0 => format!("{part}: {line}"),
            n => format!("{part}: {line} ({n} lines before this one were left out)"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_is_a_few_lines_and_a_count() {
        let complaints = Complaints::new("s1");
        let admitted = |second| (0..100).filter_map(|i| complaints.admit(second, i)).collect::<Vec<_>>();
        assert_eq!(admitted(7), ["s1: 0", "s1: 1", "s1: 2", "s1: 3", "s1: 4"]);
        assert_eq!(admitted(8)[0], "s1: 0 (95 lines before this one were left out)");
    }

    #[test]
    fn a_life_of_storms_is_bounded() {
        let complaints = Complaints::new("s1");
        let lines = (0..10_000).filter_map(|i| complaints.admit(i, "x")).count();
        assert_eq!(lines, IN_ALL as usize);
    }
}
