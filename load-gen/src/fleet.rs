//! All connections of a load: opened, written to, read from, closed and opened again.

use std::net::SocketAddr;

use record::{Outcome, monotonic_ns};
use rustix::event::epoll;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{RecvFlags, sockopt};

use crate::connection::{Connection, Request, begin_connect, unmark, write};
use crate::error::kernel;
use crate::plan::{Plan, ns};
use crate::protocol::h1::{self, Progress, Reader};
use crate::roster::{Place, Roster};
use crate::{Error, Result};

/// How long a connection rests after it could not be opened.
const REST_NS: u64 = 100_000_000;

/// Connections being opened at the same time at the start: more would overrun a short listen queue, and
/// every one that did would cost a second.
const OPENING: u32 = 64;

/// Bytes read at once.
const READ: usize = 64 << 10;

/// Reads of one connection before the others have their turn.
const READS: usize = 16;

/// Something that happened to a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    /// When it was noticed.
    pub(crate) at_ns: u64,
    /// Which connection.
    pub(crate) slot: u32,
    /// The request that ended with it, and how.
    pub(crate) ended: Option<(Request, Outcome)>,
}

/// All connections of a load.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) epoll: OwnedFd,
    address: SocketAddr,
    connections: Vec<Connection>,
    pub(crate) roster: Roster,
    bytes: Vec<u8>,
    buffer: Vec<u8>,
    connect_timeout_ns: u64,
    request_timeout_ns: u64,
    /// Why the last attempt to connect failed.
    refusal: Errno,
}

impl Fleet {
    /// Opens every connection to the first of the addresses that lets itself be connected to.
    pub(crate) fn open(plan: &Plan, addresses: &[SocketAddr], bytes: &[u8]) -> Result<Self> {
        let mut refused = None;
        for address in addresses {
            let mut fleet = Self::new(plan, *address, bytes)?;
            match fleet.open_all() {
                Ok(()) => return Ok(fleet),
                Err(e) => refused = Some(e),
            }
        }
        Err(refused.unwrap_or_else(|| kernel("find an address")(Errno::ADDRNOTAVAIL)))
    }

    fn new(plan: &Plan, address: SocketAddr, bytes: &[u8]) -> Result<Self> {
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC).map_err(kernel("make an epoll"))?,
            address,
            connections: (0..plan.connections).map(|_| Connection::new(Reader::new(plan.method))).collect(),
            roster: Roster::new(plan.connections),
            bytes: bytes.to_vec(),
            buffer: vec![0; READ],
            connect_timeout_ns: ns(plan.connect_timeout),
            request_timeout_ns: ns(plan.request_timeout),
            refusal: Errno::CONNREFUSED,
        })
    }

    /// Opens all connections, or says why the first that fails does.
    fn open_all(&mut self) -> Result<()> {
        let all = self.connections.len() as u32;
        let mut ready = Vec::with_capacity(OPENING as usize);
        let a_while = rustix::event::Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
        // Those that are closed again before the last is open go round once more, but not for ever.
        let give_up_ns = monotonic_ns() + self.connect_timeout_ns.saturating_mul(2 + u64::from(all / OPENING));
        let mut begun = 0;
        while self.roster.count(Place::Free) < all {
            while begun < all && self.roster.count(Place::Connecting) < OPENING {
                self.connect(begun, monotonic_ns());
                if self.roster.place(begun) == Place::Resting {
                    return Err(self.unreachable(self.refusal));
                }
                begun += 1;
            }
            ready.clear();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut ready), Some(&a_while)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(e) => return Err(kernel("wait for connections")(e)),
            }
            for event in &ready {
                self.handle({ event.data }.u64());
            }
            let now_ns = monotonic_ns();
            self.expire(now_ns);
            if now_ns > give_up_ns {
                return Err(self.unreachable(Errno::TIMEDOUT));
            }
            // With others open, one that failed may come round again once all are begun; with none there is no hope.
            let hopeless = begun == all || self.roster.count(Place::Free) == 0;
            if hopeless && self.roster.count(Place::Resting) > 0 {
                return Err(self.unreachable(self.refusal));
            }
        }
        Ok(())
    }

    fn unreachable(&self, why: Errno) -> Error {
        Error::Connect { address: self.address, said: why.into() }
    }

    /// Whether no connection is open or on the way to be.
    #[inline]
    pub(crate) fn hopeless(&self) -> bool {
        self.roster.count(Place::Resting) as usize == self.connections.len()
    }

    /// The hop stamps of the response read last on a connection.
    #[inline]
    pub(crate) fn hops(&self, slot: u32) -> &[u8] {
        self.connections[slot as usize].reader.hops()
    }

    /// Writes a request to a free connection. False: the connection turned out to be closed, and nothing
    /// was written; it is being opened again.
    #[inline]
    pub(crate) fn send(&mut self, slot: u32, request: Request) -> bool {
        let connection = &mut self.connections[slot as usize];
        let written = match &connection.socket {
            Some(socket) => write(socket, &self.bytes),
            None => Err(Errno::NOTCONN),
        };
        let Ok(written) = written else {
            self.reopen(slot, request.sent_ns, false);
            return false;
        };
        connection.reader.begin();
        connection.request = Some(request);
        connection.unwritten = self.bytes.len() - written;
        let unwritten = connection.unwritten > 0;
        self.roster.move_to(slot, Place::Busy, request.sent_ns);
        if unwritten {
            self.watch(slot, epoll::EventFlags::IN | epoll::EventFlags::OUT);
        }
        true
    }

    /// Handles one event; what it changed, if it did.
    #[inline]
    pub(crate) fn handle(&mut self, mark: u64) -> Option<Change> {
        let (slot, generation) = unmark(mark);
        if self.connections.get(slot as usize)?.generation != generation {
            return None; // of a socket that is closed already
        }
        match self.roster.place(slot) {
            Place::Busy => self.progress(slot),
            Place::Free => {
                // Nothing was asked, so it is the end of the connection, or words before it.
                let at_ns = monotonic_ns();
                self.reopen(slot, at_ns, false);
                Some(Change { at_ns, slot, ended: None })
            }
            Place::Connecting => Some(self.connected(slot)),
            Place::Resting => None,
        }
    }

    /// What has run out of time by now, one at a time.
    #[inline]
    pub(crate) fn expire(&mut self, now_ns: u64) -> Option<Change> {
        let due = |entry: Option<(u32, u64)>, allowed_ns: u64| {
            entry.filter(|(_, since)| now_ns >= since.saturating_add(allowed_ns)).map(|(slot, _)| slot)
        };
        if let Some(slot) = due(self.roster.first(Place::Busy), self.request_timeout_ns) {
            return Some(self.lose(slot, now_ns, Outcome::TimedOut));
        }
        if let Some(slot) = due(self.roster.first(Place::Connecting), self.connect_timeout_ns) {
            self.rest(slot, now_ns, Errno::TIMEDOUT);
            return Some(Change { at_ns: now_ns, slot, ended: None });
        }
        if let Some(slot) = due(self.roster.first(Place::Resting), REST_NS) {
            self.connect(slot, now_ns);
            return Some(Change { at_ns: now_ns, slot, ended: None });
        }
        None
    }

    /// When the next thing runs out of time; never, if nothing can.
    #[inline]
    pub(crate) fn expires_ns(&self) -> u64 {
        let ends = |place, allowed: u64| self.roster.first(place).map_or(u64::MAX, |(_, s)| s.saturating_add(allowed));
        ends(Place::Busy, self.request_timeout_ns)
            .min(ends(Place::Connecting, self.connect_timeout_ns))
            .min(ends(Place::Resting, REST_NS))
    }

    /// Ends a request that is on the way, and its connection with it.
    pub(crate) fn cut(&mut self) -> Option<Request> {
        let (slot, _) = self.roster.first(Place::Busy)?;
        let connection = &mut self.connections[slot as usize];
        connection.socket = None;
        connection.generation = connection.generation.wrapping_add(1);
        self.roster.move_to(slot, Place::Resting, monotonic_ns());
        self.connections[slot as usize].request.take()
    }

    /// Writes the rest of a request and reads what has come of its response.
    fn progress(&mut self, slot: u32) -> Option<Change> {
        let connection = &mut self.connections[slot as usize];
        if connection.unwritten > 0 {
            let rest = self.bytes.len() - connection.unwritten;
            match connection.socket.as_ref().map(|s| write(s, &self.bytes[rest..])) {
                Some(Ok(written)) => connection.unwritten -= written,
                _ => return Some(self.lose(slot, monotonic_ns(), Outcome::Reset)),
            }
            if self.connections[slot as usize].unwritten == 0 {
                self.watch(slot, epoll::EventFlags::IN);
            }
        }
        for _ in 0..READS {
            let connection = &mut self.connections[slot as usize];
            let Some(socket) = &connection.socket else { return None };
            let read = rustix::net::recv(socket, &mut self.buffer[..], RecvFlags::empty()).map(|(n, _)| n);
            match read {
                Ok(0) => {
                    let whole = connection.reader.ends_with_close();
                    let at_ns = monotonic_ns();
                    return Some(if whole { self.answer(slot, false) } else { self.lose(slot, at_ns, Outcome::Reset) });
                }
                Ok(n) => match connection.reader.feed(&self.buffer[..n]) {
                    Ok(Progress::Whole { used }) => {
                        // More than was asked for: whatever it is, it would be taken for the next answer.
                        let clean = used == n && connection.unwritten == 0 && connection.reader.keep_alive();
                        return Some(self.answer(slot, clean));
                    }
                    Ok(Progress::More) if n < READ => return None,
                    Ok(Progress::More) => {}
                    Err(_) => return Some(self.lose(slot, monotonic_ns(), Outcome::Reset)),
                },
                Err(Errno::AGAIN) => return None,
                Err(Errno::INTR) => {}
                Err(_) => return Some(self.lose(slot, monotonic_ns(), Outcome::Reset)),
            }
        }
        None
    }

    /// The response is whole.
    #[inline]
    fn answer(&mut self, slot: u32, keep: bool) -> Change {
        let at_ns = monotonic_ns();
        let connection = &mut self.connections[slot as usize];
        connection.answered = true;
        let outcome = Outcome::Answered(connection.reader.status());
        let ended = connection.request.take().map(|request| (request, outcome));
        if keep {
            self.roster.move_to(slot, Place::Free, at_ns);
        } else {
            self.reopen(slot, at_ns, false);
        }
        Change { at_ns, slot, ended }
    }

    /// The request has failed, and the connection is of no use any more.
    fn lose(&mut self, slot: u32, at_ns: u64, outcome: Outcome) -> Change {
        let connection = &mut self.connections[slot as usize];
        // The stamps of half a response are not those of this request's end.
        connection.reader.begin();
        let ended = connection.request.take().map(|request| (request, outcome));
        // A timeout has waited long enough to try again at once.
        self.reopen(slot, at_ns, outcome == Outcome::TimedOut);
        Change { at_ns, slot, ended }
    }

    /// Opens a connection again: at once where the last one was of use, after a rest where it was not, so
    /// that a target that accepts and closes is not asked without pause.
    fn reopen(&mut self, slot: u32, at_ns: u64, at_once: bool) {
        if at_once || self.connections[slot as usize].answered {
            self.connect(slot, at_ns);
        } else {
            self.rest(slot, at_ns, Errno::CONNRESET);
        }
    }

    fn rest(&mut self, slot: u32, at_ns: u64, why: Errno) {
        let connection = &mut self.connections[slot as usize];
        connection.socket = None;
        connection.generation = connection.generation.wrapping_add(1);
        self.refusal = why;
        self.roster.move_to(slot, Place::Resting, at_ns);
    }

    fn connect(&mut self, slot: u32, at_ns: u64) {
        let connection = &mut self.connections[slot as usize];
        connection.generation = connection.generation.wrapping_add(1);
        connection.answered = false;
        // Closed before the next is opened: a full table of files must not stand in the way.
        connection.socket = None;
        let opened = begin_connect(self.address).and_then(|(socket, done)| {
            let flags = if done { epoll::EventFlags::IN } else { epoll::EventFlags::OUT };
            epoll::add(&self.epoll, &socket, epoll::EventData::new_u64(connection.mark(slot)), flags)?;
            Ok((socket, done))
        });
        match opened {
            Ok((socket, done)) => {
                connection.socket = Some(socket);
                self.roster.move_to(slot, if done { Place::Free } else { Place::Connecting }, at_ns);
            }
            Err(e) => self.rest(slot, at_ns, e),
        }
    }

    /// A connection has come about, or has not.
    fn connected(&mut self, slot: u32) -> Change {
        let at_ns = monotonic_ns();
        let socket = self.connections[slot as usize].socket.as_ref();
        let state = socket.map_or(Ok(Err(Errno::NOTCONN)), sockopt::socket_error);
        match state.and_then(|s| s) {
            Ok(()) => {
                self.roster.move_to(slot, Place::Free, at_ns);
                self.watch(slot, epoll::EventFlags::IN);
            }
            Err(e) => self.rest(slot, at_ns, e),
        }
        Change { at_ns, slot, ended: None }
    }

    /// Changes what a connection is watched for; one that cannot be watched any more is closed by its
    /// timeout.
    fn watch(&self, slot: u32, flags: epoll::EventFlags) {
        let connection = &self.connections[slot as usize];
        if let Some(socket) = &connection.socket {
            let _ = epoll::modify(&self.epoll, socket, epoll::EventData::new_u64(connection.mark(slot)), flags);
        }
    }
}

/// The bytes of a plan's request.
pub(crate) fn request_bytes(plan: &Plan, path: &str, authority: &str) -> Result<Vec<u8>> {
    let host = plan.host.as_deref().unwrap_or(authority);
    if host.is_empty() || host.bytes().any(|b| b <= b' ' || b == 0x7f) {
        let remedy = "it must be a host name, with a port or without";
        return Err(Error::Plan { what: "the host header", found: format!("{host:?}"), remedy });
    }
    Ok(h1::request(plan.method, path, host))
}
