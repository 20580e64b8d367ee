//! The operations of one thread of an arm, kept whole until it is over: nothing is computed while it runs.

use rustix::io::Errno;

use super::frame::Frame;

/// With so many failed operations an arm is given up: a disk that fails fast would be asked millions of times.
pub(super) const MOST_ERRORS: u64 = 16;

/// What one thread saw.
#[derive(Debug)]
pub(super) struct Recorder {
    pub(super) frame: Frame,
    /// How long each operation took that ended in the measured time, in the order they ended.
    pub(super) gross_ns: Vec<u64>,
    /// Which of them had a run delay, and how long.
    pub(super) waits: Vec<(usize, u64)>,
    /// Operations there were at the end of each window that is over.
    ends: Vec<usize>,
    /// Every wait of the measured time: its window and its length.
    pub(super) delays: Vec<(usize, u64)>,
    /// How long fdatasync took of each operation that has one.
    pub(super) flush_ns: Vec<u64>,
    /// How late each paced operation began.
    pub(super) late_ns: Vec<u64>,
    pub(super) missed: u64,
    pub(super) errors: u64,
    pub(super) first_error: Option<String>,
    pub(super) unfinished: u64,
    pub(super) unfinished_longest_ns: u64,
    /// Why run delay is not known, if so.
    pub(super) no_delay: Option<String>,
}

impl Recorder {
    pub(super) fn new(frame: Frame) -> Self {
        Self {
            frame,
            gross_ns: Vec::new(),
            waits: Vec::new(),
            ends: Vec::new(),
            delays: Vec::new(),
            flush_ns: Vec::new(),
            late_ns: Vec::new(),
            missed: 0,
            errors: 0,
            first_error: None,
            unfinished: 0,
            unfinished_longest_ns: 0,
            no_delay: None,
        }
    }

    /// An operation ended, took so long, and the thread waited so long for a CPU meanwhile; a wait that is longer than
    /// the operation was not in it, but came between two. Says whether it counts.
    pub(super) fn operation(&mut self, ended_ns: u64, gross_ns: u64, wait_ns: u64) -> bool {
        if ended_ns >= self.frame.end_ns {
            self.unfinished(gross_ns);
            return false;
        }
        let Some(window) = self.frame.window(ended_ns) else { return false };
        while self.ends.len() < window {
            self.ends.push(self.gross_ns.len());
        }
        if wait_ns > 0 && wait_ns <= gross_ns {
            self.waits.push((self.gross_ns.len(), wait_ns));
        }
        self.gross_ns.push(gross_ns);
        true
    }

    /// An operation had not ended when the measured time was over.
    pub(super) fn unfinished(&mut self, took_ns: u64) {
        self.unfinished += 1;
        self.unfinished_longest_ns = self.unfinished_longest_ns.max(took_ns);
    }

    /// The thread had waited so long for a CPU, as seen then. Only what lies in the measured time counts: a wait may
    /// begin before it, or end after it.
    pub(super) fn waited(&mut self, at_ns: u64, wait_ns: u64) {
        let begun_ns = at_ns.saturating_sub(wait_ns).max(self.frame.measure_ns);
        let ended_ns = at_ns.min(self.frame.end_ns);
        if let Some(inside_ns) = ended_ns.checked_sub(begun_ns).filter(|ns| *ns > 0)
            && let Some(window) = self.frame.window(ended_ns - 1)
        {
            self.delays.push((window, inside_ns));
        }
    }

    /// An operation failed. Says whether there were too many of them.
    pub(super) fn failed(&mut self, errno: Errno) -> bool {
        self.errors += 1;
        self.first_error.get_or_insert_with(|| std::io::Error::from(errno).to_string());
        self.errors >= MOST_ERRORS
    }

    /// The operations that ended in a window.
    pub(super) fn in_window(&self, window: usize) -> &[u64] {
        let end = |window: usize| self.ends.get(window).copied().unwrap_or(self.gross_ns.len());
        let start = if window == 0 { 0 } else { end(window - 1) };
        &self.gross_ns[start..end(window)]
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::WINDOW_NS;
    use super::*;

    #[test]
    fn each_operation_is_in_the_window_it_ended_in_and_a_stall_is_an_empty_one() {
        let frame = Frame { begin_ns: 0, measure_ns: 1000, end_ns: 1000 + 4 * WINDOW_NS };
        let mut recorder = Recorder::new(frame);
        assert!(!recorder.operation(999, 5, 0), "the ramp does not count");
        for (ended_ns, gross_ns, wait_ns) in [
            (1000, 10, 0),
            (1001, 11, 3),
            (1000 + WINDOW_NS, 12, 0),
            (2 + WINDOW_NS, 12, 13),
            (999 + 4 * WINDOW_NS, 13, 4),
        ] {
            assert!(recorder.operation(ended_ns, gross_ns, wait_ns));
        }
        assert!(!recorder.operation(1000 + 4 * WINDOW_NS, 99, 0));
        let windows: Vec<&[u64]> = (0..4).map(|window| recorder.in_window(window)).collect();
        assert_eq!(windows, [&[10, 11][..], &[12, 12], &[], &[13]]);
        assert_eq!(recorder.waits, [(1, 3), (4, 4)]);
        assert_eq!((recorder.unfinished, recorder.unfinished_longest_ns), (1, 99));
    }

    #[test]
    fn of_a_wait_only_what_lies_in_the_measured_time_counts() {
        let end_ns = 1000 + WINDOW_NS;
        let mut recorder = Recorder::new(Frame { begin_ns: 0, measure_ns: 1000, end_ns });
        for (at_ns, wait_ns) in
            [(999, 1), (1000, 50), (1001, 0), (1010, 300), (2000, 7), (end_ns + 5, 5), (end_ns + 5, 8)]
        {
            recorder.waited(at_ns, wait_ns);
        }
        assert_eq!(recorder.delays, [(0, 10), (0, 7), (0, 3)]);
    }

    #[test]
    fn a_disk_that_fails_is_given_up_after_some_tries() {
        let mut recorder = Recorder::new(Frame::from_now(0, WINDOW_NS));
        assert_eq!((0..MOST_ERRORS).filter(|_| recorder.failed(Errno::IO)).count(), 1);
        assert!(recorder.first_error.unwrap().contains("Input/output error"));
    }
}
