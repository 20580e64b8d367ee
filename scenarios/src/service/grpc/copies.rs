//! The body of a gRPC answer: a message so many times, and the status at its end.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

/// Small messages travel together up to here, which is what every receiver takes in one frame. They are all there at
/// once, and a frame for each is taken for an attack by some: h2 closes a connection on which small frames pile up.
const FRAME: usize = 16 << 10;

/// The body.
pub(in crate::service) struct Copies {
    /// As many copies as a frame has.
    frame: Bytes,
    /// The length of one, with its prefix.
    length: usize,
    left: usize,
    /// The status is yet to be sent.
    status: bool,
}

impl Copies {
    /// So many, and that all went well. The message has its prefix, and is therefore never empty.
    pub(super) fn new(message: Bytes, count: usize) -> Self {
        let length = message.len();
        let together = (FRAME / length.max(1)).min(count);
        let frame = if together > 1 { message.repeat(together).into() } else { message };
        Self { frame, length, left: count, status: true }
    }

    /// No body at all: the status is in the head.
    pub(super) fn none() -> Self {
        Self { frame: Bytes::new(), length: 0, left: 0, status: false }
    }
}

// Without a hint of its size, which would become a content-length: no gRPC server sends one.
impl Body for Copies {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = if self.left > 0 {
            let now = (self.frame.len() / self.length.max(1)).clamp(1, self.left);
            self.left -= now;
            Some(Frame::data(self.frame.slice(..now * self.length)))
        } else if self.status {
            self.status = false;
            let ok = (HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"));
            Some(Frame::trailers(HeaderMap::from_iter([ok])))
        } else {
            None
        };
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0 && !self.status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lengths of its frames, and whether it ends with a status.
    fn frames(mut copies: Copies) -> (Vec<usize>, bool) {
        let (mut lengths, mut status) = (Vec::new(), false);
        let mut context = Context::from_waker(std::task::Waker::noop());
        while let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut copies).poll_frame(&mut context) {
            match frame.into_data() {
                Ok(data) => lengths.push(data.len()),
                Err(_) => status = true,
            }
        }
        assert!(copies.is_end_stream());
        (lengths, status)
    }

    #[test]
    fn small_messages_share_a_frame_and_large_ones_have_their_own() {
        let message = |length| Bytes::from(vec![0; length]);
        assert_eq!(frames(Copies::new(message(5), 0)), (vec![], true));
        assert_eq!(frames(Copies::new(message(5), 1)), (vec![5], true));
        assert_eq!(frames(Copies::new(message(1000), 35)), (vec![16_000, 16_000, 3_000], true));
        assert_eq!(frames(Copies::new(message(8192), 3)), (vec![16_384, 8_192], true));
        assert_eq!(frames(Copies::new(message(8193), 2)), (vec![8_193, 8_193], true));
        assert_eq!(frames(Copies::new(message(20_000), 2)), (vec![20_000, 20_000], true));
        assert_eq!(frames(Copies::none()), (vec![], false));
    }
}
