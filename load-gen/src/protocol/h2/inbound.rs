//! What the peer's bytes mean: cut into frames, and each frame done as it asks.

use super::frame::{self, HEAD, Head, LONGEST, code, flag, kind};
use super::session::{STREAM_WINDOW, Session, Step, WINDOW};
use super::streams::Found;
use super::{Broken, End, Event};

/// Frames that serve no request, one after the other, before the peer is told to calm down.
///
/// A peer may have thousands on the way for a stream that was given up, each with a small message.
pub(super) const MOST_NOISE: u32 = 10_000;

/// Where it goes that the peer's frames lead to.
pub(super) struct Sinks<'a> {
    pub(super) out: &'a mut Vec<u8>,
    pub(super) events: &'a mut Vec<Event>,
}

pub(super) type Done = Result<(), Broken>;

impl Session {
    /// Takes what came: appends replies, and the rest of bodies that waited, to `out`, and what it meant for the
    /// requests to `events`.
    ///
    /// # Errors
    /// The peer broke the protocol, and the connection must be closed once `out` is written. What had ended before is
    /// among the events; all else is as good as lost.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>, events: &mut Vec<Event>) -> Result<(), Broken> {
        if let Some(broken) = self.broken {
            return Err(broken);
        }
        let done = self.read(bytes, &mut Sinks { out, events });
        if let Err(broken) = done {
            self.broken = Some(broken);
            self.away = true;
            // The last stream of the peer's that was looked at: it has none.
            let [a, b, c, d] = broken.code.to_be_bytes();
            frame::write(kind::GOAWAY, 0, 0, &[0, 0, 0, 0, a, b, c, d], out);
        } else if std::mem::take(&mut self.opened) {
            self.send_on(out);
        }
        done
    }

    fn read(&mut self, mut rest: &[u8], sinks: &mut Sinks<'_>) -> Done {
        loop {
            match self.step {
                Step::Head => {
                    let Some(head) = self.take_head(&mut rest) else { return Ok(()) };
                    self.head(head, sinks)?;
                }
                Step::Payload(head) => {
                    if !self.take_payload(head, &mut rest, sinks)? {
                        return Ok(());
                    }
                }
                Step::Padding(head) => {
                    let Some((padding, after)) = rest.split_first() else { return Ok(()) };
                    let padding = u32::from(*padding);
                    let data = (head.length - 1).checked_sub(padding).ok_or(broken("a frame is all padding"))?;
                    self.step = Step::Data { head, data, padding };
                    rest = after;
                    if data == 0 {
                        self.noise()?;
                    }
                }
                Step::Data { head, data, padding } => {
                    let (piece, after) = rest.split_at(rest.len().min(data as usize));
                    let skipped = after.len().min(padding as usize);
                    rest = &after[skipped..];
                    let (data, padding) = (data - piece.len() as u32, padding - skipped as u32);
                    let whole = data == 0 && padding == 0;
                    self.step = if whole { Step::Head } else { Step::Data { head, data, padding } };
                    self.data(head, piece, whole, sinks);
                    if !whole {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// The next head; none if it has not come whole.
    #[inline]
    fn take_head(&mut self, rest: &mut &[u8]) -> Option<Head> {
        if self.partial.is_empty()
            && let Some((head, after)) = rest.split_first_chunk()
        {
            *rest = after;
            return Some(Head::read(head));
        }
        let (piece, after) = rest.split_at(rest.len().min(HEAD - self.partial.len()));
        self.partial.extend_from_slice(piece);
        *rest = after;
        let head = Head::read(self.partial.first_chunk()?);
        self.partial.clear();
        Some(head)
    }

    /// Does a frame if its payload is there; false if it is not.
    #[inline]
    fn take_payload(&mut self, head: Head, rest: &mut &[u8], sinks: &mut Sinks<'_>) -> Result<bool, Broken> {
        let length = head.length as usize;
        let missing = length - self.partial.len();
        if rest.len() < missing {
            self.partial.extend_from_slice(rest);
            return Ok(false);
        }
        let (piece, after) = rest.split_at(missing);
        *rest = after;
        self.step = Step::Head;
        if missing == length {
            return self.frame(head, piece, sinks).map(|()| true);
        }
        self.partial.extend_from_slice(piece);
        let payload = std::mem::take(&mut self.partial);
        let done = self.frame(head, &payload, sinks);
        self.partial = payload;
        self.partial.clear();
        done.map(|()| true)
    }

    /// A frame begins.
    #[inline]
    fn head(&mut self, head: Head, sinks: &mut Sinks<'_>) -> Done {
        if !self.greeted && (head.kind != kind::SETTINGS || head.has(flag::ACK)) {
            return Err(broken("the peer does not begin as HTTP/2 does"));
        }
        if head.length as usize > LONGEST {
            return Err(Broken { code: code::FRAME_SIZE, reason: "a frame is too long" });
        }
        if self.block.stream != 0 && (head.kind != kind::CONTINUATION || head.stream != self.block.stream) {
            return Err(broken("the headers do not go on"));
        }
        if head.kind != kind::DATA {
            self.step = Step::Payload(head);
            return Ok(());
        }
        let found = self.known(head)?;
        self.credit(head.length, sinks);
        match found {
            Found::Open(place) if !head.has(flag::END_STREAM) => {
                let stream = self.streams.at(place);
                stream.received += head.length;
                // Giving it back at once, we never owe the peer more than half of it; so it can't send too much.
                if stream.received >= STREAM_WINDOW / 2 {
                    frame::write_window(stream.id, std::mem::take(&mut stream.received), sinks.out);
                }
                if head.length == 0 {
                    self.noise()?;
                }
            }
            Found::Open(_) => {}
            _ => self.noise()?,
        }
        self.step = match (head.has(flag::PADDED), head.length) {
            (true, 0) => return Err(Broken { code: code::FRAME_SIZE, reason: "a frame has no room for its padding" }),
            (true, _) => Step::Padding(head),
            (false, data) => Step::Data { head, data, padding: 0 },
        };
        Ok(())
    }

    /// Bytes of the connection's window have come.
    #[inline]
    fn credit(&mut self, length: u32, sinks: &mut Sinks<'_>) {
        self.received += length;
        if self.received >= WINDOW / 2 {
            frame::write_window(0, std::mem::take(&mut self.received), sinks.out);
        }
    }

    /// A piece of a body has come, or the end of its frame.
    #[inline]
    fn data(&mut self, head: Head, piece: &[u8], whole: bool, sinks: &mut Sinks<'_>) {
        // Looked for at every piece: it may have been given up in between.
        let Found::Open(place) = self.streams.find(head.stream) else { return };
        let stream = self.streams.at(place);
        if stream.answer.status == 0 {
            return self.fail(place, code::PROTOCOL, sinks);
        }
        if !piece.is_empty() {
            self.noise = 0;
            if stream.answer.data(piece) {
                sinks.events.push(Event::FirstByte { place });
            }
            if stream.answer.is_too_long() {
                return self.fail(place, code::PROTOCOL, sinks);
            }
        }
        if whole && head.has(flag::END_STREAM) {
            self.finish(place, sinks);
        }
    }

    /// Does a frame other than DATA.
    #[inline]
    fn frame(&mut self, head: Head, payload: &[u8], sinks: &mut Sinks<'_>) -> Done {
        match head.kind {
            kind::HEADERS => self.headers(head, payload, sinks),
            kind::CONTINUATION => self.continuation(head, payload, sinks),
            kind::WINDOW_UPDATE => self.window_update(head, payload, sinks),
            kind::RST_STREAM => self.reset(head, payload, sinks),
            kind::SETTINGS => self.settings(head, payload, sinks),
            kind::PING => self.ping(head, payload, sinks),
            kind::GOAWAY => self.goaway(head, payload, sinks),
            kind::PUSH_PROMISE => Err(broken("a push was promised that was forbidden")),
            kind::PRIORITY if head.stream == 0 => Err(broken("a frame has no stream")),
            // Also the kinds that nobody knows yet.
            _ => self.noise(),
        }
    }

    /// The stream of a frame that needs one.
    #[inline]
    pub(super) fn known(&self, head: Head) -> Result<Found, Broken> {
        match self.streams.find(head.stream) {
            Found::Idle => Err(broken("a frame is for a stream that was not begun")),
            found => Ok(found),
        }
    }

    /// The answer is whole.
    #[inline]
    pub(super) fn finish(&mut self, place: u32, sinks: &mut Sinks<'_>) {
        let stream = self.streams.at(place);
        let unsent = stream.body.is_some();
        if unsent {
            // The peer has answered without the rest of the body; it is not left waiting for it.
            frame::write_reset(stream.id, code::CANCEL, sinks.out);
        }
        let end = stream.answer.end().unwrap_or(End::Reset { code: code::PROTOCOL });
        self.end(place, end, sinks);
    }

    /// What came makes no answer: the stream is reset, the others go on.
    pub(super) fn fail(&mut self, place: u32, code: u32, sinks: &mut Sinks<'_>) {
        frame::write_reset(self.streams.at(place).id, code, sinks.out);
        self.end(place, End::Reset { code }, sinks);
    }

    #[inline]
    pub(super) fn end(&mut self, place: u32, end: End, sinks: &mut Sinks<'_>) {
        self.noise = 0;
        self.streams.close(place);
        sinks.events.push(Event::Ended { place, end });
    }

    /// Counts a frame that serves no request.
    pub(super) fn noise(&mut self) -> Done {
        self.noise += 1;
        if self.noise > MOST_NOISE {
            let reason = "the peer sends frame after frame that serves no request";
            return Err(Broken { code: code::ENHANCE_YOUR_CALM, reason });
        }
        Ok(())
    }
}

pub(super) fn broken(reason: &'static str) -> Broken {
    Broken { code: code::PROTOCOL, reason }
}
