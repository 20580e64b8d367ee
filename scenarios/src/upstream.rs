//! A pool of keep-alive connections to one address, which belongs to one worker.

mod dial;
mod failure;

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::header::{HeaderName, HeaderValue};
use hyper::rt::{Read, Write};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio_rustls::TlsConnector;

pub(crate) use self::dial::{dial, secure};
pub(crate) use self::failure::Failure;
use crate::handshakes::Handshakes;

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
    /// Requests that got a connection, or were given up without one.
    pub(crate) requests: AtomicU64,
    /// Tries beyond the first of a request.
    pub(crate) retries: AtomicU64,
    /// Requests that got no response.
    pub(crate) failures: AtomicU64,
    /// The most requests that one connection carried, where there is a bound to them.
    pub(crate) most_requests: AtomicU64,
    pub(crate) handshakes: Handshakes,
}

/// How connections are made.
pub(crate) enum Transport {
    Plain,
    Tls(TlsConnector),
}

/// What holds for a pool's connections.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Terms {
    /// Tries that are added when a connection cannot be made, or ends before a byte of the request was written.
    pub(crate) retries: u32,
    /// Requests after which a connection is closed; 0 is no bound.
    pub(crate) requests_per_connection: u32,
    /// The address from which connections are made; none leaves it to the kernel.
    pub(crate) from: Option<IpAddr>,
}

/// The pool, over which requests with bodies of one kind are sent.
pub(crate) struct Upstream<B = Incoming> {
    address: SocketAddr,
    transport: RefCell<Rc<Transport>>,
    terms: Terms,
    meter: Arc<Meter>,
    /// Last in, first out, so that as few connections are used as the load needs; without a bound, since a pool that
    /// closes connections would put handshakes into the figures.
    idle: RefCell<Vec<Sender<B>>>,
    /// A connection of the pool ended since the idle ones were last looked through.
    ended: Cell<bool>,
    owed: Rc<Cell<usize>>,
}

/// The end of a connection that requests are given to.
struct Sender<B> {
    send: SendRequest<B>,
    /// Requests that were given to it.
    requests: u32,
    local: Option<SocketAddr>,
}

impl<B> Upstream<B>
where
    B: Body<Data = Bytes, Error = hyper::Error> + Send + 'static,
{
    pub(crate) fn new(address: SocketAddr, transport: Transport, meter: Arc<Meter>) -> Rc<Self> {
        Self::on_terms(address, transport, Terms::default(), meter)
    }

    pub(crate) fn on_terms(address: SocketAddr, transport: Transport, terms: Terms, meter: Arc<Meter>) -> Rc<Self> {
        Rc::new(Self {
            address,
            transport: RefCell::new(Rc::new(transport)),
            terms,
            meter,
            idle: RefCell::default(),
            ended: Cell::new(false),
            owed: Rc::default(),
        })
    }

    /// Where its connections go.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Has connections that are yet to be made speak another way; those that are there stay as they are.
    pub(crate) fn speak_by(&self, transport: Transport) {
        *self.transport.borrow_mut() = Rc::new(transport);
    }

    /// Requests sent whose responses are not yet through.
    pub(crate) fn owed(&self) -> usize {
        self.owed.get()
    }

    /// Sends a request over an idle connection or a new one. It goes out on another connection only if hyper gives it
    /// back, which it does when the connection had ended before a byte was written; otherwise it is never sent twice.
    pub(crate) async fn send(self: &Rc<Self>, request: Request<B>) -> Result<Response<Relayed<B>>, Failure> {
        let debt = Debt::new(&self.owed);
        self.meter.requests.fetch_add(1, Relaxed);
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

    async fn exchange(self: &Rc<Self>, mut request: Request<B>) -> Result<(Response<Incoming>, Sender<B>), Failure> {
        while let Some(mut sender) = self.idle_one() {
            match sender.try_send(request).await {
                Ok(response) => return Ok((response, sender)),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(self.exchange_failure(error.into_error())),
                },
            }
        }
        let mut retry = 0;
        loop {
            let failure = match self.connect().await {
                Ok(mut sender) => match sender.try_send(request).await {
                    Ok(response) => return Ok((response, sender)),
                    Err(mut error) => {
                        let unsent = error.take_message();
                        let failure = self.exchange_failure(error.into_error());
                        let Some(unsent) = unsent else { return Err(failure) };
                        request = unsent;
                        failure
                    }
                },
                Err(failure) => failure,
            };
            if retry >= self.terms.retries {
                return Err(failure);
            }
            retry += 1;
            tokio::time::sleep(pause_before(retry)).await;
            self.meter.retries.fetch_add(1, Relaxed);
        }
    }

    fn exchange_failure(&self, source: hyper::Error) -> Failure {
        Failure::Exchange { address: self.address, source }
    }

    fn idle_one(&self) -> Option<Sender<B>> {
        let mut idle = self.idle.borrow_mut();
        if self.ended.take() {
            idle.retain(|sender| !sender.send.is_closed());
        }
        idle.pop()
    }

    async fn connect(self: &Rc<Self>) -> Result<Sender<B>, Failure> {
        let address = self.address;
        let stream = dial(address, self.terms.from, &self.meter).await?;
        let local = stream.local_addr().ok();
        let transport = Rc::clone(&self.transport.borrow());
        let send = match &*transport {
            Transport::Plain => self.speak(TokioIo::new(stream)).await,
            Transport::Tls(connector) => {
                self.speak(TokioIo::new(secure(connector, address, stream, &self.meter).await?)).await
            }
        }?;
        Ok(Sender { send, requests: 0, local })
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
    fn give_back(self: Rc<Self>, mut sender: Sender<B>) {
        let bound = self.terms.requests_per_connection;
        if bound > 0 {
            self.meter.most_requests.fetch_max(sender.requests.into(), Relaxed);
            if sender.requests >= bound {
                // Dropped, it is closed.
                return;
            }
        }
        if sender.send.is_ready() {
            self.idle.borrow_mut().push(sender);
        } else if !sender.send.is_closed() {
            // An answer that came before its request was wholly sent: free when that is done.
            tokio::task::spawn_local(async move {
                if sender.send.ready().await.is_ok() {
                    self.idle.borrow_mut().push(sender);
                }
            });
        }
    }
}

impl<B> Sender<B>
where
    B: Body<Data = Bytes, Error = hyper::Error> + Send + 'static,
{
    async fn try_send(&mut self, request: Request<B>) -> Result<Response<Incoming>, TrySendError<Request<B>>> {
        self.requests = self.requests.saturating_add(1);
        self.send.try_send_request(request).await
    }
}

/// How long to wait before a retry: as Envoy does, anything up to 25 ms before the first, 75 before the second, and
/// 250 at most.
fn pause_before(retry: u32) -> Duration {
    const BASE_US: u64 = 25_000;
    let most = (BASE_US * ((1 << retry.min(10)) - 1)).min(10 * BASE_US);
    Duration::from_micros(rand::random_range(0..most))
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
    local: Option<SocketAddr>,
    lease: Option<(Rc<Upstream<B>>, Sender<B>, Debt)>,
}

impl<B> Relayed<B>
where
    B: Body<Data = Bytes, Error = hyper::Error> + Send + 'static,
{
    fn new(body: Incoming, sender: Sender<B>, pool: Rc<Upstream<B>>, debt: Debt) -> Self {
        let mut relayed = Self { body, local: sender.local, lease: Some((pool, sender, debt)) };
        if relayed.body.is_end_stream() {
            relayed.end();
        }
        relayed
    }

    /// The address that it was asked for from.
    pub(crate) fn local(&self) -> Option<SocketAddr> {
        self.local
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
