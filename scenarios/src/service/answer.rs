//! One worker of a service: it takes a request, works, calls, stamps and answers.

use std::cell::RefCell;
use std::convert::Infallible;
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode, Uri};
use record::{HopStamps, monotonic_ns};
use tokio::sync::oneshot;

use super::{NextHop, connection, work};
use crate::complaints::Complaints;
use crate::upstream::{ERROR_HEADER, Meter, Transport, Upstream, error_header};
use crate::workers::Worker;

pub(super) const HOPS: HeaderName = HeaderName::from_static(HopStamps::HEADER);

/// What is the same for all workers.
pub(super) struct Settings {
    pub(super) name: String,
    pub(super) work: Duration,
    pub(super) body: Bytes,
    pub(super) expect_next: bool,
    pub(super) complaints: Complaints,
}

/// What a worker is told.
pub(super) enum Order {
    /// Serve a connection.
    Serve(TcpStream),
    /// Call another service from now on, and say that it is so.
    Next(NextHop, oneshot::Sender<()>),
}

/// One worker.
pub(super) struct Server {
    settings: Arc<Settings>,
    next: RefCell<Option<Rc<Callee>>>,
}

/// The next service, as a worker knows it.
struct Callee {
    hop: NextHop,
    host: HeaderValue,
    pool: Rc<Upstream>,
}

impl Server {
    pub(super) fn new(settings: Arc<Settings>, next: Option<NextHop>) -> Self {
        Self { settings, next: RefCell::new(next.and_then(Callee::new)) }
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }
}

impl Callee {
    fn new(hop: NextHop) -> Option<Rc<Self>> {
        // An address is always a good header value; if it were not, requests would be answered as without a next hop.
        let host = HeaderValue::try_from(hop.address.to_string()).ok()?;
        let pool = Upstream::new(hop.address, Transport::Plain, Arc::new(Meter::default()));
        Some(Rc::new(Self { hop, host, pool }))
    }
}

impl Worker for Server {
    type Order = Order;

    fn take(self: &Rc<Self>, order: Order) {
        match order {
            Order::Next(hop, done) => {
                self.next.replace(Callee::new(hop));
                let _ = done.send(());
            }
            Order::Serve(stream) => {
                let server = Rc::clone(self);
                tokio::task::spawn_local(async move {
                    let Ok(stream) = tokio::net::TcpStream::from_std(stream) else { return };
                    connection::serve(server, stream).await;
                });
            }
        }
    }

    fn owed(&self) -> usize {
        self.next.borrow().as_ref().map_or(0, |next| next.pool.owed())
    }
}

/// How a service answers, before the stamps are put on.
struct Answer {
    status: StatusCode,
    error: Option<String>,
    called_ns: Option<u64>,
    returned_ns: Option<u64>,
    later_hops: Option<HeaderValue>,
}

/// Answers a request of either version.
pub(super) async fn answer(
    server: Rc<Server>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let received_ns = monotonic_ns();
    let settings = &server.settings;
    work::burn(settings.work);
    let next = server.next.borrow().clone();
    let answer = match next {
        Some(next) => call(&next, request).await,
        None => finish(request, settings.expect_next).await,
    };
    Ok(stamp(settings, received_ns, answer))
}

/// Answers as the last service of a chain, when the request is whole.
async fn finish(request: Request<Incoming>, expects_next: bool) -> Answer {
    let mut body = request.into_body();
    while !body.is_end_stream() {
        match body.frame().await {
            Some(Ok(_)) => {}
            // The caller is gone: nobody reads what we answer.
            Some(Err(_)) | None => break,
        }
    }
    let (status, error) = match expects_next {
        false => (StatusCode::OK, None),
        true => (StatusCode::SERVICE_UNAVAILABLE, Some("the next hop was not named yet".to_owned())),
    };
    Answer { status, error, called_ns: None, returned_ns: None, later_hops: None }
}

/// Calls the next service with the request's method, path and body, and waits for its whole response.
async fn call(next: &Callee, request: Request<Incoming>) -> Answer {
    let called_ns = Some(monotonic_ns());
    let failed = |status, error: String, later_hops| Answer {
        status,
        error: Some(format!("next hop {}: {error}", next.hop)),
        called_ns,
        returned_ns: Some(monotonic_ns()),
        later_hops,
    };
    let response = match next.pool.send(forwarded(next, request)).await {
        Ok(response) => response,
        Err(failure) => return failed(StatusCode::BAD_GATEWAY, failure.to_string(), None),
    };
    let (mut head, mut body) = response.into_parts();
    while let Some(frame) = body.frame().await {
        if let Err(error) = frame {
            return failed(StatusCode::BAD_GATEWAY, format!("its response was cut off: {error}"), None);
        }
    }
    let later_hops = head.headers.remove(HOPS);
    if head.status.is_client_error() || head.status.is_server_error() {
        let why = head.headers.get(ERROR_HEADER).and_then(|v| v.to_str().ok()).unwrap_or("it gave no reason");
        return failed(head.status, format!("answered {}: {why}", head.status.as_u16()), later_hops);
    }
    Answer { status: StatusCode::OK, error: None, called_ns, returned_ns: Some(monotonic_ns()), later_hops }
}

fn forwarded(next: &Callee, request: Request<Incoming>) -> Request<Incoming> {
    let (head, body) = request.into_parts();
    let mut forwarded = Request::new(body);
    *forwarded.method_mut() = head.method;
    *forwarded.uri_mut() = head.uri.into_parts().path_and_query.map_or_else(|| Uri::from_static("/"), Uri::from);
    forwarded.headers_mut().insert(HOST, next.host.clone());
    forwarded
}

/// Puts the stamps on, as late as they can be to be part of the head.
fn stamp(settings: &Settings, received_ns: u64, answer: Answer) -> Response<Full<Bytes>> {
    let Answer { status, error, called_ns, returned_ns, later_hops } = answer;
    let body = match &error {
        Some(error) => {
            settings.complaints.write(error);
            Bytes::from(format!("{}: {error}\n", settings.name))
        }
        None => settings.body.clone(),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers: &mut HeaderMap = response.headers_mut();
    if let Some(error) = error {
        headers.insert(ERROR_HEADER, error_header(&format!("{}: {error}", settings.name)));
    }
    if let Some(hops) = stamps(settings, received_ns, called_ns, returned_ns, later_hops.as_ref()) {
        headers.insert(HOPS, hops);
    }
    response
}

/// The stamps of this service and of those after it, the last of them made now.
pub(super) fn stamps(
    settings: &Settings,
    received_ns: u64,
    called_ns: Option<u64>,
    returned_ns: Option<u64>,
    later_hops: Option<&HeaderValue>,
) -> Option<HeaderValue> {
    let own =
        HopStamps { service: settings.name.clone(), received_ns, called_ns, returned_ns, answered_ns: monotonic_ns() };
    let mut hops = own.to_header();
    if let Some(later) = later_hops.and_then(|later| later.to_str().ok()) {
        hops.push(',');
        hops.push_str(later);
    }
    // The name was checked to be fit for a header, and all else is numbers.
    HeaderValue::try_from(hops).ok()
}
