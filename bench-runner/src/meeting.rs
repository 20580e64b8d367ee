//! Where the two trials of a duet wait for one another, so that their loads begin at the same moment.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::interrupt::{Interrupt, Stopped};

/// How often it is looked whether the other one has come.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// How long the other one is waited for: it may have to start more processes, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A meeting of two.
#[derive(Debug, Default)]
pub(crate) struct Meeting {
    come: AtomicUsize,
    called_off: AtomicBool,
}

impl Meeting {
    /// Comes, and waits for the other one; `each` is called while waiting.
    ///
    /// # Errors
    /// When it was called off, when the user wants to stop, and what `each` says.
    pub(crate) fn wait(
        &self,
        interrupt: &Interrupt,
        mut each: impl FnMut() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.come.fetch_add(1, Ordering::AcqRel);
        let deadline = Instant::now() + PATIENCE;
        while self.come.load(Ordering::Acquire) < 2 {
            if interrupt.asked() {
                return Err(Stopped.into());
            }
            anyhow::ensure!(!self.called_off.load(Ordering::Acquire), OtherFailed);
            anyhow::ensure!(
                Instant::now() < deadline,
                "the other trial of the duet was not ready within {} s",
                PATIENCE.as_secs()
            );
            each()?;
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// One that cannot come says so, and the other waits no longer.
    pub(crate) fn call_off(&self) {
        self.called_off.store(true, Ordering::Release);
    }
}

/// The other trial failed before both could begin; its own error tells why.
#[derive(Debug, thiserror::Error)]
#[error("the other trial of the duet failed before both could begin")]
pub(crate) struct OtherFailed;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_go_on_when_both_have_come() {
        let (meeting, interrupt) = (Meeting::default(), Interrupt::listen().unwrap());
        std::thread::scope(|threads| {
            let one = threads.spawn(|| meeting.wait(&interrupt, || Ok(())));
            let other = threads.spawn(|| meeting.wait(&interrupt, || Ok(())));
            one.join().unwrap().unwrap();
            other.join().unwrap().unwrap();
        });
    }

    #[test]
    fn who_waits_for_one_that_cannot_come_is_told() {
        let (meeting, interrupt) = (Meeting::default(), Interrupt::listen().unwrap());
        std::thread::scope(|threads| {
            let one = threads.spawn(|| meeting.wait(&interrupt, || Ok(())));
            meeting.call_off();
            let error = one.join().unwrap().unwrap_err();
            assert!(error.is::<OtherFailed>(), "{error:#}");
        });
        let died = meeting_of_one(&interrupt).unwrap_err();
        assert_eq!(died.to_string(), "a part died");
    }

    fn meeting_of_one(interrupt: &Interrupt) -> anyhow::Result<()> {
        Meeting::default().wait(interrupt, || anyhow::bail!("a part died"))
    }
}
