//! A pool of keep-alive connections to one address, which belongs to one worker.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::header::{HeaderName, HeaderValue};
use hyper::rt::{Read, Write};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::handshakes::{Handshakes, reason};
use crate::ports::in_time;

/// The response header in which a part says why it has no better answer.
pub(crate) const ERROR_HEADER: HeaderName = HeaderName::from_static("x-meshtax-error");

/// A text as a header value: what cannot stand in one becomes a space, and an endless one is cut.
pub(crate) fn error_header(text: &str) -> HeaderValue {
    let fit = |b: u8| if b.is_ascii_graphic() { b } else { b' ' };
    let value: Vec<u8> = text.bytes().take(500).map(fit).collect();
    HeaderValue::from_bytes(&value).unwrap_or(HeaderValue::from_static("unknown"))
}

/// Counts of one worker, on a cache line of their own so that workers don't slow one another down.
#[derive(Default)]
#[repr(align(128))]
pub(crate) struct Meter {
    /// Connections opened.
    pub(crate) connections: AtomicU64,
    /// Requests that got no response.
    pub(crate) failures: AtomicU64,
    pub(crate) handshakes: Handshakes,
}

/// How connections are made.
pub(crate) enum Transport {
    Plain,
    Tls(TlsConnector),
}

/// The pool, over which requests with bodies of one kind are sent.
pub(crate) struct Upstream<B = Incoming> {
    address: SocketAddr,
    transport: Transport,
    meter: Arc<Meter>,
    /// Last in, first out, so that as few connections are used as the load needs; without a bound, since a pool that
    /// closes connections would put handshakes into the figures.
    idle: RefCell<Vec<SendRequest<B>>>,
    /// A connection of the pool ended since the idle ones were last looked through.
    ended: Cell<bool>,
    owed: Rc<Cell<usize>>,
}

impl<B> Upstream<B>
where
    B: Body<Data = Bytes, Error = hyper::Error> + Send + 'static,
{
    pub(crate) fn new(address: SocketAddr, transport: Transport, meter: Arc<Meter>) -> Rc<Self> {
        Rc::new(Self {
            address,
            transport,
            meter,
            idle: RefCell::default(),
            ended: Cell::new(false),
            owed: Rc::default(),
        })
    }

    /// Requests sent whose responses are not yet through.
    pub(crate) fn owed(&self) -> usize {
        self.owed.get()
    }

    /// Sends a request over an idle connection or a new one. It goes out on another connection only if hyper gives it
    /// back, which it does when the connection had ended before a byte was written; otherwise it is never sent twice.
    pub(crate) async fn send(self: &Rc<Self>, request: Request<B>) -> Result<Response<Relayed<B>>, Failure> {
        let debt = Debt::new(&self.owed);
        let answer = self.exchange(request).await;
        match answer {
            Ok((response, sender)) => Ok(response.map(|body| Relayed::new(body, sender, Rc::clone(self), debt))),
            Err(failure) => {
                if failure.is_upstreams() {
                    self.meter.failures.fetch_add(1, Relaxed);
                }
                Err(failure)
            }
        }
    }

    async fn exchange(
        self: &Rc<Self>,
        mut request: Request<B>,
    ) -> Result<(Response<Incoming>, SendRequest<B>), Failure> {
        while let Some(mut sender) = self.idle_one() {
            match sender.try_send_request(request).await {
                Ok(response) => return Ok((response, sender)),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(self.exchange_failure(error.into_error())),
                },
            }
        }
        let mut sender = self.connect().await?;
        match sender.send_request(request).await {
            Ok(response) => Ok((response, sender)),
            Err(error) => Err(self.exchange_failure(error)),
        }
    }

    fn exchange_failure(&self, source: hyper::Error) -> Failure {
        Failure::Exchange { address: self.address, source }
    }

    fn idle_one(&self) -> Option<SendRequest<B>> {
        let mut idle = self.idle.borrow_mut();
        if self.ended.take() {
            idle.retain(|sender| !sender.is_closed());
        }
        idle.pop()
    }

    async fn connect(self: &Rc<Self>) -> Result<SendRequest<B>, Failure> {
        let address = self.address;
        let fail = |source| Failure::Connect { address, source };
        let stream = in_time(TcpStream::connect(address)).await.map_err(fail)?;
        stream.set_nodelay(true).map_err(fail)?;
        self.meter.connections.fetch_add(1, Relaxed);
        match &self.transport {
            Transport::Plain => self.speak(TokioIo::new(stream)).await,
            Transport::Tls(connector) => {
                // The address stands in for a name: no SNI is sent for it, and peers are told apart by their SPIFFE id.
                match in_time(connector.connect(ServerName::from(address.ip()), stream)).await {
                    Ok(stream) => {
                        self.meter.handshakes.succeeded(stream.get_ref().1.peer_certificates());
                        self.speak(TokioIo::new(stream)).await
                    }
                    Err(source) => {
                        self.meter.handshakes.failed();
                        Err(Failure::Handshake { address, source })
                    }
                }
            }
        }
    }

    async fn speak<T>(self: &Rc<Self>, io: T) -> Result<SendRequest<B>, Failure>
    where
        T: Read + Write + Unpin + Send + 'static,
    {
        let (sender, connection) = Builder::new().handshake(io).await.map_err(|e| self.exchange_failure(e))?;
        let pool = Rc::clone(self);
        tokio::task::spawn_local(async move {
            // How it ended is told to whoever waits for a response on it; an idle one may end as it likes.
            let _ = connection.await;
            pool.ended.set(true);
        });
        Ok(sender)
    }

    /// Takes a connection back whose response is through.
    fn give_back(self: Rc<Self>, mut sender: SendRequest<B>) {
        if sender.is_ready() {
            self.idle.borrow_mut().push(sender);
        } else if !sender.is_closed() {
            // An answer that came before its request was wholly sent: free when that is done.
            tokio::task::spawn_local(async move {
                if sender.ready().await.is_ok() {
                    self.idle.borrow_mut().push(sender);
                }
            });
        }
    }
}

/// One request that is not yet answered, for as long as it lives.
struct Debt(Rc<Cell<usize>>);

impl Debt {
    fn new(owed: &Rc<Cell<usize>>) -> Self {
        owed.set(owed.get() + 1);
        Self(Rc::clone(owed))
    }
}

impl Drop for Debt {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// A response body on its way through; when it has ended, its connection goes back into the pool. Dropped before its
/// end, it closes the connection, on which the rest of the body would be in the way.
pub(crate) struct Relayed<B = Incoming>
where
    B: Body<Data = Bytes, Error = hyper::Error> + Send + 'static,
{
    body: Incoming,
    lease: Option<(Rc<Upstream<B>>, SendRequest<B>, Debt)>,
}

impl<B> Relayed<B>
where
    B: Body<Data = Bytes, Error = hyper::Error> + Send + 'static,
{
    fn new(body: Incoming, sender: SendRequest<B>, pool: Rc<Upstream<B>>, debt: Debt) -> Self {
        let mut relayed = Self { body, lease: Some((pool, sender, debt)) };
        if relayed.body.is_end_stream() {
            relayed.end();
        }
        relayed
    }

    fn end(&mut self) {
        if let Some((pool, sender, _debt)) = self.lease.take() {
            pool.give_back(sender);
        }
    }
}

impl<B> Body for Relayed<B>
where
    B: Body<Data = Bytes, Error = hyper::Error> + Send + Unpin + 'static,
{
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            Some(Err(_)) => self.lease = None,
            Some(Ok(_)) if !self.body.is_end_stream() => {}
            // A body of known length is at its end with its last frame: hyper does not ask again.
            Some(Ok(_)) | None => self.end(),
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

/// Why there is no response.
#[derive(Debug)]
pub(crate) enum Failure {
    Connect { address: SocketAddr, source: std::io::Error },
    Handshake { address: SocketAddr, source: std::io::Error },
    Exchange { address: SocketAddr, source: hyper::Error },
}

impl Failure {
    /// Whether the side we called is at fault, and not the body of the side that called us.
    pub(crate) fn is_upstreams(&self) -> bool {
        !matches!(self, Self::Exchange { source, .. } if source.is_user())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect { address, source } => write!(f, "cannot connect to {address}: {source}"),
            Self::Handshake { address, source } => write!(f, "no TLS with {address}: {}", reason(source)),
            Self::Exchange { address, source } => {
                write!(f, "no response from {address}: {source}")?;
                let mut cause = std::error::Error::source(source);
                while let Some(error) = cause {
                    write!(f, ": {error}")?;
                    cause = error.source();
                }
                Ok(())
            }
        }
    }
}
