//! Answers HTTP requests, each on a connection of its own: everything that a client can hold is bounded.
//!
//! A connection is for one request and ends after a while whatever it does, and there are only so many.

use std::convert::Infallible;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// Connections at one time; others wait in the kernel.
const CONNECTIONS: usize = 32;

/// The longest that a request's head may be on its way, and how large it may be.
const HEAD_TIME: Duration = Duration::from_secs(5);
const HEAD_BYTES: usize = 16 << 10;

/// What is answered.
pub(crate) type Reply = Response<Full<Bytes>>;

/// Where to listen: `PORT` and `:PORT` are of 127.0.0.1, whatever else must be written out.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
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

/// Takes an address.
///
/// # Errors
/// When it cannot be had; `flag` is named as the way out.
pub(crate) fn bind(address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).map_err(|e| {
        anyhow::anyhow!("cannot listen on {address}: {e}\n  try: {flag} 0 takes a free port and says which")
    })?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Answers until it is dropped. `longest` is how long a connection lasts, the reading of the answer among it; what
/// cannot be accepted is said once, as a `what`.
pub(crate) async fn answer_all<A, F>(listener: TcpListener, longest: Duration, what: &'static str, answer: A)
where
    A: Fn(Request<Incoming>, SocketAddr) -> F + Clone + Send + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return complain(what, &error),
    };
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut complained = false;
    // A semaphore that nobody closes always gives a place in the end.
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let answer = answer.clone();
                tokio::spawn(async move {
                    answer_one(stream, longest, answer).await;
                    drop(place);
                });
            }
            Err(error) => {
                if !std::mem::replace(&mut complained, true) {
                    complain(what, &error);
                }
                // Out of descriptors, most likely: asking again at once would spin.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn complain(what: &str, error: &std::io::Error) {
    // Where standard error is gone or full, there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "cannot accept a {what}: {error}");
}

async fn answer_one<A, F>(stream: TcpStream, longest: Duration, answer: A)
where
    A: Fn(Request<Incoming>, SocketAddr) -> F + Send + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    let Ok(here) = stream.local_addr() else { return };
    let service = service_fn(move |request| {
        let reply = answer(request, here);
        async move { Ok::<_, Infallible>(reply.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES)
        .keep_alive(false)
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service);
    // Who asks and goes away, or never reads, has no need of the answer.
    let _ = tokio::time::timeout(longest, connection).await;
}

/// An answer; one that the method is not allowed names those that are.
pub(crate) fn reply(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut response = Response::new(Full::new(body.into()));
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
