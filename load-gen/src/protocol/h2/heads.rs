//! Heads and trailers that come: put together from their frames, read, and done as they say.

use super::answer::Fields;
use super::decoder::LARGEST_BLOCK;
use super::frame::{Head, code, flag};
use super::inbound::{Done, Sinks, broken};
use super::session::Session;
use super::streams::Found;
use super::{Broken, Event};

impl Session {
    #[inline]
    pub(super) fn headers(&mut self, head: Head, payload: &[u8], sinks: &mut Sinks<'_>) -> Done {
        self.known(head)?;
        let mut block = payload;
        if head.has(flag::PADDED) {
            let (padding, rest) = block.split_first().ok_or(broken("a frame has no room for its padding"))?;
            let length = rest.len().checked_sub(usize::from(*padding)).ok_or(broken("a frame is all padding"))?;
            block = &rest[..length];
        }
        if head.has(flag::PRIORITY) {
            block = block.get(5..).ok_or(broken("a frame has no room for its priority"))?;
        }
        let end_stream = head.has(flag::END_STREAM);
        if head.has(flag::END_HEADERS) {
            return self.block(head.stream, end_stream, block, sinks);
        }
        self.block.stream = head.stream;
        self.block.end_stream = end_stream;
        self.block.bytes.clear();
        self.block.bytes.extend_from_slice(block);
        Ok(())
    }

    pub(super) fn continuation(&mut self, head: Head, payload: &[u8], sinks: &mut Sinks<'_>) -> Done {
        if self.block.stream == 0 {
            return Err(broken("headers go on that did not begin"));
        }
        // Counted also when they bring something: it may be one byte each.
        self.noise()?;
        self.block.bytes.extend_from_slice(payload);
        if self.block.bytes.len() > LARGEST_BLOCK {
            return Err(Broken { code: code::ENHANCE_YOUR_CALM, reason: "the headers are too large" });
        }
        if !head.has(flag::END_HEADERS) {
            return Ok(());
        }
        let bytes = std::mem::take(&mut self.block.bytes);
        self.block.stream = 0;
        let done = self.block(head.stream, self.block.end_stream, &bytes, sinks);
        self.block.bytes = bytes;
        done
    }

    /// Reads a whole block of headers.
    #[inline]
    fn block(&mut self, id: u32, end_stream: bool, block: &[u8], sinks: &mut Sinks<'_>) -> Done {
        let Found::Open(place) = self.streams.find(id) else {
            // The table must be kept right, whoever the headers are for.
            self.decoder.decode(block, &self.names, |_, _| {})?;
            return self.noise();
        };
        let mut fields = Fields::default();
        let width = self.names.wanted();
        let values = self.values.get_mut(place as usize * width..).unwrap_or_default();
        let values = &mut values[..width];
        self.decoder.decode(block, &self.names, |meaning, value| fields.take(meaning, value, values))?;
        let stream = self.streams.at(place);
        let informs = (100..200).contains(&fields.status);
        let is_head = stream.answer.status == 0;
        let malformed = match (is_head, informs) {
            (true, true) => end_stream || fields.status == 101,
            (true, false) => fields.status == 0,
            // Only trailers can follow, and only the end can follow them.
            (false, _) => fields.status != 0 || !end_stream,
        };
        if fields.malformed || malformed {
            self.fail(place, code::PROTOCOL, sinks);
            return Ok(());
        }
        match (is_head, informs) {
            (true, true) => {
                self.forget_values(place);
                return self.noise();
            }
            (true, false) => {
                if stream.answer.head(&fields, stream.bodiless) {
                    sinks.events.push(Event::FirstByte { place });
                }
            }
            (false, _) => stream.answer.trailers(&fields),
        }
        if end_stream {
            self.finish(place, sinks);
        }
        Ok(())
    }
}
