//! One call to another service: the request that is sent, and what came of it.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{HOST, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode, Uri};
use record::{HopStamps, monotonic_ns};

use super::{NextHop, SUBSET_HEADER};
use crate::upstream::{ERROR_HEADER, Meter, Transport, Upstream};

pub(super) const HOPS: HeaderName = HeaderName::from_static(HopStamps::HEADER);
pub(super) const SUBSET: HeaderName = HeaderName::from_static(SUBSET_HEADER);

/// A service that is called, as a worker knows it.
pub(super) struct Callee {
    /// "next hop", or its name in the script.
    name: Arc<str>,
    hop: NextHop,
    host: HeaderValue,
    pool: Rc<Upstream<Sent>>,
}

/// What is the same in every request that one brings about.
#[derive(Clone)]
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) uri: Uri,
}

impl Asked {
    pub(super) fn of(head: Parts) -> Self {
        let uri = head.uri.into_parts().path_and_query.map_or_else(|| Uri::from_static("/"), Uri::from);
        Self { method: head.method, uri }
    }
}

/// What came of a call.
pub(super) struct Called {
    pub(super) called_ns: u64,
    pub(super) returned_ns: u64,
    /// The callee's stamps.
    pub(super) hops: Option<HeaderValue>,
    /// The subset that answered, at the callee or after it.
    pub(super) subset: Option<HeaderValue>,
    /// Why it is no answer, if it is none.
    pub(super) failure: Option<(StatusCode, String)>,
}

impl Callee {
    pub(super) fn new(name: Arc<str>, hop: NextHop) -> Option<Rc<Self>> {
        // An address is always a good header value; if it were not, requests would be answered as without a callee.
        let host = HeaderValue::try_from(hop.address.to_string()).ok()?;
        let pool = Upstream::new(hop.address, Transport::Plain, Arc::new(Meter::default()));
        Some(Rc::new(Self { name, hop, host, pool }))
    }

    pub(super) fn owed(&self) -> usize {
        self.pool.owed()
    }

    /// Calls it, and waits for its whole response.
    pub(super) async fn call(&self, asked: Asked, body: Sent) -> Called {
        let mut called = Called { called_ns: monotonic_ns(), returned_ns: 0, hops: None, subset: None, failure: None };
        if let Err((status, error)) = self.exchange(&mut called, asked, body).await {
            called.failure = Some((status, format!("{} {}: {error}", self.name, self.hop)));
        }
        called.returned_ns = monotonic_ns();
        called
    }

    async fn exchange(&self, called: &mut Called, asked: Asked, body: Sent) -> Result<(), (StatusCode, String)> {
        let mut request = Request::new(body);
        *request.method_mut() = asked.method;
        *request.uri_mut() = asked.uri;
        request.headers_mut().insert(HOST, self.host.clone());
        let response = self.pool.send(request).await.map_err(|e| (StatusCode::BAD_GATEWAY, e.to_string()))?;
        let (mut head, mut body) = response.into_parts();
        while let Some(frame) = body.frame().await {
            frame.map_err(|e| (StatusCode::BAD_GATEWAY, format!("its response was cut off: {e}")))?;
        }
        called.hops = head.headers.remove(HOPS);
        called.subset = head.headers.remove(SUBSET);
        if head.status.is_client_error() || head.status.is_server_error() {
            let why = head.headers.get(ERROR_HEADER).and_then(|v| v.to_str().ok()).unwrap_or("it gave no reason");
            return Err((head.status, format!("answered {}: {why}", head.status.as_u16())));
        }
        Ok(())
    }
}

/// The body of a request to another service.
pub(super) enum Sent {
    /// What came in is passed on as it comes.
    Forwarded(Incoming),
    /// Bytes of our own, or none.
    Own(Option<Bytes>),
}

impl Body for Sent {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut *self {
            Self::Forwarded(body) => Pin::new(body).poll_frame(cx),
            Self::Own(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Forwarded(body) => body.is_end_stream(),
            Self::Own(bytes) => bytes.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Forwarded(body) => body.size_hint(),
            Self::Own(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
        }
    }
}
