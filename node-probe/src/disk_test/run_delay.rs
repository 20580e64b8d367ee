//! The time that the calling thread was runnable and waited for a CPU: the second figure of its schedstat, in
//! nanoseconds (kernel document sched-stats). The kernel credits a wait when it ends.

use std::path::Path;

use record::Reading;

use crate::source::{Page, Source};
use crate::{Result, absence};

const PATH: &str = "/proc/thread-self/schedstat";

/// Reading costs about 1 us, so it is not done more often than this: a wait in an operation that was shorter is found
/// with one of the next, and a longer one always with the operation it was in.
const SHORTEST_LOOK_NS: u64 = 50_000;

/// The run delay of the thread that opened it.
#[derive(Debug)]
pub(super) struct RunDelay {
    source: Reading<Source>,
    page: Page,
    total_ns: u64,
    looked_ns: u64,
}

impl RunDelay {
    /// Begins to count for the calling thread.
    ///
    /// # Errors
    /// When descriptors are used up.
    pub(super) fn of_this_thread() -> Result<Self> {
        let source = Source::open_or_absent(Path::new(PATH), absence::reason)?;
        let mut delay = Self { source, page: Page::new(), total_ns: 0, looked_ns: 0 };
        delay.look(record::monotonic_ns());
        Ok(delay)
    }

    /// What was waited since the last look; 0 also if that was a moment ago, and the wait is then found later.
    pub(super) fn since(&mut self, now_ns: u64) -> u64 {
        if now_ns.saturating_sub(self.looked_ns) < SHORTEST_LOOK_NS { 0 } else { self.look(now_ns) }
    }

    /// As [`Self::since`], however short ago the last look was.
    pub(super) fn look(&mut self, now_ns: u64) -> u64 {
        self.looked_ns = now_ns;
        let Reading::Seen(source) = &self.source else { return 0 };
        let read = source.read(&mut self.page).map_err(|errno| absence::reason(Path::new(PATH), errno)).and_then(parse);
        match read {
            Ok(total_ns) => {
                let since = total_ns.saturating_sub(self.total_ns);
                self.total_ns = total_ns;
                since
            }
            Err(reason) => {
                self.source = Reading::absent(reason);
                0
            }
        }
    }

    /// Why nothing is known, if so.
    pub(super) fn reason(&self) -> Option<&str> {
        self.source.reason()
    }
}

/// The second of the three figures; a thread that runs has had a time slice, unless nobody counts them.
fn parse(text: &str) -> std::result::Result<u64, String> {
    let fields: Vec<u64> = text.split_ascii_whitespace().filter_map(|f| f.parse().ok()).collect();
    match fields[..] {
        [_, _, 0] => Err("this kernel does not count run delay (it needs CONFIG_SCHED_INFO)".to_owned()),
        [_, delay_ns, _] => Ok(delay_ns),
        _ => Err(format!("{PATH} is not as it should be")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_figure_is_taken_and_a_kernel_that_does_not_count_says_so() {
        assert_eq!(parse("113344 5566 12\n"), Ok(5566));
        assert!(parse("0 0 0\n").unwrap_err().contains("CONFIG_SCHED_INFO"));
        assert!(parse("1 2\n").unwrap_err().contains("not as it should be"));
    }

    #[test]
    fn a_moment_after_a_look_there_is_no_other() {
        let mut delay = RunDelay::of_this_thread().unwrap();
        assert_eq!(delay.reason(), None);
        let looked = delay.looked_ns;
        assert_eq!((delay.since(looked + 49_999), delay.looked_ns), (0, looked));
        delay.since(looked + 50_000);
        assert_eq!(delay.looked_ns, looked + 50_000);
    }
}
