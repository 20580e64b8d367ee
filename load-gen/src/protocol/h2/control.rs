//! Frames about the connection and its streams: settings, windows, resets, pings and goodbyes.

use super::frame::{self, Head, LONGEST, MOST, code, flag, kind, setting, word};
use super::inbound::{Done, Sinks, broken};
use super::session::Session;
use super::streams::Found;
use super::{Broken, End};

impl Session {
    pub(super) fn window_update(&mut self, head: Head, payload: &[u8], sinks: &mut Sinks<'_>) -> Done {
        let more = i64::from(word(exact(payload, 4)?, 0) & MOST);
        if head.stream == 0 {
            self.window += more;
            self.opened = true;
            return match more {
                0 => Err(broken("a window is to grow by nothing")),
                _ if self.window > i64::from(MOST) => Err(overflow()),
                _ => Ok(()),
            };
        }
        let Found::Open(place) = self.known(head)? else { return Ok(()) };
        let stream = self.streams.at(place);
        stream.window += more;
        if more == 0 {
            self.fail(place, code::PROTOCOL, sinks);
        } else if stream.window > i64::from(MOST) {
            self.fail(place, code::FLOW_CONTROL, sinks);
        } else {
            self.opened = true;
        }
        Ok(())
    }

    pub(super) fn reset(&mut self, head: Head, payload: &[u8], sinks: &mut Sinks<'_>) -> Done {
        let code = word(exact(payload, 4)?, 0);
        match self.known(head)? {
            Found::Open(place) => {
                let end = if code == code::REFUSED_STREAM { End::Refused } else { End::Reset { code } };
                self.end(place, end, sinks);
                Ok(())
            }
            _ => self.noise(),
        }
    }

    pub(super) fn settings(&mut self, head: Head, payload: &[u8], sinks: &mut Sinks<'_>) -> Done {
        if head.stream != 0 {
            return Err(broken("settings are for a stream"));
        }
        self.noise()?;
        if head.has(flag::ACK) {
            return exact(payload, 0).map(|_| ());
        }
        if !payload.len().is_multiple_of(6) {
            return Err(Broken { code: code::FRAME_SIZE, reason: "a frame has not the length of its kind" });
        }
        if !std::mem::replace(&mut self.greeted, true) {
            // Not said is without limit.
            self.peer.streams = u32::MAX;
        }
        for one in payload.chunks_exact(6) {
            self.setting(u16::from_be_bytes([one[0], one[1]]), word(one, 2))?;
        }
        frame::write(kind::SETTINGS, flag::ACK, 0, &[], sinks.out);
        Ok(())
    }

    fn setting(&mut self, name: u16, value: u32) -> Done {
        match name {
            setting::HEADER_TABLE_SIZE => self.encoder.set_limit(value as usize),
            setting::ENABLE_PUSH if value != 0 => return Err(broken("a server says that it takes pushes")),
            setting::MAX_CONCURRENT_STREAMS => self.peer.streams = value,
            setting::INITIAL_WINDOW_SIZE => {
                let more = i64::from(value) - i64::from(self.peer.window);
                self.peer.window = value;
                self.opened = true;
                let mut over = value > MOST;
                for (_, stream) in self.streams.each() {
                    stream.window += more;
                    over |= stream.window > i64::from(MOST);
                }
                if over {
                    return Err(overflow());
                }
            }
            setting::MAX_FRAME_SIZE => {
                if !(LONGEST as u32..1 << 24).contains(&value) {
                    return Err(broken("the longest frame is out of range"));
                }
                self.peer.frame = value as usize;
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn ping(&mut self, head: Head, payload: &[u8], sinks: &mut Sinks<'_>) -> Done {
        if head.stream != 0 {
            return Err(broken("a ping is for a stream"));
        }
        exact(payload, 8)?;
        self.noise()?;
        if !head.has(flag::ACK) {
            frame::write(kind::PING, flag::ACK, 0, payload, sinks.out);
        }
        Ok(())
    }

    pub(super) fn goaway(&mut self, head: Head, payload: &[u8], sinks: &mut Sinks<'_>) -> Done {
        if head.stream != 0 {
            return Err(broken("a goodbye is for a stream"));
        }
        if payload.len() < 8 {
            return Err(Broken { code: code::FRAME_SIZE, reason: "a frame has not the length of its kind" });
        }
        self.noise()?;
        self.away = true;
        let last = word(payload, 0) & MOST;
        for place in 0..self.streams.places() {
            if self.streams.at(place).id > last {
                self.end(place, End::Refused, sinks);
            }
        }
        Ok(())
    }
}

fn overflow() -> Broken {
    Broken { code: code::FLOW_CONTROL, reason: "a window is too large" }
}

fn exact(payload: &[u8], length: usize) -> Result<&[u8], Broken> {
    if payload.len() != length {
        return Err(Broken { code: code::FRAME_SIZE, reason: "a frame has not the length of its kind" });
    }
    Ok(payload)
}
