//! Waiting for the next due time to well under a millisecond, while answers are still read at once.

use std::num::NonZeroU64;

use record::{Pace, monotonic_ns};
use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, epoll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::thread::clock_nanosleep_relative;

use crate::Result;
use crate::error::kernel;

/// How long before a due time the hybrid pace begins to spin, until it has seen how late this machine wakes.
const FIRST_WINDOW_NS: u64 = 60_000;
const SHORTEST_WINDOW_NS: u64 = 5_000;
/// Whoever wakes later than this is not helped by spinning: the machine is busy, and more spinning adds to it.
const LONGEST_WINDOW_NS: u64 = 250_000;

/// The kernel lets a wait of `t` be late by `t/1000` (`select_estimate_accuracy` in fs/select.c), so a long
/// one is made in two: most of it first, then the rest.
const LONG_WAIT_NS: u64 = 16_000_000;

const NO_TIME: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// Waits on one epoll.
#[derive(Debug)]
pub(crate) struct Pacer {
    pace: Pace,
    window_ns: u64,
    /// The economy pace acts at the ends of windows of this length.
    batch_ns: u64,
}

/// The end of a wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Woken {
    /// Now.
    pub(crate) now_ns: u64,
    /// Up to here an answer would have been noticed when it came. Between then and now the generator was
    /// late or stopped.
    pub(crate) attentive_until_ns: u64,
}

impl Pacer {
    /// For the thread that calls it, whose timers it makes exact.
    pub(crate) fn new(pace: Pace, batch_ns: u64) -> Result<Self> {
        // The default slack of 50 us is most of what there is to gain here.
        rustix::thread::set_current_timer_slack(NonZeroU64::new(1)).map_err(kernel("make timers exact"))?;
        Ok(Self { pace, window_ns: FIRST_WINDOW_NS, batch_ns: batch_ns.max(1) })
    }

    /// Waits until something is ready or the time has come. `exact`: something is to be done at that very
    /// time; otherwise there is no use in spinning for it.
    pub(crate) fn wait(
        &mut self,
        epoll: &OwnedFd,
        ready: &mut Vec<epoll::Event>,
        until_ns: u64,
        exact: bool,
    ) -> Result<Woken> {
        if !exact && self.pace != Pace::Precise {
            return wait_roughly(epoll, ready, until_ns);
        }
        let window_ns = match self.pace {
            Pace::Precise => u64::MAX,
            Pace::Hybrid => self.window_ns,
            Pace::Economy => 0,
        };
        let until_ns = match self.pace {
            // The end of the window in which it falls: what is due until then goes out together, late by less than a
            // window and never early.
            Pace::Economy => until_ns.div_ceil(self.batch_ns).saturating_mul(self.batch_ns),
            _ => until_ns,
        };
        let mut looked_ns = monotonic_ns();
        loop {
            let left_ns = until_ns.saturating_sub(looked_ns);
            if left_ns > window_ns {
                let slept_from_ns = looked_ns;
                let sleep_ns = bite(left_ns - window_ns);
                let found = sleep(epoll, sleep_ns)?;
                looked_ns = monotonic_ns();
                let target_ns = slept_from_ns + sleep_ns;
                match found {
                    Found::Nothing if window_ns > 0 => self.fit(looked_ns.saturating_sub(target_ns)),
                    Found::Nothing => {}
                    // A signal may be the end of a stop, in which answers have come that nothing else tells of.
                    Found::Something | Found::Signal => {
                        collect(epoll, ready)?;
                        return Ok(Woken { now_ns: looked_ns, attentive_until_ns: target_ns.min(looked_ns) });
                    }
                }
            } else {
                collect(epoll, ready)?;
                let now_ns = monotonic_ns();
                if !ready.is_empty() || now_ns >= until_ns {
                    return Ok(Woken { now_ns, attentive_until_ns: looked_ns });
                }
                looked_ns = now_ns;
                std::hint::spin_loop();
            }
        }
    }

    /// Sleeps for so long, whatever is ready meanwhile; a signal ends it.
    pub(crate) fn sleep(&self, ns: u64) {
        let _ = clock_nanosleep_relative(rustix::thread::ClockId::Monotonic, &timespec(ns));
    }

    /// Moves the window towards the 95th percentile of how late this machine wakes: up by as much on one
    /// wake-up in twenty as down on the nineteen others.
    fn fit(&mut self, late_ns: u64) {
        let step = (self.window_ns / 400).max(1);
        let fitted = if late_ns > self.window_ns { self.window_ns + 19 * step } else { self.window_ns - step };
        self.window_ns = fitted.clamp(SHORTEST_WINDOW_NS, LONGEST_WINDOW_NS);
    }
}

/// Waits where nothing is to be done at the very end: a millisecond late is soon enough, and one call does it.
fn wait_roughly(epoll: &OwnedFd, ready: &mut Vec<epoll::Event>, until_ns: u64) -> Result<Woken> {
    ready.clear();
    let before_ns = monotonic_ns();
    let left_ns = until_ns.saturating_sub(before_ns);
    let timeout = timespec(left_ns);
    match epoll::wait(epoll, spare_capacity(ready), Some(&timeout)) {
        Ok(_) => {}
        // It may be the end of a stop, in which answers have come that nothing else tells of.
        Err(Errno::INTR) => collect(epoll, ready)?,
        Err(e) => return Err(kernel("wait for answers")(e)),
    }
    let now_ns = monotonic_ns();
    // An answer ends the wait at once; whoever comes back later than the end was kept from coming back.
    Ok(Woken { now_ns, attentive_until_ns: until_ns.max(before_ns).min(now_ns) })
}

fn timespec(ns: u64) -> Timespec {
    Timespec { tv_sec: (ns / 1_000_000_000) as i64, tv_nsec: (ns % 1_000_000_000) as _ }
}

/// The part of a wait that is slept at once.
fn bite(wait_ns: u64) -> u64 {
    if wait_ns > LONG_WAIT_NS { wait_ns - wait_ns / 64 } else { wait_ns }
}

enum Found {
    Nothing,
    Something,
    Signal,
}

/// Sleeps until the epoll has something. By ppoll, whose timeout is in nanoseconds on every kernel:
/// epoll_wait counts in milliseconds, and epoll_pwait2 is not there before Linux 5.11.
fn sleep(epoll: &OwnedFd, ns: u64) -> Result<Found> {
    match rustix::event::poll(&mut [PollFd::new(epoll, PollFlags::IN)], Some(&timespec(ns))) {
        Ok(0) => Ok(Found::Nothing),
        Ok(_) => Ok(Found::Something),
        // The caller looks at its flags and comes back.
        Err(Errno::INTR) => Ok(Found::Signal),
        Err(e) => Err(kernel("wait for answers")(e)),
    }
}

/// What is ready now.
pub(crate) fn collect(epoll: &OwnedFd, ready: &mut Vec<epoll::Event>) -> Result<()> {
    ready.clear();
    match epoll::wait(epoll, spare_capacity(ready), Some(&NO_TIME)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(e) => Err(kernel("look for answers")(e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pacer(pace: Pace) -> (Pacer, OwnedFd, Vec<epoll::Event>) {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
        (Pacer::new(pace, 1_000_000).unwrap(), epoll, Vec::with_capacity(8))
    }

    #[test]
    fn no_pace_returns_early_or_empty_handed() {
        for pace in Pace::ALL {
            let (mut p, epoll, mut ready) = pacer(*pace);
            for wait_ns in [0, 1_000, 300_000, 20_000_000] {
                let until = monotonic_ns() + wait_ns;
                let woken = p.wait(&epoll, &mut ready, until, true).unwrap();
                assert!(woken.now_ns >= until && ready.is_empty(), "{pace} {wait_ns}");
            }
        }
    }

    #[test]
    fn the_window_is_fitted_to_this_machine_and_stays_between_its_limits() {
        let (mut p, epoll, mut ready) = pacer(Pace::Hybrid);
        let mut windows = vec![p.window_ns];
        for _ in 0..200 {
            let until = monotonic_ns() + 1_000_000;
            let woken = p.wait(&epoll, &mut ready, until, true).unwrap();
            assert!(woken.now_ns >= until && woken.attentive_until_ns <= woken.now_ns, "{woken:?} {until}");
            windows.push(p.window_ns);
        }
        assert!(windows.iter().all(|w| (SHORTEST_WINDOW_NS..=LONGEST_WINDOW_NS).contains(w)), "{windows:?}");
        assert!(windows.iter().any(|w| *w != FIRST_WINDOW_NS), "{windows:?}");
    }

    #[test]
    fn what_is_ready_ends_the_wait_at_once() {
        for pace in Pace::ALL {
            let (mut p, epoll, mut ready) = pacer(*pace);
            let (reader, writer) = rustix::pipe::pipe().unwrap();
            epoll::add(&epoll, &reader, epoll::EventData::new_u64(7), epoll::EventFlags::IN).unwrap();
            rustix::io::write(&writer, b"x").unwrap();
            let until = monotonic_ns() + 60_000_000_000;
            let woken = p.wait(&epoll, &mut ready, until, true).unwrap();
            assert!(woken.now_ns < until && ready.len() == 1 && { ready[0].data }.u64() == 7, "{pace}");
        }
    }

    #[test]
    fn the_window_goes_to_where_a_twentieth_of_the_wake_ups_are_later() {
        let (mut p, ..) = pacer(Pace::Hybrid);
        let mut x = 1u64;
        // Lateness spread evenly over 0 to 200 us: the 95th percentile is 190 us.
        for _ in 0..20_000 {
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            p.fit((x >> 33) % 200_000);
        }
        assert!((170_000..=210_000).contains(&p.window_ns), "{}", p.window_ns);
        (0..20_000).for_each(|_| p.fit(0));
        assert_eq!(p.window_ns, SHORTEST_WINDOW_NS);
        (0..20_000).for_each(|_| p.fit(u64::MAX));
        assert_eq!(p.window_ns, LONGEST_WINDOW_NS);
    }

    #[test]
    fn long_waits_are_taken_in_bites_that_end() {
        let (mut left, mut bites) = (3_600_000_000_000u64, 0);
        while left > 0 {
            left -= bite(left);
            bites += 1;
        }
        assert!(bites < 6, "{bites}");
        assert_eq!(bite(LONG_WAIT_NS), LONG_WAIT_NS);
    }
}
