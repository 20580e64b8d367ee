//! One connection: a socket, the request on it and the reader of its response.

use std::net::SocketAddr;

use record::Phase;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, sockopt};

use crate::protocol::h1::Reader;

/// A request on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    /// Its number in the schedule, from 0.
    pub(crate) index: u64,
    /// The phase in which it was due.
    pub(crate) phase: Phase,
    /// When it was due, by arithmetic.
    pub(crate) intended_ns: u64,
    /// What the clock of starvation showed then.
    pub(crate) starved_ns: u64,
    /// When it was written; 0 before.
    pub(crate) sent_ns: u64,
}

/// One connection of the generator.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) socket: Option<OwnedFd>,
    /// How often the slot was opened: events of an earlier socket are told from those of this one by it.
    pub(crate) generation: u32,
    pub(crate) reader: Reader,
    pub(crate) request: Option<Request>,
    /// Bytes of the request the kernel has not taken yet.
    pub(crate) unwritten: usize,
    /// Whether this socket has answered at all.
    pub(crate) answered: bool,
}

impl Connection {
    pub(crate) fn new(reader: Reader) -> Self {
        Self { socket: None, generation: 0, reader, request: None, unwritten: 0, answered: false }
    }

    /// What epoll hands back with an event of this socket.
    pub(crate) fn mark(&self, slot: u32) -> u64 {
        u64::from(self.generation) << 32 | u64::from(slot)
    }
}

/// The slot and the generation in what epoll handed back.
#[inline]
pub(crate) fn unmark(mark: u64) -> (u32, u32) {
    (mark as u32, (mark >> 32) as u32)
}

/// Begins to connect; whether it is connected already.
pub(crate) fn begin_connect(address: SocketAddr) -> Result<(OwnedFd, bool), Errno> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    // Without it the kernel may hold a request back until the last answer is acknowledged.
    sockopt::set_tcp_nodelay(&socket, true)?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) => Ok((socket, true)),
        // An interrupted connect goes on in the background as well.
        Err(Errno::INPROGRESS | Errno::INTR) => Ok((socket, false)),
        Err(e) => Err(e),
    }
}

/// Writes as much as the kernel takes now.
pub(crate) fn write(socket: &OwnedFd, bytes: &[u8]) -> Result<usize, Errno> {
    loop {
        // No SIGPIPE: a closed connection is an outcome.
        match rustix::net::send(socket, bytes, SendFlags::NOSIGNAL) {
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Ok(0),
            done => return done,
        }
    }
}
