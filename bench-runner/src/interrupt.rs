//! Ctrl-C and SIGTERM as a flag that the runner looks at between two steps.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;

/// Whether the user wants to stop.
#[derive(Clone)]
pub(crate) struct Interrupt {
    asked: Arc<AtomicBool>,
}

/// The user stopped the run: not a failure, but not a result either.
#[derive(Debug, thiserror::Error)]
#[error("stopped by the user")]
pub(crate) struct Stopped;

impl Interrupt {
    /// Listens for SIGINT, SIGTERM and SIGHUP. A second SIGINT ends the program at once; the warden then cleans up.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
            // First registered, first run: the second time the flag is already set and the program ends.
            signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&asked))
                .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&asked)))
                .context("cannot listen for signals")?;
        }
        Ok(Self { asked })
    }

    /// Whether it was asked for.
    pub(crate) fn asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// The flag itself, for what looks at it on its own.
    pub(crate) fn flag(&self) -> &AtomicBool {
        &self.asked
    }

    /// Sleeps in short steps, so that a Ctrl-C is heard within 20 ms, and calls `each` at every step.
    pub(crate) fn sleep(&self, length: Duration, mut each: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<()> {
        let end = Instant::now() + length;
        loop {
            if self.asked() {
                return Err(Stopped.into());
            }
            each()?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(Duration::from_millis(20)));
        }
    }
}
