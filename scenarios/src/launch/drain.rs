//! A thread that reads what a child says and drops it, and knows how much that was.

use std::io::Read as _;
use std::process::ChildStdout;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Error, Result};

/// As much as a pipe holds, so that one question empties it.
const CHUNK: usize = 64 << 10;

/// The reader. It ends when the last writer is gone, and nobody waits for it.
#[derive(Debug)]
pub(super) struct Drain {
    bytes: Arc<AtomicU64>,
}

impl Drain {
    pub(super) fn start(part: &str, mut stdout: ChildStdout) -> Result<Self> {
        let bytes = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&bytes);
        let read = move || {
            let mut chunk = vec![0; CHUNK];
            loop {
                match stdout.read(&mut chunk) {
                    Ok(0) => return,
                    Ok(n) => counted.fetch_add(n as u64, Ordering::Relaxed),
                    Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                    Err(_) => return,
                };
            }
        };
        let started = std::thread::Builder::new().name("drain".into()).spawn(read);
        started.map_err(|source| Error::Thread {
            part: part.to_owned(),
            what: "cannot start the thread that reads its stdout".into(),
            source,
        })?;
        Ok(Self { bytes })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}
