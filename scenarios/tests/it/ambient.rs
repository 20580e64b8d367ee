//! The built-in node proxy: through which tunnels connections go, who is let in, and that bytes arrive as they left.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use record::HopStamps;
use scenarios::certs::{Authority, IdentityFiles, spiffe_id};
use scenarios::proxy::ambient::{
    self, InboundConfig, InboundStats, Listening, NodeProxyConfig, OutboundConfig, OutboundStats, Reply, Stats,
    WorkloadConfig,
};

use crate::caller::Caller;
use crate::part::{ANY, Part, idle_service, service};

/// A workload that calls the callees.
fn workload(name: &str, identity: IdentityFiles, app: Option<SocketAddr>, callees: &[&str]) -> WorkloadConfig {
    let call = |callee: &&str| OutboundConfig { callee: (*callee).to_owned(), listen: Some(ANY) };
    let inbound =
        |app: SocketAddr| InboundConfig { app, ports: vec![app.port()], tunnel: ANY, clear: ANY, clear_ports: vec![] };
    WorkloadConfig {
        name: name.into(),
        id: spiffe_id(name),
        identity,
        namespace: None,
        inbound: app.map(inbound),
        captured: None,
        outbound: callees.iter().map(call).collect(),
    }
}

/// A node proxy for "entry", which calls "s1".
struct Node {
    part: Part,
    at: Listening,
    keys: tempfile::TempDir,
}

fn issue(authority: &Authority, name: &str, keys: &Path) -> IdentityFiles {
    authority.issue(name).unwrap().write(&keys.join("keys")).unwrap()
}

impl Node {
    fn of(app: SocketAddr) -> Self {
        Self::with(app, |_, _| {})
    }

    /// One whose workloads, entry and s1, are changed before it starts.
    fn with(app: SocketAddr, change: impl FnOnce(&mut [WorkloadConfig; 2], &Path)) -> Self {
        let keys = tempfile::tempdir().unwrap();
        let authority = Authority::new().unwrap();
        let [entry, s1] = ["entry", "s1"].map(|name| issue(&authority, name, keys.path()));
        let mut workloads = [workload("entry", entry, None, &["s1"]), workload("s1", s1, Some(app), &[])];
        change(&mut workloads, keys.path());
        let workloads = workloads.into();
        let config = NodeProxyConfig { name: "node-proxy".into(), workers: 2, admin: ANY, user: None, workloads };
        let mut part = Part::start(move |lifeline| ambient::serve_on(config, lifeline));
        let ready: ambient::Ready = part.hear();
        Self { part, at: ready.ready, keys }
    }

    fn entry(&self) -> SocketAddr {
        self.at.workloads["entry"].outbound["s1"]
    }

    fn stats(&self) -> Stats {
        let answer = Caller::connect(self.at.admin).get("/stats");
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
        serde_json::from_slice(&answer.body).unwrap()
    }

    fn out(&self) -> OutboundStats {
        self.stats().workloads.remove("entry").unwrap().outbound.remove("s1").unwrap()
    }

    fn inn(&self) -> InboundStats {
        self.stats().workloads.remove("s1").unwrap().inbound.unwrap()
    }

    /// Counters move after the event a test sees, so a test waits for them, with an end.
    fn inn_when(&self, enough: impl Fn(&InboundStats) -> bool) -> InboundStats {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let stats = self.inn();
            if enough(&stats) || Instant::now() > end {
                return stats;
            }
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_connection_is_a_stream_between_the_right_two_and_its_requests_share_it() {
    let app = service(idle_service("s1"));
    let node = Node::of(app.listen);
    let mut caller = Caller::connect(node.entry());
    for _ in 0..10 {
        let answer = caller.get("/");
        assert_eq!(answer.status, 200);
        assert_eq!(HopStamps::from_header(answer.header(HopStamps::HEADER).unwrap())[0].service, "s1");
    }
    let stats = node.stats();
    assert_eq!((stats.version.as_str(), stats.workers), (env!("CARGO_PKG_VERSION"), 2));
    let inn = node.inn_when(|inn| inn.bytes_sent > 0 && inn.bytes_sent == node.out().bytes_received);
    let out = node.out();
    assert_eq!((out.connections, out.streams, out.tunnels, out.failures), (1, 1, 1, 0));
    assert_eq!((out.tls_handshakes, out.tls_handshakes_failed), (1, 0));
    assert_eq!(out.peers, BTreeMap::from([(spiffe_id("s1"), 1)]));
    assert_eq!((inn.connections, inn.streams, inn.streams_refused), (1, 1, 0));
    assert_eq!((inn.tls_handshakes, inn.tls_handshakes_failed, inn.clear, inn.clear_refused), (1, 0, 0, 0));
    assert_eq!(inn.peers, BTreeMap::from([(spiffe_id("entry"), 1)]));
    let request = b"GET / HTTP/1.1\r\nhost: test\r\n\r\n".len() as u64;
    assert_eq!((out.bytes_sent, inn.bytes_received), (10 * request, 10 * request));
    assert!(inn.bytes_sent > 0 && inn.bytes_sent == out.bytes_received, "{inn:?} {out:?}");
}

#[test]
fn a_tunnel_takes_a_hundred_connections_and_the_next_one_opens_another() {
    let app = service(idle_service("s1"));
    let node = Node::of(app.listen);
    let mut callers: Vec<Caller> = (0..150).map(|_| Caller::connect(node.entry())).collect();
    for caller in &mut callers {
        assert_eq!(caller.get("/").status, 200);
    }
    let out = node.out();
    assert_eq!((out.connections, out.streams, out.tunnels, out.tls_handshakes), (150, 150, 2, 2));
    drop(callers);
    // What was given back is used again.
    let end = Instant::now() + Duration::from_secs(20);
    for _ in 0..300 {
        assert_eq!(Caller::connect(node.entry()).get("/").status, 200);
        assert!(Instant::now() < end);
    }
    assert_eq!(node.out().tunnels, 2);
    assert_eq!(node.inn().streams, 450);
}

/// A program that sends back what it gets, and ends a connection when its caller has ended its side.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut reader = stream.try_clone().unwrap();
                // Ends with the connection, however that ends.
                let _ = std::io::copy(&mut reader, &mut stream);
                let _ = stream.shutdown(Shutdown::Write);
            });
        }
    });
    address
}

/// Bytes that are not all the same, and no two of a frame's lengths apart are.
fn bytes(n: usize) -> Vec<u8> {
    (0..n as u64).map(|i| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect()
}

#[test]
fn many_megabytes_arrive_as_they_left_and_each_side_ends_when_it_has_ended() {
    let node = Node::of(echo());
    // More than a stream's window, so that what is taken must be told, and beyond every size that is read at once.
    let sent = bytes(24 << 20);
    let stream = TcpStream::connect(node.entry()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let (mut writer, text) = (stream.try_clone().unwrap(), sent.clone());
    let writing = std::thread::spawn(move || {
        writer.write_all(&text).unwrap();
        // Only our side has ended: the answer to the last byte must still come.
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut received = Vec::new();
    (&stream).read_to_end(&mut received).unwrap();
    writing.join().unwrap();
    assert!(received == sent, "{} bytes came back of {}", received.len(), sent.len());
    let (out, inn) = (node.out(), node.inn());
    assert_eq!((out.bytes_sent, inn.bytes_received), (24 << 20, 24 << 20));
    assert_eq!((out.bytes_received, inn.bytes_sent), (24 << 20, 24 << 20));
    assert_eq!((out.connections, out.tunnels), (1, 1));
}

#[test]
fn a_slow_reader_holds_up_its_own_stream_and_no_other() {
    let node = Node::of(echo());
    let slow = TcpStream::connect(node.entry()).unwrap();
    slow.set_nonblocking(true).unwrap();
    let chunk = bytes(1 << 16);
    // Until everything between here and the echo is full: it must not be taken without end.
    let (mut written, mut quiet) = (0u64, 0);
    while quiet < 20 {
        match (&slow).write(&chunk) {
            Ok(n) => (written, quiet) = (written + n as u64, 0),
            Err(_) => {
                quiet += 1;
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        assert!(written < 200 << 20, "{written} bytes were taken from a caller who reads nothing");
    }
    let mut other = TcpStream::connect(node.entry()).unwrap();
    other.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    other.write_all(b"hello").unwrap();
    let mut back = [0; 5];
    other.read_exact(&mut back).unwrap();
    assert_eq!((&back, node.out().tunnels), (b"hello", 1));
}

#[test]
fn under_strict_a_caller_in_clear_is_refused_at_both_doors() {
    let app = service(idle_service("s1"));
    let node = Node::of(app.listen);
    let places = &node.at.workloads["s1"];
    let mut caller = Caller::connect(places.clear.unwrap());
    assert!(caller.is_closed());
    let mut caller = Caller::connect(places.tunnel.unwrap());
    caller.say(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    // TLS itself says why before it closes.
    let end = Instant::now() + Duration::from_secs(20);
    while !caller.is_closed() {
        assert!(Instant::now() < end);
    }
    let inn = node.inn_when(|inn| inn.tls_handshakes_failed > 0);
    assert_eq!((inn.clear_refused, inn.clear, inn.tls_handshakes_failed, inn.streams), (1, 0, 1, 0));
}

#[test]
fn a_caller_in_clear_is_let_in_where_that_is_so_and_counted() {
    let app = service(idle_service("s1"));
    let node = Node::with(app.listen, |[_, s1], _| s1.inbound.as_mut().unwrap().clear_ports = vec![app.listen.port()]);
    let mut caller = Caller::connect(node.at.workloads["s1"].clear.unwrap());
    assert_eq!((caller.get("/").status, caller.get("/").status), (200, 200));
    let inn = node.inn();
    assert_eq!((inn.clear, inn.clear_refused, inn.streams, inn.tls_handshakes), (1, 0, 0, 0));
    assert_eq!(inn.bytes_received, 2 * b"GET / HTTP/1.1\r\nhost: test\r\n\r\n".len() as u64);
    // Those of the mesh come by tunnels all the same.
    assert_eq!(Caller::connect(node.entry()).get("/").status, 200);
    let inn = node.inn();
    assert_eq!((inn.clear, inn.streams, inn.tls_handshakes), (1, 1, 1));
}

#[test]
fn a_callee_of_another_id_gets_no_stream() {
    let app = service(idle_service("s1"));
    let node = Node::with(app.listen, |[_, s1], _| s1.id = spiffe_id("s2"));
    assert!(Caller::connect(node.entry()).is_closed());
    let out = node.out();
    assert_eq!((out.tls_handshakes, out.tls_handshakes_failed, out.failures, out.streams), (0, 1, 1, 0));
    assert_eq!((node.inn().streams, out.peers.len()), (0, 0));
}

#[test]
fn a_caller_of_another_authority_is_refused_by_the_callee() {
    let app = service(idle_service("s1"));
    let node = Node::with(app.listen, |[entry, _], keys| {
        // It trusts the run's authority, and has a certificate that is not from it.
        let other = issue(&Authority::new().unwrap(), "other", keys);
        entry.identity = IdentityFiles { ca: entry.identity.ca.clone(), ..other };
    });
    assert!(Caller::connect(node.entry()).is_closed());
    let inn = node.inn_when(|inn| inn.tls_handshakes_failed > 0);
    assert_eq!((inn.tls_handshakes, inn.tls_handshakes_failed, inn.streams), (0, 1, 0));
    assert_eq!((node.out().failures, inn.peers.len()), (1, 0));
}

#[test]
fn a_program_that_is_not_there_ends_the_callers_connection_and_not_the_tunnel() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let node = Node::of(address);
    for _ in 0..2 {
        assert!(Caller::connect(node.entry()).is_closed());
    }
    let (out, inn) = (node.out(), node.inn());
    assert_eq!((out.connections, out.failures, out.tunnels, out.streams), (2, 2, 1, 2));
    assert_eq!((inn.streams, inn.streams_refused), (2, 2));
}

#[test]
fn a_connection_that_breaks_off_breaks_off_at_the_other_end() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let node = Node::of(listener.local_addr().unwrap());
    let caller = TcpStream::connect(node.entry()).unwrap();
    (&caller).write_all(b"half a request").unwrap();
    let mut program = listener.accept().unwrap().0;
    program.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut said = [0; 14];
    program.read_exact(&mut said).unwrap();
    // With unread bytes in it, closing it is a reset.
    program.write_all(b"an answer that nobody reads").unwrap();
    caller.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert!(caller.peek(&mut [0]).unwrap() > 0);
    drop(caller);
    match program.read(&mut said) {
        Ok(n) => assert_eq!(n, 0, "it went on"),
        // To have waited in vain is no end.
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    // Where a side has only ended, the other may still speak. Here nobody is left to take it.
    let end = Instant::now() + Duration::from_secs(20);
    while program.write_all(b"more").is_ok() {
        assert!(Instant::now() < end, "it is still taken");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn new_identities_are_for_new_tunnels_and_what_is_open_goes_on() {
    let app = service(idle_service("s1"));
    let mut node = Node::of(app.listen);
    let keys = node.keys.path().join("keys");
    let mut kept = Caller::connect(node.entry());
    assert_eq!(kept.get("/").status, 200);
    // Of another authority on both sides: only two new ones get along with one another.
    let authority = Authority::new().unwrap();
    for name in ["entry", "s1"] {
        authority.issue(name).unwrap().replace(&keys, |_| Ok(())).unwrap();
    }
    node.part.say("renew");
    assert_eq!(node.part.hear::<Reply>(), Reply::Renewed(2));
    assert_eq!(kept.get("/").status, 200);
    let mut callers: Vec<Caller> = (0..120).map(|_| Caller::connect(node.entry())).collect();
    assert!(callers.iter_mut().all(|caller| caller.get("/").status == 200));
    let out = node.out();
    assert_eq!((out.tunnels, out.tls_handshakes, out.failures), (2, 2, 0));
    // One side alone: the next tunnel shows that it was read, since it fails.
    Authority::new().unwrap().issue("s1").unwrap().replace(&keys, |_| Ok(())).unwrap();
    node.part.say("renew");
    assert_eq!(node.part.hear::<Reply>(), Reply::Renewed(2));
    let more: Vec<Caller> = (0..100).map(|_| Caller::connect(node.entry())).collect();
    let end = Instant::now() + Duration::from_secs(20);
    while node.out().failures < 21 {
        assert!(Instant::now() < end, "{:?}", node.out());
    }
    assert!(callers.iter_mut().all(|caller| caller.get("/").status == 200));
    assert_eq!(kept.get("/").status, 200);
    drop(more);
}

#[test]
fn files_that_cannot_be_read_change_nothing() {
    let app = service(idle_service("s1"));
    let mut node = Node::of(app.listen);
    std::fs::write(node.keys.path().join("keys/s1.chain.pem"), "no certificate").unwrap();
    node.part.say("renew");
    let Reply::Error(said) = node.part.hear::<Reply>() else { panic!("it took them") };
    assert!(said.contains("s1.chain.pem"), "{said}");
    node.part.say("weights v1=1");
    let Reply::Error(said) = node.part.hear::<Reply>() else { panic!("it took them") };
    assert!(said.contains("'weights v1=1'") && said.contains("try renew"), "{said}");
    assert_eq!(Caller::connect(node.entry()).get("/").status, 200);
}
