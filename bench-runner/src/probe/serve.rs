//! The probe as a target that a Prometheus scrapes: what was read last, over HTTP.
//!
//! A scrape reads nothing from the kernel and waits for no round: pressure files are read at our own pace, however
//! many scrape. Everything a client can hold is bounded: a connection is for one request, ends after a few seconds
//! whatever it does, and there are only so many.

mod accept;

use std::convert::Infallible;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use record::Sample;
use reports::probe_metrics::{Facts, Latest, render};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, oneshot};

/// Connections at one time; others wait in the kernel. A Prometheus needs one.
const CONNECTIONS: usize = 32;

/// The longest that a request's head may be on its way, and how large it may be.
const HEAD_TIME: Duration = Duration::from_secs(5);
const HEAD_BYTES: usize = 16 << 10;

/// The longest that a connection lasts, the reading of the answer among it. A Prometheus gives up after ten seconds.
const CONNECTION_TIME: Duration = Duration::from_secs(10);

/// Where to listen: `PORT` and `:PORT` are of 127.0.0.1, whatever else must be written out.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let port = text.strip_prefix(':').unwrap_or(text);
    match port.parse() {
        // A sign is a number's to parse, and no port's.
        Ok(port) if !text.contains('+') => Ok((Ipv4Addr::LOCALHOST, port).into()),
        _ => Err(format!("'{text}' is no address; give PORT (on 127.0.0.1), or IP:PORT for another address")),
    }
}

/// What was read last. A scrape takes the pointer and leaves the lock: the watch never waits for a page to be made.
type Shared = Arc<Mutex<Arc<Latest>>>;

/// Answers scrapes from the first round on, until it is dropped.
pub(super) struct Exporter {
    latest: Shared,
    facts: Facts,
    state: State,
}

enum State {
    /// Bound, so that a port in use is found at once; it answers when there is something to say.
    Bound(TcpListener),
    Answering {
        stop: Option<oneshot::Sender<()>>,
        thread: Option<JoinHandle<()>>,
    },
}

impl Exporter {
    /// Takes the address.
    ///
    /// # Errors
    /// When it cannot be had.
    pub(super) fn bind(address: SocketAddr, facts: Facts) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).map_err(|e| {
            anyhow::anyhow!("cannot listen on {address}: {e}\n  try: --serve 0 takes a free port and says which")
        })?;
        Ok(Self { latest: Shared::default(), facts, state: State::Bound(listener) })
    }

    /// Takes in a round; the first one begins the answering.
    pub(super) fn take(&mut self, sample: &Sample) -> anyhow::Result<()> {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        // Copied only while a scrape still has the one before.
        Arc::make_mut(&mut latest).take(sample);
        drop(latest);
        if let State::Bound(listener) = &self.state {
            self.state = self.start(listener.try_clone()?)?;
        }
        Ok(())
    }

    fn start(&self, listener: TcpListener) -> anyhow::Result<State> {
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let runtime = Builder::new_current_thread().enable_all().build().context("cannot start answering scrapes")?;
        let (stop, stopped) = oneshot::channel();
        let (latest, facts) = (Arc::clone(&self.latest), self.facts.clone());
        let thread = std::thread::Builder::new()
            .name("serve".to_owned())
            .spawn(move || answer_until(&runtime, stopped, listener, latest, facts))
            .context("cannot start answering scrapes")?;
        // Where standard error is gone or full, the scrapes are still answered.
        let _ = writeln!(std::io::stderr(), "metrics are at http://{address}/metrics");
        Ok(State::Answering { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let State::Answering { stop, thread } = &mut self.state else { return };
        drop(stop.take());
        if let Some(thread) = thread.take() {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

fn answer_until(
    runtime: &Runtime,
    stopped: oneshot::Receiver<()>,
    listener: TcpListener,
    latest: Shared,
    facts: Facts,
) {
    runtime.block_on(async {
        let listener = match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => return complain(&error),
        };
        tokio::select! {
            // Sent or dropped, it is the end.
            _ = stopped => {}
            () = accept_all(listener, latest, Arc::new(facts)) => {}
        }
    });
}

async fn accept_all(listener: tokio::net::TcpListener, latest: Shared, facts: Arc<Facts>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut complained = false;
    // A semaphore that nobody closes always gives a place in the end.
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (latest, facts) = (Arc::clone(&latest), Arc::clone(&facts));
                tokio::spawn(async move {
                    answer_one(stream, latest, facts).await;
                    drop(place);
                });
            }
            Err(error) => {
                if !std::mem::replace(&mut complained, true) {
                    complain(&error);
                }
                // Out of descriptors, most likely: asking again at once would spin.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn complain(error: &std::io::Error) {
    // Where standard error is gone or full, there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "cannot accept a scrape: {error}");
}

async fn answer_one(stream: TcpStream, latest: Shared, facts: Arc<Facts>) {
    let service = service_fn(move |request| {
        let response = reply(&request, &latest, &facts);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES)
        .keep_alive(false)
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service);
    // Who asks and goes away, or never reads, has no need of the answer.
    let _ = tokio::time::timeout(CONNECTION_TIME, connection).await;
}

fn reply(request: &Request<Incoming>, latest: &Shared, facts: &Facts) -> Response<Full<Bytes>> {
    const TEXT: &str = "text/plain; charset=utf-8";
    let text = |status, text: &'static str| (status, TEXT, Bytes::from_static(text.as_bytes()));
    let (status, kind, body) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => {
            let accepted = request.headers().get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
            let format = accept::format(accepted);
            let latest = Arc::clone(&latest.lock().unwrap_or_else(PoisonError::into_inner));
            let page = render(&latest, facts, format, record::monotonic_ns());
            (StatusCode::OK, format.content_type(), Bytes::from(page))
        }
        (&Method::GET | &Method::HEAD, "/") => {
            text(StatusCode::OK, "meshtax probe: what it reads on this machine is at /metrics, for Prometheus.\n")
        }
        (_, "/metrics" | "/") => text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n"),
        _ => text(StatusCode::NOT_FOUND, "not here; try /metrics\n"),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_local_unless_it_is_written_out() {
        for (text, want) in [
            ("9464", "127.0.0.1:9464"),
            (":9464", "127.0.0.1:9464"),
            ("0", "127.0.0.1:0"),
            ("127.0.0.2:1", "127.0.0.2:1"),
            ("0.0.0.0:9464", "0.0.0.0:9464"),
            ("[::1]:9464", "[::1]:9464"),
        ] {
            assert_eq!(address(text).unwrap().to_string(), want, "{text}");
        }
        for bad in ["", ":", "x", "localhost:9464", "65536", "-1", "+1", ":+1", "::9464", "127.0.0.1", "1.2.3.4:x"] {
            assert!(address(bad).unwrap_err().contains("IP:PORT"), "{bad}");
        }
    }
}
