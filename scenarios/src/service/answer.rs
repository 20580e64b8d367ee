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
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Request, Response, StatusCode};
use record::{HopStamps, monotonic_ns};
use tokio::sync::oneshot;

use super::call::{Asked, Called, Callee, HOPS, SUBSET, Sent};
use super::draw::Draw;
use super::plan::Plan;
use super::timer::Timers;
use super::{NextHop, connection, run, work};
use crate::complaints::Complaints;
use crate::upstream::{ERROR_HEADER, error_header};
use crate::workers::Worker;

/// What is the same for all workers.
pub(super) struct Settings {
    pub(super) name: String,
    pub(super) work: Duration,
    pub(super) body: Bytes,
    pub(super) plan: Plan,
    /// The callees' names, each at its place.
    pub(super) callees: Vec<Arc<str>>,
    pub(super) error_rate: f64,
    pub(super) seed: u64,
    pub(super) subset: Option<HeaderValue>,
    pub(super) complaints: Complaints,
}

/// What a worker is told.
pub(super) enum Order {
    /// Serve a connection.
    Serve(TcpStream),
    /// The callee of a place is there from now on; say when it is so.
    Callee(usize, NextHop, oneshot::Sender<()>),
}

/// One worker.
pub(super) struct Server {
    settings: Arc<Settings>,
    callees: RefCell<Vec<Option<Rc<Callee>>>>,
    draw: Draw,
    timers: Timers,
}

impl Server {
    /// The worker of a number, from 0; `next` is the callee of the first place, if it is known already.
    pub(super) fn new(settings: Arc<Settings>, worker: u64, next: Option<NextHop>) -> Self {
        let name = |place: usize| settings.callees.get(place).cloned().unwrap_or_default();
        let mut callees: Vec<Option<Rc<Callee>>> = settings.callees.iter().map(|_| None).collect();
        if let (Some(first), Some(next)) = (callees.first_mut(), next) {
            *first = Callee::new(name(0), next);
        }
        let draw = Draw::new(settings.seed, &settings.name, worker);
        Self { settings, callees: RefCell::new(callees), draw, timers: Timers::default() }
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn draw(&self) -> &Draw {
        &self.draw
    }

    pub(super) fn timers(&self) -> &Timers {
        &self.timers
    }

    /// Whether the request at hand fails by itself.
    pub(super) fn fails(&self) -> bool {
        self.draw.happens(self.settings.error_rate)
    }

    /// The first callee that was not named yet.
    pub(super) fn unnamed(&self) -> Option<&str> {
        let place = self.callees.borrow().iter().position(Option::is_none)?;
        self.settings.callees.get(place).map(|name| &**name)
    }

    /// The callee of a place, if it was named.
    pub(super) fn callee(&self, place: usize) -> Option<Rc<Callee>> {
        self.callees.borrow().get(place).cloned().flatten()
    }
}

impl Worker for Server {
    type Order = Order;

    fn take(self: &Rc<Self>, order: Order) {
        match order {
            Order::Callee(place, hop, done) => {
                let name = self.settings.callees.get(place).cloned().unwrap_or_default();
                if let Some(callee) = self.callees.borrow_mut().get_mut(place) {
                    *callee = Callee::new(name, hop);
                }
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
        self.callees.borrow().iter().flatten().map(|callee| callee.owed()).sum()
    }
}

/// The calls made for one request, in the order of the script.
pub(super) enum Calls {
    None,
    /// A chain has no other: nothing is allocated for it.
    One(Called),
    Many(Vec<Called>),
}

impl Calls {
    fn as_slice(&self) -> &[Called] {
        match self {
            Self::None => &[],
            Self::One(call) => std::slice::from_ref(call),
            Self::Many(calls) => calls,
        }
    }
}

/// How a service answers, before the stamps are put on: what went wrong besides its calls, and these.
pub(super) struct Answer {
    pub(super) failure: Option<(StatusCode, String)>,
    pub(super) calls: Calls,
    /// An error that was asked for is no reason to complain.
    pub(super) drawn: bool,
}

impl Answer {
    pub(super) fn of(calls: Calls) -> Self {
        Self { failure: None, calls, drawn: false }
    }

    pub(super) fn failed(status: StatusCode, error: String) -> Self {
        Self { failure: Some((status, error)), ..Self::of(Calls::None) }
    }
}

/// Answers a request of either version.
pub(super) async fn answer(
    server: Rc<Server>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let received_ns = monotonic_ns();
    let settings = &server.settings;
    work::burn(settings.work);
    if server.fails() {
        drain(request.into_body()).await;
        let error = format!("an error of its own, as for {} of its requests", settings.error_rate);
        let failed = Answer::failed(StatusCode::INTERNAL_SERVER_ERROR, error);
        return Ok(stamp(settings, received_ns, Answer { drawn: true, ..failed }));
    }
    let answer = match &settings.plan {
        Plan::Next { expected } => match server.callee(0) {
            Some(next) => {
                let (head, body) = request.into_parts();
                Answer::of(Calls::One(next.call(Asked::of(head), Sent::Forwarded(body)).await))
            }
            None => finish(request, *expected).await,
        },
        Plan::Script { steps, forwards } => run::script(&server, steps, *forwards, request).await,
    };
    Ok(stamp(settings, received_ns, answer))
}

/// Answers as the last service of a chain, when the request is whole.
async fn finish(request: Request<Incoming>, expects_next: bool) -> Answer {
    drain(request.into_body()).await;
    match expects_next {
        false => Answer::of(Calls::None),
        true => Answer::failed(StatusCode::SERVICE_UNAVAILABLE, "the next hop was not named yet".to_owned()),
    }
}

/// Reads a body to its end, and keeps nothing of it.
pub(super) async fn drain(mut body: Incoming) {
    while !body.is_end_stream() {
        match body.frame().await {
            Some(Ok(_)) => {}
            // The caller is gone: nobody reads what we answer.
            Some(Err(_)) | None => break,
        }
    }
}

/// Puts the stamps on, as late as they can be to be part of the head.
fn stamp(settings: &Settings, received_ns: u64, answer: Answer) -> Response<Full<Bytes>> {
    let calls = answer.calls.as_slice();
    // Its own failure first, and then that of the first call that failed.
    let failure = answer.failure.as_ref().or_else(|| calls.iter().find_map(|call| call.failure.as_ref()));
    let mut response = Response::new(Full::new(match failure {
        None => settings.body.clone(),
        Some((_, error)) => Bytes::from(format!("{}: {error}\n", settings.name)),
    }));
    if let Some((status, error)) = failure {
        if !answer.drawn {
            settings.complaints.write(error);
        }
        *response.status_mut() = *status;
        response.headers_mut().insert(ERROR_HEADER, error_header(&format!("{}: {error}", settings.name)));
    }
    label(settings, calls, received_ns, response.headers_mut());
    response
}

/// Puts on the subset that answered, which is the first met on the way back, and the stamps of this service and of
/// those it called, the last of them made now.
pub(super) fn label(settings: &Settings, calls: &[Called], received_ns: u64, headers: &mut HeaderMap) {
    if let Some(subset) = calls.iter().find_map(|call| call.subset.as_ref()).or(settings.subset.as_ref()) {
        headers.insert(SUBSET, subset.clone());
    }
    let later = |call: &Called| call.hops.as_ref().map_or(0, HeaderValue::len);
    // A service's own stamps take up to some thirty bytes beside its name, and some fifteen for each call.
    let length = settings.name.len() + 32 + calls.iter().map(|call| 24 + later(call)).sum::<usize>();
    let mut hops = String::with_capacity(length);
    let stamps = calls.iter().map(|call| {
        let later = call.hops.as_ref().and_then(|hops| hops.to_str().ok());
        (call.called_ns, call.returned_ns, later)
    });
    HopStamps::write(&mut hops, &settings.name, received_ns, monotonic_ns(), stamps);
    // The name was checked to be fit for a header, and all else is numbers.
    if let Ok(hops) = HeaderValue::try_from(hops) {
        headers.insert(HOPS, hops);
    }
}
