//! A response's body on its way back.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::access_log::Note;
use super::inflow::Inflow;
use crate::upstream::Relayed;

/// A response body, with what is noted of its request where there is an access log.
pub(super) struct Reply {
    content: Content,
    note: Option<Box<Note>>,
}

enum Content {
    /// One that is passed on.
    Relayed(Relayed<Inflow>),
    /// A few words of our own.
    Own(Option<Bytes>),
}

impl Reply {
    pub(super) fn relayed(body: Relayed<Inflow>, note: Option<Box<Note>>) -> Self {
        Self { content: Content::Relayed(body), note }
    }

    pub(super) fn own(text: Bytes, note: Option<Box<Note>>) -> Self {
        Self { content: Content::Own(Some(text)), note }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let reply = self.get_mut();
        let frame = match &mut reply.content {
            Content::Relayed(body) => std::task::ready!(Pin::new(body).poll_frame(cx)),
            Content::Own(text) => text.take().map(|text| Ok(Frame::data(text))),
        };
        if let Some(note) = &mut reply.note {
            match &frame {
                Some(Ok(frame)) => note.sent(frame.data_ref().map_or(0, Bytes::len)),
                Some(Err(_)) => {}
                None => note.through(),
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Relayed(body) => body.is_end_stream(),
            Content::Own(text) => text.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Relayed(body) => body.size_hint(),
            Content::Own(text) => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        // A body of known length is at its end with its last frame: hyper does not ask again.
        let whole = self.is_end_stream();
        if let (Some(note), true) = (&mut self.note, whole) {
            note.through();
        }
    }
}
