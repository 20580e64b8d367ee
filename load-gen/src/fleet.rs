//! All connections: opening them, writing requests to them, reading answers from them, and what runs out.
//!
//! A connection is a *link*; what a request occupies on it is a *slot*: one with HTTP/1.1, one for each stream with
//! HTTP/2. Requests take slots, sockets come and go with links.

use std::sync::Arc;

use record::{Histogram, Outcome, monotonic_ns};
use rustix::event::epoll;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::sockopt;

use crate::connection::{Connection, Request, Values, Wire, unmark};
use crate::error::kernel;
use crate::mix::{Form, Mix};
use crate::plan::{Plan, ns};
use crate::protocol::{Kept, Protocol, h1, h2};
use crate::roster::Roster;
use crate::target::Place;
use crate::transport::{Broken, Got, Secure, Transport};
use crate::{Error, Result};

/// How long a connection rests after it could not be opened.
const REST_NS: u64 = 100_000_000;

/// Connections being opened at the same time at the start: more would overrun a short listen queue, and
/// every one that did would cost a second.
const OPENING: u32 = 64;

/// How long a server's refusal of our certificate is waited for at the least, once TLS's handshakes are over.
const REFUSAL_NS: u64 = 20_000_000;

/// How long connections are waited for before their timeouts are looked at.
const OPENING_WAIT_NS: u64 = 20_000_000;

/// Bytes read at once.
const READ: usize = 64 << 10;

/// Reads of one connection before the others have their turn.
const READS: usize = 16;

/// Told of once for each arrival: everything is read that is there, so a second look at each socket that had
/// something is saved.
const READING: epoll::EventFlags = epoll::EventFlags::IN.union(epoll::EventFlags::RDHUP).union(epoll::EventFlags::ET);

/// The other side will say no more.
const ENDS: epoll::EventFlags = epoll::EventFlags::RDHUP.union(epoll::EventFlags::HUP).union(epoll::EventFlags::ERR);

// Where a link stands.
const OPEN: u32 = 0;
const CONNECTING: u32 = 1;
const RESTING: u32 = 2;

// Where a slot stands; the free ones of each endpoint have a queue of their own from FREE on.
pub(crate) const BUSY: u32 = 0;
const AWAY: u32 = 1;
pub(crate) const FREE: u32 = 2;

/// How a request ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub(crate) outcome: Outcome,
    /// Bytes of the response.
    pub(crate) bytes: u64,
    /// The status of a gRPC call, and how many messages came.
    pub(crate) grpc: Option<u32>,
    pub(crate) messages: u32,
}

impl End {
    fn plain(outcome: Outcome, bytes: u64) -> Self {
        Self { outcome, bytes, grpc: None, messages: 0 }
    }
}

/// What happened to a slot.
#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    /// Its request has ended.
    Ended(Request, End),
    /// A connection was opened for its request, which is written now.
    Sent(Request),
    /// It is free, or away; nothing was on the way.
    Moved,
}

/// Something that happened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    /// When it was noticed.
    pub(crate) at_ns: u64,
    /// To which slot.
    pub(crate) slot: u32,
    pub(crate) what: What,
}

/// What became of a request given to a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// It is written.
    Written,
    /// A connection is being opened for it; it is written then.
    Opening,
    /// The connection turned out to be closed, nothing was written; it is being opened again.
    Lost,
}

/// Where connections go, and how.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) place: Place,
    pub(crate) secure: Option<Secure>,
}

/// How long connections took to open.
#[derive(Debug, Default)]
pub(crate) struct SetupTimes {
    pub(crate) opened: u64,
    pub(crate) connect: Histogram,
    pub(crate) tls: Histogram,
}

/// All connections of one thread of a load.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) epoll: OwnedFd,
    mix: Arc<Mix>,
    endpoints: Vec<Endpoint>,
    links: Vec<Connection>,
    links_at: Roster,
    pub(crate) slots: Roster,
    /// What is on the way in each slot.
    flights: Vec<Option<Request>>,
    /// Slots of a link.
    streams: u32,
    /// Links of each endpoint that are open or being opened.
    alive: Vec<u32>,
    keep_alive: bool,
    buffer: Vec<u8>,
    protocol: Protocol,
    /// What a session makes of what it was fed.
    events: Vec<h2::Event>,
    /// Links with something to be flushed.
    dirty: Vec<u32>,
    /// What has happened and was not taken yet, in order.
    pub(crate) changes: Vec<Change>,
    connect_timeout_ns: u64,
    request_timeout_ns: u64,
    pub(crate) setup: SetupTimes,
    /// Why the last attempt to connect failed.
    refusal: Broken,
    /// The version of TLS that was agreed on last.
    spoken: Option<rustls::ProtocolVersion>,
}

impl Fleet {
    /// Opens so many connections, dealt out evenly among the endpoints.
    pub(crate) fn open(plan: &Plan, mix: Arc<Mix>, endpoints: Vec<Endpoint>, connections: u32) -> Result<Self> {
        let count = endpoints.len() as u32;
        let streams = plan.streams;
        let wire = || match plan.protocol {
            Protocol::Http1 => Wire::H1(h1::Reader::new(Kept::new(plan.kept()))),
            Protocol::Http2 | Protocol::Grpc => Wire::H2(Box::new(h2::Session::new(streams, plan.kept()))),
        };
        let link = |i: u32| Connection::new(i % count, wire());
        let mut fleet = Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC).map_err(kernel("make an epoll"))?,
            mix,
            links: (0..connections).map(link).collect(),
            links_at: Roster::new(connections, 3, RESTING),
            slots: Roster::new(connections * streams, FREE + count, AWAY),
            flights: vec![None; (connections * streams) as usize],
            streams,
            alive: vec![0; endpoints.len()],
            endpoints,
            keep_alive: plan.keep_alive,
            buffer: vec![0; READ],
            protocol: plan.protocol,
            events: Vec::with_capacity(256),
            dirty: Vec::with_capacity(256),
            changes: Vec::with_capacity(256),
            connect_timeout_ns: ns(plan.connect_timeout),
            request_timeout_ns: ns(plan.request_timeout),
            setup: SetupTimes::default(),
            refusal: Errno::CONNREFUSED.into(),
            spoken: None,
        };
        fleet.open_all()?;
        Ok(fleet)
    }

    /// Opens all connections, or says why the first that fails does.
    fn open_all(&mut self) -> Result<()> {
        let all = self.links.len() as u32;
        let mut ready = Vec::with_capacity(OPENING as usize);
        // Those that are closed again before the last is open go round once more, but not for ever.
        let give_up_ns = monotonic_ns() + self.connect_timeout_ns.saturating_mul(2 + u64::from(all / OPENING));
        let mut begun = 0;
        while self.links_at.count(OPEN) < all {
            while begun < all && self.links_at.count(CONNECTING) < OPENING {
                self.connect(begun, monotonic_ns());
                if self.links_at.place(begun) == RESTING {
                    return Err(self.unreachable(begun));
                }
                begun += 1;
            }
            self.attend(&mut ready, OPENING_WAIT_NS)?;
            let now_ns = monotonic_ns();
            self.expire(now_ns);
            self.changes.clear();
            let resting = self.links_at.first(RESTING).map(|(link, _)| link).filter(|link| *link < begun);
            if now_ns > give_up_ns {
                self.refusal = Errno::TIMEDOUT.into();
                return Err(self.unreachable(resting.unwrap_or(0)));
            }
            // With others open, one that failed may come round again once all are begun; with none there is no hope.
            let hopeless = begun == all || self.links_at.count(OPEN) == 0;
            let failed = (0..begun).find(|link| self.links_at.place(*link) == RESTING);
            if let Some(link) = failed.filter(|_| hopeless) {
                return Err(self.unreachable(link));
            }
        }
        self.await_refusal()
    }

    /// With TLS 1.3 a client is done before the server has looked at its certificate, or missed it: the server's
    /// refusal comes a round trip later, and is one to connect all the same.
    fn await_refusal(&mut self) -> Result<()> {
        if !self.keep_alive || self.spoken.is_none() {
            return Ok(());
        }
        let until_ns = monotonic_ns() + self.setup.tls.max().max(REFUSAL_NS);
        let mut ready = Vec::with_capacity(OPENING as usize);
        while let left_ns @ 1.. = until_ns.saturating_sub(monotonic_ns()) {
            self.attend(&mut ready, left_ns.min(REFUSAL_NS))?;
            self.changes.clear();
            if let (Some((link, _)), Broken::Tls(_)) = (self.links_at.first(RESTING), &self.refusal) {
                return Err(self.unreachable(link));
            }
        }
        Ok(())
    }

    /// Waits less than a second for connections that are being opened, and goes on with those that can.
    fn attend(&mut self, ready: &mut Vec<epoll::Event>, wait_ns: u64) -> Result<()> {
        let wait = rustix::event::Timespec { tv_sec: 0, tv_nsec: wait_ns as _ };
        ready.clear();
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(ready), Some(&wait)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(kernel("wait for connections")(e)),
        }
        for event in &*ready {
            self.handle(event);
        }
        Ok(())
    }

    fn unreachable(&self, link: u32) -> Error {
        let place = self.endpoints[self.links[link as usize].endpoint as usize].place.clone();
        let no_tls = |what: &dyn std::fmt::Display| Error::Unfit {
            place: place.clone(),
            problem: format!("TLS failed: {what}"),
            remedy: "http:// if it speaks no TLS, --cacert FILE with the authority it is signed by, --sni NAME, \
                     --cert and --key if it asks for a certificate, or --insecure to verify nothing",
        };
        match &self.refusal {
            Broken::Kernel(errno) => Error::Connect { place, said: (*errno).into() },
            Broken::Speech(what) => Error::Unfit {
                place,
                problem: format!("it does not speak {}: {what}", self.protocol.word()),
                remedy: "without --http2 and --grpc, or a target that speaks HTTP/2, in clear by prior knowledge",
            },
            Broken::Tls(e) => no_tls(e),
            Broken::Handshake(what) => no_tls(what),
        }
    }

    /// Whether no connection to an endpoint is open or on the way to be.
    #[inline]
    pub(crate) fn hopeless(&self, endpoint: u32) -> bool {
        self.alive[endpoint as usize] == 0
    }

    /// The connection of a slot, from 0.
    #[inline]
    pub(crate) fn link_of(&self, slot: u32) -> u32 {
        slot / self.streams
    }

    /// The headers kept of the response read last in a slot.
    #[inline]
    pub(crate) fn kept(&self, slot: u32) -> Values<'_> {
        self.links[(slot / self.streams) as usize].wire.kept(slot % self.streams)
    }

    /// The version of TLS that is spoken, if any is.
    pub(crate) fn tls_version(&self) -> Option<&'static str> {
        Some(if self.spoken? == rustls::ProtocolVersion::TLSv1_3 { "TLS 1.3" } else { "TLS 1.2" })
    }

    /// Answers carried by each connection.
    pub(crate) fn answers(&self) -> impl Iterator<Item = u64> + '_ {
        self.links.iter().map(|link| link.answered)
    }

    /// Writes a request to a free slot.
    #[inline]
    pub(crate) fn send(&mut self, slot: u32, request: Request) -> Sent {
        let link = slot / self.streams;
        if self.links[link as usize].transport.is_none() && !self.keep_alive {
            return self.open_for(slot, request);
        }
        match self.write(slot, &request) {
            Ok(true) => {}
            Ok(false) => {
                self.park(slot, request.sent_ns);
                return Sent::Lost;
            }
            Err(_) => {
                self.reopen(link, request.sent_ns, false);
                return Sent::Lost;
            }
        }
        self.flights[slot as usize] = Some(request);
        self.slots.move_to(slot, BUSY, request.sent_ns);
        Sent::Written
    }

    /// Opens a connection for one request.
    fn open_for(&mut self, slot: u32, request: Request) -> Sent {
        let link = slot / self.streams;
        self.flights[slot as usize] = Some(request);
        self.slots.move_to(slot, BUSY, request.sent_ns);
        // Refused at once, the request is too: its end is among the changes then.
        self.connect(link, request.sent_ns);
        Sent::Opening
    }

    /// Writes a request; false if the session on the connection takes none now.
    #[inline]
    fn write(&mut self, slot: u32, request: &Request) -> std::result::Result<bool, Broken> {
        let link = slot / self.streams;
        let connection = &mut self.links[link as usize];
        match (&self.mix.entry(request.entry).form, &mut connection.wire) {
            (Form::H1 { bytes, head }, Wire::H1(reader)) => {
                reader.begin(*head);
                connection.write(bytes)?;
                if connection.holds_back() {
                    self.watch(link);
                }
                Ok(true)
            }
            (Form::H2(request), Wire::H2(session)) => {
                if !session.open(slot % self.streams, request, &mut connection.out) {
                    return Ok(false);
                }
                self.soil(link);
                Ok(true)
            }
            // The mix and the connections are made for the same protocol.
            _ => Ok(false),
        }
    }

    /// Remembers that a link has something to be flushed: several requests go out with one write.
    #[inline]
    fn soil(&mut self, link: u32) {
        let connection = &mut self.links[link as usize];
        if !connection.dirty {
            connection.dirty = true;
            self.dirty.push(link);
        }
    }

    /// Writes what sessions have to say.
    #[inline]
    pub(crate) fn flush(&mut self) {
        while let Some(link) = self.dirty.pop() {
            let connection = &mut self.links[link as usize];
            connection.dirty = false;
            if connection.transport.is_none() || connection.watching_out {
                continue;
            }
            if let Err(broken) = connection.flush() {
                self.lose(link, Outcome::Reset, broken);
            } else if self.links[link as usize].holds_back() {
                self.watch(link);
            }
        }
    }

    /// A place on a session that takes no request now: it comes back with the next answer, or with another socket.
    fn park(&mut self, slot: u32, at_ns: u64) {
        let link = slot / self.streams;
        self.slots.move_to(slot, AWAY, at_ns);
        self.renew(link);
    }

    /// Opens a connection again whose session takes no more requests, once those on the way have ended.
    fn renew(&mut self, link: u32) {
        let Wire::H2(session) = &self.links[link as usize].wire else { return };
        if !session.closing() {
            return;
        }
        // A stamp of its own: the connect timeout counts from it.
        let at_ns = monotonic_ns();
        if session.under_way() == 0 {
            self.reopen(link, at_ns, false);
        } else {
            self.move_slots(link, AWAY, at_ns);
        }
    }

    /// Handles one event; what came of it stands in the changes.
    #[inline]
    pub(crate) fn handle(&mut self, event: &epoll::Event) {
        let (link, generation) = unmark({ event.data }.u64());
        // Whoever closes right behind an answer is told of once, with the answer.
        let ends = { event.flags }.intersects(ENDS);
        // An event of a socket that is closed already is none.
        if self.links.get(link as usize).is_some_and(|l| l.generation == generation) {
            match self.links_at.place(link) {
                OPEN => self.progress(link, ends),
                CONNECTING => self.connecting(link),
                _ => {}
            }
        }
    }

    /// What has run out of time by now; whether something had.
    #[inline]
    pub(crate) fn expire(&mut self, now_ns: u64) -> bool {
        let due = |entry: Option<(u32, u64)>, allowed_ns: u64| {
            entry.filter(|(_, since)| now_ns >= since.saturating_add(allowed_ns)).map(|(one, _)| one)
        };
        if let Some(slot) = due(self.slots.first(BUSY), self.request_timeout_ns) {
            self.time_out(slot, now_ns);
            return true;
        }
        if let Some(link) = due(self.links_at.first(CONNECTING), self.connect_timeout_ns) {
            let why = self.silence(link);
            self.rest(link, now_ns, why);
            return true;
        }
        if let Some(link) = due(self.links_at.first(RESTING), REST_NS) {
            if self.keep_alive {
                self.connect(link, now_ns);
            } else {
                self.lie_down(link, now_ns);
            }
            return true;
        }
        false
    }

    /// What a connection was waiting for that was not open in time.
    fn silence(&self, link: u32) -> Broken {
        let connection = &self.links[link as usize];
        match &connection.transport {
            Some(_) if connection.reached_ns == 0 => Errno::TIMEDOUT.into(),
            Some(_) if connection.greeting => Broken::Speech("it did not answer in time"),
            Some(transport) if transport.is_secure() => Broken::Handshake("it did not answer in time"),
            _ => Errno::TIMEDOUT.into(),
        }
    }

    /// How many connections there are, open or not.
    pub(crate) fn links(&self) -> usize {
        self.links.len()
    }

    /// When the next thing runs out of time; never, if nothing can.
    #[inline]
    pub(crate) fn expires_ns(&self) -> u64 {
        let ends = |first: Option<(u32, u64)>, allowed: u64| first.map_or(u64::MAX, |(_, s)| s.saturating_add(allowed));
        ends(self.slots.first(BUSY), self.request_timeout_ns)
            .min(ends(self.links_at.first(CONNECTING), self.connect_timeout_ns))
            .min(ends(self.links_at.first(RESTING), REST_NS))
    }

    /// Takes a request that is on the way off its slot for good. With whether it was written.
    ///
    /// Another load may come: its stream is given up, or its connection closed and opened again then.
    pub(crate) fn cut(&mut self) -> Option<(u32, Request, bool)> {
        let (slot, _) = self.slots.first(BUSY)?;
        let link = slot / self.streams;
        let written = self.links_at.place(link) != CONNECTING;
        let request = self.flights[slot as usize].take();
        let connection = &mut self.links[link as usize];
        let to = match &mut connection.wire {
            Wire::H2(session) => {
                session.cancel(slot % self.streams, &mut connection.out);
                let free = FREE + connection.endpoint;
                self.soil(link);
                free
            }
            Wire::H1(_) => {
                self.put_off(link);
                AWAY
            }
        };
        self.slots.move_to(slot, to, 0);
        request.map(|request| (slot, request, written))
    }

    /// Connections that are being opened at the end of a load begin again with the next: their time would be over.
    pub(crate) fn put_off_opening(&mut self) {
        while let Some((link, _)) = self.links_at.first(CONNECTING) {
            self.put_off(link);
        }
    }

    /// Closes a connection until the next load, which opens it at once.
    fn put_off(&mut self, link: u32) {
        self.links[link as usize].close();
        self.move_link(link, RESTING, 0);
    }

    /// What was counted of the connections so far is not of the load that begins.
    pub(crate) fn begin_load(&mut self) {
        self.links.iter_mut().for_each(|link| link.answered = 0);
        self.changes.clear();
    }

    /// Writes what waits and reads what has come.
    fn progress(&mut self, link: u32, ends: bool) {
        let connection = &mut self.links[link as usize];
        let generation = connection.generation;
        if connection.watching_out {
            if let Err(broken) = connection.flush() {
                return self.lose(link, Outcome::Reset, broken);
            }
            // For less, or once more: the kernel tells of room only to who asks when there is none.
            self.watch(link);
        }
        for _ in 0..READS {
            let Some(transport) = &mut self.links[link as usize].transport else { return };
            let secure = transport.is_secure();
            match transport.read(&mut self.buffer) {
                Ok(Got::Bytes(n)) => {
                    let goes_on = self.take(link, n);
                    if self.links[link as usize].generation != generation {
                        return;
                    }
                    // A short read has emptied the socket, and a full one has not: what stands behind an answer would
                    // be taken for the next. Below TLS there may be more that was read already.
                    if !ends && if secure { !goes_on } else { n < READ } {
                        return;
                    }
                }
                Ok(Got::Nothing) => return,
                Ok(Got::End) => return self.closed(link),
                Err(broken) => return self.lose(link, Outcome::Reset, broken),
            }
        }
        // There is more, of which the kernel would not tell again by itself.
        self.watch(link);
    }

    /// Reads bytes of a response; whether more may be read at once.
    #[inline]
    fn take(&mut self, link: u32, n: usize) -> bool {
        let connection = &mut self.links[link as usize];
        match &mut connection.wire {
            Wire::H1(reader) => {
                let slot = link;
                let Some(request) = &mut self.flights[slot as usize] else {
                    // Words that nobody asked for: whatever they are, they would be taken for the next answer.
                    self.lose(link, Outcome::Reset, Errno::PROTO.into());
                    return false;
                };
                match reader.feed(&self.buffer[..n]) {
                    Ok(h1::Progress::Whole { used }) => {
                        let clean = used == n && reader.keep_alive() && !connection.holds_back();
                        self.answer(slot, clean);
                        false
                    }
                    Ok(h1::Progress::More) => {
                        if request.first_byte_ns == 0 {
                            request.first_byte_ns = monotonic_ns();
                        }
                        true
                    }
                    Err(_) => {
                        self.lose(link, Outcome::Reset, Errno::PROTO.into());
                        false
                    }
                }
            }
            Wire::H2(session) => {
                let limit = session.open_limit();
                let fed = session.feed(&self.buffer[..n], &mut connection.out, &mut self.events);
                let wider = session.open_limit() > limit;
                let says = !connection.out.is_empty();
                if says {
                    self.soil(link);
                }
                self.take_events(link);
                match fed {
                    Ok(()) => {
                        if wider {
                            self.widen(link);
                        }
                        self.renew(link);
                        true
                    }
                    Err(broken) => {
                        // The last word, which says why.
                        let _ = self.links[link as usize].flush();
                        self.lose(link, Outcome::Reset, Broken::Speech(broken.reason));
                        false
                    }
                }
            }
        }
    }

    /// The other side takes more requests at a time than before: places come back that were over its limit.
    #[cold]
    fn widen(&mut self, link: u32) {
        let connection = &self.links[link as usize];
        let Wire::H2(session) = &connection.wire else { return };
        if !session.can_open() {
            return;
        }
        let (at_ns, free) = (monotonic_ns(), FREE + connection.endpoint);
        let slots = link * self.streams..(link + 1) * self.streams;
        let away = |slot: &u32| self.slots.place(*slot) == AWAY;
        let used = self.streams - slots.clone().filter(away).count() as u32;
        let more = session.open_limit().saturating_sub(used) as usize;
        let back: Vec<u32> = slots.filter(away).take(more).collect();
        for slot in back {
            self.slots.move_to(slot, free, at_ns);
        }
        self.changes.push(Change { at_ns, slot: link * self.streams, what: What::Moved });
    }

    /// Notes what a session has made of what it was fed.
    #[inline]
    fn take_events(&mut self, link: u32) {
        if self.events.is_empty() {
            return;
        }
        let at_ns = monotonic_ns();
        let mut events = std::mem::take(&mut self.events);
        for event in events.drain(..) {
            match event {
                h2::Event::FirstByte { place } => {
                    if let Some(request) = &mut self.flights[(link * self.streams + place) as usize] {
                        request.first_byte_ns = at_ns;
                    }
                }
                h2::Event::Ended { place, end } => self.stream_ended(link, place, end, at_ns),
            }
        }
        // Its memory is used again.
        self.events = events;
    }

    #[inline]
    fn stream_ended(&mut self, link: u32, place: u32, end: h2::End, at_ns: u64) {
        let slot = link * self.streams + place;
        let connection = &mut self.links[link as usize];
        let end = match end {
            h2::End::Answered { status, grpc_status, messages, bytes } => {
                connection.useful = true;
                connection.answered += 1;
                let is_grpc = self.protocol == Protocol::Grpc;
                // A call whose trailers say nothing of how it ended has ended as unknown (2).
                let grpc = is_grpc.then(|| grpc_status.unwrap_or(2));
                let status = match grpc {
                    Some(own) if (200..300).contains(&status) => http_status(own),
                    _ => status,
                };
                End { outcome: Outcome::Answered(status), bytes, grpc, messages }
            }
            h2::End::Reset { .. } | h2::End::Refused => End::plain(Outcome::Reset, 0),
        };
        let Wire::H2(session) = &connection.wire else { return };
        let to = if session.can_open() { FREE + connection.endpoint } else { AWAY };
        if let Some(request) = self.flights[slot as usize].take() {
            self.changes.push(Change { at_ns, slot, what: What::Ended(request, end) });
            self.slots.move_to(slot, to, at_ns);
        }
    }

    /// The other side has closed the connection.
    fn closed(&mut self, link: u32) {
        match &self.links[link as usize].wire {
            Wire::H1(reader) if self.flights[link as usize].is_some() && reader.ends_with_close() => {
                self.answer(link, false);
            }
            Wire::H1(_) | Wire::H2(_) => self.lose(link, Outcome::Reset, Errno::CONNRESET.into()),
        }
    }

    /// The response on a connection with one slot is whole.
    #[inline]
    fn answer(&mut self, slot: u32, keep: bool) {
        let at_ns = monotonic_ns();
        let connection = &mut self.links[slot as usize];
        connection.useful = true;
        connection.answered += 1;
        let Wire::H1(reader) = &connection.wire else { return };
        let end = End::plain(Outcome::Answered(reader.status()), reader.length());
        let endpoint = connection.endpoint;
        if let Some(mut request) = self.flights[slot as usize].take() {
            if request.first_byte_ns == 0 {
                request.first_byte_ns = at_ns;
            }
            self.changes.push(Change { at_ns, slot, what: What::Ended(request, end) });
        }
        if keep && self.keep_alive {
            self.slots.move_to(slot, FREE + endpoint, at_ns);
        } else if self.keep_alive {
            self.slots.move_to(slot, AWAY, at_ns);
            self.reopen(slot, at_ns, false);
        } else {
            self.lie_down(slot, at_ns);
        }
    }

    /// A request has taken too long.
    fn time_out(&mut self, slot: u32, now_ns: u64) {
        let link = slot / self.streams;
        if self.links_at.place(link) == CONNECTING {
            // Its own connection never came about.
            return self.rest(link, now_ns, Errno::TIMEDOUT.into());
        }
        let connection = &mut self.links[link as usize];
        match &mut connection.wire {
            Wire::H1(_) => {
                self.end_all(link, now_ns, Outcome::TimedOut);
                // A timeout has waited long enough to try again at once.
                self.reopen(link, now_ns, true);
            }
            Wire::H2(session) => {
                session.cancel(slot % self.streams, &mut connection.out);
                let free = FREE + connection.endpoint;
                self.soil(link);
                if let Some(request) = self.flights[slot as usize].take() {
                    let end = End::plain(Outcome::TimedOut, 0);
                    self.changes.push(Change { at_ns: now_ns, slot, what: What::Ended(request, end) });
                }
                self.slots.move_to(slot, free, now_ns);
            }
        }
    }

    /// Whatever is on the way on a link has failed, and the connection is of no use any more.
    fn lose(&mut self, link: u32, outcome: Outcome, why: Broken) {
        let at_ns = monotonic_ns();
        self.refusal = why;
        if !self.end_all(link, at_ns, outcome) {
            self.changes.push(Change { at_ns, slot: link * self.streams, what: What::Moved });
        }
        self.reopen(link, at_ns, false);
    }

    /// Ends every request on a link; whether there was one.
    fn end_all(&mut self, link: u32, at_ns: u64, outcome: Outcome) -> bool {
        let mut any = false;
        for slot in link * self.streams..(link + 1) * self.streams {
            if let Some(request) = self.flights[slot as usize].take() {
                let end = End::plain(outcome, 0);
                self.changes.push(Change { at_ns, slot, what: What::Ended(request, end) });
                any = true;
            }
        }
        any
    }

    /// Opens a connection again: at once where the last one was of use, after a rest where it was not, so
    /// that a target that accepts and closes is not asked without pause.
    fn reopen(&mut self, link: u32, at_ns: u64, at_once: bool) {
        if !self.keep_alive {
            self.lie_down(link, at_ns);
        } else if at_once || self.links[link as usize].useful {
            self.connect(link, at_ns);
        } else {
            // Why it was lost is why it could not be kept open.
            let why = std::mem::replace(&mut self.refusal, Errno::CONNRESET.into());
            self.rest(link, at_ns, why);
        }
    }

    /// Without a socket until a request wants one.
    fn lie_down(&mut self, link: u32, at_ns: u64) {
        self.links[link as usize].close();
        self.move_link(link, OPEN, at_ns);
        let free = FREE + self.links[link as usize].endpoint;
        self.slots.move_to(link * self.streams, free, at_ns);
    }

    /// Closed for a while; a request for which it was being opened has found no connection.
    fn rest(&mut self, link: u32, at_ns: u64, why: Broken) {
        self.links[link as usize].close();
        self.refusal = why;
        if !self.end_all(link, at_ns, Outcome::ConnectFailed) {
            self.changes.push(Change { at_ns, slot: link * self.streams, what: What::Moved });
        }
        self.move_link(link, RESTING, at_ns);
        self.move_slots(link, AWAY, at_ns);
    }

    fn move_link(&mut self, link: u32, to: u32, at_ns: u64) {
        let alive = &mut self.alive[self.links[link as usize].endpoint as usize];
        match (self.links_at.place(link), to) {
            (RESTING, OPEN | CONNECTING) => *alive += 1,
            (OPEN | CONNECTING, RESTING) => *alive -= 1,
            _ => {}
        }
        self.links_at.move_to(link, to, at_ns);
    }

    fn move_slots(&mut self, link: u32, to: u32, at_ns: u64) {
        for slot in link * self.streams..(link + 1) * self.streams {
            if self.slots.place(slot) != BUSY || self.flights[slot as usize].is_none() {
                self.slots.move_to(slot, to, at_ns);
            }
        }
    }

    fn connect(&mut self, link: u32, at_ns: u64) {
        let connection = &mut self.links[link as usize];
        // Closed before the next is opened: a full table of files must not stand in the way.
        connection.close();
        connection.useful = false;
        (connection.begun_ns, connection.reached_ns) = (at_ns, 0);
        let Endpoint { place, secure } = &self.endpoints[connection.endpoint as usize];
        let opened = Transport::connect(place, secure.as_ref()).and_then(|(transport, done)| {
            let flags = if done { READING } else { epoll::EventFlags::OUT | epoll::EventFlags::ET };
            let mark = epoll::EventData::new_u64(connection.mark(link));
            epoll::add(&self.epoll, &transport.socket, mark, flags)?;
            Ok((transport, done))
        });
        match opened {
            Ok((transport, done)) => {
                connection.transport = Some(transport);
                self.move_slots(link, AWAY, at_ns);
                self.move_link(link, CONNECTING, at_ns);
                if done {
                    self.reached(link, at_ns);
                }
            }
            Err(broken) => self.rest(link, at_ns, broken),
        }
    }

    /// Something has happened to a connection that is being opened.
    fn connecting(&mut self, link: u32) {
        let at_ns = monotonic_ns();
        let connection = &self.links[link as usize];
        if connection.reached_ns > 0 {
            return self.go_on(link, at_ns);
        }
        let state = match &connection.transport {
            Some(transport) => sockopt::socket_error(&transport.socket),
            None => Ok(Err(Errno::NOTCONN)),
        };
        match state.and_then(|s| s) {
            Ok(()) => self.reached(link, at_ns),
            Err(e) => self.rest(link, at_ns, e.into()),
        }
    }

    /// The socket is connected; what stands above it may still have to agree.
    fn reached(&mut self, link: u32, at_ns: u64) {
        let connection = &mut self.links[link as usize];
        connection.reached_ns = at_ns.max(1);
        self.setup.connect.record(at_ns.saturating_sub(connection.begun_ns));
        self.go_on(link, at_ns);
    }

    /// Goes on with what has to be agreed upon before requests can be written.
    fn go_on(&mut self, link: u32, at_ns: u64) {
        let connection = &mut self.links[link as usize];
        let Some(transport) = &mut connection.transport else { return };
        match transport.shake_hands() {
            Ok(true) => {}
            Ok(false) => return self.watch(link),
            Err(broken) => return self.rest(link, at_ns, broken),
        }
        match self.greet(link) {
            Ok(true) => self.opened(link, at_ns),
            Ok(false) => self.watch(link),
            Err(broken) => self.rest(link, at_ns, broken),
        }
    }

    /// Opens a session, where there is one to be opened; whether that is done: the other side's settings have come.
    fn greet(&mut self, link: u32) -> std::result::Result<bool, Broken> {
        let connection = &mut self.links[link as usize];
        let (Wire::H2(session), Some(transport)) = (&mut connection.wire, &mut connection.transport) else {
            return Ok(true);
        };
        if !connection.greeting {
            if transport.is_secure() && transport.agreed().0 != Some(b"h2") {
                return Err(Broken::Speech("it did not agree to it in TLS's handshake"));
            }
            session.begin(&mut connection.out);
            connection.greeting = true;
        }
        while !session.greeted() {
            match transport.read(&mut self.buffer)? {
                Got::Bytes(n) => session
                    .feed(&self.buffer[..n], &mut connection.out, &mut self.events)
                    .map_err(|broken| Broken::Speech(broken.reason))?,
                Got::Nothing => break,
                Got::End => return Err(Broken::Speech("it closed the connection instead of an answer")),
            }
        }
        let greeted = session.greeted();
        connection.flush()?;
        Ok(greeted)
    }

    /// A connection can carry requests, and does if one waits for it.
    fn opened(&mut self, link: u32, at_ns: u64) {
        let connection = &mut self.links[link as usize];
        self.setup.opened += 1;
        if connection.transport.as_ref().is_some_and(Transport::is_secure) {
            self.setup.tls.record(monotonic_ns().saturating_sub(connection.reached_ns));
            self.spoken = connection.transport.as_ref().and_then(|transport| transport.agreed().1);
        }
        let free = FREE + connection.endpoint;
        self.move_link(link, OPEN, at_ns);
        self.watch(link);
        let slot = link * self.streams;
        if let Some(request) = self.flights[slot as usize].filter(|_| !self.keep_alive) {
            self.changes.push(Change { at_ns, slot, what: What::Sent(request) });
            if let Err(broken) = self.write(slot, &request) {
                self.lose(link, Outcome::Reset, broken);
            }
            return;
        }
        if !self.keep_alive {
            // Opened to see that it can be; the requests will have their own.
            self.lie_down(link, at_ns);
        }
        let usable = match &self.links[link as usize].wire {
            Wire::H1(_) => 1,
            Wire::H2(session) => session.open_limit().min(self.streams),
        };
        for slot in slot..slot + usable {
            self.slots.move_to(slot, free, at_ns);
        }
        self.changes.push(Change { at_ns, slot, what: What::Moved });
    }

    /// Watches a connection for what is of interest now; one that cannot be watched any more is closed by its
    /// timeout.
    fn watch(&mut self, link: u32) {
        let connection = &mut self.links[link as usize];
        connection.watching_out = connection.holds_back();
        let out = if connection.watching_out { epoll::EventFlags::OUT } else { epoll::EventFlags::empty() };
        if let Some(transport) = &connection.transport {
            let mark = epoll::EventData::new_u64(connection.mark(link));
            let _ = epoll::modify(&self.epoll, &transport.socket, mark, READING | out);
        }
    }
}

/// The HTTP status that stands for a gRPC one, as gateways map them (google/rpc/code.proto).
fn http_status(grpc: u32) -> u16 {
    match grpc {
        0 => 200,
        1 => 499,
        3 | 9 | 11 => 400,
        4 => 504,
        5 => 404,
        6 | 10 => 409,
        7 => 403,
        8 => 429,
        12 => 501,
        14 => 503,
        16 => 401,
        _ => 500,
    }
}
