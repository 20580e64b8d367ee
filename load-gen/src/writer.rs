//! The thread beside the load: adds intervals up, appends them to the files, shows them to whoever watches, and
//! gives the memory back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use record::{Histogram, Interval, Phase, Stationarity, TrialDirectory};

use crate::kept::KeptLines;
use crate::slowest::Slowest;

/// Intervals made for each thread before the load begins; more are made only if the writer falls behind.
const POOL: usize = 4;

/// What the load hands on.
enum Message {
    Interval(u32, Box<Interval>),
    /// A window in which nothing happened but that requests fell due; sparing its histograms matters after a long stop.
    Quiet {
        thread: u32,
        phase: Phase,
        start_ns: u64,
        length_ns: u64,
        due: u64,
    },
    Slow(u32, Box<Slowest>),
}

/// The side of one thread of the load.
#[derive(Debug)]
pub struct Outbox {
    thread: u32,
    keep_slow: u32,
    messages: Sender<Message>,
    intervals: Receiver<Box<Interval>>,
    slow: Receiver<Box<Slowest>>,
    /// Intervals made beyond those of the pool, which the writer lets go again.
    extra: Arc<AtomicU32>,
}

/// The writer's side.
#[derive(Debug)]
pub struct Inbox {
    messages: Receiver<Message>,
    /// The way back to each thread.
    back: Vec<Back>,
    /// Used again for windows in which nothing happened.
    // Boxed as those of the threads are, with which they share the books.
    #[allow(clippy::vec_box)]
    spares: Vec<Box<Interval>>,
}

#[derive(Debug)]
struct Back {
    intervals: Sender<Box<Interval>>,
    slow: Sender<Box<Slowest>>,
    extra: Arc<AtomicU32>,
    /// The start of the last window it has handed on.
    upto_ns: u64,
}

/// The sides of so many threads and of the writer, with the memory for the first intervals in place.
pub fn outboxes(threads: u32, keep_slow: u32) -> (Vec<Outbox>, Inbox) {
    let (messages, to_writer) = channel();
    let (mut outs, mut back) = (Vec::new(), Vec::new());
    for thread in 0..threads {
        let (intervals, used_intervals) = channel();
        let (slow, used_slow) = channel();
        for _ in 0..POOL {
            // The receivers are in this very function.
            let _ = intervals.send(empty_interval());
            let _ = slow.send(Box::new(Slowest::new(keep_slow)));
        }
        let messages = messages.clone();
        let extra = Arc::new(AtomicU32::new(0));
        let of_writer = Arc::clone(&extra);
        outs.push(Outbox { thread, keep_slow, messages, intervals: used_intervals, slow: used_slow, extra });
        back.push(Back { intervals, slow, extra: of_writer, upto_ns: 0 });
    }
    (outs, Inbox { messages: to_writer, back, spares: Vec::new() })
}

/// An interval whose memory has been written to, so that the load meets no page fault in it.
fn empty_interval() -> Box<Interval> {
    let mut interval = Box::new(Interval::empty(Phase::Measure, 0, 0));
    interval.clear(0, 0);
    interval
}

impl Outbox {
    pub(crate) fn fresh_interval(&self) -> Box<Interval> {
        self.intervals.try_recv().unwrap_or_else(|_| {
            self.extra.fetch_add(1, Ordering::Relaxed);
            empty_interval()
        })
    }

    /// How many were made beyond the pool and are not let go yet.
    #[cfg(test)]
    pub(crate) fn extra(&self) -> u32 {
        self.extra.load(Ordering::Relaxed)
    }

    pub(crate) fn fresh_slow(&self) -> Box<Slowest> {
        self.slow.try_recv().unwrap_or_else(|_| Box::new(Slowest::new(self.keep_slow)))
    }

    // A writer that is gone has told why, and its error ends the load: there is nothing to do here.
    pub(crate) fn interval(&self, interval: Box<Interval>) {
        let _ = self.messages.send(Message::Interval(self.thread, interval));
    }

    /// A window in which so many requests fell due and nothing else happened.
    pub(crate) fn quiet(&self, phase: Phase, start_ns: u64, length_ns: u64, due: u64) {
        let _ = self.messages.send(Message::Quiet { thread: self.thread, phase, start_ns, length_ns, due });
    }

    pub(crate) fn slow(&self, slow: Box<Slowest>) {
        let _ = self.messages.send(Message::Slow(self.thread, slow));
    }
}

/// Sees each interval of a load when all threads have handed it on, on the writer's thread.
pub type Watch<'a> = Box<dyn FnMut(&Interval) + Send + 'a>;

/// Where intervals go.
pub struct Sink<'a> {
    trial: Option<&'a TrialDirectory>,
    /// Open files in its place.
    kept: Option<KeptLines>,
    /// The measured phase, if it is known beforehand: its thirds are compared.
    measured: Option<(u64, u64)>,
    watch: Option<Watch<'a>>,
}

impl<'a> Sink<'a> {
    /// Into the files of a directory, or nowhere.
    pub fn new(trial: Option<&'a TrialDirectory>) -> Self {
        Self { trial, kept: None, measured: None, watch: None }
    }

    /// Into files that are open, where there are some.
    pub(crate) fn kept(self, kept: Option<KeptLines>) -> Self {
        Self { kept, ..self }
    }

    /// Compares the thirds of the measured phase as well, and shows each interval.
    pub(crate) fn measured(self, from_ns: u64, length_ns: u64, watch: Option<Watch<'a>>) -> Self {
        Self { measured: Some((from_ns, length_ns)), watch, ..self }
    }
}

/// What the writer has made of the intervals so far.
struct Books<'a> {
    files: Option<KeptLines>,
    watch: Option<Watch<'a>>,
    total: Option<Interval>,
    measured: Option<(u64, u64)>,
    /// Response times of the first and of the last third.
    ends: Option<(Histogram, Histogram)>,
    /// Windows that not all threads have handed on yet.
    open: BTreeMap<(u64, Phase), (Box<Interval>, Option<u32>)>,
}

impl Inbox {
    /// Works until the load is over and returns everything of the measured phase added up, with its change over
    /// time. When a file cannot be written, `broken` is set so that the load ends.
    ///
    /// # Errors
    /// When a file cannot be opened or written.
    pub fn run(mut self, sink: Sink<'_>, broken: &AtomicBool) -> record::Result<(Interval, Option<Stationarity>)> {
        let done = self.add_up(sink);
        if done.is_err() {
            broken.store(true, Ordering::Relaxed);
        }
        done
    }

    fn add_up(&mut self, sink: Sink<'_>) -> record::Result<(Interval, Option<Stationarity>)> {
        let Sink { trial, kept, measured, watch } = sink;
        let files = match kept {
            Some(kept) => Some(kept),
            None => trial.map(KeptLines::open).transpose()?,
        };
        let ends = measured.map(|_| (Histogram::new(), Histogram::new()));
        let mut books = Books { files, watch, total: None, measured, ends, open: BTreeMap::new() };
        while let Ok(message) = self.messages.recv() {
            match message {
                Message::Interval(thread, interval) => self.interval(&mut books, thread, interval, Some(thread))?,
                Message::Quiet { thread, phase, start_ns, length_ns, due } => {
                    let mut quiet = self.spares.pop().unwrap_or_else(empty_interval);
                    (quiet.phase, quiet.start_ns, quiet.length_ns, quiet.due) = (phase, start_ns, length_ns, due);
                    self.interval(&mut books, thread, quiet, None)?;
                }
                Message::Slow(thread, mut slow) => {
                    if let Some(files) = &mut books.files {
                        slow.requests().iter().try_for_each(|s| files.slow.append(s))?;
                    }
                    slow.clear();
                    let _ = self.back[thread as usize].slow.send(slow);
                }
            }
        }
        while let Some((_, (interval, _))) = books.open.pop_first() {
            books.take(&interval)?;
        }
        let stationarity = books.stationarity();
        Ok((books.total.unwrap_or_else(|| Interval::empty(Phase::Measure, 0, 0)), stationarity))
    }

    /// Takes a window of a thread; `owner` is the thread whose memory it is, if it is one's.
    fn interval(
        &mut self,
        books: &mut Books<'_>,
        thread: u32,
        interval: Box<Interval>,
        owner: Option<u32>,
    ) -> record::Result<()> {
        let back = &mut self.back[thread as usize];
        back.upto_ns = back.upto_ns.max(interval.start_ns);
        if self.back.len() == 1 {
            books.take(&interval)?;
            self.give_back(owner, interval);
            return Ok(());
        }
        match books.open.get_mut(&(interval.start_ns, interval.phase)) {
            Some((others, _)) => {
                others.add(&interval)?;
                self.give_back(owner, interval);
            }
            None => {
                books.open.insert((interval.start_ns, interval.phase), (interval, owner));
            }
        }
        // A window is whole when every thread has gone past it.
        let upto_ns = self.back.iter().map(|b| b.upto_ns).min().unwrap_or(0);
        while let Some(first) = books.open.first_entry().filter(|first| first.key().0 < upto_ns) {
            let (interval, owner) = first.remove();
            books.take(&interval)?;
            self.give_back(owner, interval);
        }
        Ok(())
    }

    fn give_back(&mut self, owner: Option<u32>, mut interval: Box<Interval>) {
        match owner {
            Some(thread) => {
                let back = &self.back[thread as usize];
                // What was made while the writer was behind is not wanted for the rest of the load: two megabytes each.
                let fewer = |extra: u32| extra.checked_sub(1);
                if back.extra.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer).is_err() {
                    interval.clear(0, 0);
                    // The load may be over already and not want it back.
                    let _ = back.intervals.send(interval);
                }
            }
            None if self.spares.len() < POOL => {
                interval.clear(0, 0);
                self.spares.push(interval);
            }
            None => {}
        }
    }
}

impl Books<'_> {
    fn take(&mut self, interval: &Interval) -> record::Result<()> {
        if interval.phase == Phase::Measure {
            match &mut self.total {
                Some(total) => total.add(interval)?,
                None => self.total = Some(interval.clone()),
            }
            if let (Some((from_ns, length_ns)), Some((first, last))) = (self.measured, &mut self.ends) {
                let at = interval.start_ns.saturating_sub(from_ns);
                if at < length_ns / 3 {
                    first.add(&interval.response)?;
                } else if at >= length_ns / 3 * 2 && at < length_ns {
                    last.add(&interval.response)?;
                }
            }
        }
        if let Some(watch) = &mut self.watch {
            watch(interval);
        }
        self.files.as_mut().map_or(Ok(()), |f| f.intervals.append(interval))
    }

    /// The change over the measured phase, if both ends have enough requests to tell.
    fn stationarity(&self) -> Option<Stationarity> {
        let (first, last) = self.ends.as_ref()?;
        let enough = first.count() >= 100 && last.count() >= 100;
        enough.then(|| Stationarity { first_ns: first.into(), last_ns: last.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_while_the_writer_was_behind_is_let_go_and_the_pool_comes_back() {
        let (mut outs, inbox) = outboxes(1, 2);
        let out = outs.remove(0);
        let mut taken: Vec<_> = (0..POOL + 7).map(|_| out.fresh_interval()).collect();
        assert_eq!(out.extra.load(Ordering::Relaxed), 7);
        for (at, mut interval) in taken.drain(..).enumerate() {
            (interval.due, interval.start_ns) = (1, at as u64);
            out.interval(interval);
        }
        let Outbox { intervals, extra, messages, .. } = out;
        drop(messages);
        let total = inbox.run(Sink::new(None), &AtomicBool::new(false)).unwrap().0;
        assert_eq!((total.due, intervals.try_iter().count()), (POOL as u64 + 7, POOL));
        assert_eq!(extra.load(Ordering::Relaxed), 0);
    }
}
