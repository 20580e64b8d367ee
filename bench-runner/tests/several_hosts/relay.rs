//! A relay on a host that passes bytes on late and slowly, as a long and thin line does.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::agents::Hosts;

/// What the line is.
#[derive(Clone, Copy)]
pub(crate) struct Line {
    /// How long each byte is on its way, in either direction.
    pub(crate) delay: Duration,
    /// How many leave in a second.
    pub(crate) bytes_per_second: u64,
}

/// The relay; dropping it ends it, and with it all connections through it.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// One on the loopback of a host, that leads to an address.
    pub(crate) fn new(hosts: &Hosts, on: &str, to: SocketAddr, line: Line) -> Self {
        let namespace = File::open(format!("/run/netns/{}", hosts.namespace(on))).unwrap();
        let (said, heard) = channel();
        let ending = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&ending);
        let thread = std::thread::spawn(move || {
            // Threads that this one starts are in there too.
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            said.send(listener.local_addr().unwrap()).unwrap();
            listener.set_nonblocking(true).unwrap();
            let mut ends_of = Vec::new();
            while !ends.load(Ordering::Acquire) {
                match listener.accept() {
                    Ok((near, _)) => {
                        near.set_nonblocking(false).unwrap();
                        let far = TcpStream::connect(to).unwrap();
                        ends_of.extend([near.try_clone().unwrap(), far.try_clone().unwrap()]);
                        carry(near.try_clone().unwrap(), far.try_clone().unwrap(), line);
                        carry(far, near, line);
                    }
                    Err(_) => std::thread::sleep(Duration::from_millis(5)),
                }
            }
            for end in ends_of {
                let _ = end.shutdown(Shutdown::Both);
            }
        });
        Self { address: heard.recv().unwrap(), ending, thread: Some(thread) }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One direction: a thread that reads and stamps, and one that writes when it is time.
fn carry(mut from: TcpStream, to: TcpStream, line: Line) {
    let (said, heard) = channel();
    std::thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(n) = from.read(&mut chunk) {
            if n == 0 || said.send((Instant::now() + line.delay, chunk[..n].to_vec())).is_err() {
                break;
            }
        }
    });
    std::thread::spawn(move || deliver(&heard, to, line));
}

fn deliver(heard: &Receiver<(Instant, Vec<u8>)>, mut to: TcpStream, line: Line) {
    let mut free = Instant::now();
    while let Ok((due, bytes)) = heard.recv() {
        free = free.max(due) + Duration::from_secs(1) * bytes.len() as u32 / line.bytes_per_second as u32;
        std::thread::sleep(free.saturating_duration_since(Instant::now()));
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
