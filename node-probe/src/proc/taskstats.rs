//! taskstats: the kernel's account of a whole process in one answer (kernel document accounting/taskstats).
//!
//! /proc/PID/schedstat is the main thread alone, and summing its threads costs a file each; the TGID form of this
//! interface sums over all threads, those that ended included, and is asked for many processes at once. It is spoken
//! over generic netlink (uapi linux/taskstats.h, linux/genetlink.h) and needs CAP_NET_ADMIN.

use std::os::fd::OwnedFd;

use rustix::io::{Errno, retry_on_intr};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with};

/// At most so many are asked for at once: the answers wait in the socket's buffer, some 800 bytes each.
const BATCH: usize = 64;

// linux/netlink.h and linux/genetlink.h
const NLM_F_REQUEST: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
/// struct nlmsghdr, then struct genlmsghdr.
const HEADERS: usize = 16 + 4;
// linux/taskstats.h
const TASKSTATS_CMD_GET: u8 = 1;
const TASKSTATS_CMD_ATTR_TGID: u16 = 2;
const TASKSTATS_TYPE_STATS: u16 = 3;
const TASKSTATS_TYPE_AGGR_TGID: u16 = 5;

/// What the kernel accounts to a process, from the beginning of its struct taskstats, which only ever grows at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Times a thread was put on a CPU.
    pub(crate) timeslices: u64,
    pub(crate) run_delay_ns: u64,
    pub(crate) run_ns: u64,
    /// Stays zero unless delay accounting is switched on.
    pub(crate) block_io_delay_ns: u64,
    /// Of the threads that live.
    pub(crate) voluntary_switches: u64,
    pub(crate) involuntary_switches: u64,
}

impl Totals {
    fn read(stats: &[u8]) -> Option<Self> {
        let at = |offset: usize| Some(u64::from_ne_bytes(*stats.get(offset..)?.first_chunk()?));
        Some(Self {
            timeslices: at(16)?,
            run_delay_ns: at(24)?,
            block_io_delay_ns: at(40)?,
            run_ns: at(72)?,
            voluntary_switches: at(272)?,
            involuntary_switches: at(280)?,
        })
    }
}

/// An open conversation with the kernel.
#[derive(Debug)]
pub(crate) struct Taskstats {
    socket: OwnedFd,
    family: u16,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Taskstats {
    /// Opens it and asks for this process, which shows whether it is permitted.
    ///
    /// # Errors
    /// Whatever the kernel says: EPERM without the capability, ENOENT without CONFIG_TASKSTATS.
    pub(crate) fn open() -> Result<Self, Errno> {
        let socket =
            socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(netlink::GENERIC))?;
        rustix::net::connect(&socket, &netlink::SocketAddrNetlink::new(0, 0))?;
        // The kernel answers before the request returns, so a wait can only mean an answer that never comes.
        let second = std::time::Duration::from_secs(1);
        rustix::net::sockopt::set_socket_timeout(&socket, rustix::net::sockopt::Timeout::Recv, Some(second))?;
        let mut open = Self { socket, family: GENL_ID_CTRL, sequence: 0, buffer: vec![0; 8192] };
        open.family = open.find_family()?;
        open.ask(&[std::process::id()])?.remove(0)?;
        Ok(open)
    }

    fn find_family(&mut self) -> Result<u16, Errno> {
        let mut request = Vec::new();
        self.append(&mut request, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME, b"TASKSTATS\0");
        send(&self.socket, &request, SendFlags::empty())?;
        let answer = self.receive()?;
        let id = attribute(answer.payload?, CTRL_ATTR_FAMILY_ID).ok_or(Errno::NOMSG)?;
        Ok(u16::from_ne_bytes(*id.first_chunk().ok_or(Errno::NOMSG)?))
    }

    /// The accounts of these processes, in their order; ESRCH for one that is not there.
    ///
    /// # Errors
    /// When the conversation itself fails.
    pub(crate) fn ask(&mut self, pids: &[u32]) -> Result<Vec<Result<Totals, Errno>>, Errno> {
        let mut totals = Vec::with_capacity(pids.len());
        for pids in pids.chunks(BATCH) {
            let first = self.sequence.wrapping_add(1);
            let mut request = Vec::with_capacity(pids.len() * (HEADERS + 8));
            for pid in pids {
                self.append(&mut request, TASKSTATS_CMD_GET, TASKSTATS_CMD_ATTR_TGID, &pid.to_ne_bytes());
            }
            send(&self.socket, &request, SendFlags::empty())?;
            for place in 0..pids.len() as u32 {
                totals.push(self.answer(first.wrapping_add(place))?);
            }
        }
        Ok(totals)
    }

    /// The answer with that number. Earlier ones that are still there belong to a conversation that was given up.
    fn answer(&mut self, sequence: u32) -> Result<Result<Totals, Errno>, Errno> {
        loop {
            let answer = self.receive()?;
            if answer.sequence != sequence {
                continue;
            }
            return Ok(answer.payload.and_then(|payload| {
                let process = attribute(payload, TASKSTATS_TYPE_AGGR_TGID).ok_or(Errno::NOMSG)?;
                let stats = attribute(process, TASKSTATS_TYPE_STATS).ok_or(Errno::NOMSG)?;
                Totals::read(stats).ok_or(Errno::NOMSG)
            }));
        }
    }

    /// Adds a message with one attribute.
    fn append(&mut self, request: &mut Vec<u8>, command: u8, attribute: u16, value: &[u8]) {
        self.sequence = self.sequence.wrapping_add(1);
        let length = (HEADERS + 4 + value.len()) as u32;
        request.extend(length.to_ne_bytes());
        request.extend(self.family.to_ne_bytes());
        request.extend(NLM_F_REQUEST.to_ne_bytes());
        request.extend(self.sequence.to_ne_bytes());
        // Our own port: the kernel knows it.
        request.extend(0u32.to_ne_bytes());
        request.extend([command, 1, 0, 0]);
        request.extend((4 + value.len() as u16).to_ne_bytes());
        request.extend(attribute.to_ne_bytes());
        request.extend(value);
        request.resize(request.len().next_multiple_of(4), 0);
    }

    fn receive(&mut self) -> Result<Answer<'_>, Errno> {
        let Self { socket, buffer, .. } = self;
        let (length, _) = retry_on_intr(|| recv(&*socket, buffer.as_mut_slice(), RecvFlags::empty()))?;
        Answer::read(&buffer[..length]).ok_or(Errno::NOMSG)
    }
}

struct Answer<'b> {
    sequence: u32,
    payload: Result<&'b [u8], Errno>,
}

impl<'b> Answer<'b> {
    fn read(message: &'b [u8]) -> Option<Self> {
        let length = u32::from_ne_bytes(*message.first_chunk()?) as usize;
        let message = message.get(..length)?;
        let kind = u16::from_ne_bytes(*message.get(4..)?.first_chunk()?);
        let sequence = u32::from_ne_bytes(*message.get(8..)?.first_chunk()?);
        let payload = if kind == NLMSG_ERROR {
            let code = i32::from_ne_bytes(*message.get(16..)?.first_chunk()?);
            Err(Errno::from_raw_os_error(-code))
        } else {
            Ok(message.get(HEADERS..)?)
        };
        Some(Self { sequence, payload })
    }
}

/// The value of an attribute among those that follow one another in `bytes`.
fn attribute(mut bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16::from_ne_bytes(*bytes.first_chunk()?));
        let kind = u16::from_ne_bytes(*bytes.get(2..)?.first_chunk()?);
        let value = bytes.get(4..length)?;
        if kind == wanted {
            return Some(value);
        }
        bytes = bytes.get(length.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_found_behind_others_and_broken_ones_are_none() {
        // One of 3 bytes with its padding, then one of 4.
        let mut bytes = Vec::new();
        bytes.extend([7, 0, 1, 0, b'a', b'b', b'c', 0]);
        bytes.extend([8, 0, 2, 0, 1, 2, 3, 4]);
        assert_eq!(attribute(&bytes, 1), Some(&b"abc"[..]));
        assert_eq!(attribute(&bytes, 2), Some(&[1, 2, 3, 4][..]));
        assert_eq!(attribute(&bytes, 3), None);
        assert_eq!(attribute(&bytes[..14], 2), None, "cut short");
        assert_eq!(attribute(&[0, 0, 1, 0], 2), None, "a length of zero goes nowhere");
    }

    #[test]
    fn the_answer_for_this_process_grows_with_it_and_one_that_is_not_there_is_said() {
        let mut taskstats = match Taskstats::open() {
            Ok(open) => open,
            Err(errno) => {
                eprintln!("skipped: taskstats cannot be asked ({errno}) (set REQUIRE_ROOT=1 to fail)");
                assert!(std::env::var_os("REQUIRE_ROOT").is_none_or(|v| v != "1"), "REQUIRE_ROOT=1, but {errno}");
                return;
            }
        };
        // No process has the largest number there can be.
        let asked = [std::process::id(), u32::MAX >> 1, std::process::id()];
        let answers = taskstats.ask(&asked).unwrap();
        assert_eq!(answers[1], Err(Errno::SRCH));
        let (first, again) = (answers[0].unwrap(), answers[2].unwrap());
        assert!(first.run_ns > 0 && again.run_ns >= first.run_ns && first.timeslices > 0, "{first:?} {again:?}");
        let many = taskstats.ask(&vec![std::process::id(); 200]).unwrap();
        assert!(many.iter().all(Result::is_ok) && many.len() == 200);
    }
}
