//! What has come of one answer: its heads read, its body counted.

use super::End;
use super::decoder::GRPC;
use super::names::{Kind, Meaning};

/// What the headers of one block say.
#[derive(Debug, Default)]
pub(super) struct Fields {
    /// 0: none was there.
    pub(super) status: u16,
    /// Something that makes the whole message invalid.
    pub(super) malformed: bool,
    regular: bool,
    length: Option<u64>,
    grpc: bool,
    grpc_status: Option<u32>,
}

impl Fields {
    /// Takes a header; `values` are the places of the wanted ones.
    #[inline]
    pub(super) fn take(&mut self, meaning: Meaning, value: &[u8], values: &mut [Vec<u8>]) {
        match meaning.kind {
            Kind::Other => {}
            Kind::Status => {
                let status = number(value).filter(|s| value.len() == 3 && *s >= 100).unwrap_or(0);
                self.malformed |= self.regular || self.status != 0 || status == 0;
                self.status = status as u16;
                return self.want(meaning, value, values);
            }
            Kind::Length => match number(value) {
                Some(length) if self.length.is_none_or(|l| l == length) => self.length = Some(length),
                _ => self.malformed = true,
            },
            Kind::Type => self.grpc = value.starts_with(GRPC),
            // A status that is no number is "unknown" to gRPC, which is 2.
            Kind::GrpcStatus => self.grpc_status = Some(number(value).and_then(|s| s.try_into().ok()).unwrap_or(2)),
            Kind::Forbidden => self.malformed = true,
        }
        self.regular = true;
        self.want(meaning, value, values);
    }

    #[inline]
    fn want(&self, meaning: Meaning, value: &[u8], values: &mut [Vec<u8>]) {
        let Some(kept) = meaning.wanted().and_then(|w| values.get_mut(w)) else { return };
        if !kept.is_empty() {
            kept.push(b',');
        }
        kept.extend_from_slice(value);
    }
}

/// An answer under way.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// 0: the final head has not come.
    pub(super) status: u16,
    /// Whether the caller knows that it has begun.
    begun: bool,
    grpc: bool,
    grpc_status: Option<u32>,
    /// What the length of the body must be.
    expected: Option<u64>,
    bytes: u64,
    messages: Messages,
}

impl Answer {
    /// Takes the final head; whether that is the answer's first byte.
    #[inline]
    pub(super) fn head(&mut self, fields: &Fields, bodiless: bool) -> bool {
        self.status = fields.status;
        self.grpc = fields.grpc;
        self.grpc_status = fields.grpc_status;
        // Such an answer says how long the body would be.
        self.expected = fields.length.filter(|_| !bodiless && !matches!(fields.status, 204 | 304));
        self.begun = !self.grpc;
        self.begun
    }

    pub(super) fn trailers(&mut self, fields: &Fields) {
        self.grpc_status = fields.grpc_status.or(self.grpc_status);
    }

    /// Takes a piece of the body; whether that is the answer's first byte.
    #[inline]
    pub(super) fn data(&mut self, piece: &[u8]) -> bool {
        self.bytes += piece.len() as u64;
        if self.grpc {
            self.messages.count(piece);
        }
        let first = !self.begun && !piece.is_empty();
        self.begun |= first;
        first
    }

    /// Whether more has come than the head said.
    #[inline]
    pub(super) fn is_too_long(&self) -> bool {
        self.expected.is_some_and(|e| self.bytes > e)
    }

    /// The answer is over: what it was; none if it is shorter or longer than its head said.
    #[inline]
    pub(super) fn end(&self) -> Option<End> {
        let (status, grpc_status, bytes) = (self.status, self.grpc_status, self.bytes);
        let whole = self.expected.is_none_or(|e| e == bytes);
        whole.then_some(End::Answered { status, grpc_status, messages: self.messages.whole, bytes })
    }
}

/// Counts gRPC messages: a flag, four bytes of length, and so many bytes.
#[derive(Debug, Default)]
struct Messages {
    whole: u32,
    /// Bytes of the prefix that have come.
    prefix: u8,
    /// The length as far as it has come; with the prefix whole, what is missing of the message.
    left: u32,
}

impl Messages {
    fn count(&mut self, mut piece: &[u8]) {
        while let Some((first, rest)) = piece.split_first() {
            if self.prefix == 5 {
                let here = piece.len().min(self.left as usize);
                self.left -= here as u32;
                piece = &piece[here..];
            } else {
                // The flag says nothing of the length.
                self.left = if self.prefix == 0 { 0 } else { self.left << 8 | u32::from(*first) };
                self.prefix += 1;
                piece = rest;
            }
            if self.prefix == 5 && self.left == 0 {
                self.whole = self.whole.saturating_add(1);
                self.prefix = 0;
            }
        }
    }
}

#[inline]
fn number(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 {
        return None;
    }
    let mut number = 0;
    for byte in value {
        if !byte.is_ascii_digit() {
            return None;
        }
        number = number * 10 + u64::from(byte - b'0');
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_in_pieces_of_any_size() {
        let bytes = [&b"\0\0\0\0\x03abc"[..], b"\x01\0\0\0\0", b"\0\0\0\x01\0", &[7; 256], b"\0\0\0\0\x02x"].concat();
        for size in 1..=bytes.len() {
            let mut messages = Messages::default();
            bytes.chunks(size).for_each(|p| messages.count(p));
            assert_eq!(messages.whole, 3, "in pieces of {size}");
        }
    }

    #[test]
    fn a_number_is_digits() {
        assert_eq!(number(b"0123"), Some(123));
        for none in [&b""[..], b"-1", b"+1", b" 1", b"1 ", b"99999999999999999999"] {
            assert_eq!(number(none), None);
        }
    }
}
