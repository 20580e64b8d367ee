//! One connection to a service: HTTP/1.1, or HTTP/2 when it begins with the preface of that version.

use std::convert::Infallible;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::{Body as _, Incoming};
use hyper::header::CONTENT_LENGTH;
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::answer::{Server, answer};
use super::grpc::{self, Copies};

/// How HTTP/2 by prior knowledge begins (RFC 9113, section 3.4). No method of HTTP/1.1 may be called PRI, so this much
/// tells the two apart; hyper checks the rest.
const PREFACE: &[u8] = b"PRI ";

/// How often, and after what pause, a connection is looked at that has sent a part of this and no more.
const LOOKS: usize = 1000;
const PAUSE: Duration = Duration::from_millis(1);

/// Whoever sends decides how much is in flight: a limit here would be a queue in the sender that no stamp shows.
const STREAMS: u32 = 1 << 20;

/// Streams that a sender gave up before they were looked at. After a pause of a throttled service they may be many, and
/// hyper, taking them for an attack, would close the connection under all the others.
const GIVEN_UP: usize = 1 << 20;

/// What may be under way to us on one connection. Its half bounds the small frames that wait to be read, beyond which h2
/// closes the connection; of hyper's own megabyte that would be two thousand requests.
const WINDOW_BYTES: u32 = 16 << 20;

/// Serves a connection until its end.
pub(super) async fn serve(server: Rc<Server>, stream: TcpStream) {
    let Ok(http2) = speaks_http2(&stream).await else { return };
    let io = TokioIo::new(stream);
    // A caller that goes away is no fault of ours, and knows of it.
    if http2 {
        let answer = service_fn(move |request| answer_http2(Rc::clone(&server), request));
        let _ = http2::Builder::new(ThisThread)
            .max_concurrent_streams(STREAMS)
            .initial_connection_window_size(WINDOW_BYTES)
            .max_pending_accept_reset_streams(GIVEN_UP)
            .serve_connection(io, answer)
            .await;
    } else {
        let answer = service_fn(move |request| answer(Rc::clone(&server), request));
        let _ = http1::Builder::new().header_read_timeout(None).serve_connection(io, answer).await;
    }
}

/// Looks at the first bytes and leaves them where they are, so that nothing stands between hyper and the socket
/// afterwards: a request on HTTP/1.1 costs what it did without HTTP/2.
async fn speaks_http2(stream: &TcpStream) -> std::io::Result<bool> {
    let mut begin = [0; PREFACE.len()];
    for _ in 0..LOOKS {
        let seen = stream.peek(&mut begin).await?;
        if seen == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if !begin.iter().take(seen).eq(PREFACE.iter().take(seen)) {
            return Ok(false);
        }
        if seen == PREFACE.len() {
            return Ok(true);
        }
        // It may still be a PUT. The socket stays readable, so that waiting for more is looking again.
        tokio::time::sleep(PAUSE).await;
    }
    Ok(false)
}

/// A gRPC call, or a request that is answered as on HTTP/1.1.
async fn answer_http2(
    server: Rc<Server>,
    request: Request<Incoming>,
) -> Result<Response<Either<Full<Bytes>, Copies>>, Infallible> {
    if grpc::is_call(&request) {
        return Ok(grpc::answer(&server, request).await.map(Either::Right));
    }
    let is_head = request.method() == Method::HEAD;
    let mut response = answer(server, request).await?;
    // What hyper does by itself on HTTP/1.1 only: a length for each body, and none of the body for HEAD.
    if let Some(length) = response.body().size_hint().exact() {
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    if is_head {
        *response.body_mut() = Full::default();
    }
    Ok(response.map(Either::Left))
}

/// Where hyper runs the streams of a connection: on the thread that serves it.
#[derive(Clone, Copy)]
struct ThisThread;

impl<F: Future + 'static> Executor<F> for ThisThread {
    fn execute(&self, stream: F) {
        tokio::task::spawn_local(async move {
            stream.await;
        });
    }
}
