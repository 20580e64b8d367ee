//! Sleeping for a time that is exact to the kernel's own timers: tokio's are rounded up to whole milliseconds.

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;

use rustix::io::{Errno, read};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::unix::AsyncFd;

/// The timers of one worker: those that nobody sleeps by are kept.
#[derive(Default)]
pub(super) struct Timers(RefCell<Vec<AsyncFd<OwnedFd>>>);

impl Timers {
    /// Sleeps; never shorter.
    ///
    /// # Errors
    /// When the kernel has no timer for us, as when too many files are open.
    pub(super) async fn sleep(&self, length_ns: u64) -> io::Result<()> {
        if length_ns == 0 {
            return Ok(());
        }
        // Not in the match's own expression, where the pool would stay borrowed.
        let kept = self.0.borrow_mut().pop();
        let timer = kept.map_or_else(timer, Ok)?;
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let end = Timespec { tv_sec: (length_ns / 1_000_000_000) as i64, tv_nsec: (length_ns % 1_000_000_000) as i64 };
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &Itimerspec { it_interval: zero, it_value: end })?;
        loop {
            let mut ready = timer.readable().await?;
            match read(&timer, &mut [0_u8; 8]) {
                Ok(_) => break,
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(error) => return Err(error.into()),
            }
        }
        self.0.borrow_mut().push(timer);
        Ok(())
    }
}

/// What deprecates `new` is that a descriptor might be closed under it, which none that is owned can be; what is to take
/// its place is unsafe.
#[allow(deprecated)]
fn timer() -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn sleeps_are_never_short_and_timers_are_used_again() {
        let runtime = crate::workers::runtime().unwrap();
        let timers = Timers::default();
        runtime.block_on(async {
            for length_ns in [0, 1, 50_000, 3_000_000, 50_000, 20_000_000] {
                let start = Instant::now();
                timers.sleep(length_ns).await.unwrap();
                assert!(start.elapsed().as_nanos() >= u128::from(length_ns), "{length_ns}");
            }
            assert_eq!(timers.0.borrow().len(), 1);
            let (a, b) = tokio::join!(timers.sleep(40_000_000), timers.sleep(40_000_000));
            a.and(b).unwrap();
            // Both at once: the second found the first one's timer taken.
            assert_eq!(timers.0.borrow().len(), 2);
        });
    }
}
