//! Asking proxies for their counters every so often, as Prometheus does, since that costs them CPU.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use record::{Event, monotonic_ns};

use crate::event_log::EventLog;
use crate::proxy::Stand;
use crate::{Error, Result};

/// How long an answer may take; a proxy under a small limit is slow at it.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is asked.
#[derive(Clone, Debug)]
pub struct Target {
    pub(crate) part: String,
    pub(crate) stand: Stand,
    pub(crate) admin: SocketAddr,
    pub(crate) path: String,
}

impl Target {
    /// A part that is asked from here, as from anywhere: "s1-sidecar", its address, "/stats/prometheus".
    pub fn new(part: String, address: SocketAddr, path: String) -> Self {
        Self { part, stand: Stand::Loopback, admin: address, path }
    }
}

/// A thread that asks. Dropped, it ends after the question it is at.
#[derive(Debug)]
pub struct Scraper {
    stop: Sender<()>,
    thread: JoinHandle<EventLog>,
}

impl Scraper {
    /// Asks every target in turn, at once and then every `interval`; what it does is kept in a file in `folder` meanwhile.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start(targets: Vec<Target>, interval: Duration, folder: &Path) -> Result<Self> {
        let (stop, stopped) = channel();
        let mut events = EventLog::new(folder, "scrapes.part");
        let ask = move || {
            let mut next = Instant::now();
            loop {
                targets.iter().filter_map(scrape).for_each(|event| events.push(event));
                next += interval;
                match stopped.recv_timeout(next.saturating_duration_since(Instant::now())) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => return events,
                }
            }
        };
        let thread = std::thread::Builder::new().name("scraper".into()).spawn(ask).map_err(|source| Error::Thread {
            part: "scraper".into(),
            what: "cannot start the thread that asks for counters".into(),
            source,
        })?;
        Ok(Self { stop, thread })
    }

    /// Ends it; returns what it did.
    ///
    /// # Errors
    /// When that could not be kept.
    pub fn finish(self) -> Result<Vec<Event>> {
        // Gone already is stopped too.
        let _ = self.stop.send(());
        self.thread.join().map_or_else(|_| Ok(Vec::new()), EventLog::taken)
    }
}

/// One question; none for one without an answer, which leaves a gap in the list as it does in Prometheus.
fn scrape(target: &Target) -> Option<Event> {
    let asked = monotonic_ns();
    let answer = target.stand.get(target.admin, &target.path, PATIENCE).ok().filter(|answer| answer.status == 200)?;
    let at_ns = monotonic_ns();
    let bytes = answer.body.len() as u64;
    Some(Event::StatsScraped { at_ns, part: target.part.clone(), took_ns: at_ns - asked, bytes })
}
