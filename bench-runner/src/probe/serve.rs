//! The probe as a target that a Prometheus scrapes: what was read last, over HTTP.
//!
//! A scrape reads nothing from the kernel and waits for no round: pressure files are read at our own pace, however
//! many scrape.

mod accept;

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::ACCEPT;
use hyper::{Method, Request, StatusCode};
use record::Sample;
use reports::probe_metrics::{Facts, Latest, render};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use crate::listener::{self, Reply};

/// The longest that a connection lasts, the reading of the answer among it. A Prometheus gives up after ten seconds.
const CONNECTION_TIME: Duration = Duration::from_secs(10);

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
        let listener = listener::bind(address, "--serve")?;
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
    let facts = Arc::new(facts);
    runtime.block_on(async {
        let answer = move |request: Request<Incoming>, _| {
            let reply = reply(&request, &latest, &facts);
            async move { reply }
        };
        tokio::select! {
            // Sent or dropped, it is the end.
            _ = stopped => {}
            () = listener::answer_all(listener, CONNECTION_TIME, "scrape", answer) => {}
        }
    });
}

fn reply(request: &Request<Incoming>, latest: &Shared, facts: &Facts) -> Reply {
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
    listener::reply(status, kind, body)
}
