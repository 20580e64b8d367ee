//! The thread beside the load: adds intervals up and appends them to the files, and gives the memory back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use record::{Interval, LineWriter, Phase, SlowRequest, TrialDirectory};

use crate::slowest::Slowest;

/// Intervals made before the load begins; more are made only if the writer falls behind.
const POOL: usize = 4;

/// What the load hands on.
enum Message {
    Interval(Box<Interval>),
    /// A window in which nothing happened; sparing its histograms matters after a long stop.
    Quiet {
        phase: Phase,
        start_ns: u64,
        length_ns: u64,
    },
    Slow(Box<Slowest>),
}

/// The load's side.
#[derive(Debug)]
pub struct Outbox {
    keep_slow: u32,
    messages: Sender<Message>,
    intervals: Receiver<Box<Interval>>,
    slow: Receiver<Box<Slowest>>,
}

/// The writer's side.
#[derive(Debug)]
pub struct Inbox {
    messages: Receiver<Message>,
    intervals: Sender<Box<Interval>>,
    slow: Sender<Box<Slowest>>,
}

/// Both sides, with the memory for the first intervals in place.
pub fn outbox(keep_slow: u32) -> (Outbox, Inbox) {
    let (messages, to_writer) = channel();
    let (intervals, used_intervals) = channel();
    let (slow, used_slow) = channel();
    for _ in 0..POOL {
        // The receivers are in this very function.
        let _ = intervals.send(empty_interval());
        let _ = slow.send(Box::new(Slowest::new(keep_slow)));
    }
    let out = Outbox { keep_slow, messages, intervals: used_intervals, slow: used_slow };
    (out, Inbox { messages: to_writer, intervals, slow })
}

/// An interval whose memory has been written to, so that the load meets no page fault in it.
fn empty_interval() -> Box<Interval> {
    let mut interval = Box::new(Interval::empty(Phase::Measure, 0, 0));
    interval.clear(0, 0);
    interval
}

impl Outbox {
    pub(crate) fn fresh_interval(&self) -> Box<Interval> {
        self.intervals.try_recv().unwrap_or_else(|_| empty_interval())
    }

    pub(crate) fn fresh_slow(&self) -> Box<Slowest> {
        self.slow.try_recv().unwrap_or_else(|_| Box::new(Slowest::new(self.keep_slow)))
    }

    // A writer that is gone has told why, and its error ends the load: there is nothing to do here.
    pub(crate) fn interval(&self, interval: Box<Interval>) {
        let _ = self.messages.send(Message::Interval(interval));
    }

    pub(crate) fn quiet(&self, phase: Phase, start_ns: u64, length_ns: u64) {
        let _ = self.messages.send(Message::Quiet { phase, start_ns, length_ns });
    }

    pub(crate) fn slow(&self, slow: Box<Slowest>) {
        let _ = self.messages.send(Message::Slow(slow));
    }
}

/// The files of a load.
struct Files {
    intervals: LineWriter<Interval>,
    slow: LineWriter<SlowRequest>,
}

impl Inbox {
    /// Works until the load is over and returns everything of the measured phase added up. When a file
    /// cannot be written, `broken` is set so that the load ends.
    ///
    /// # Errors
    /// When a file cannot be opened or written.
    pub fn run(self, trial: Option<&TrialDirectory>, broken: &AtomicBool) -> record::Result<Interval> {
        let done = self.add_up(trial);
        if done.is_err() {
            broken.store(true, Ordering::Relaxed);
        }
        done
    }

    fn add_up(self, trial: Option<&TrialDirectory>) -> record::Result<Interval> {
        let mut files = match trial {
            Some(t) => {
                let (intervals, slow) = (LineWriter::open(&t.intervals_path())?, LineWriter::open(&t.slow_path())?);
                Some(Files { intervals, slow })
            }
            None => None,
        };
        let mut total: Option<Interval> = None;
        let mut quiet_one = Interval::empty(Phase::Measure, 0, 0);
        for message in &self.messages {
            match message {
                Message::Interval(mut interval) => {
                    take(&interval, &mut total, files.as_mut())?;
                    interval.clear(0, 0);
                    // The load may be over already and not want it back.
                    let _ = self.intervals.send(interval);
                }
                Message::Quiet { phase, start_ns, length_ns } => {
                    (quiet_one.phase, quiet_one.start_ns, quiet_one.length_ns) = (phase, start_ns, length_ns);
                    take(&quiet_one, &mut total, files.as_mut())?;
                }
                Message::Slow(mut slow) => {
                    if let Some(files) = &mut files {
                        slow.requests().iter().try_for_each(|s| files.slow.append(s))?;
                    }
                    slow.clear();
                    let _ = self.slow.send(slow);
                }
            }
        }
        Ok(total.unwrap_or(quiet_one))
    }
}

fn take(interval: &Interval, total: &mut Option<Interval>, files: Option<&mut Files>) -> record::Result<()> {
    if interval.phase == Phase::Measure {
        match total {
            Some(total) => total.add(interval)?,
            None => *total = Some(interval.clone()),
        }
    }
    files.map_or(Ok(()), |f| f.intervals.append(interval))
}
