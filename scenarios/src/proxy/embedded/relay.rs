//! One worker of a sidecar: it takes connections in both directions and relays their requests.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpStream};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{HOST, HeaderValue};
use hyper::rt::{Read, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri, Version};
use hyper_util::rt::TokioIo;
use record::Mtls;
use rustls::{ClientConfig, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::config::SidecarConfig;
use super::headers;
use super::stats::{Gauges, Way, count};
use super::tls::Credentials;
use crate::Result;
use crate::complaints::Complaints;
use crate::handshakes::reason;
use crate::ports::in_time;
use crate::upstream::{ERROR_HEADER, Relayed, Transport, Upstream, error_header};
use crate::workers::Worker;

/// The first byte of a TLS connection: a record of type handshake (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 22;

/// What is the same for all workers.
pub(super) struct Plan {
    app: Option<SocketAddr>,
    callee: Option<SocketAddr>,
    server_tls: Option<Arc<ServerConfig>>,
    client_tls: Option<Arc<ClientConfig>>,
    complaints: Arc<Complaints>,
}

impl Plan {
    /// Reads the keys of a configuration that was checked.
    pub(super) fn new(config: &SidecarConfig, complaints: Arc<Complaints>) -> Result<Self> {
        let mut plan = Self {
            app: config.inbound.as_ref().map(|i| i.app),
            callee: config.outbound.as_ref().map(|o| o.upstream),
            server_tls: None,
            client_tls: None,
            complaints,
        };
        if let (Mtls::Strict, Some(files)) = (config.mtls, &config.identity) {
            let credentials = Credentials::read(files)?;
            plan.server_tls = Some(Arc::new(credentials.server()?));
            if let Some(out) = &config.outbound {
                plan.client_tls = Some(Arc::new(credentials.client(&out.peer)?));
            }
        }
        Ok(plan)
    }
}

/// What a worker is told: to serve a connection that came in one direction or the other.
pub(super) enum Order {
    Inbound(TcpStream),
    Outbound(TcpStream),
}

/// One worker.
pub(super) struct Relay {
    inbound: Option<Rc<Direction>>,
    outbound: Option<Rc<Direction>>,
}

/// One direction of one worker.
struct Direction {
    name: &'static str,
    gauges: Arc<Gauges>,
    way: fn(&Gauges) -> &Way,
    /// Set if callers must come with TLS.
    tls: Option<TlsAcceptor>,
    upstream: Rc<Upstream>,
    complaints: Arc<Complaints>,
}

impl Relay {
    pub(super) fn new(plan: Arc<Plan>, gauges: Arc<Gauges>) -> Self {
        let direction = |name, to: Option<SocketAddr>, way: fn(&Gauges) -> &Way, tls, transport| {
            let meter = Arc::clone(&way(&gauges).upstream);
            let (gauges, complaints) = (Arc::clone(&gauges), Arc::clone(&plan.complaints));
            to.map(|to| {
                Rc::new(Direction { name, gauges, way, tls, upstream: Upstream::new(to, transport, meter), complaints })
            })
        };
        let acceptor = plan.server_tls.clone().map(TlsAcceptor::from);
        let connector = plan.client_tls.clone().map_or(Transport::Plain, |c| Transport::Tls(TlsConnector::from(c)));
        Self {
            inbound: direction("inbound", plan.app, |g| &g.inbound, acceptor, Transport::Plain),
            outbound: direction("outbound", plan.callee, |g| &g.outbound, None, connector),
        }
    }
}

impl Worker for Relay {
    type Order = Order;

    fn take(self: &Rc<Self>, order: Order) {
        let (direction, stream) = match order {
            Order::Inbound(stream) => (&self.inbound, stream),
            Order::Outbound(stream) => (&self.outbound, stream),
        };
        if let Some(direction) = direction {
            tokio::task::spawn_local(Rc::clone(direction).admit(stream));
        }
    }

    fn owed(&self) -> usize {
        [&self.inbound, &self.outbound].into_iter().flatten().map(|d| d.upstream.owed()).sum()
    }
}

impl Direction {
    fn way(&self) -> &Way {
        (self.way)(&self.gauges)
    }

    /// Takes a connection in: in clear, or with TLS where that is a must.
    async fn admit(self: Rc<Self>, stream: TcpStream) {
        count(&self.way().connections);
        let Ok(stream) = tokio::net::TcpStream::from_std(stream) else { return };
        let Some(acceptor) = &self.tls else { return Rc::clone(&self).serve(stream).await };
        // A look before the handshake, since TLS itself would answer a request in clear with bytes of its own.
        let mut first = [0];
        match in_time(stream.peek(&mut first)).await {
            Ok(1) if first[0] == TLS_HANDSHAKE => {}
            Ok(1) => {
                count(&self.way().plaintext_refused);
                self.complaints.write("inbound: refused a connection in clear: mtls is strict");
                return;
            }
            // It went away, or never said a word.
            Ok(_) | Err(_) => return,
        }
        match in_time(acceptor.accept(stream)).await {
            Ok(stream) => {
                self.way().handshakes.succeeded(stream.get_ref().1.peer_certificates());
                Rc::clone(&self).serve(stream).await;
            }
            Err(error) => {
                self.way().handshakes.failed();
                self.complaints.write(format_args!("inbound: no TLS with a caller: {}", reason(&error)));
            }
        }
    }

    /// Relays the requests of a connection until it ends.
    async fn serve<T>(self: Rc<Self>, stream: T)
    where
        TokioIo<T>: Read + Write + Unpin + 'static,
    {
        let clear = self.name == "inbound" && self.tls.is_none();
        let relay = service_fn(move |request| Rc::clone(&self).relay(request, clear));
        // A caller that goes away is no fault of ours, and knows of it.
        let _ = http1::Builder::new().header_read_timeout(None).serve_connection(TokioIo::new(stream), relay).await;
    }

    async fn relay(
        self: Rc<Self>,
        mut request: Request<Incoming>,
        clear: bool,
    ) -> std::result::Result<Response<Reply>, Infallible> {
        count(&self.way().requests);
        if clear {
            count(&self.way().plaintext_requests);
        }
        if request.method() == Method::CONNECT {
            return Ok(self.refuse(StatusCode::NOT_IMPLEMENTED, &"CONNECT is not relayed"));
        }
        headers::strip(request.headers_mut());
        make_origin_form(&mut request);
        *request.version_mut() = Version::HTTP_11;
        Ok(match self.upstream.send(request).await {
            Ok(mut response) => {
                headers::strip(response.headers_mut());
                *response.version_mut() = Version::HTTP_11;
                response.map(Reply::Relayed)
            }
            Err(failure) => self.refuse(StatusCode::SERVICE_UNAVAILABLE, &failure),
        })
    }

    fn refuse(&self, status: StatusCode, why: &dyn std::fmt::Display) -> Response<Reply> {
        let line = format!("{}: {why}", self.name);
        self.complaints.write(&line);
        let mut response = Response::new(Reply::Own(Some(Bytes::from(format!("{line}\n")))));
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

/// A response body: one that is passed on, or a few words of our own.
enum Reply {
    Relayed(Relayed),
    Own(Option<Bytes>),
}

impl Body for Reply {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Relayed(body) => Pin::new(body).poll_frame(cx),
            Self::Own(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Relayed(body) => body.is_end_stream(),
            Self::Own(text) => text.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Relayed(body) => body.size_hint(),
            Self::Own(text) => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
        }
    }
}
