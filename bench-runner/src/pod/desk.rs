//! Where the runner is answered: files and the proxy's words by a thread of its own, orders by the main thread.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{Semaphore, oneshot};

use super::words::{ENVOY_ADMIN, FILES, ISTIO_AGENT, LINKERD_ADMIN, PROXY, Phase, READY, STATE, Says};
use crate::run::PROGRAM;

/// What the part of this pod says on its standard error.
pub(super) const LOG: &str = "part.log";

/// The files that may be fetched.
const KEPT: [&str; 5] = [LOG, "intervals.jsonl", "slow.jsonl", "load.json", "samples.jsonl"];

/// The ports of proxies that may be asked, inside of this pod.
const PROXIES: [u16; 3] = [ENVOY_ADMIN, ISTIO_AGENT, LINKERD_ADMIN];

/// Connections at one time, how large an order may be, and how long its head may be on its way.
const CONNECTIONS: usize = 32;
const ORDER_BYTES: usize = 1 << 20;
const HEAD_TIME: Duration = Duration::from_secs(10);

/// How long a proxy may take to dump its configuration under load.
const PROXY_TIME: Duration = Duration::from_secs(20);

/// An order for the main thread.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) path: String,
    pub(super) body: Vec<u8>,
    pub(super) reply: oneshot::Sender<Answer>,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    kind: &'static str,
    body: Vec<u8>,
}

impl Answer {
    /// Something in JSON.
    pub(super) fn json<T: serde::Serialize>(value: &T) -> anyhow::Result<Self> {
        Ok(Self { status: StatusCode::OK, kind: "application/json", body: serde_json::to_vec(value)? })
    }

    /// It was done.
    pub(super) fn done() -> Self {
        Self { status: StatusCode::OK, kind: "application/json", body: b"{}".to_vec() }
    }

    /// It was not, for this reason.
    pub(super) fn refused(reason: &str) -> Self {
        Self::text(StatusCode::CONFLICT, reason.to_owned())
    }

    fn text(status: StatusCode, text: String) -> Self {
        Self { status, kind: "text/plain; charset=utf-8", body: text.into_bytes() }
    }
}

/// What both threads know.
struct Shared {
    role: &'static str,
    record: PathBuf,
    phase: Mutex<Phase>,
    orders: Sender<Order>,
}

/// The desk; it answers as long as the process lives.
pub(super) struct Desk {
    shared: Arc<Shared>,
    orders: Receiver<Order>,
}

impl Desk {
    /// Takes the address and begins to answer.
    pub(super) fn open(at: SocketAddr, role: &'static str, record: &Path) -> anyhow::Result<Self> {
        let listener = std::net::TcpListener::bind(at)
            .with_context(|| format!("cannot listen for the runner on {at}; another port is --attend PORT"))?;
        listener.set_nonblocking(true)?;
        let (sender, orders) = channel();
        let phase = Mutex::new(Phase::Starting);
        let shared = Arc::new(Shared { role, record: record.to_owned(), phase, orders: sender });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let answering = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("desk".to_owned())
            .spawn(move || runtime.block_on(accept_all(listener, answering)))
            .context("cannot start answering the runner")?;
        Ok(Self { shared, orders })
    }

    /// What is answered to whoever asks how it goes.
    pub(super) fn show(&self, phase: &Phase) {
        let mut shown = self.shared.phase.lock().unwrap_or_else(PoisonError::into_inner);
        if *shown != *phase {
            shown.clone_from(phase);
        }
    }

    /// The next order; none if none comes in time.
    pub(super) fn next(&self, patience: Duration) -> Option<Order> {
        self.orders.recv_timeout(patience).ok()
    }
}

async fn accept_all(listener: std::net::TcpListener, shared: Arc<Shared>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let shared = Arc::clone(&shared);
                async move { Ok::<_, Infallible>(said(answer(request, &shared).await)) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIME)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            // Whoever asks and goes away has no need of the answer.
            let _ = connection.await;
            drop(place);
        });
    }
}

fn said(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = answer.status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(answer.kind));
    response
}

async fn answer(request: Request<Incoming>, shared: &Shared) -> Answer {
    let path = request.uri().path().to_owned();
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    match (request.method(), path.as_str()) {
        (&Method::GET, STATE) => says(shared),
        (&Method::GET, READY) => ready(shared),
        (&Method::GET, path) if path.starts_with(FILES) => file(shared, &path[FILES.len()..]).await,
        (&Method::GET, path) if path.starts_with(PROXY) => proxy(format!("{}{query}", &path[PROXY.len()..])).await,
        (&Method::POST, _) => order(request, path, shared).await,
        _ => Answer::text(StatusCode::NOT_FOUND, format!("there is nothing at {path}\n")),
    }
}

fn phase(shared: &Shared) -> Phase {
    shared.phase.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn says(shared: &Shared) -> Answer {
    let says = Says {
        role: shared.role.to_owned(),
        program: PROGRAM.to_owned(),
        phase: phase(shared),
        monotonic_ns: record::monotonic_ns(),
        realtime_ns: record::realtime_ns(),
    };
    Answer::json(&says).unwrap_or_else(|e| Answer::text(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))
}

fn ready(shared: &Shared) -> Answer {
    match phase(shared) {
        Phase::Ready | Phase::Running | Phase::Done => Answer::done(),
        Phase::Starting => Answer::text(StatusCode::SERVICE_UNAVAILABLE, "starting\n".to_owned()),
        Phase::Waiting { waits_for } => {
            Answer::text(StatusCode::SERVICE_UNAVAILABLE, format!("waiting for {waits_for}\n"))
        }
        Phase::Failed { problem } => Answer::text(StatusCode::SERVICE_UNAVAILABLE, problem + "\n"),
    }
}

async fn file(shared: &Shared, name: &str) -> Answer {
    if !KEPT.contains(&name) {
        return Answer::text(StatusCode::NOT_FOUND, format!("'{name}' is none of {}\n", KEPT.join(", ")));
    }
    let path = shared.record.join(name);
    match tokio::task::spawn_blocking(move || std::fs::read(path)).await {
        Ok(Ok(body)) => Answer { status: StatusCode::OK, kind: "application/octet-stream", body },
        Ok(Err(error)) => Answer::text(StatusCode::NOT_FOUND, format!("{name}: {error}\n")),
        Err(error) => Answer::text(StatusCode::INTERNAL_SERVER_ERROR, format!("{name}: {error}\n")),
    }
}

/// `PORT/PATH` of the proxy in this pod.
async fn proxy(asked: String) -> Answer {
    let (port, path) = asked.split_once('/').unwrap_or((&asked, ""));
    let Some(port) = port.parse().ok().filter(|port| PROXIES.contains(port)) else {
        return Answer::text(StatusCode::NOT_FOUND, format!("'{port}' is no port of a proxy\n"));
    };
    let (at, path) = (SocketAddr::from((Ipv4Addr::LOCALHOST, port)), format!("/{path}"));
    let asked = tokio::task::spawn_blocking(move || scenarios::http::get(at, &path, PROXY_TIME)).await;
    match asked {
        Ok(Ok(answer)) => {
            let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
            Answer { status, kind: "application/octet-stream", body: answer.body }
        }
        Ok(Err(error)) => Answer::text(StatusCode::BAD_GATEWAY, format!("{at}: {error}\n")),
        Err(error) => Answer::text(StatusCode::BAD_GATEWAY, format!("{at}: {error}\n")),
    }
}

async fn order(request: Request<Incoming>, path: String, shared: &Shared) -> Answer {
    let body = match Limited::new(request.into_body(), ORDER_BYTES).collect().await {
        Ok(body) => body.to_bytes().to_vec(),
        Err(error) => return Answer::text(StatusCode::PAYLOAD_TOO_LARGE, format!("the order: {error}\n")),
    };
    let (reply, answer) = oneshot::channel();
    if shared.orders.send(Order { path, body, reply }).is_err() {
        return Answer::text(StatusCode::SERVICE_UNAVAILABLE, "it is ending\n".to_owned());
    }
    answer.await.unwrap_or_else(|_| Answer::text(StatusCode::SERVICE_UNAVAILABLE, "it is ending\n".to_owned()))
}
