//! Waiting with a deadline: ready means it answered.

use std::time::{Duration, Instant};

use crate::launch::{LINES_SHOWN, Launched};
use crate::{Error, Result};

/// How often a thing that cannot wake us is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A moment after which one no longer waits.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    start: Instant,
    length: Duration,
}

impl Deadline {
    /// A deadline so long after now.
    pub fn after(length: Duration) -> Self {
        Self { start: Instant::now(), length }
    }

    /// What is left, zero when it is over.
    pub fn left(&self) -> Duration {
        self.length.saturating_sub(self.start.elapsed())
    }

    /// The error that a part did not do in time what was waited for.
    pub fn missed(&self, part: &Launched, waited_for: &str) -> Error {
        Error::NotReady {
            part: part.name().to_owned(),
            waited_for: waited_for.to_owned(),
            seconds: self.start.elapsed().as_secs_f64(),
            log: part.log_tail(LINES_SHOWN),
        }
    }
}

/// Looks until `look` finds something.
///
/// # Errors
/// [`Error::Died`] when the part ends meanwhile, [`Error::NotReady`] at the deadline, and what `look` makes of an
/// answer that no waiting will better.
pub fn until<T>(
    part: &Launched,
    waited_for: &str,
    deadline: &Deadline,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        part.expect_alive(&format!("waiting for {waited_for}"))?;
        if deadline.left().is_zero() {
            return Err(deadline.missed(part, waited_for));
        }
        std::thread::sleep(LOOK_EVERY.min(deadline.left()));
    }
}
