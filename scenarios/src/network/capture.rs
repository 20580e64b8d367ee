//! What crosses pods' links, recorded by a packet socket in the hub.

mod frame;
mod stream;

use std::io::{ErrorKind, Read as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use super::wiring::BRIDGE;
use super::{failed, namespace};
use crate::{Error, Result};
pub use stream::Stream;
use stream::Streams;

/// All protocols, from linux/if_ether.h.
const ETH_P_ALL: u16 = 3;

/// Larger than any frame: with segmentation left to the device, veth passes on 64 KiB at once.
const LARGEST_FRAME: usize = 128 << 10;

/// How long the reader waits for a frame before it looks whether it is to end.
const PATIENCE: Duration = Duration::from_millis(20);

/// How much a capture may hold.
#[derive(Clone, Copy, Debug)]
pub struct CaptureBounds {
    /// Bytes of payload that are kept, with what it takes to keep them; more is counted only.
    pub kept_bytes: usize,
    /// Bytes of frames that wait in the kernel to be read; what does not fit is missed, and counted.
    pub waiting_bytes: usize,
}

impl Default for CaptureBounds {
    fn default() -> Self {
        Self { kept_bytes: 64 << 20, waiting_bytes: 32 << 20 }
    }
}

/// What a capture has seen.
#[derive(Debug)]
pub struct Seen {
    /// Frames that pods sent and that were read, of whatever protocol.
    pub frames: u64,
    /// Frames that pods sent and that the kernel dropped before they were read: what the links of the hub counted
    /// less what was read. Those of the moments in which the capture begins and ends may hide as many that were missed.
    pub missed: u64,
    /// Payload that was read and not kept, in bytes, since the bound was reached.
    pub not_kept_bytes: u64,
    /// What was kept: a stream for each direction of each TCP connection that carried payload, in the order of their
    /// first payload.
    pub streams: Vec<Stream>,
}

impl Seen {
    /// Whether a marker was sent in any stream, within a segment or over several.
    pub fn contains(&self, marker: &[u8]) -> bool {
        self.streams.iter().any(|s| s.contains(marker))
    }

    /// Whether everything that crossed was read and kept. Only then says the absence of a marker that it was not sent.
    pub fn complete(&self) -> bool {
        self.missed == 0 && self.not_kept_bytes == 0 && self.streams.iter().all(|s| s.gaps() == 0)
    }
}

/// A recording that goes on. It sees the links between pods, never a pod's own loopback.
#[derive(Debug)]
pub struct Capture {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<Seen>>>,
}

impl Capture {
    /// Begins; when it returns, every frame from now on is recorded.
    pub(super) fn start(hub: &Path, bounds: CaptureBounds) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (said, ready) = mpsc::channel();
        let (hub, stopped) = (hub.to_owned(), Arc::clone(&stop));
        let body = move || {
            let (tap, opened) = match namespace::enter(&hub).and_then(|()| Tap::open(bounds)) {
                Ok(tap) => (Some(tap), Ok(())),
                Err(error) => (None, Err(error)),
            };
            // Nobody hears it only when nobody waits any more.
            let _ = said.send(opened);
            tap.map_or_else(|| Err(capturing("it did not begin")), |tap| tap.read(&stopped, bounds))
        };
        let thread = std::thread::Builder::new().name("capture".to_owned()).spawn(body).map_err(|source| {
            Error::Thread { part: "the capture".to_owned(), what: "it has no thread".to_owned(), source }
        })?;
        let capture = Self { stop, thread: Some(thread) };
        ready.recv().unwrap_or_else(|_| Err(capturing("its thread ended")))?;
        Ok(capture)
    }

    /// Ends it; what was sent before is recorded.
    ///
    /// # Errors
    /// [`Error::Network`] when the socket or the counters of the links could not be read.
    pub fn finish(mut self) -> Result<Seen> {
        self.end()
    }

    fn end(&mut self) -> Result<Seen> {
        self.stop.store(true, Ordering::Release);
        match self.thread.take() {
            Some(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            None => Err(capturing("it has ended already")),
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // Whoever drops it does not want to know.
            let _ = thread.join();
        }
    }
}

/// The socket, in the namespace of the thread that holds it.
struct Tap {
    socket: Socket,
    /// What the links had counted when it began.
    before: u64,
}

impl Tap {
    fn open(bounds: CaptureBounds) -> Result<Self> {
        let protocol = Protocol::from(i32::from(ETH_P_ALL.to_be()));
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(protocol)).map_err(capturing)?;
        // It hears everything from its birth: first all of it is shut out and what came in by then thrown away.
        socket.attach_filter(&[filter::ret(0)]).map_err(capturing)?;
        rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, bounds.waiting_bytes).map_err(capturing)?;
        socket.set_read_timeout(Some(PATIENCE)).map_err(capturing)?;
        socket.set_nonblocking(true).map_err(capturing)?;
        let mut chunk = [0; 1];
        while (&socket).read(&mut chunk).is_ok() {}
        socket.set_nonblocking(false).map_err(capturing)?;
        let bridge = rustix::net::netdevice::name_to_index(&socket, BRIDGE).map_err(capturing)?;
        socket.attach_filter(&filter::from_pods(bridge)).map_err(capturing)?;
        // After the filter: a frame between the two is read and not counted, which is no frame missed.
        Ok(Self { before: frames_from_pods()?, socket })
    }

    fn read(self, stop: &AtomicBool, bounds: CaptureBounds) -> Result<Seen> {
        let mut streams = Streams::new(bounds.kept_bytes);
        let mut frame = vec![0; LARGEST_FRAME];
        let (mut frames, mut counted) = (0_u64, None);
        loop {
            if counted.is_none() && stop.load(Ordering::Acquire) {
                // The counter first, then no more frames, then what still waits: none is counted and not awaited.
                counted = Some(frames_from_pods()?);
                self.socket.attach_filter(&[filter::ret(0)]).map_err(capturing)?;
                self.socket.set_nonblocking(true).map_err(capturing)?;
            }
            match (&self.socket).read(&mut frame) {
                Ok(length) => {
                    frames += 1;
                    if let Some(segment) = frame.get(..length).and_then(frame::segment) {
                        streams.take(&segment);
                    }
                }
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if let Some(counted) = counted {
                        let missed = counted.saturating_sub(self.before).saturating_sub(frames);
                        let (streams, not_kept_bytes) = streams.done();
                        return Ok(Seen { frames, missed, not_kept_bytes, streams });
                    }
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(capturing(e)),
            }
        }
    }
}

/// Frames that pods have sent so far: what the bridge's ports have received, by /proc/net/dev of the thread's namespace.
fn frames_from_pods() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/net/dev").map_err(capturing)?;
    received_by_ports(&text).ok_or_else(|| capturing("/proc/net/dev is not understood"))
}

/// The second column of each link that is a port.
fn received_by_ports(text: &str) -> Option<u64> {
    let mut sum = 0_u64;
    for line in text.lines().skip(2) {
        let (name, counters) = line.split_once(':')?;
        if !matches!(name.trim(), "lo" | BRIDGE) {
            sum += counters.split_whitespace().nth(1)?.parse::<u64>().ok()?;
        }
    }
    Some(sum)
}

fn capturing(said: impl std::fmt::Display) -> Error {
    failed("capture what crosses the links between pods", said)
}

/// Programs for the kernel's socket filter, in the words of linux/filter.h.
mod filter {
    use socket2::SockFilter;

    const LOAD: u16 = 0x20;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    /// Where the filter finds what is known of a frame and stands not in it: SKF_AD_OFF.
    const ABOUT: u32 = 0xffff_f000;
    const PACKET_TYPE: u32 = ABOUT + 4;
    const INTERFACE: u32 = ABOUT + 8;
    const PACKET_OUTGOING: u32 = 4;

    /// Passes this many bytes of each frame; none for 0.
    pub(super) const fn ret(bytes: u32) -> SockFilter {
        SockFilter::new(RETURN, 0, 0, bytes)
    }

    /// Passes what comes in by the bridge's ports: each frame once, where a pod sends it.
    pub(super) const fn from_pods(bridge: u32) -> [SockFilter; 6] {
        [
            SockFilter::new(LOAD, 0, 0, PACKET_TYPE),
            SockFilter::new(JUMP_IF_EQUAL, 3, 0, PACKET_OUTGOING),
            SockFilter::new(LOAD, 0, 0, INTERFACE),
            SockFilter::new(JUMP_IF_EQUAL, 1, 0, bridge),
            ret(u32::MAX),
            ret(0),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_those_the_ports_received_and_not_the_bridges_own() {
        let text = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     100       7    0    0    0     0          0         0      100       7    0    0    0     0       0          0
   br0:      84       3    0    0    0     0          0         3        0       0    0    0    0     0       0          0
    v1:    1200      11    0    0    0     0          0         0      900       9    0    0    0     0       0          0
   v10:     900       9    0    0    0     0          0         0     1200      11    0    0    0     0       0          0
";
        assert_eq!(received_by_ports(text), Some(20));
        assert_eq!(received_by_ports("a\nb\nno colon here\n"), None);
    }
}
