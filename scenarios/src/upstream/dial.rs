//! Making a connection, and TLS on it.

use std::cell::Cell;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering::Relaxed;

use rustls::pki_types::ServerName;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Failure, Meter};
use crate::ports::in_time;

/// A connection.
pub(crate) async fn dial(address: SocketAddr, from: Option<IpAddr>, meter: &Meter) -> Result<TcpStream, Failure> {
    let fail = |source| Failure::Connect { address, source };
    let stream = match from {
        None => in_time(TcpStream::connect(address)).await,
        Some(from) => in_time(dial_from(from, address)).await,
    }
    .map_err(fail)?;
    stream.set_nodelay(true).map_err(fail)?;
    meter.connections.fetch_add(1, Relaxed);
    Ok(stream)
}

/// The ports from which connections are made that begin at a chosen address: those that Linux itself takes by default.
const PORTS: std::ops::Range<u16> = 32768..60999;

/// How many of them may be taken, one after another, before it is given up.
const TRIES: u32 = 100;

thread_local! {
    /// The port that is next; each worker begins somewhere else.
    static NEXT: Cell<u16> = Cell::new(rand::random_range(PORTS));
}

/// A connection from an address.
///
/// Its port is chosen by us, in turn. Asked to choose one when the address is bound, the kernel looks through all that
/// belong to connections which have ended within a minute: at 10 000 of those that took two milliseconds, at none less
/// than a tenth of one. It can be told to choose later (IP_BIND_ADDRESS_NO_PORT), which nobody here can say.
async fn dial_from(from: IpAddr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let mut tries = 1;
    loop {
        let port = NEXT.get();
        NEXT.set(if port + 1 < PORTS.end { port + 1 } else { PORTS.start });
        let socket = if from.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // So that the ports of connections that have ended can be had at once.
        socket.set_reuseaddr(true)?;
        let connected = match socket.bind(SocketAddr::new(from, port)) {
            Ok(()) => socket.connect(to).await,
            Err(e) => Err(e),
        };
        match connected {
            // Someone listens there, or has a connection from there to the same place.
            Err(e) if matches!(e.kind(), ErrorKind::AddrInUse | ErrorKind::AddrNotAvailable) && tries < TRIES => {
                tries += 1;
            }
            connected => return connected,
        }
    }
}

/// TLS on a connection that was made.
pub(crate) async fn secure(
    connector: &TlsConnector,
    address: SocketAddr,
    stream: TcpStream,
    meter: &Meter,
) -> Result<TlsStream<TcpStream>, Failure> {
    // The address stands in for a name: no SNI is sent for it, and peers are told apart by their SPIFFE id.
    match in_time(connector.connect(ServerName::from(address.ip()), stream)).await {
        Ok(stream) => {
            meter.handshakes.succeeded(stream.get_ref().1.peer_certificates());
            Ok(stream)
        }
        Err(source) => {
            meter.handshakes.failed();
            Err(Failure::Handshake { address, source })
        }
    }
}
