//! A caller that speaks HTTP/2 by prior knowledge, and reads an answer with its trailers.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::header::HeaderMap;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use record::HopStamps;

/// A silent server fails a test; it doesn't hang it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs what a test does as a caller.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, test).await.expect("an answer in time") })
}

/// One connection. Its clones send on it too.
#[derive(Clone)]
pub(crate) struct H2Caller {
    address: SocketAddr,
    sender: SendRequest<Full<Bytes>>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct H2Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: Option<HeaderMap>,
}

impl H2Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// A trailer, of an answer that has any.
    pub(crate) fn trailer(&self, name: &str) -> Option<&str> {
        self.trailers.as_ref()?.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn hops(&self) -> Vec<HopStamps> {
        HopStamps::from_header(self.header(HopStamps::HEADER).unwrap_or_else(|| panic!("no stamps: {self:?}")))
    }
}

impl H2Caller {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        // What was under way when a stream was reset is to be let pass. Beyond a few streams the library answers each
        // such frame with a reset of its own, and gives the connection up at the thousandth.
        let mut builder = Builder::new(TokioExecutor::new());
        builder.max_concurrent_reset_streams(10_000).max_local_error_reset_streams(None);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { address, sender }
    }

    /// Sends a request, and returns when the head of its answer is there.
    pub(crate) async fn begin(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Response<Incoming> {
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).unwrap();
        self.sender.clone().send_request(request).await.unwrap()
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> H2Answer {
        read(self.begin(method, path, headers, body).await).await
    }

    pub(crate) async fn get(&self, path: &str) -> H2Answer {
        self.send("GET", path, &[], "").await
    }
}

/// Reads the rest of an answer.
pub(crate) async fn read(response: Response<Incoming>) -> H2Answer {
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap();
    let trailers = body.trailers().cloned();
    H2Answer { status: head.status.as_u16(), headers: head.headers, body: body.to_bytes(), trailers }
}
