//! Watching an agent through a run: that it is there, and what its clock shows.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use record::{ClockExchange, LineWriter, monotonic_ns, realtime_ns};
use reports::clocks::{Bounded, HostClock};

use super::book::{Book, Entry};
use super::link::{HostLost, Link};
use crate::agent::words::{Ask, Tell};

/// Not heard of for so long, a host is lost.
pub(crate) const LOST_AFTER: Duration = Duration::from_secs(5);

/// Exchanges at first, and then in each round: the one with the least delay of each round is kept.
const AT_FIRST: usize = 24;
const EACH_ROUND: usize = 5;

/// From one round to the next.
const ROUND: Duration = Duration::from_secs(1);

/// From this on the first exchanges are enough that there are: over a slow link they would hold up the start.
const AT_FIRST_FOR: Duration = Duration::from_secs(3);

/// How long an exchange may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// The same at first: nobody asks again, and a machine that stood still for a moment ends no run.
const PATIENCE_AT_FIRST: Duration = Duration::from_secs(10);

/// Which start of this host it is.
fn own_boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// What is known of an agent's clock, and whether it is there.
#[derive(Default)]
struct Known {
    exchanges: Vec<ClockExchange>,
    heard: Option<Instant>,
    last_error: Option<String>,
    /// Where exchanges are appended, once there is a run directory.
    writer: Option<LineWriter<ClockExchange>>,
}

/// The watch over one host; dropping it ends it.
pub(crate) struct Watch {
    host: String,
    known: Arc<Mutex<Known>>,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread of a watch needs.
struct Watcher {
    book: Arc<Book>,
    host: String,
    entry: Entry,
    session: String,
    known: Arc<Mutex<Known>>,
    ending: Arc<AtomicBool>,
}

impl Watch {
    /// Begins with a connection that stands; the first exchanges have been made when it returns.
    ///
    /// # Errors
    /// [`HostLost`].
    pub(crate) fn begin(book: &Arc<Book>, host: &str, entry: &Entry, session: &str) -> anyhow::Result<Self> {
        let known = Arc::new(Mutex::new(Known::default()));
        let ending = Arc::new(AtomicBool::new(false));
        let watcher = Watcher {
            book: Arc::clone(book),
            host: host.to_owned(),
            entry: entry.clone(),
            session: session.to_owned(),
            known: Arc::clone(&known),
            ending: Arc::clone(&ending),
        };
        let (mut link, boot) = watcher.connect(PATIENCE_AT_FIRST)?;
        watcher.round(&mut link, &boot, AT_FIRST, true)?;
        let thread = std::thread::spawn(move || watcher.run(link, boot));
        Ok(Self { host: host.to_owned(), known, ending, thread: Some(thread) })
    }

    /// Has all exchanges written to a file, those so far at once.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write_to(&self, path: PathBuf) -> anyhow::Result<()> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut writer = LineWriter::open(&path)?;
        known.exchanges.iter().try_for_each(|e| writer.append(e))?;
        known.writer = Some(writer);
        Ok(())
    }

    /// The host is there.
    ///
    /// # Errors
    /// [`HostLost`] where it was not heard of for [`LOST_AFTER`].
    pub(crate) fn expect(&self) -> Result<(), HostLost> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match known.heard {
            Some(at) if at.elapsed() <= LOST_AFTER => Ok(()),
            _ => {
                let last = known.last_error.clone().unwrap_or_else(|| "it says nothing".to_owned());
                let what = format!("not heard of for {} s ({last})", LOST_AFTER.as_secs());
                Err(HostLost { host: self.host.clone(), what })
            }
        }
    }

    /// How far its clock is ahead of ours now.
    ///
    /// # Errors
    /// Where that is not known.
    pub(crate) fn ahead_ns(&self, at_ns: u64) -> anyhow::Result<Bounded> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let clocks = HostClock::of(&known.exchanges);
        clocks
            .last()
            .and_then(|clock| clock.ahead_ns(at_ns))
            .ok_or_else(|| anyhow::anyhow!("the clock of {} is not known: it jumped, or does not answer", self.host))
    }

    /// How long a question and its answer take on their way, as far as the last rounds tell: the longest.
    pub(crate) fn delay(&self) -> Duration {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let last = known.exchanges.iter().rev().take(EACH_ROUND).map(ClockExchange::delay_ns);
        Duration::from_nanos(last.max().unwrap_or(0))
    }

    /// Which start of the host is the last one known.
    pub(crate) fn boot(&self) -> String {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let boot = known.exchanges.last().and_then(|e| Some(e.boot.split_once('/')?.0.to_owned()));
        boot.unwrap_or_default()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Watcher {
    fn connect(&self, patience: Duration) -> anyhow::Result<(Link, String)> {
        let mut link = Link::connect(&self.book, &self.host, &self.entry)?;
        match link.call(&Ask::Hello, patience)? {
            // A run that is resumed may have a runner that was started anew, whose clock is another.
            Tell::Hello { boot, .. } => Ok((link, format!("{boot}/{}", own_boot()))),
            other => anyhow::bail!("{} answered a greeting with {other:?}", self.host),
        }
    }

    fn run(&self, link: Link, boot: String) {
        let mut link = Some((link, boot));
        while !self.ending.load(Ordering::Acquire) {
            std::thread::sleep(ROUND / 4);
            let done = match &mut link {
                Some((link, boot)) => self.round(link, boot, EACH_ROUND, false),
                None => self.connect(PATIENCE).map(|new| link = Some(new)),
            };
            if let Err(error) = done {
                // A new connection is tried for; whether the host is lost is said by when it was heard of.
                link = None;
                let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                known.last_error = Some(error.to_string().lines().next().unwrap_or_default().to_owned());
            }
            self.rest();
        }
    }

    fn rest(&self) {
        let until = Instant::now() + ROUND * 3 / 4;
        while Instant::now() < until && !self.ending.load(Ordering::Acquire) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// So many exchanges: all of them are kept at first, and later the one with the least delay.
    fn round(&self, link: &mut Link, boot: &str, count: usize, first: bool) -> anyhow::Result<()> {
        let patience = if first { PATIENCE_AT_FIRST } else { PATIENCE };
        let mut made = Vec::new();
        let begun = Instant::now();
        while made.len() < count && (made.len() < EACH_ROUND || begun.elapsed() < AT_FIRST_FOR) {
            made.push(self.exchange(link, boot, patience)?);
            // Each of them, since a round over a slow link takes longer than a host may be silent.
            self.known.lock().unwrap_or_else(PoisonError::into_inner).heard = Some(Instant::now());
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !first {
            made.sort_by_key(ClockExchange::delay_ns);
            made.truncate(1);
        }
        for exchange in made {
            if let Some(writer) = &mut known.writer {
                writer.append(&exchange)?;
            }
            known.exchanges.push(exchange);
        }
        Ok(())
    }

    fn exchange(&self, link: &mut Link, boot: &str, patience: Duration) -> anyhow::Result<ClockExchange> {
        let asked_ns = monotonic_ns();
        let told = link.call(&Ask::Clock { session: Some(self.session.clone()) }, patience)?;
        let heard_ns = monotonic_ns();
        let Tell::Clock { received_ns, answered_ns, realtime_ns: agent_realtime_ns } = told else {
            anyhow::bail!("{} answered with {told:?} what its clock shows", self.host);
        };
        Ok(ClockExchange {
            host: self.host.clone(),
            boot: boot.to_owned(),
            asked_ns,
            received_ns,
            answered_ns,
            heard_ns,
            agent_realtime_ns,
            runner_realtime_ns: realtime_ns(),
        })
    }
}
