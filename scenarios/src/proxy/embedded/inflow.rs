//! A request's body on its way to the upstream.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

/// A request's body; counted where an access log wants to know its length, and nothing else does.
pub(super) struct Inflow {
    body: Incoming,
    count: Option<Arc<AtomicU64>>,
}

impl Inflow {
    pub(super) fn new(body: Incoming, count: Option<Arc<AtomicU64>>) -> Self {
        Self { body, count }
    }
}

impl Body for Inflow {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let (Some(count), Some(Ok(frame))) = (&self.count, &frame) {
            count.fetch_add(frame.data_ref().map_or(0, Bytes::len) as u64, Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
