//! One connection: its transport, what speaks on it, and what has not been written yet.

use record::Phase;

use crate::protocol::{Kept, h1, h2};
use crate::transport::{Broken, Transport};

/// A request on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    /// Its number in the schedule, from 0.
    pub(crate) index: u64,
    /// Its kind in the mix.
    pub(crate) entry: u32,
    /// The phase in which it was due.
    pub(crate) phase: Phase,
    /// When it was due, by arithmetic.
    pub(crate) intended_ns: u64,
    /// What the clock of starvation showed then.
    pub(crate) starved_ns: u64,
    /// When it was written, or its connection begun to be opened for it; 0 before.
    pub(crate) sent_ns: u64,
    /// When the first byte of its response came; 0 before.
    pub(crate) first_byte_ns: u64,
}

/// What speaks on a connection.
#[derive(Debug)]
pub(crate) enum Wire {
    H1(h1::Reader),
    H2(Box<h2::Session>),
}

/// The headers kept of a response.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Values<'a> {
    H1(&'a Kept),
    H2(&'a h2::Session, u32),
}

impl<'a> Values<'a> {
    /// The value at a place among the names; empty if it did not come.
    #[inline]
    pub(crate) fn value(self, name: usize) -> &'a [u8] {
        match self {
            Self::H1(kept) => kept.value(name),
            Self::H2(session, place) => session.value(place, name),
        }
    }
}

impl Wire {
    /// The headers kept of the response read last in a place.
    #[inline]
    pub(crate) fn kept(&self, place: u32) -> Values<'_> {
        match self {
            Self::H1(reader) => Values::H1(reader.kept()),
            Self::H2(session) => Values::H2(session, place),
        }
    }
}

/// One connection of the generator.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Where it goes.
    pub(crate) endpoint: u32,
    pub(crate) transport: Option<Transport>,
    /// How often it was opened: events of an earlier socket are told from those of this one by it.
    pub(crate) generation: u32,
    pub(crate) wire: Wire,
    /// Bytes to be written, of which so many are.
    pub(crate) out: Vec<u8>,
    written: usize,
    /// Whether it stands in the list of those to be flushed.
    pub(crate) dirty: bool,
    /// Whether what opens a session has been said on this socket.
    pub(crate) greeting: bool,
    /// Whether the kernel tells us when it takes more.
    pub(crate) watching_out: bool,
    /// Whether this socket has answered at all.
    pub(crate) useful: bool,
    /// Answers over all its sockets.
    pub(crate) answered: u64,
    /// When it was begun to be opened, and when TCP's handshake was over (0 before).
    pub(crate) begun_ns: u64,
    pub(crate) reached_ns: u64,
}

impl Connection {
    pub(crate) fn new(endpoint: u32, wire: Wire) -> Self {
        Self {
            endpoint,
            transport: None,
            generation: 0,
            wire,
            out: Vec::new(),
            written: 0,
            dirty: false,
            greeting: false,
            watching_out: false,
            useful: false,
            answered: 0,
            begun_ns: 0,
            reached_ns: 0,
        }
    }

    /// What epoll hands back with an event of this socket.
    pub(crate) fn mark(&self, link: u32) -> u64 {
        u64::from(self.generation) << 32 | u64::from(link)
    }

    /// Closes it; events that are still to come for its socket are none of ours any more.
    pub(crate) fn close(&mut self) {
        self.transport = None;
        self.generation = self.generation.wrapping_add(1);
        self.out.clear();
        self.written = 0;
        self.watching_out = false;
        self.greeting = false;
    }

    /// Writes bytes after those that wait already.
    #[inline]
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        let Some(transport) = &mut self.transport else { return Err(rustix::io::Errno::NOTCONN.into()) };
        let taken = if self.written == self.out.len() { transport.write(bytes)? } else { 0 };
        if taken < bytes.len() {
            self.out.extend_from_slice(&bytes[taken..]);
        }
        Ok(())
    }

    /// Writes what waits, as much as is taken.
    pub(crate) fn flush(&mut self) -> Result<(), Broken> {
        let Some(transport) = &mut self.transport else { return Err(rustix::io::Errno::NOTCONN.into()) };
        if !transport.flush()? {
            return Ok(());
        }
        if self.written < self.out.len() {
            self.written += transport.write(&self.out[self.written..])?;
        }
        if self.written == self.out.len() {
            self.out.clear();
            self.written = 0;
        }
        Ok(())
    }

    /// Whether something waits to be written.
    #[inline]
    pub(crate) fn holds_back(&self) -> bool {
        self.written < self.out.len() || self.transport.as_ref().is_some_and(Transport::holds_back)
    }
}

/// The connection and the generation in what epoll handed back.
#[inline]
pub(crate) fn unmark(mark: u64) -> (u32, u32) {
    (mark as u32, (mark >> 32) as u32)
}
