//! A TLS session in which messages go to and fro, each within a time.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustls::{ClientConnection, ServerConnection, StreamOwned};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::frame::{FrameError, Frames, frame};
use super::identity::Fingerprint;

/// Bytes read at a time.
const PIECE: usize = 16 << 10;

/// Why nothing more can be said to the peer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChannelError {
    /// The other side is gone.
    #[error("the connection was closed by the other side")]
    Closed,
    /// The other side did not admit us.
    #[error("the other side refused our certificate: it is not paired with us, or no longer")]
    NotPaired,
    /// It did not answer in time.
    #[error("no answer within {:.0} s", .0.as_secs_f64())]
    Late(Duration),
    /// It spoke, but not as it should.
    #[error("the other side said {0}")]
    Frame(#[from] FrameError),
    /// The network failed.
    #[error("{0}")]
    Network(std::io::Error),
}

/// A socket whose reads and writes end at a moment.
struct Timed {
    socket: TcpStream,
    until: Instant,
}

impl Timed {
    fn left(&self) -> std::io::Result<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        // A time of zero means none to the kernel.
        if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

impl Read for Timed {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        self.socket.set_read_timeout(Some(self.left()?))?;
        self.socket.read(bytes)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.socket.set_write_timeout(Some(self.left()?))?;
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.socket.flush()
    }
}

enum Session {
    Client(Box<StreamOwned<ClientConnection, Timed>>),
    Server(Box<StreamOwned<ServerConnection, Timed>>),
}

/// A session with a peer whose certificate is known.
pub(crate) struct Channel {
    session: Session,
    frames: Frames,
    limit: usize,
    peer: Fingerprint,
    exporter: [u8; 32],
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channel").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl Channel {
    /// Shakes hands as a server.
    ///
    /// # Errors
    /// For a peer that is not admitted, is slow, or speaks no TLS 1.3.
    pub(crate) fn accept(
        config: std::sync::Arc<rustls::ServerConfig>,
        socket: TcpStream,
        limit: usize,
        patience: Duration,
    ) -> Result<Self, ChannelError> {
        let connection = ServerConnection::new(config).map_err(|e| ChannelError::Network(std::io::Error::other(e)))?;
        let mut stream = StreamOwned::new(connection, timed(socket, patience)?);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).map_err(|e| failed(e, patience))?;
        }
        let (peer, exporter) = known(&stream.conn)?;
        Ok(Self { session: Session::Server(Box::new(stream)), frames: Frames::new(limit), limit, peer, exporter })
    }

    /// Shakes hands as a client.
    ///
    /// # Errors
    /// As [`Self::accept`]; that we are not admitted shows with the first answer only.
    pub(crate) fn connect(
        config: std::sync::Arc<rustls::ClientConfig>,
        socket: TcpStream,
        limit: usize,
        patience: Duration,
    ) -> Result<Self, ChannelError> {
        let broken = |e: rustls::Error| ChannelError::Network(std::io::Error::other(e));
        let name = rustls::pki_types::ServerName::from(socket.peer_addr().map_err(ChannelError::Network)?.ip());
        let connection = ClientConnection::new(config, name).map_err(broken)?;
        let mut stream = StreamOwned::new(connection, timed(socket, patience)?);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).map_err(|e| failed(e, patience))?;
        }
        let (peer, exporter) = known(&stream.conn)?;
        Ok(Self { session: Session::Client(Box::new(stream)), frames: Frames::new(limit), limit, peer, exporter })
    }

    /// Whose certificate the peer has.
    pub(crate) fn peer(&self) -> Fingerprint {
        self.peer
    }

    /// Lets the peer say longer messages from now on.
    pub(crate) fn trust(&mut self, limit: usize) {
        self.limit = limit;
        self.frames.raise(limit);
    }

    /// What only the two ends of this session can know.
    pub(crate) fn exporter(&self) -> [u8; 32] {
        self.exporter
    }

    /// Says a message.
    ///
    /// # Errors
    /// When it cannot be said in time.
    pub(crate) fn say<T: Serialize>(&mut self, message: &T, patience: Duration) -> Result<(), ChannelError> {
        let bytes = frame(message, self.limit)?;
        self.until(patience);
        let stream = self.stream();
        stream.write_all(&bytes).and_then(|()| stream.flush()).map_err(|e| failed(e, patience))
    }

    /// Hears the next message, within a time.
    ///
    /// # Errors
    /// When none comes, or something that is none.
    pub(crate) fn hear<T: DeserializeOwned>(&mut self, patience: Duration) -> Result<T, ChannelError> {
        self.poll(patience)?.ok_or(ChannelError::Late(patience))
    }

    /// Hears a message if one comes within a time.
    ///
    /// # Errors
    /// When the other side is gone, or says what is no message.
    pub(crate) fn poll<T: DeserializeOwned>(&mut self, wait: Duration) -> Result<Option<T>, ChannelError> {
        self.until(wait);
        let mut piece = [0; PIECE];
        loop {
            if let Some(message) = self.frames.next()? {
                return Ok(Some(message));
            }
            match self.stream().read(&mut piece) {
                Ok(0) => return Err(ChannelError::Closed),
                Ok(n) => self.frames.push(piece.get(..n).unwrap_or_default()),
                Err(e) if is_late(&e) => return Ok(None),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(failed(e, wait)),
            }
        }
    }

    fn until(&mut self, patience: Duration) {
        let until = Instant::now() + patience;
        match &mut self.session {
            Session::Client(s) => s.sock.until = until,
            Session::Server(s) => s.sock.until = until,
        }
    }

    fn stream(&mut self) -> &mut dyn ReadWrite {
        match &mut self.session {
            Session::Client(s) => s.as_mut(),
            Session::Server(s) => s.as_mut(),
        }
    }
}

trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

fn timed(socket: TcpStream, patience: Duration) -> Result<Timed, ChannelError> {
    // Stamps are exchanged: a message that waits for another one to go with it would be a delay.
    socket.set_nodelay(true).map_err(ChannelError::Network)?;
    Ok(Timed { socket, until: Instant::now() + patience })
}

/// The peer's certificate and the session's own secret.
fn known<D>(connection: &rustls::ConnectionCommon<D>) -> Result<(Fingerprint, [u8; 32]), ChannelError> {
    let nobody = || ChannelError::Network(std::io::Error::other("the peer has no certificate"));
    let certificate = connection.peer_certificates().and_then(<[_]>::first).ok_or_else(nobody)?;
    let secret = connection
        .export_keying_material([0; 32], super::pairing::EXPORTER, None)
        .map_err(|e| ChannelError::Network(std::io::Error::other(e)))?;
    Ok((Fingerprint::of(certificate), secret))
}

fn is_late(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn failed(error: std::io::Error, patience: Duration) -> ChannelError {
    if is_late(&error) {
        return ChannelError::Late(patience);
    }
    let refused = |e: &rustls::Error| {
        use rustls::AlertDescription as Alert;
        matches!(
            e,
            rustls::Error::AlertReceived(Alert::AccessDenied | Alert::BadCertificate | Alert::CertificateUnknown)
        ) || matches!(e, rustls::Error::InvalidCertificate(rustls::CertificateError::ApplicationVerificationFailure))
    };
    if error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>()).is_some_and(refused) {
        return ChannelError::NotPaired;
    }
    match error.kind() {
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => ChannelError::Closed,
        _ => ChannelError::Network(error),
    }
}
