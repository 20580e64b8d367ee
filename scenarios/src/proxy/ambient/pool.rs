//! The tunnels from one workload to another: HTTP/2 connections over mTLS, each with many streams.
//!
//! All workers share a pool, as in ztunnel: a connection of a program becomes a stream of the first tunnel with room,
//! and whoever finds none opens the next while the others wait. So few connections carry the load of all, each driven
//! by one task: that is how the thing works that is measured here, and part of its cost.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{RecvStream, SendStream};
use hyper::{Method, Request, StatusCode};
use rustls::pki_types::ServerName;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;

use super::inside::Inside;
use super::stats::{OutboundGauges, count};
use super::tls::TunnelEnds;
use super::windows::{CONNECTION_WINDOW, FRAME, STREAM_WINDOW};
use crate::handshakes::reason;
use crate::ports::in_time;

/// Streams in a tunnel before the next one is opened: POOL_MAX_STREAMS_PER_CONNECTION's default in ztunnel.
pub(super) const STREAMS_PER_TUNNEL: usize = 100;

/// Tunnels from one workload to one other.
#[derive(Default)]
pub(super) struct Pool {
    // Held while a tunnel is opened, so that a hundred connections at once don't open a hundred of them.
    tunnels: Mutex<Vec<Tunnel>>,
}

/// Who opens a tunnel, and to whom.
pub(super) struct Ends<'a> {
    pub(super) inside: &'a Inside,
    pub(super) credentials: &'a TunnelEnds,
    /// Where the callee's end listens.
    pub(super) address: SocketAddr,
    /// The SPIFFE id that must be found there.
    pub(super) peer: &'a str,
    pub(super) gauges: &'a OutboundGauges,
}

/// A stream of a tunnel. Both halves are open.
pub(super) struct Stream {
    pub(super) send: SendStream<Bytes>,
    pub(super) receive: RecvStream,
    /// Its place in the tunnel.
    pub(super) taken: Taken,
}

/// An open tunnel.
struct Tunnel {
    requests: SendRequest<Bytes>,
    streams: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
}

/// A place in a tunnel, free again when it is dropped.
pub(super) struct Taken(Arc<AtomicUsize>);

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Pool {
    /// Opens a stream to a program by way of a tunnel.
    pub(super) async fn stream(&self, ends: &Ends<'_>, program: SocketAddr) -> io::Result<Stream> {
        loop {
            let (requests, taken, is_new) = self.place(ends).await?;
            match in_time(async { requests.ready().await.map_err(io::Error::other) }).await {
                Ok(requests) => return open(requests, taken, program, ends.gauges).await,
                // It had ended without our knowing; nothing was asked of it yet.
                Err(_) if !is_new => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// A place in a tunnel that is there, or in a new one.
    async fn place(&self, ends: &Ends<'_>) -> io::Result<(SendRequest<Bytes>, Taken, bool)> {
        let mut tunnels = self.tunnels.lock().await;
        tunnels.retain(|tunnel| !tunnel.ended.load(Relaxed));
        if let Some(tunnel) = tunnels.iter().find(|tunnel| tunnel.streams.load(Relaxed) < STREAMS_PER_TUNNEL) {
            return Ok((tunnel.requests.clone(), tunnel.take(), false));
        }
        let tunnel = connect(ends).await?;
        let found = (tunnel.requests.clone(), tunnel.take(), true);
        tunnels.push(tunnel);
        Ok(found)
    }
}

impl Tunnel {
    /// Only ever called by who holds the pool's lock, so that no place is given twice.
    fn take(&self) -> Taken {
        self.streams.fetch_add(1, Relaxed);
        Taken(Arc::clone(&self.streams))
    }
}

async fn connect(ends: &Ends<'_>) -> io::Result<Tunnel> {
    let Ends { inside, credentials, address, peer, gauges } = ends;
    let config = credentials.client(peer).map_err(io::Error::other)?;
    let stream = inside.connect(*address).await?;
    count(&gauges.tunnels);
    // The address stands in for a name: no SNI is sent for it, and peers are told apart by their SPIFFE id.
    let shaken = in_time(TlsConnector::from(Arc::new(config)).connect(ServerName::from(address.ip()), stream)).await;
    let stream = shaken.map_err(|error| {
        gauges.handshakes.failed();
        io::Error::other(format!("no TLS with {address}: {}", reason(&error)))
    })?;
    gauges.handshakes.succeeded(stream.get_ref().1.peer_certificates());
    let speak = h2::client::Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME)
        .enable_push(false)
        .handshake(stream);
    let (requests, connection) = in_time(async { speak.await.map_err(io::Error::other) }).await?;
    let ended = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&ended);
    tokio::spawn(async move {
        // How it ended is told to whoever has a stream in it; an idle one may end as it likes.
        let _ = connection.await;
        told.store(true, Relaxed);
    });
    Ok(Tunnel { requests, streams: Arc::default(), ended })
}

async fn open(
    mut requests: SendRequest<Bytes>,
    taken: Taken,
    program: SocketAddr,
    gauges: &OutboundGauges,
) -> io::Result<Stream> {
    let request = Request::builder().method(Method::CONNECT).uri(program.to_string()).body(());
    let request = request.map_err(io::Error::other)?;
    // Counted before it is answered, so that the other end never counts one more.
    count(&gauges.streams);
    let (response, send) = requests.send_request(request, false).map_err(io::Error::other)?;
    let response = in_time(async { response.await.map_err(io::Error::other) }).await?;
    if response.status() != StatusCode::OK {
        return Err(io::Error::other(format!("CONNECT {program} was answered with {}", response.status())));
    }
    Ok(Stream { send, receive: response.into_body(), taken })
}
