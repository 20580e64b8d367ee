//! A listener whose connections do as a test says, each in a thread, and what reads requests there.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

/// A listener. The threads of its connections end when the generator closes them.
pub(crate) struct Listening {
    address: SocketAddr,
    accepted: Arc<AtomicU64>,
    closing: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Listening {
    /// `serve` has each connection until it returns.
    pub(crate) fn start(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), serve)
    }

    pub(crate) fn start_at(address: SocketAddr, serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let (accepted, closing) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let serve = Arc::new(serve);
        let accepting = std::thread::spawn({
            let (accepted, closing) = (Arc::clone(&accepted), Arc::clone(&closing));
            move || {
                for stream in listener.incoming() {
                    if closing.load(Ordering::SeqCst) {
                        return;
                    }
                    let Ok(stream) = stream else { continue };
                    stream.set_nodelay(true).unwrap();
                    accepted.fetch_add(1, Ordering::SeqCst);
                    let serve = Arc::clone(&serve);
                    std::thread::spawn(move || serve(stream));
                }
            }
        });
        Self { address, accepted, closing, accepting: Some(accepting) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub(crate) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        self.accepting.take().map(JoinHandle::join);
    }
}

/// A request of HTTP/1.1 as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// Requests of a connection, one after the other.
pub(crate) struct Requests<S> {
    pub(crate) stream: S,
    seen: Vec<u8>,
}

impl<S: Read + Write> Requests<S> {
    pub(crate) fn of(stream: S) -> Self {
        Self { stream, seen: Vec::new() }
    }

    /// The next request; none when the other side has closed.
    pub(crate) fn next(&mut self) -> Option<Asked> {
        let head = loop {
            if let Some(at) = self.seen.windows(4).position(|w| w == b"\r\n\r\n") {
                break self.seen.drain(..at + 4).collect::<Vec<u8>>();
            }
            self.more()?;
        };
        let head = String::from_utf8(head).unwrap();
        let length = head.lines().find_map(|l| l.strip_prefix("Content-Length: ")).map_or(0, |l| l.parse().unwrap());
        while self.seen.len() < length {
            self.more()?;
        }
        Some(Asked { head, body: self.seen.drain(..length).collect() })
    }

    fn more(&mut self) -> Option<()> {
        let mut buffer = [0; 16 << 10];
        let n = self.stream.read(&mut buffer).ok().filter(|n| *n > 0)?;
        self.seen.extend_from_slice(&buffer[..n]);
        Some(())
    }
}

/// A server of HTTP/1.1: `answer(number of the request, its stream)` writes, and says whether the connection goes on.
pub(crate) fn serving(answer: impl Fn(u64, &mut TcpStream) -> bool + Send + Sync + 'static) -> Listening {
    let requests = AtomicU64::new(0);
    Listening::start(move |stream| {
        let mut asked = Requests::of(stream);
        while asked.next().is_some() && answer(requests.fetch_add(1, Ordering::SeqCst), &mut asked.stream) {}
    })
}

/// Writes, whether or not the other side still listens.
pub(crate) fn say(stream: &mut impl Write, bytes: &[u8]) -> bool {
    stream.write_all(bytes).and_then(|()| stream.flush()).is_ok()
}
