//! The one message of a gRPC request, gathered from the frames of its body.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::refusal::Refusal;

/// The largest message, without its prefix: what gRPC servers take unless told otherwise.
pub(super) const LARGEST: usize = 4 << 20;

/// A byte that says whether it is compressed, and four for its length.
const PREFIX: usize = 5;

/// What has come of it so far, with its prefix.
#[derive(Default)]
pub(super) struct Message {
    /// The first frame. Most messages are one frame and are sent back without being copied.
    first: Bytes,
    /// All frames, once there are two.
    gathered: BytesMut,
}

impl Message {
    /// Reads a body to its end. It comes with its prefix, which is the one it is sent back with.
    pub(super) async fn read(mut body: Incoming) -> Result<Bytes, Refusal> {
        let mut message = Self::default();
        while let Some(frame) = body.frame().await {
            // The caller is gone: nobody reads what we answer.
            let Ok(frame) = frame else { return Err(Refusal::NotOne) };
            if let Ok(data) = frame.into_data() {
                message.add(data)?;
            }
        }
        message.whole()
    }

    /// Takes a frame, and refuses what can't become a message as soon as that is known.
    fn add(&mut self, data: Bytes) -> Result<(), Refusal> {
        if self.so_far().is_empty() {
            self.first = data;
        } else {
            if self.gathered.is_empty() {
                self.gathered.extend_from_slice(&self.first);
            }
            self.gathered.extend_from_slice(&data);
        }
        match self.announced()? {
            Some(length) if self.so_far().len() > length => Err(Refusal::NotOne),
            _ => Ok(()),
        }
    }

    fn so_far(&self) -> &[u8] {
        if self.gathered.is_empty() { &self.first } else { &self.gathered }
    }

    /// The length with the prefix, once that is there.
    fn announced(&self) -> Result<Option<usize>, Refusal> {
        let Some(&[compressed, a, b, c, d]) = self.so_far().first_chunk::<PREFIX>() else { return Ok(None) };
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        match compressed {
            0 if length > LARGEST => Err(Refusal::TooLarge(length)),
            0 => Ok(Some(PREFIX + length)),
            1 => Err(Refusal::Compressed),
            _ => Err(Refusal::NotOne),
        }
    }

    fn whole(self) -> Result<Bytes, Refusal> {
        if self.announced()? != Some(self.so_far().len()) {
            return Err(Refusal::NotOne);
        }
        Ok(if self.gathered.is_empty() { self.first } else { self.gathered.freeze() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(frames: &[&[u8]]) -> Result<Bytes, Refusal> {
        let mut message = Message::default();
        for frame in frames {
            message.add(Bytes::copy_from_slice(frame))?;
        }
        message.whole()
    }

    #[test]
    fn a_message_is_the_same_however_it_is_cut() {
        let wire = b"\0\0\0\0\x03abc";
        for cut in 0..=wire.len() {
            let (a, b) = wire.split_at(cut);
            assert_eq!(read(&[a, b]).unwrap(), wire.as_slice(), "{cut}");
        }
        let bytes: Vec<&[u8]> = wire.chunks(1).collect();
        assert_eq!(read(&bytes).unwrap(), wire.as_slice());
        assert_eq!(read(&[b"\0\0\0\0\0"]).unwrap(), b"\0\0\0\0\0".as_slice());
    }

    #[test]
    fn what_is_not_one_message_is_refused() {
        let cases: [(&[&[u8]], Refusal); 9] = [
            (&[], Refusal::NotOne),
            (&[b"\0\0\0\0"], Refusal::NotOne),
            (&[b"\0\0\0\0\x03ab"], Refusal::NotOne),
            (&[b"\0\0\0\0\x03abcd"], Refusal::NotOne),
            (&[b"\0\0\0\0\x01a", b"\0\0\0\0\x01b"], Refusal::NotOne),
            (&[b"\x02\0\0\0\0"], Refusal::NotOne),
            (&[b"\x01\0\0\0\x01a"], Refusal::Compressed),
            (&[b"\0\0\x40\0\x01"], Refusal::TooLarge(LARGEST + 1)),
            (&[b"\0\xff\xff", b"\xff\xff"], Refusal::TooLarge(u32::MAX as usize)),
        ];
        for (frames, refusal) in cases {
            assert_eq!(read(frames), Err(refusal), "{frames:?}");
        }
    }

    #[test]
    fn the_largest_message_is_taken() {
        let mut wire = b"\0\0\x40\0\0".to_vec();
        wire.resize(PREFIX + LARGEST, 7);
        assert_eq!(read(&[&wire]).unwrap().len(), PREFIX + LARGEST);
    }
}
