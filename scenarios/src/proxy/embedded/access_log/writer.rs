//! The thread that writes lines out.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;

use crate::complaints::Complaints;
use crate::error::file_error;
use crate::proxy::embedded::config::LogConfig;
use crate::{Error, Result};

/// What was written out.
#[derive(Debug, Default)]
pub(in crate::proxy::embedded) struct Written {
    pub(in crate::proxy::embedded) bytes: AtomicU64,
    pub(in crate::proxy::embedded) writes: AtomicU64,
}

/// The thread. It ends when nobody is left who has something to say.
pub(in crate::proxy::embedded) struct Writer {
    part: String,
    thread: JoinHandle<()>,
}

impl Writer {
    /// Opens where lines go, before anything is served that would have some to say.
    ///
    /// # Errors
    /// A file that cannot be opened for adding to.
    pub(in crate::proxy::embedded) fn open(config: &LogConfig) -> Result<Option<File>> {
        let open = |path| {
            let opened = File::options().create(true).append(true).open(path);
            opened.map_err(file_error("open the access log", path))
        };
        config.file.as_deref().map(open).transpose()
    }

    /// Writes what comes.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(in crate::proxy::embedded) fn start(
        part: &str,
        mut to: Box<dyn Write + Send>,
        lines: Receiver<Vec<u8>>,
        written: Arc<Written>,
        complaints: Arc<Complaints>,
    ) -> Result<Self> {
        let write = move || {
            for some in lines {
                match to.write_all(&some).and_then(|()| to.flush()) {
                    Ok(()) => {
                        written.bytes.fetch_add(some.len() as u64, Relaxed);
                        written.writes.fetch_add(1, Relaxed);
                    }
                    Err(error) => complaints.write(format_args!("cannot write the access log: {error}")),
                }
            }
        };
        let thread = std::thread::Builder::new().name("access-log".into()).spawn(write).map_err(|source| {
            Error::Thread { part: part.to_owned(), what: "cannot start the thread of the access log".into(), source }
        })?;
        Ok(Self { part: part.to_owned(), thread })
    }

    /// Waits until everything is out; to be called when nobody is left who has something to say.
    ///
    /// # Errors
    /// When it had ended by itself.
    pub(in crate::proxy::embedded) fn end(self) -> Result<()> {
        self.thread.join().map_err(|_| Error::Thread {
            part: self.part,
            what: "the thread of the access log ended".into(),
            source: std::io::Error::other("it panicked; the message is above"),
        })
    }
}
