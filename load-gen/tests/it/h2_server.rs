//! Servers of HTTP/2: one that others wrote (the `h2` crate), and one that sends what frames a test says.

use std::collections::HashMap;
use std::future::Future;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use ::h2::RecvStream;
use ::h2::server::{Builder, SendResponse};
use bytes::Bytes;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;

use crate::raw::{Listening, say};

/// A request to the server that others wrote.
pub(crate) struct Call {
    pub(crate) number: u64,
    pub(crate) request: http::Request<RecvStream>,
    pub(crate) respond: SendResponse<Bytes>,
    pub(crate) counts: Arc<Counts>,
}

/// What it has seen.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) connections: AtomicU64,
    pub(crate) requests: AtomicU64,
    pub(crate) body_bytes: AtomicU64,
    under_way: AtomicU64,
    pub(crate) most_under_way: AtomicU64,
    /// Of connections: they ended as errors.
    pub(crate) errors: Mutex<Vec<String>>,
}

type Answering = Pin<Box<dyn Future<Output = ()> + Send>>;
type Handler = dyn Fn(Call) -> Answering + Send + Sync;

/// The server that others wrote, in a thread that ends with it.
pub(crate) struct H2Server {
    address: SocketAddr,
    pub(crate) counts: Arc<Counts>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl H2Server {
    pub(crate) fn start<F: Future<Output = ()> + Send + 'static>(
        address: &str,
        builder: Builder,
        tls: Option<ServerConfig>,
        handler: impl Fn(Call) -> F + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let counts = Arc::new(Counts::default());
        let (stop, stopped) = oneshot::channel();
        let handler: Arc<Handler> = Arc::new(move |call| Box::pin(handler(call)));
        let thread = std::thread::spawn({
            let counts = Arc::clone(&counts);
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    tokio::select! {
                        () = accept(listener, builder, tls, handler, counts) => {}
                        _ = stopped => {}
                    }
                });
            }
        });
        Self { address, counts, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}/", self.address)
    }

    pub(crate) fn connections(&self) -> u64 {
        self.counts.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn requests(&self) -> u64 {
        self.counts.requests.load(Ordering::SeqCst)
    }

    /// Nothing that the generator sent was against the protocol.
    #[track_caller]
    pub(crate) fn assert_content(&self) {
        let errors = self.counts.errors.lock().unwrap();
        assert!(errors.is_empty(), "{errors:?}");
    }
}

impl Drop for H2Server {
    fn drop(&mut self) {
        self.stop.take().map(|stop| stop.send(()));
        self.thread.take().map(JoinHandle::join);
    }
}

async fn accept(
    listener: TcpListener,
    builder: Builder,
    tls: Option<ServerConfig>,
    handler: Arc<Handler>,
    counts: Arc<Counts>,
) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let tls = tls.map(|config| tokio_rustls::TlsAcceptor::from(Arc::new(config)));
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        stream.set_nodelay(true).unwrap();
        counts.connections.fetch_add(1, Ordering::SeqCst);
        let (tls, builder) = (tls.clone(), builder.clone());
        let (handler, counts) = (Arc::clone(&handler), Arc::clone(&counts));
        tokio::spawn(async move {
            match tls {
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        connection(stream, builder, handler, counts).await;
                    }
                }
                None => connection(stream, builder, handler, counts).await,
            }
        });
    }
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    builder: Builder,
    handler: Arc<Handler>,
    counts: Arc<Counts>,
) {
    let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else { return };
    while let Some(accepted) = connection.accept().await {
        match accepted {
            Ok((request, respond)) => {
                let number = counts.requests.fetch_add(1, Ordering::SeqCst);
                let under_way = counts.under_way.fetch_add(1, Ordering::SeqCst) + 1;
                counts.most_under_way.fetch_max(under_way, Ordering::SeqCst);
                let answering = handler(Call { number, request, respond, counts: Arc::clone(&counts) });
                let counts = Arc::clone(&counts);
                tokio::spawn(async move {
                    answering.await;
                    counts.under_way.fetch_sub(1, Ordering::SeqCst);
                });
            }
            // A client that closes without more ado is none.
            Err(e) if e.is_io() => return,
            Err(e) => return counts.errors.lock().unwrap().push(e.to_string()),
        }
    }
}

/// Reads the whole body, and answers 200 with three bytes.
pub(crate) async fn answer(call: Call) {
    let Call { request, mut respond, counts, .. } = call;
    let mut body = request.into_body();
    while let Some(piece) = body.data().await {
        let Ok(piece) = piece else { return };
        let _ = body.flow_control().release_capacity(piece.len());
        counts.body_bytes.fetch_add(piece.len() as u64, Ordering::SeqCst);
    }
    if let Ok(mut stream) = respond.send_response(http::Response::new(()), false) {
        let _ = stream.send_data(Bytes::from_static(b"ok\n"), true);
    }
}

// Of RFC 9113, section 6.
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const MAX_CONCURRENT_STREAMS: u16 = 3;

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = (payload.len() as u32).to_be_bytes();
    [&[a, b, c, kind, flags][..], &stream.to_be_bytes(), payload].concat()
}

pub(crate) fn settings(pairs: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> =
        pairs.iter().flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
    frame(SETTINGS, 0, 0, &payload)
}

/// A head that says 200, from the static table.
pub(crate) fn head(stream: u32, flags: u8) -> Vec<u8> {
    frame(HEADERS, flags | END_HEADERS, stream, &[0x88])
}

/// A whole answer.
pub(crate) fn whole(stream: u32) -> Vec<u8> {
    [head(stream, 0), frame(DATA, END_STREAM, stream, b"ok\n")].concat()
}

pub(crate) fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.to_be_bytes())
}

pub(crate) fn goaway(last: u32) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[last.to_be_bytes(), [0; 4]].concat())
}

/// A request to the server that sends frames.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// From 0, over all connections.
    pub(crate) number: u64,
    /// From 0, on its connection.
    pub(crate) nth: u64,
    pub(crate) stream: u32,
}

/// The server that sends frames as told.
pub(crate) struct Framing {
    pub(crate) listening: Listening,
    /// Requests, and the streams that the generator has reset, by their code.
    pub(crate) requests: Arc<AtomicU64>,
    pub(crate) resets: Arc<Mutex<HashMap<u32, u64>>>,
}

impl Framing {
    /// `script` says what is written for a request, and whether the connection goes on then.
    pub(crate) fn start(first: Vec<u8>, script: impl Fn(Asked) -> (Vec<u8>, bool) + Send + Sync + 'static) -> Self {
        let (requests, resets) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::default()));
        let listening = Listening::start({
            let (requests, resets) = (Arc::clone(&requests), Arc::clone(&resets));
            move |mut stream| {
                let _ = serve(&mut stream, &first, &requests, &resets, &script);
            }
        });
        Self { listening, requests, resets }
    }

    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }
}

fn serve(
    stream: &mut (impl Read + Write),
    first: &[u8],
    requests: &AtomicU64,
    resets: &Mutex<HashMap<u32, u64>>,
    script: &impl Fn(Asked) -> (Vec<u8>, bool),
) -> std::io::Result<()> {
    let mut preface = [0; 24];
    stream.read_exact(&mut preface)?;
    assert_eq!(&preface, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    stream.write_all(first)?;
    let mut nth = 0;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head)?;
        let [a, b, c, kind, flags, id @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        stream.read_exact(&mut payload)?;
        match kind {
            SETTINGS if flags & 1 == 0 => stream.write_all(&frame(SETTINGS, 1, 0, &[]))?,
            RST_STREAM => {
                let code = u32::from_be_bytes([payload[0], payload[1], payload[2], payload[3]]);
                *resets.lock().unwrap().entry(code).or_default() += 1;
            }
            DATA | HEADERS if flags & END_STREAM != 0 => {
                let number = requests.fetch_add(1, Ordering::SeqCst);
                let (bytes, goes_on) = script(Asked { number, nth, stream: u32::from_be_bytes(id) });
                nth += 1;
                if !say(stream, &bytes) || !goes_on {
                    return Ok(());
                }
            }
            _ => {}
        }
    }
}
