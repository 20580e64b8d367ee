//! A server in threads that answers, stalls, breaks off or keeps silent as told, and stamps what arrives.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use record::monotonic_ns;

/// What to do with one request.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// Send these bytes and go on.
    Whole(Vec<u8>),
    /// Send these bytes and close.
    Close(Vec<u8>),
    /// Say nothing and keep the connection.
    Silence,
    /// Wait until that moment of CLOCK_MONOTONIC, then send and go on.
    At(u64, Vec<u8>),
}

/// The usual answer.
pub(crate) fn ok() -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n".to_vec()
}

type Script = dyn Fn(u64, u64) -> Answer + Send + Sync;

/// A server; its threads end with it.
pub(crate) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

/// A connection, so that it can be cut, with the arrivals of its requests.
struct Accepted {
    stream: TcpStream,
    arrivals: Arc<Mutex<Vec<u64>>>,
}

struct Shared {
    script: Box<Script>,
    requests: AtomicU64,
    closing: AtomicBool,
    /// Every connection ever accepted.
    connections: Mutex<Vec<Accepted>>,
}

impl Server {
    /// `script(request's number from 0, its arrival)` says what to do.
    pub(crate) fn start(script: impl Fn(u64, u64) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), script)
    }

    pub(crate) fn start_at(address: SocketAddr, script: impl Fn(u64, u64) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script: Box::new(script),
            requests: AtomicU64::new(0),
            closing: AtomicBool::new(false),
            connections: Mutex::default(),
        });
        let accepting = Some(std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.accept(&listener)
        }));
        Self { address, shared, accepting }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub(crate) fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// When requests arrived, connection by connection.
    pub(crate) fn arrivals(&self) -> Vec<Vec<u64>> {
        self.shared.connections.lock().unwrap().iter().map(|c| c.arrivals.lock().unwrap().clone()).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        // The listener notices by being connected to; its end closes the port before the last connection.
        let _ = TcpStream::connect(self.address);
        self.accepting.take().map(JoinHandle::join);
        for connection in self.shared.connections.lock().unwrap().iter() {
            let _ = connection.stream.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming() {
            if self.closing.load(Ordering::SeqCst) {
                return;
            }
            let Ok(stream) = stream else { return };
            stream.set_nodelay(true).unwrap();
            let arrivals = Arc::new(Mutex::new(Vec::new()));
            let accepted = Accepted { stream: stream.try_clone().unwrap(), arrivals: Arc::clone(&arrivals) };
            self.connections.lock().unwrap().push(accepted);
            let shared = Arc::clone(self);
            std::thread::spawn(move || shared.serve(stream, &arrivals));
        }
    }

    fn serve(&self, mut stream: TcpStream, arrivals: &Mutex<Vec<u64>>) {
        let (mut buffer, mut seen) = ([0u8; 4096], Vec::new());
        loop {
            while !seen.ends_with(b"\r\n\r\n") {
                match stream.read(&mut buffer) {
                    Ok(0) | Err(_) => return,
                    Ok(n) => seen.extend_from_slice(&buffer[..n]),
                }
            }
            seen.clear();
            let at = monotonic_ns();
            arrivals.lock().unwrap().push(at);
            let number = self.requests.fetch_add(1, Ordering::SeqCst);
            let (bytes, close) = match (self.script)(number, at) {
                Answer::Whole(bytes) => (bytes, false),
                Answer::Close(bytes) => (bytes, true),
                Answer::Silence => continue,
                Answer::At(until, bytes) => {
                    while let left @ 1.. = until.saturating_sub(monotonic_ns()) {
                        std::thread::sleep(Duration::from_nanos(left));
                    }
                    (bytes, false)
                }
            };
            if stream.write_all(&bytes).is_err() {
                return;
            }
            if close {
                let _ = stream.shutdown(Shutdown::Both);
                return;
            }
        }
    }
}
