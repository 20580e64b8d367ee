//! One connection: what both sides agreed on, and the requests under way.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Broken;
use super::decoder::{Decoder, LARGEST_BLOCK};
use super::encoder::Encoder;
use super::frame::{self, Head, LONGEST, PREFACE, code, kind, setting};
use super::names::Names;
use super::streams::Streams;
use super::table::LARGEST;

/// The window of each stream: large enough that hardly any answer needs another frame of ours.
pub(super) const STREAM_WINDOW: u32 = 4 << 20;

/// The window of the connection.
pub(super) const WINDOW: u32 = 64 << 20;

/// The window that both sides begin with.
const FIRST_WINDOW: u32 = 65_535;

/// Streams that are opened before the peer has said how many it takes: what RFC 9113 advises it to take.
const UNASKED: u32 = 100;

/// What the peer has said.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) streams: u32,
    pub(super) window: u32,
    pub(super) frame: usize,
}

impl Peer {
    fn new() -> Self {
        Self { streams: UNASKED, window: FIRST_WINDOW, frame: LONGEST }
    }
}

/// Where in the peer's bytes the next one belongs.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// To the head of a frame.
    Head,
    /// To a payload that is looked at whole.
    Payload(Head),
    /// It is the length of the padding in a DATA frame.
    Padding(Head),
    /// To a piece of a body, or to the padding after it.
    Data { head: Head, data: u32, padding: u32 },
}

/// A block of headers that goes on in the next frame.
#[derive(Debug, Default)]
pub(super) struct Block {
    /// 0: there is none.
    pub(super) stream: u32,
    pub(super) end_stream: bool,
    pub(super) bytes: Vec<u8>,
}

/// One connection to a peer that speaks HTTP/2: bytes in, bytes out.
#[derive(Debug)]
pub struct Session {
    pub(super) streams: Streams,
    pub(super) names: Names,
    /// The wanted values, of one place after the other.
    pub(super) values: Vec<Vec<u8>>,
    pub(super) decoder: Decoder,
    pub(super) encoder: Encoder,
    pub(super) peer: Peer,
    pub(super) step: Step,
    /// A head, or a payload, that came in pieces.
    pub(super) partial: Vec<u8>,
    pub(super) block: Block,
    /// What the peer takes of all bodies.
    pub(super) window: i64,
    /// What has come since the peer was last given more window.
    pub(super) received: u32,
    /// Places whose body waits for window.
    pub(super) waiting: VecDeque<u32>,
    /// Whether one of these windows has become larger.
    pub(super) opened: bool,
    /// Frames since the last that served a request.
    pub(super) noise: u32,
    /// The peer's settings have come.
    pub(super) greeted: bool,
    /// It takes no more requests.
    pub(super) away: bool,
    pub(super) broken: Option<Broken>,
}

impl Session {
    /// A connection on which at most so many requests are under way, each known by its place, a number below
    /// `places`. The values of the headers and trailers called `wanted`, in lower case, are kept.
    pub fn new(places: u32, wanted: Arc<[String]>) -> Self {
        let places = places.min(frame::MOST >> 4);
        Self {
            streams: Streams::new(places),
            values: vec![Vec::new(); places as usize * wanted.len()],
            names: Names::new(wanted),
            decoder: Decoder::new(),
            encoder: Encoder::new(),
            peer: Peer::new(),
            step: Step::Head,
            partial: Vec::with_capacity(1024),
            block: Block::default(),
            window: i64::from(FIRST_WINDOW),
            received: 0,
            waiting: VecDeque::with_capacity(places as usize),
            opened: false,
            noise: 0,
            greeted: false,
            away: true, // before it begins
            broken: None,
        }
    }

    /// Begins, or begins again on another socket with the memory kept: appends what a client says first. Requests
    /// still under way are forgotten.
    pub fn begin(&mut self, out: &mut Vec<u8>) {
        self.streams.clear();
        self.values.iter_mut().for_each(Vec::clear);
        self.decoder.clear();
        self.encoder.clear();
        self.peer = Peer::new();
        self.step = Step::Head;
        self.partial.clear();
        self.block.stream = 0;
        self.window = i64::from(FIRST_WINDOW);
        self.received = 0;
        self.waiting.clear();
        (self.opened, self.greeted, self.away) = (false, false, false);
        self.noise = 0;
        self.broken = None;
        out.extend_from_slice(PREFACE);
        let settings = [
            (setting::HEADER_TABLE_SIZE, LARGEST as u32),
            (setting::ENABLE_PUSH, 0),
            (setting::INITIAL_WINDOW_SIZE, STREAM_WINDOW),
            (setting::MAX_FRAME_SIZE, LONGEST as u32),
            (setting::MAX_HEADER_LIST_SIZE, LARGEST_BLOCK as u32),
        ];
        let head = Head { length: settings.len() as u32 * 6, kind: kind::SETTINGS, flags: 0, stream: 0 };
        out.extend_from_slice(&head.bytes());
        for (name, value) in settings {
            out.extend_from_slice(&u16::to_be_bytes(name));
            out.extend_from_slice(&u32::to_be_bytes(value));
        }
        frame::write_window(0, WINDOW - FIRST_WINDOW, out);
    }

    /// Whether a request may be opened now.
    #[inline]
    pub fn can_open(&self) -> bool {
        !self.closing() && self.streams.open() < self.open_limit()
    }

    /// Whether the peer's settings have come, without which its limits are not known.
    pub fn greeted(&self) -> bool {
        self.greeted
    }

    /// How many requests may be under way at once, by the peer's word and by the number of places.
    #[inline]
    pub fn open_limit(&self) -> u32 {
        self.peer.streams.min(self.streams.places())
    }

    /// How many are under way.
    #[inline]
    pub fn under_way(&self) -> u32 {
        self.streams.open()
    }

    /// Whether the connection takes no more requests: the peer goes away, the numbers are used up, or it is broken
    /// or was never begun. Requests under way may still end.
    #[inline]
    pub fn closing(&self) -> bool {
        self.away || self.streams.used_up()
    }

    /// The value of a wanted header in the answer that was read last in this place; empty if it did not come.
    #[inline]
    pub fn value(&self, place: u32, wanted: usize) -> &[u8] {
        let width = self.names.wanted();
        if wanted >= width {
            return b"";
        }
        self.values.get(place as usize * width + wanted).map_or(b"", Vec::as_slice)
    }

    /// Gives a request up. What still comes for it is passed over, and nothing more is said of it.
    pub fn cancel(&mut self, place: u32, out: &mut Vec<u8>) {
        if place < self.streams.places() && self.streams.at(place).id != 0 {
            frame::write_reset(self.streams.at(place).id, code::CANCEL, out);
            self.streams.close(place);
            self.forget_values(place);
        }
    }

    #[inline]
    pub(super) fn forget_values(&mut self, place: u32) {
        let width = self.names.wanted();
        let begin = place as usize * width;
        self.values.iter_mut().skip(begin).take(width).for_each(Vec::clear);
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
