//! For the tests: a session on a desk, frames made by hand, and frames read back.

use std::sync::Arc;

use super::frame::{self, HEAD, Head, PREFACE, flag, kind};
use super::*;

pub(super) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|d| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap()).collect()
}

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame::write(kind, flags, stream, payload, &mut out);
    out
}

/// Headers as they may always be written: by name, uncoded, into no table.
pub(super) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        for text in [name, value] {
            integer::write(text.len(), 7, 0, &mut out);
            out.extend_from_slice(text.as_bytes());
        }
    }
    out
}

/// A HEADERS frame; with `end` it is the last of its stream.
pub(super) fn head(stream: u32, fields: &[(&str, &str)], end: bool) -> Vec<u8> {
    let end = if end { flag::END_STREAM } else { 0 };
    frame(kind::HEADERS, flag::END_HEADERS | end, stream, &block(fields))
}

pub(super) fn data(stream: u32, payload: &[u8], end: bool) -> Vec<u8> {
    frame(kind::DATA, if end { flag::END_STREAM } else { 0 }, stream, payload)
}

pub(super) fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(kind::RST_STREAM, 0, stream, &code.to_be_bytes())
}

pub(super) fn window(stream: u32, more: u32) -> Vec<u8> {
    frame(kind::WINDOW_UPDATE, 0, stream, &more.to_be_bytes())
}

pub(super) fn goaway(last: u32, code: u32) -> Vec<u8> {
    frame(kind::GOAWAY, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())
}

pub(super) fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> =
        values.iter().flat_map(|(n, v)| [&n.to_be_bytes()[..], &v.to_be_bytes()[..]].concat()).collect();
    frame(kind::SETTINGS, 0, 0, &payload)
}

/// The frames of what a session wrote.
pub(super) fn frames(mut bytes: &[u8]) -> Vec<(Head, Vec<u8>)> {
    bytes = bytes.strip_prefix(PREFACE).unwrap_or(bytes);
    let mut found = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() {
        let head = Head::read(head);
        let (payload, rest) = rest.split_at(head.length as usize);
        found.push((head, payload.to_vec()));
        bytes = rest;
    }
    assert!(bytes.is_empty(), "half a frame was written: {bytes:?}");
    found
}

pub(super) fn get() -> Request {
    Request::new("GET", "http", "h:1", "/", &[], Vec::new())
}

pub(super) fn post(body: usize) -> Request {
    Request::new("POST", "http", "h:1", "/", &[], vec![b'x'; body])
}

pub(super) fn answered(place: u32, status: u16, bytes: u64) -> Event {
    Event::Ended { place, end: End::Answered { status, grpc_status: None, messages: 0, bytes } }
}

pub(super) fn first(place: u32) -> Event {
    Event::FirstByte { place }
}

/// A session that has begun, and all that it said.
pub(super) struct Desk {
    pub(super) session: Session,
    pub(super) out: Vec<u8>,
    pub(super) events: Vec<Event>,
}

impl Desk {
    /// With this many places; the peer has said these settings.
    pub(super) fn new(places: u32, values: &[(u16, u32)]) -> Self {
        let wanted: Arc<[String]> = ["x-kept".to_owned(), "grpc-message".to_owned()].into();
        let mut desk = Self { session: Session::new(places, wanted), out: Vec::new(), events: Vec::new() };
        desk.session.begin(&mut desk.out);
        desk.feed(&settings(values)).unwrap();
        desk.out.clear();
        desk
    }

    pub(super) fn open(&mut self, place: u32, request: &Request) -> bool {
        self.session.open(place, request, &mut self.out)
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        self.session.feed(bytes, &mut self.out, &mut self.events)
    }

    pub(super) fn cancel(&mut self, place: u32) {
        self.session.cancel(place, &mut self.out);
    }

    /// The frames written since the last time.
    pub(super) fn written(&mut self) -> Vec<(Head, Vec<u8>)> {
        let found = frames(&self.out);
        self.out.clear();
        found
    }

    /// Bytes of bodies written since the last time.
    pub(super) fn body_written(&mut self) -> usize {
        self.written().iter().filter(|(h, _)| h.kind == kind::DATA).map(|(_, p)| p.len()).sum()
    }

    pub(super) fn happened(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }
}

/// What comes of these bytes for `get` in places 0 and 1 (streams 1 and 3): the same in pieces of any size.
pub(super) fn play(script: &[u8]) -> (Desk, Result<(), Broken>) {
    let mut last: Option<(Desk, Result<(), Broken>)> = None;
    for size in [1, 2, 7, 100, script.len().max(1)] {
        let mut desk = Desk::new(4, &[]);
        assert!(desk.open(0, &get()) && desk.open(1, &get()));
        desk.out.clear();
        let result = script.chunks(size).try_for_each(|piece| desk.feed(piece));
        if let Some((before, earlier)) = &last {
            assert_eq!((&before.events, &before.out, earlier), (&desk.events, &desk.out, &result), "pieces of {size}");
        }
        last = Some((desk, result));
    }
    last.unwrap()
}
