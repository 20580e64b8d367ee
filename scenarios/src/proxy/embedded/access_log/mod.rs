//! The access log: a line for each request when its response is through, buffered by each worker for itself and
//! written out by a thread of its own, as Envoy does it: a worker never waits for a disk.

mod date;
mod line;
mod note;
mod writer;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::Sender;
use std::time::Duration;

use record::AccessLog;

pub(super) use self::note::Note;
pub(super) use self::writer::{Writer, Written};
use super::config::LogConfig;
use super::gauges::Gauges;

/// What one worker has to say.
pub(super) struct Ledger {
    form: AccessLog,
    /// Lines that are not yet on their way out.
    buffer: RefCell<Vec<u8>>,
    /// How many bytes of them are too many.
    most: usize,
    date: date::Clock,
    out: Sender<Vec<u8>>,
    gauges: Arc<Gauges>,
}

impl Ledger {
    /// Makes one whose lines go out when they are too many, and every so often. To be called on the worker's thread.
    pub(super) fn open(config: &LogConfig, out: Sender<Vec<u8>>, gauges: Arc<Gauges>) -> Rc<Self> {
        let ledger = Rc::new(Self {
            form: config.form,
            buffer: RefCell::default(),
            most: config.flush_kb as usize * 1024,
            date: date::Clock::default(),
            out,
            gauges,
        });
        let (held, every) = (Rc::downgrade(&ledger), Duration::from_nanos(config.flush_ns));
        tokio::task::spawn_local(async move {
            loop {
                tokio::time::sleep(every).await;
                let Some(ledger) = held.upgrade() else { return };
                ledger.flush();
            }
        });
        ledger
    }

    fn enter(&self, note: &Note) {
        let mut buffer = self.buffer.borrow_mut();
        let before = buffer.len();
        let date = self.date.show(note.began_ns());
        match self.form {
            AccessLog::Json => line::json(&mut buffer, note, &date),
            AccessLog::Text | AccessLog::Off => line::text(&mut buffer, note, &date),
        }
        self.gauges.log_lines.fetch_add(1, Relaxed);
        self.gauges.log_bytes.fetch_add((buffer.len() - before) as u64, Relaxed);
        let full = buffer.len() >= self.most;
        drop(buffer);
        if full {
            self.flush();
        }
    }

    fn flush(&self) {
        let mut buffer = self.buffer.borrow_mut();
        if !buffer.is_empty() {
            let next = Vec::with_capacity(buffer.len());
            // Nobody takes it when the sidecar ends, or could not write before.
            let _ = self.out.send(std::mem::replace(&mut buffer, next));
        }
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.flush();
    }
}
