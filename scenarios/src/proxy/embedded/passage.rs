//! A connection whose requests are relayed, one after another.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri, Version};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::access_log::Note;
use super::front::Front;
use super::gauges::{Gauges, count};
use super::headers;
use super::inflow::Inflow;
use super::reply::Reply;
use super::route::Route;
use super::worker::Relay;
use crate::upstream::{ERROR_HEADER, Failure, error_header};

/// The two ends of a connection that came in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    /// Where it was meant to go, if it was redirected, and otherwise where it came in.
    pub(super) local: Option<SocketAddr>,
    pub(super) remote: Option<SocketAddr>,
}

impl Ends {
    pub(super) fn of(stream: &TcpStream, meant_for: Option<SocketAddr>) -> Self {
        Self { local: meant_for.or_else(|| stream.local_addr().ok()), remote: stream.peer_addr().ok() }
    }
}

/// A connection whose requests are relayed.
pub(super) struct Passage {
    pub(super) relay: Rc<Relay>,
    pub(super) route: Route,
    /// Where requests are counted that come in from outside; none for those of the service itself.
    pub(super) inbound: Option<Arc<Gauges>>,
    /// Whether they come in in clear where they might not.
    pub(super) clear: bool,
    /// Set at a gateway.
    pub(super) front: Option<Front>,
    pub(super) ends: Ends,
}

impl Passage {
    /// Relays until the connection ends.
    pub(super) async fn serve<T>(self, stream: T)
    where
        T: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let passage = Rc::new(self);
        let relay = service_fn(move |request| Rc::clone(&passage).relay(request));
        // A caller that goes away is no fault of ours, and knows of it.
        let _ = http1::Builder::new().header_read_timeout(None).serve_connection(TokioIo::new(stream), relay).await;
    }

    async fn relay(self: Rc<Self>, mut request: Request<Incoming>) -> Result<Response<Reply>, Infallible> {
        if let Some(gauges) = &self.inbound {
            count(&gauges.inbound.requests);
            if self.clear {
                count(&gauges.inbound.plaintext_requests);
            }
        }
        let version = std::mem::replace(request.version_mut(), Version::HTTP_11);
        headers::strip(request.headers_mut());
        let connect = request.method() == Method::CONNECT;
        if !connect {
            make_origin_form(&mut request);
        }
        if let Some(front) = &self.front {
            front.mark(request.headers_mut());
        }
        let opened = self.relay.ledger.as_ref().map(|ledger| Note::open(ledger, &request, version, self.ends));
        let (note, counted) = opened.map_or((None, None), |(note, counted)| (Some(note), counted));
        if connect {
            return Ok(self.refuse(StatusCode::NOT_IMPLEMENTED, &"CONNECT is not relayed", None, note));
        }
        Ok(self.exchange(request.map(|body| Inflow::new(body, counted)), note).await)
    }

    async fn exchange(&self, request: Request<Inflow>, mut note: Option<Box<Note>>) -> Response<Reply> {
        let Some(pool) = self.route.draw() else {
            return self.refuse(StatusCode::SERVICE_UNAVAILABLE, &"there is nobody to send it to", None, note);
        };
        if let Some(note) = &mut note {
            note.routed(&pool.cluster, pool.upstream.address());
        }
        match pool.upstream.send(request).await {
            Ok(mut response) => {
                headers::strip(response.headers_mut());
                *response.version_mut() = Version::HTTP_11;
                if let Some(note) = &mut note {
                    note.answered(response.status().as_u16(), response.body().local());
                }
                response.map(|body| Reply::relayed(body, note))
            }
            Err(failure) => self.refuse(StatusCode::SERVICE_UNAVAILABLE, &failure, Some(&failure), note),
        }
    }

    fn refuse(
        &self,
        status: StatusCode,
        why: &dyn std::fmt::Display,
        failure: Option<&Failure>,
        mut note: Option<Box<Note>>,
    ) -> Response<Reply> {
        let direction = match self.route {
            Route::App(_) => "inbound",
            Route::Callee(_) => "outbound",
        };
        let line = format!("{direction}: {why}");
        self.relay.plan.complaints.write(&line);
        if let Some(note) = &mut note {
            note.refused(status.as_u16(), failure);
        }
        let mut response = Response::new(Reply::own(Bytes::from(format!("{line}\n")), note));
        *response.status_mut() = status;
        response.headers_mut().insert(ERROR_HEADER, error_header(&line));
        response
    }
}

/// A caller that takes us for a forward proxy sends a whole URL; its host then counts and not the Host header
/// (RFC 9112, section 3.2.2).
fn make_origin_form(request: &mut Request<Incoming>) {
    if request.uri().authority().is_none() {
        return;
    }
    let parts = std::mem::take(request.uri_mut()).into_parts();
    if let Some(host) = parts.authority.and_then(|a| HeaderValue::from_str(a.as_str()).ok()) {
        request.headers_mut().insert(HOST, host);
    }
    *request.uri_mut() = parts.path_and_query.map_or_else(|| Uri::from_static("/"), Uri::from);
}
