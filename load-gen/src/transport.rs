//! A connection's socket, with TLS on it or without: what is read and written is what the protocol means.

use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, sockopt};
use rustls::ClientConnection;
use rustls::pki_types::ServerName;

use crate::target::Place;

/// A socket, and TLS if there is any.
#[derive(Debug)]
pub(crate) struct Transport {
    pub(crate) socket: OwnedFd,
    tls: Option<Box<ClientConnection>>,
}

/// What a read gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Got {
    /// So many bytes.
    Bytes(usize),
    /// Nothing now.
    Nothing,
    /// The other side has closed.
    End,
}

/// The connection is of no use any more.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The kernel said so.
    Kernel(Errno),
    /// TLS said so.
    Tls(rustls::Error),
    /// TLS's handshake was not held to its end.
    Handshake(&'static str),
    /// The protocol above was not spoken.
    Speech(&'static str),
}

impl From<Errno> for Broken {
    fn from(e: Errno) -> Self {
        Self::Kernel(e)
    }
}

/// How TLS is to be spoken with an endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Secure {
    pub(crate) config: Arc<rustls::ClientConfig>,
    pub(crate) name: ServerName<'static>,
}

impl Transport {
    /// Begins to connect; whether that is done already.
    pub(crate) fn connect(place: &Place, secure: Option<&Secure>) -> Result<(Self, bool), Broken> {
        let (socket, done) = begin_connect(place)?;
        let tls = match secure {
            Some(Secure { config, name }) => {
                let mut tls = ClientConnection::new(Arc::clone(config), name.clone()).map_err(Broken::Tls)?;
                // A body may be larger than the usual 64 KiB; it is made of memory that is there already.
                tls.set_buffer_limit(None);
                Some(Box::new(tls))
            }
            None => None,
        };
        Ok((Self { socket, tls }, done))
    }

    /// Whether there is TLS.
    pub(crate) fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// What TLS agreed on: its protocol for the layer above, and its version.
    pub(crate) fn agreed(&self) -> (Option<&[u8]>, Option<rustls::ProtocolVersion>) {
        self.tls.as_ref().map_or((None, None), |tls| (tls.alpn_protocol(), tls.protocol_version()))
    }

    /// Goes on with TLS's handshake; whether it is over. Without TLS it always is.
    pub(crate) fn shake_hands(&mut self) -> Result<bool, Broken> {
        let Some(tls) = &mut self.tls else { return Ok(true) };
        loop {
            if let Err(broken) = write_out(tls, &self.socket) {
                return Err(last_word(tls, &self.socket, broken));
            }
            if !tls.is_handshaking() {
                return Ok(true);
            }
            match tls.read_tls(&mut Wire(&self.socket)) {
                Ok(0) => return Err(HANGS_UP),
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(e) if matches!(kernel(&e), Errno::CONNRESET | Errno::PIPE) => return Err(HANGS_UP),
                Err(e) => return Err(kernel(&e).into()),
            }
            if let Err(e) = tls.process_new_packets() {
                // The alert tells the other side why.
                let _ = write_out(tls, &self.socket);
                return Err(Broken::Tls(e));
            }
        }
    }

    /// Reads what there is.
    #[inline]
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<Got, Broken> {
        let Some(tls) = &mut self.tls else {
            return loop {
                match rustix::net::recv(&self.socket, &mut *buffer, RecvFlags::empty()) {
                    Ok((0, _)) => break Ok(Got::End),
                    Ok((n, _)) => break Ok(Got::Bytes(n)),
                    Err(Errno::AGAIN) => break Ok(Got::Nothing),
                    Err(Errno::INTR) => {}
                    Err(e) => break Err(e.into()),
                }
            };
        };
        loop {
            match tls.reader().read(buffer) {
                Ok(0) => return Ok(Got::End),
                Ok(n) => return Ok(Got::Bytes(n)),
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return Err(Errno::CONNRESET.into()),
            }
            match tls.read_tls(&mut Wire(&self.socket)) {
                // An end without TLS's own word for it, which tells a whole response from a cut one only where
                // the response says its length. It is an end all the same.
                Ok(0) => return Ok(Got::End),
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(Got::Nothing),
                Err(e) => return Err(kernel(&e).into()),
            }
            if let Err(e) = tls.process_new_packets() {
                let _ = write_out(tls, &self.socket);
                return Err(Broken::Tls(e));
            }
            if tls.wants_write() {
                write_out(tls, &self.socket)?;
            }
        }
    }

    /// Writes as much as is taken now: without TLS what the kernel takes; with TLS everything, and what the kernel
    /// did not take waits in [`Self::flush`].
    #[inline]
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<usize, Broken> {
        let Some(tls) = &mut self.tls else { return Ok(send(&self.socket, bytes)?) };
        tls.writer().write_all(bytes).map_err(|_| Errno::NOMEM)?;
        write_out(tls, &self.socket)?;
        Ok(bytes.len())
    }

    /// Writes what TLS still holds; whether nothing is left.
    pub(crate) fn flush(&mut self) -> Result<bool, Broken> {
        match &mut self.tls {
            Some(tls) => write_out(tls, &self.socket),
            None => Ok(true),
        }
    }

    /// Whether TLS holds something that the kernel did not take.
    #[inline]
    pub(crate) fn holds_back(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }
}

const HANGS_UP: Broken = Broken::Handshake("it closed the connection in the handshake");

/// What the other side said before it closed a connection that could not be written to any more: its alert says why.
fn last_word(tls: &mut ClientConnection, socket: &OwnedFd, broken: Broken) -> Broken {
    loop {
        match tls.read_tls(&mut Wire(socket)) {
            Ok(1..) => {}
            _ if matches!(broken, Broken::Kernel(Errno::CONNRESET | Errno::PIPE)) => return HANGS_UP,
            _ => return broken,
        }
        if let Err(e) = tls.process_new_packets() {
            return Broken::Tls(e);
        }
    }
}

fn write_out(tls: &mut ClientConnection, socket: &OwnedFd) -> Result<bool, Broken> {
    while tls.wants_write() {
        match tls.write_tls(&mut Wire(socket)) {
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(e) => return Err(kernel(&e).into()),
        }
    }
    Ok(true)
}

fn kernel(e: &std::io::Error) -> Errno {
    Errno::from_io_error(e).unwrap_or(Errno::CONNRESET)
}

/// A socket as std's traits want it.
struct Wire<'a>(&'a OwnedFd);

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            match rustix::net::recv(self.0, &mut *buffer, RecvFlags::empty()) {
                Err(Errno::INTR) => {}
                done => return Ok(done?.0),
            }
        }
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match send(self.0, bytes)? {
            0 if !bytes.is_empty() => Err(ErrorKind::WouldBlock.into()),
            n => Ok(n),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Sends as much as the kernel takes now.
fn send(socket: &OwnedFd, bytes: &[u8]) -> Result<usize, Errno> {
    loop {
        // No SIGPIPE: a closed connection is an outcome.
        match rustix::net::send(socket, bytes, SendFlags::NOSIGNAL) {
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Ok(0),
            done => return done,
        }
    }
}

/// Begins to connect; whether it is connected already.
fn begin_connect(place: &Place) -> Result<(OwnedFd, bool), Errno> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let family = match place {
        Place::Tcp(address) if address.is_ipv4() => AddressFamily::INET,
        Place::Tcp(_) => AddressFamily::INET6,
        Place::Unix(_) => AddressFamily::UNIX,
    };
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    let connecting = match place {
        Place::Tcp(address) => {
            // Without it the kernel may hold a request back until the last answer is acknowledged.
            sockopt::set_tcp_nodelay(&socket, true)?;
            // Some systems' own choice paces what is sent: a request would leave later than it was stamped.
            let _ = sockopt::set_tcp_congestion(&socket, "reno");
            rustix::net::connect(&socket, address)
        }
        Place::Unix(path) => rustix::net::connect(&socket, &SocketAddrUnix::new(path)?),
    };
    match connecting {
        Ok(()) => Ok((socket, true)),
        // An interrupted connect goes on in the background as well.
        Err(Errno::INPROGRESS | Errno::INTR) => Ok((socket, false)),
        // A Unix socket whose queue is full says so at once and does not go on by itself.
        Err(e) => Err(e),
    }
}
