//! The ways through the built-in sidecar: modes, callees, what is no HTTP, retries, bounds, and a gateway's door.

use std::io::{BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use record::{Mtls, Protocol};
use scenarios::certs::{Authority, GATEWAY_NAME, IdentityFiles, spiffe_id};
use scenarios::proxy::embedded::{CalleeConfig, DoorConfig, InboundStats, OutboundConfig, SidecarConfig, SubsetConfig};

use crate::caller::{Caller, head};
use crate::embedded::{callee, config, identity, inbound, outbound};
use crate::part::{ANY, Sidecar, idle_service, service, sidecar};

/// Identities of one run, and the directory they are in.
struct Run {
    authority: Authority,
    keys: tempfile::TempDir,
}

impl Run {
    fn new() -> Self {
        Self { authority: Authority::new().unwrap(), keys: tempfile::tempdir().unwrap() }
    }

    fn identity(&self, name: &str) -> IdentityFiles {
        identity(&self.authority, name, self.keys.path())
    }

    /// A sidecar before an app.
    fn before(&self, name: &str, app: SocketAddr, mtls: Mtls, protocol: Protocol) -> Sidecar {
        let identity = (mtls != Mtls::Disable).then(|| self.identity(name));
        sidecar(SidecarConfig { inbound: inbound(app, mtls), protocol, ..config(&format!("{name}-sidecar"), identity) })
    }

    /// The sidecar of a caller of callees.
    fn caller(&self, callees: Vec<CalleeConfig>, protocol: Protocol) -> Sidecar {
        let identity = callees.iter().any(|c| c.peer.is_some()).then(|| self.identity("s1"));
        sidecar(SidecarConfig { outbound: outbound(callees), protocol, ..config("s1-sidecar", identity) })
    }
}

fn counted(sidecar: &Sidecar) -> InboundStats {
    sidecar.stats().inbound.unwrap()
}

#[test]
fn permissive_lets_both_kinds_of_callers_in_and_tells_them_apart() {
    let run = Run::new();
    let app = service(idle_service("s2"));
    let to = run.before("s2", app.listen, Mtls::Permissive, Protocol::Http);
    let at = to.at.inbound.unwrap();
    let from = run.caller(vec![callee("s2", at, Some("s2"))], Protocol::Http);
    assert_eq!(Caller::connect(from.at.outbound[0]).get("/").status, 200);
    assert_eq!(Caller::connect(at).get("/").status, 200);
    let inn = counted(&to);
    assert_eq!((inn.connections, inn.requests, inn.plaintext_requests), (2, 2, 1));
    assert_eq!((inn.tls_handshakes, inn.plaintext_refused), (1, 0));
    assert_eq!(inn.peers.into_keys().collect::<Vec<_>>(), [spiffe_id("s1")]);
}

#[test]
fn each_callee_has_a_listener_of_its_own_and_its_own_counts() {
    let run = Run::new();
    let apps = ["s2", "s3"].map(|name| service(idle_service(name)));
    let clear = run.before("s3", apps[1].listen, Mtls::Disable, Protocol::Http);
    let secured = run.before("s2", apps[0].listen, Mtls::Strict, Protocol::Http);
    let callees =
        vec![callee("s2", secured.at.inbound.unwrap(), Some("s2")), callee("s3", clear.at.inbound.unwrap(), None)];
    let from = run.caller(callees, Protocol::Http);
    for (listener, name, requests) in [(0, "s2", 3), (1, "s3", 5)] {
        let mut caller = Caller::connect(from.at.outbound[listener]);
        for _ in 0..requests {
            let answer = caller.get("/");
            assert!(answer.header(record::HopStamps::HEADER).unwrap().contains(name), "{answer:?}");
        }
    }
    let out = from.stats().outbound;
    let seen: Vec<_> = out.iter().map(|o| (o.service.as_str(), o.requests, o.tls_handshakes)).collect();
    assert_eq!(seen, [("s2", 3, 1), ("s3", 5, 0)]);
    assert_eq!((counted(&secured).requests, counted(&clear).requests), (3, 5));
}

/// An app that says back what it hears, in capitals, until the other side has said all.
fn shouting() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut heard = Vec::new();
                stream.read_to_end(&mut heard).unwrap();
                stream.write_all(&heard.to_ascii_uppercase()).unwrap();
            });
        }
    });
    address
}

fn shouted(at: SocketAddr, said: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // In two pieces, so that a line is not whole when it is first looked at.
    let (first, second) = said.split_at(3);
    stream.write_all(first).unwrap();
    std::thread::sleep(Duration::from_millis(20));
    stream.write_all(second).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).unwrap();
    heard
}

#[test]
fn what_is_no_http_passes_as_bytes_where_nothing_is_known_beforehand() {
    let run = Run::new();
    let app = shouting();
    let to = run.before("s2", app, Mtls::Permissive, Protocol::Auto);
    let at = to.at.inbound.unwrap();
    let from = run.caller(vec![callee("s2", at, Some("s2"))], Protocol::Auto);
    for said in [&b"select 1;\n"[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"and no more"] {
        assert_eq!(shouted(from.at.outbound[0], said), said.to_ascii_uppercase());
        assert_eq!(shouted(at, said), said.to_ascii_uppercase());
    }
    let (out, inn) = (from.stats().outbound.remove(0), counted(&to));
    assert_eq!((out.byte_connections, out.requests, out.tls_handshakes), (3, 0, 3));
    assert_eq!((inn.byte_connections, inn.requests, inn.tls_handshakes), (6, 0, 3));
}

#[test]
fn http_is_relayed_as_such_where_nothing_is_known_beforehand() {
    let run = Run::new();
    let app = service(idle_service("s2"));
    let to = run.before("s2", app.listen, Mtls::Strict, Protocol::Auto);
    let from = run.caller(vec![callee("s2", to.at.inbound.unwrap(), Some("s2"))], Protocol::Auto);
    let mut caller = Caller::connect(from.at.outbound[0]);
    // A line that comes in pieces is waited for.
    caller.say(b"GET / HT");
    std::thread::sleep(Duration::from_millis(20));
    caller.say(b"TP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(caller.answer().status, 200);
    assert_eq!(caller.get("/").status, 200);
    assert_eq!((counted(&to).requests, counted(&to).byte_connections), (2, 0));
}

#[test]
fn a_connection_that_cannot_be_made_is_tried_again_and_each_try_is_counted() {
    let down = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let outbound = outbound(vec![callee("s2", down, None)]);
    let from = sidecar(SidecarConfig { outbound, retries: 2, ..config("s1-sidecar", None) });
    assert_eq!(Caller::connect(from.at.outbound[0]).get("/").status, 503);
    let out = from.stats().outbound.remove(0);
    assert_eq!((out.requests, out.upstream_retries, out.upstream_failures), (1, 2, 1));
}

#[test]
fn a_retry_finds_what_has_come_up_meanwhile() {
    // The address is kept by a socket that does not listen: connections to it are refused.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&ANY.into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let outbound = outbound(vec![callee("s2", address, None)]);
    let from = sidecar(SidecarConfig { outbound, retries: 1000, ..config("s1-sidecar", None) });
    let mut caller = Caller::connect(from.at.outbound[0]);
    caller.say(b"POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\n\r\nhello");
    from.stats_when(|s| s.outbound[0].upstream_retries > 0);
    socket.listen(16).unwrap();
    let mut stream = BufReader::new(socket.accept().unwrap().0);
    let (first, headers) = head(&mut stream).unwrap();
    assert_eq!((first.as_str(), crate::caller::body(&mut stream, &headers)), ("POST / HTTP/1.1", b"hello".to_vec()));
    stream.get_mut().write_all(b"HTTP/1.1 200 X\r\ncontent-length: 2\r\n\r\nok").unwrap();
    assert_eq!(caller.answer().text(), "ok");
    let out = from.stats().outbound.remove(0);
    assert_eq!((out.requests, out.upstream_failures, out.upstream_connections), (1, 0, 1));
}

#[test]
fn a_connection_is_closed_after_its_last_request_and_no_request_fails_by_it() {
    let app = service(idle_service("s2"));
    let to = sidecar(SidecarConfig {
        inbound: inbound(app.listen, Mtls::Disable),
        requests_per_connection: 3,
        ..config("s2-sidecar", None)
    });
    let mut caller = Caller::connect(to.at.inbound.unwrap());
    assert!((0..10).all(|_| caller.get("/").status == 200));
    let inn = counted(&to);
    assert_eq!((inn.requests, inn.upstream_connections, inn.upstream_failures), (10, 4, 0));
    assert_eq!(inn.most_requests_on_one, 3);
}

#[test]
fn a_gateway_takes_tls_of_anybody_and_speaks_as_itself_behind_its_door() {
    let run = Run::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let app = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let mut stream = BufReader::new(listener.accept().unwrap().0);
        let (_, headers) = head(&mut stream).unwrap();
        stream.get_mut().write_all(b"HTTP/1.1 200 X\r\ncontent-length: 2\r\n\r\nok").unwrap();
        headers
    });
    let to = run.before("s1", app, Mtls::Strict, Protocol::Http);
    let door =
        run.authority.issue_server(GATEWAY_NAME).unwrap().named("door").write(&run.keys.path().join("keys")).unwrap();
    let ca = door.ca.clone();
    let behind = CalleeConfig { listen: None, ..callee("s1", to.at.inbound.unwrap(), Some("s1")) };
    let door = Some(DoorConfig { listen: ANY, identity: door });
    let outbound = Some(OutboundConfig { capture: None, door, callees: vec![behind] });
    let gateway = sidecar(SidecarConfig { outbound, ..config("gateway", Some(run.identity("gateway"))) });
    let at = gateway.at.inbound.unwrap();
    let patience = Duration::from_secs(20);
    let answer =
        scenarios::http::ask_tls(at, scenarios::http::Tls { name: GATEWAY_NAME, authority: &ca }, "/", &[], patience)
            .unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    let headers = server.join().unwrap();
    let header = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    assert_eq!((header("x-forwarded-for"), header("x-forwarded-proto")), (Some("127.0.0.1"), Some("https")));
    assert_eq!(header("x-request-id").unwrap().len(), 36);
    // In clear nobody comes in.
    assert!(scenarios::http::get(at, "/", patience).is_err());
    let stats = gateway.stats();
    let inn = stats.inbound.unwrap();
    assert_eq!((inn.connections, inn.requests, inn.tls_handshakes, inn.plaintext_refused), (2, 1, 1, 1));
    assert_eq!((stats.outbound[0].requests, stats.outbound[0].tls_handshakes), (1, 1));
    assert_eq!(counted(&to).peers.into_keys().collect::<Vec<_>>(), [spiffe_id("gateway")]);
}

#[test]
fn requests_are_split_by_weight_and_none_goes_to_a_weight_of_zero() {
    let apps = ["v1", "v2", "v3"].map(|name| service(idle_service(name)));
    let subset =
        |(name, weight, at): (&str, u32, usize)| SubsetConfig { name: name.into(), weight, address: apps[at].listen };
    let subsets = [("v1", 3, 0), ("v2", 1, 1), ("v3", 0, 2)].map(subset).to_vec();
    let from = sidecar(SidecarConfig {
        outbound: outbound(vec![CalleeConfig { subsets, ..callee("s2", ANY, None) }]),
        ..config("s1-sidecar", None)
    });
    let mut caller = Caller::connect(from.at.outbound[0]);
    assert!((0..2000).all(|_| caller.get("/").status == 200));
    let subsets = from.stats().outbound.remove(0).subsets;
    let requests: Vec<u64> = subsets.iter().map(|s| s.requests).collect();
    // Seven standard deviations of a binomial draw.
    assert!(
        (365..=635).contains(&requests[1]) && requests[2] == 0 && requests.iter().sum::<u64>() == 2000,
        "{requests:?}"
    );
    assert_eq!(subsets.iter().map(|s| s.weight).collect::<Vec<_>>(), [Some(3), Some(1), Some(0)]);
}

#[test]
fn a_redirected_listener_turns_away_whoever_came_by_himself() {
    let app = service(idle_service("s2"));
    let mut inbound = inbound(app.listen, Mtls::Disable).unwrap();
    inbound.redirected = true;
    let outbound = Some(OutboundConfig {
        capture: Some(ANY),
        door: None,
        callees: vec![CalleeConfig { listen: None, ..callee("s3", app.listen, None) }],
    });
    let both = sidecar(SidecarConfig { inbound: Some(inbound), outbound, ..config("s2-sidecar", None) });
    for at in [both.at.inbound.unwrap(), both.at.outbound[0]] {
        let mut caller = Caller::connect(at);
        caller.say(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n");
        assert!(caller.is_closed());
    }
    assert_eq!((counted(&both).requests, both.stats().passed_through), (0, 0));
}
