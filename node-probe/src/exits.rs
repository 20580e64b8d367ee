//! Which of the watched processes have ended, from one look at all of them.
//!
//! A process number may be given to another process; a pidfd (Linux 5.3) stays with the one it was opened for, and can
//! be waited for.

use std::os::fd::OwnedFd;

use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::time::Timespec;

/// Watched processes by their places.
#[derive(Debug)]
pub(crate) struct Exits {
    epoll: OwnedFd,
    /// By place; none once the process has ended.
    processes: Vec<Option<OwnedFd>>,
}

impl Exits {
    /// Watches for the ends of these. One that is gone already has ended.
    ///
    /// # Errors
    /// Whatever the kernel says: ENOSYS where it has no pidfd, EMFILE when descriptors are used up.
    pub(crate) fn of(pids: &[u32]) -> Result<Self, Errno> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut processes = Vec::with_capacity(pids.len());
        for (place, pid) in pids.iter().enumerate() {
            let pid = i32::try_from(*pid).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
            let process = match pidfd_open(pid, PidfdFlags::empty()) {
                Ok(process) => Some(process),
                Err(Errno::SRCH) => None,
                Err(errno) => return Err(errno),
            };
            if let Some(process) = &process {
                epoll::add(&epoll, process, epoll::EventData::new_u64(place as u64), epoll::EventFlags::IN)?;
            }
            processes.push(process);
        }
        Ok(Self { epoll, processes })
    }

    /// Looks which have ended since.
    ///
    /// # Errors
    /// Whatever the kernel says.
    pub(crate) fn look(&mut self) -> Result<(), Errno> {
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut events = Vec::with_capacity(16);
        loop {
            events.clear();
            epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&at_once))?;
            if events.is_empty() {
                return Ok(());
            }
            for event in &events {
                // Closing it takes it out of the epoll as well.
                if let Some(ended) = self.processes.get_mut(event.data.u64() as usize) {
                    *ended = None;
                }
            }
        }
    }

    /// Whether the process at that place has ended.
    pub(crate) fn has_ended(&self, place: usize) -> bool {
        self.processes.get(place).is_none_or(Option::is_none)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_one_that_ended_has_ended_and_the_other_has_not() {
        let mut children = [(); 2].map(|()| Command::new("sleep").arg("60").spawn().unwrap());
        let pids = [children[0].id(), children[1].id(), u32::MAX >> 1];
        let mut exits = Exits::of(&pids).unwrap();
        exits.look().unwrap();
        assert_eq!([0, 1, 2].map(|place| exits.has_ended(place)), [false, false, true]);
        children[1].kill().unwrap();
        let look = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
        let pid = Pid::from_raw(i32::try_from(pids[1]).unwrap()).unwrap();
        rustix::process::waitid(rustix::process::WaitId::Pid(pid), look).unwrap();
        exits.look().unwrap();
        assert_eq!([0, 1].map(|place| exits.has_ended(place)), [false, true], "a zombie has ended");
        children.iter_mut().for_each(|child| {
            let _ = child.kill();
            child.wait().unwrap();
        });
    }
}
