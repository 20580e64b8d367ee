//! What is sent for a request: its head, and its body as the peer's windows permit.

use std::sync::Arc;

use super::frame::{self, HEAD, Head, flag, kind};
use super::request::Request;
use super::session::Session;

impl Session {
    /// Opens a request in a place: appends its head and as much of its body as the windows permit. The rest follows
    /// out of `feed`. False: it may not be opened now, or the place is taken, and nothing was done.
    #[inline]
    pub fn open(&mut self, place: u32, request: &Request, out: &mut Vec<u8>) -> bool {
        if !self.can_open() {
            return false;
        }
        let window = i64::from(self.peer.window);
        let Some(stream) = self.streams.begin(place, window, request.bodiless) else { return false };
        let id = stream.id;
        // What is late of requests that were given up must not add up to a flood.
        self.noise = 0;
        self.forget_values(place);
        self.write_head(id, request, out);
        if !request.body.is_empty() {
            self.streams.at(place).body = Some(Arc::clone(&request.body));
            if !self.send_body(place, out) {
                self.wait(place);
            }
        }
        true
    }

    #[inline]
    fn write_head(&mut self, id: u32, request: &Request, out: &mut Vec<u8>) {
        let begin = out.len();
        out.extend_from_slice(&[0; HEAD]);
        self.encoder.encode(request, out);
        let length = out.len() - begin - HEAD;
        let end = if request.body.is_empty() { flag::END_STREAM } else { 0 };
        if length > self.peer.frame {
            return split_head(id, end, self.peer.frame, begin, out);
        }
        let head = Head { length: length as u32, kind: kind::HEADERS, flags: end | flag::END_HEADERS, stream: id };
        out[begin..begin + HEAD].copy_from_slice(&head.bytes());
    }

    /// Sends on where a window has become larger.
    pub(super) fn send_on(&mut self, out: &mut Vec<u8>) {
        // Each has its turn once; those that are not done go to the end.
        for _ in 0..self.waiting.len() {
            let Some(place) = self.waiting.pop_front() else { break };
            self.streams.at(place).queued = false;
            if !self.send_body(place, out) {
                self.wait(place);
            }
        }
    }

    fn wait(&mut self, place: u32) {
        // One that was given up may still stand there for the one that has its place now.
        if !std::mem::replace(&mut self.streams.at(place).queued, true) {
            self.waiting.push_back(place);
        }
    }

    /// Appends what the windows permit of a body; whether nothing is left of it.
    fn send_body(&mut self, place: u32, out: &mut Vec<u8>) -> bool {
        let stream = self.streams.at(place);
        let Some(body) = &stream.body else { return true };
        while stream.window > 0 && self.window > 0 {
            let left = body.len() - stream.sent;
            let room = stream.window.min(self.window) as usize;
            let here = left.min(room).min(self.peer.frame);
            let flags = if here == left { flag::END_STREAM } else { 0 };
            frame::write(kind::DATA, flags, stream.id, &body[stream.sent..stream.sent + here], out);
            stream.sent += here;
            stream.window -= here as i64;
            self.window -= here as i64;
            self.noise = 0;
            if here == left {
                stream.body = None;
                return true;
            }
        }
        false
    }
}

/// Makes a HEADERS frame and CONTINUATIONs of a block that stands behind the room for one head.
fn split_head(id: u32, end: u8, longest: usize, begin: usize, out: &mut Vec<u8>) {
    let block = out.split_off(begin + HEAD);
    out.truncate(begin);
    let mut pieces = block.chunks(longest).peekable();
    let (mut kind, mut flags) = (kind::HEADERS, end);
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            flags |= flag::END_HEADERS;
        }
        frame::write(kind, flags, id, piece, out);
        (kind, flags) = (kind::CONTINUATION, 0);
    }
}
