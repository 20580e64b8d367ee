//! Listening sockets: bound where they are asked for, and accepted from for as long as the part lives.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::complaints::Complaints;
use crate::{Error, Result};

/// Connections the kernel keeps until we take them: a generator may open all of its own at once.
const BACKLOG: u32 = 4096;

/// A part listens here; port 0 lets the kernel choose. Returns the address it chose.
pub(crate) fn listen(part: &str, address: SocketAddr) -> Result<(TcpListener, SocketAddr)> {
    let bound = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        let chosen = listener.local_addr()?;
        Ok((listener, chosen))
    };
    bound().map_err(|source| Error::Listen { part: part.to_owned(), address, source })
}

/// Hands every connection on, without Nagle's delay, until `take` refuses one.
pub(crate) async fn accept(listener: TcpListener, complaints: &Complaints, mut take: impl FnMut(TcpStream) -> bool) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Fails only on a connection that is gone already, which its reader will notice.
                let _ = stream.set_nodelay(true);
                if !take(stream) {
                    return;
                }
            }
            Err(error) => {
                complaints.write(format_args!("cannot accept a connection: {error}"));
                // Out of files, most likely: the connection stays in the backlog, and asking again at once would spin.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

/// Lets this process have as many files as it may: pools here have no bound, and the usual soft limit is 1024.
pub(crate) fn raise_open_files() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        // What isn't permitted stays as it was; an accept that fails then says so.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
}

/// Waits for something, but not longer than a new connection on loopback can reasonably take.
pub(crate) async fn in_time<T>(future: impl Future<Output = std::io::Result<T>>) -> std::io::Result<T> {
    const PATIENCE: Duration = Duration::from_secs(10);
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(result) => result,
        Err(_) => {
            Err(std::io::Error::new(std::io::ErrorKind::TimedOut, format!("no answer in {} s", PATIENCE.as_secs())))
        }
    }
}
