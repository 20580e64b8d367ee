//! The built-in sidecar: who is let through, what is counted, and what passes unchanged.

use std::collections::BTreeMap;
use std::io::{BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use record::{HopStamps, Mtls, Protocol};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use scenarios::certs::{Authority, IdentityFiles, spiffe_id};
use scenarios::proxy::embedded::{
    CalleeConfig, InboundConfig, OutboundConfig, PortConfig, SidecarConfig, Stats, SubsetConfig,
};
use scenarios::service::ServiceConfig;

use crate::caller::{Caller, body, head};
use crate::part::{ANY, Service, Sidecar, idle_service, service, sidecar};

pub(crate) fn config(name: &str, identity: Option<IdentityFiles>) -> SidecarConfig {
    SidecarConfig {
        name: name.into(),
        workers: 2,
        protocol: Protocol::Http,
        retries: 0,
        requests_per_connection: 0,
        inbound: None,
        outbound: None,
        identity,
        access_log: None,
        admin: ANY,
        ready: None,
    }
}

pub(crate) fn inbound(app: SocketAddr, mtls: Mtls) -> Option<InboundConfig> {
    let ports = vec![PortConfig { app, mtls }];
    Some(InboundConfig { listen: ANY, redirected: false, ports, mtls, from: None })
}

/// A callee that is not in subsets, spoken to with mTLS if its peer is named.
pub(crate) fn callee(service: &str, address: SocketAddr, peer: Option<&str>) -> CalleeConfig {
    let subsets = vec![SubsetConfig { name: String::new(), weight: 1, address }];
    CalleeConfig { service: service.into(), listen: Some(ANY), address, peer: peer.map(spiffe_id), subsets }
}

pub(crate) fn outbound(callees: Vec<CalleeConfig>) -> Option<OutboundConfig> {
    Some(OutboundConfig { capture: None, door: None, callees })
}

pub(crate) fn identity(authority: &Authority, name: &str, directory: &Path) -> IdentityFiles {
    authority.issue(name).unwrap().write(&directory.join("keys")).unwrap()
}

/// The one edge a mesh is made of: the caller's sidecar, the callee's sidecar, the callee.
struct Edge {
    from: Sidecar,
    to: Sidecar,
    _callee: Option<Service>,
    _keys: tempfile::TempDir,
}

impl Edge {
    fn to_app(app: SocketAddr, mtls: Mtls, service: Option<Service>) -> Self {
        let keys = tempfile::tempdir().unwrap();
        let authority = Authority::new().unwrap();
        let secured = mtls != Mtls::Disable;
        let who = |name| secured.then(|| identity(&authority, name, keys.path()));
        let to = sidecar(SidecarConfig { inbound: inbound(app, mtls), ..config("s2-sidecar", who("s2")) });
        let callee = callee("s2", to.at.inbound.unwrap(), secured.then_some("s2"));
        let from = sidecar(SidecarConfig { outbound: outbound(vec![callee]), ..config("s1-sidecar", who("s1")) });
        Self { from, to, _callee: service, _keys: keys }
    }

    fn to_service(config: ServiceConfig, mtls: Mtls) -> Self {
        let callee = service(config);
        Self::to_app(callee.listen, mtls, Some(callee))
    }

    fn caller(&self) -> Caller {
        Caller::connect(self.from.at.outbound[0])
    }
}

#[test]
fn a_good_pair_counts_its_handshakes_and_names_its_peers_on_both_sides() {
    let edge = Edge::to_service(ServiceConfig { response_bytes: 7, ..idle_service("s2") }, Mtls::Strict);
    let answer = edge.caller().get("/x");
    assert_eq!((answer.status, answer.text().as_str()), (200, "xxxxxxx"));
    assert_eq!(HopStamps::from_header(answer.header(HopStamps::HEADER).unwrap())[0].service, "s2");

    let (from, to) = (edge.from.stats(), edge.to.stats());
    assert_eq!((from.version.as_str(), from.workers, &from.inbound), (env!("CARGO_PKG_VERSION"), 2, &None));
    let (out, inn) = (&from.outbound[0], to.inbound.unwrap());
    assert_eq!((out.connections, out.requests, out.upstream_connections, out.upstream_failures), (1, 1, 1, 0));
    assert_eq!((out.tls_handshakes, out.tls_handshakes_failed), (1, 0));
    assert_eq!(out.peers, BTreeMap::from([(spiffe_id("s2"), 1)]));
    assert_eq!((inn.connections, inn.requests, inn.upstream_connections, inn.upstream_failures), (1, 1, 1, 0));
    assert_eq!((inn.tls_handshakes, inn.tls_handshakes_failed), (1, 0));
    assert_eq!((inn.plaintext_refused, inn.plaintext_requests), (0, 0));
    assert_eq!(inn.peers, BTreeMap::from([(spiffe_id("s1"), 1)]));
}

#[test]
fn without_mtls_all_is_in_clear_and_counted_so() {
    let edge = Edge::to_service(idle_service("s2"), Mtls::Disable);
    assert_eq!(edge.caller().get("/").status, 200);
    // In clear, anybody may come in.
    assert_eq!(Caller::connect(edge.to.at.inbound.unwrap()).get("/").status, 200);
    let inn = edge.to.stats().inbound.unwrap();
    assert_eq!((inn.connections, inn.requests, inn.plaintext_requests, inn.tls_handshakes), (2, 2, 2, 0));
    assert_eq!(edge.from.stats().outbound.remove(0).tls_handshakes, 0);
}

#[test]
fn a_caller_in_clear_is_refused_and_counted() {
    let edge = Edge::to_service(idle_service("s2"), Mtls::Strict);
    let mut caller = Caller::connect(edge.to.at.inbound.unwrap());
    caller.say(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    assert!(caller.is_closed());
    let inn = edge.to.stats().inbound.unwrap();
    assert_eq!((inn.plaintext_refused, inn.requests, inn.tls_handshakes, inn.tls_handshakes_failed), (1, 0, 0, 0));
}

/// Two sidecars that must not come together, and what each counts once a request was tried.
fn mismatch(at_caller: &IdentityFiles, at_callee: &IdentityFiles, expected: &str) -> (String, Stats, Stats) {
    let app = service(idle_service("s2"));
    let to = sidecar(SidecarConfig {
        inbound: inbound(app.listen, Mtls::Strict),
        ..config("s2-sidecar", Some(at_callee.clone()))
    });
    let from = sidecar(SidecarConfig {
        outbound: outbound(vec![callee("s2", to.at.inbound.unwrap(), Some(expected))]),
        ..config("s1-sidecar", Some(at_caller.clone()))
    });
    let answer = Caller::connect(from.at.outbound[0]).get("/");
    assert_eq!(answer.status, 503);
    let said = answer.header("x-meshtax-error").unwrap().to_owned();
    assert_eq!(answer.text(), format!("{said}\n"));
    let to = to.stats_when(|s| s.inbound.as_ref().unwrap().tls_handshakes_failed > 0);
    (said, from.stats(), to)
}

#[test]
fn a_callee_of_another_id_is_refused_by_the_caller() {
    let keys = tempfile::tempdir().unwrap();
    let authority = Authority::new().unwrap();
    let [one, two] = ["s1", "s2"].map(|name| identity(&authority, name, keys.path()));
    let (said, from, to) = mismatch(&one, &two, "s3");
    assert!(said.starts_with("outbound: no TLS with 127.0.0.1:"), "{said}");
    assert!(said.contains(&format!("{}, and must be {}", spiffe_id("s2"), spiffe_id("s3"))), "{said}");
    let (out, inn) = (&from.outbound[0], to.inbound.unwrap());
    assert_eq!((out.tls_handshakes, out.tls_handshakes_failed, out.upstream_failures), (0, 1, 1));
    assert_eq!((inn.tls_handshakes, inn.tls_handshakes_failed, inn.requests), (0, 1, 0));
    assert!(out.peers.is_empty() && inn.peers.is_empty());
}

#[test]
fn a_callee_of_another_authority_is_refused_by_the_caller() {
    let keys = tempfile::tempdir().unwrap();
    let one = identity(&Authority::new().unwrap(), "s1", keys.path());
    let two = identity(&Authority::new().unwrap(), "s2", keys.path());
    let (said, from, to) = mismatch(&one, &two, "s2");
    assert!(said.contains("no TLS with"), "{said}");
    assert_eq!(from.outbound[0].tls_handshakes_failed, 1);
    assert_eq!(to.inbound.unwrap().requests, 0);
}

#[test]
fn a_caller_of_another_authority_is_refused_by_the_callee() {
    let keys = tempfile::tempdir().unwrap();
    let (run, other) = (Authority::new().unwrap(), Authority::new().unwrap());
    let two = identity(&run, "s2", keys.path());
    // It trusts the run's authority, and has a certificate that is not from it.
    let one = IdentityFiles { ca: two.ca.clone(), ..identity(&other, "s1", keys.path()) };
    let (said, from, to) = mismatch(&one, &two, "s2");
    assert!(said.contains("no response from"), "{said}");
    let (out, inn) = (&from.outbound[0], to.inbound.unwrap());
    // In TLS 1.3 the caller's side is through before its certificate was looked at.
    assert_eq!((out.tls_handshakes, out.upstream_failures), (1, 1));
    assert_eq!((inn.tls_handshakes, inn.tls_handshakes_failed, inn.requests), (0, 1, 0));
}

/// A TLS client that knows the run's authority, shows what it is given, and takes anybody for its peer.
fn tls_caller(to: SocketAddr, files: &IdentityFiles, shows: bool) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&files.ca).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(anybody::Anybody(provider)));
    let config = if shows {
        let chain = vec![CertificateDer::from_pem_file(&files.chain).unwrap()];
        builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(&files.key).unwrap()).unwrap()
    } else {
        builder.with_no_client_auth()
    };
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let connection = ClientConnection::new(Arc::new(config), ServerName::from(to.ip())).unwrap();
    StreamOwned::new(connection, stream)
}

mod anybody {
    //! A verifier that verifies nothing: the side under test is the other one.
    use std::sync::Arc;

    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::crypto::CryptoProvider;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::{DigitallySignedStruct, Error, SignatureScheme};

    #[derive(Debug)]
    pub(super) struct Anybody(pub(super) Arc<CryptoProvider>);

    impl ServerCertVerifier for Anybody {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }
        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }
        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.0.signature_verification_algorithms.supported_schemes()
        }
    }
}

#[test]
fn a_caller_is_let_in_with_its_certificate_and_not_without() {
    let keys = tempfile::tempdir().unwrap();
    let authority = Authority::new().unwrap();
    let [one, two] = ["s1", "s2"].map(|name| identity(&authority, name, keys.path()));
    let app = service(idle_service("s2"));
    let to = sidecar(SidecarConfig { inbound: inbound(app.listen, Mtls::Strict), ..config("s2-sidecar", Some(two)) });
    let tried = |shows| {
        let mut stream = BufReader::new(tls_caller(to.at.inbound.unwrap(), &one, shows));
        let written = stream.get_mut().write_all(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n");
        written.ok().and_then(|()| head(&mut stream)).map(|(first, _)| first)
    };
    assert_eq!(tried(false), None);
    assert_eq!(tried(true).unwrap(), "HTTP/1.1 200 OK");
    let inn = to.stats_when(|s| s.inbound.as_ref().unwrap().tls_handshakes_failed > 0).inbound.unwrap();
    assert_eq!((inn.connections, inn.tls_handshakes, inn.tls_handshakes_failed, inn.requests), (2, 1, 1, 1));
}

#[test]
fn a_hundred_requests_on_one_connection_take_one_connection_upstream() {
    let edge = Edge::to_service(ServiceConfig { response_bytes: 100, ..idle_service("s2") }, Mtls::Strict);
    let mut caller = edge.caller();
    assert!((0..100).all(|_| caller.get("/").status == 200));
    let (out, inn) = (edge.from.stats().outbound.remove(0), edge.to.stats().inbound.unwrap());
    assert_eq!((out.connections, out.requests, out.upstream_connections, out.tls_handshakes), (1, 100, 1, 1));
    assert_eq!((inn.connections, inn.requests, inn.upstream_connections), (1, 100, 1));
}

#[test]
fn connections_are_dealt_out_evenly_and_each_worker_has_its_own_upstream() {
    let edge = Edge::to_service(idle_service("s2"), Mtls::Strict);
    let mut callers: Vec<Caller> = (0..8).map(|_| edge.caller()).collect();
    for caller in &mut callers {
        assert_eq!(caller.get("/").status, 200);
    }
    // One after another, so that one connection a worker is enough.
    let out = edge.from.stats().outbound.remove(0);
    assert_eq!((out.connections, out.requests, out.upstream_connections), (8, 8, 2));
}

/// The first line, headers and body of a request.
type Seen = (String, Vec<(String, String)>, Vec<u8>);

/// An app that keeps the raw head and body of each request, and gives the same raw response to each.
fn app(response: Vec<u8>) -> (SocketAddr, JoinHandle<Vec<Seen>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let mut stream = BufReader::new(listener.accept().unwrap().0);
        let mut seen = Vec::new();
        while let Some((first, headers)) = head(&mut stream) {
            let body = body(&mut stream, &headers);
            seen.push((first, headers, body));
            stream.get_mut().write_all(&response).unwrap();
        }
        seen
    });
    (address, thread)
}

#[test]
fn headers_about_a_connection_do_not_leak_in_either_direction() {
    let response =
        b"HTTP/1.1 200 OK\r\nconnection: x-mine\r\nx-mine: 1\r\nkeep-alive: timeout=5\r\nproxy-authenticate: x\r\n\
        x-kept: yes\r\nset-cookie: a\r\nset-cookie: b\r\ncontent-length: 2\r\n\r\nok";
    let (address, seen) = app(response.to_vec());
    let edge = Edge::to_app(address, Mtls::Strict, None);
    let mut caller = edge.caller();
    caller.say(
        b"GET /p?q HTTP/1.1\r\nHost: shop.example\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\n\
          TE: trailers\r\nProxy-Authorization: secret\r\nProxy-Connection: x\r\nUpgrade: h2c\r\nX-Kept: one\r\n\r\n",
    );
    let answer = caller.answer();
    assert_eq!((answer.status, answer.text().as_str(), answer.header("x-kept")), (200, "ok", Some("yes")));
    let cookies: Vec<&str> =
        answer.headers.iter().filter(|(n, _)| n == "set-cookie").map(|(_, v)| v.as_str()).collect();
    assert_eq!(cookies, ["a", "b"]);
    for gone in ["connection", "x-mine", "keep-alive", "proxy-authenticate"] {
        assert_eq!(answer.header(gone), None, "{gone}");
    }
    drop((caller, edge));
    let (first, headers, _) = seen.join().unwrap().remove(0);
    assert_eq!(first, "GET /p?q HTTP/1.1");
    let passed = [("host".to_owned(), "shop.example".to_owned()), ("x-kept".to_owned(), "one".to_owned())];
    assert_eq!(headers, passed);
}

#[test]
fn a_whole_url_is_made_into_a_path_and_its_host_counts() {
    let (address, seen) = app(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec());
    let edge = Edge::to_app(address, Mtls::Strict, None);
    let mut caller = edge.caller();
    caller.say(b"GET http://shop.example:81/p?q HTTP/1.1\r\nHost: other.example\r\n\r\n");
    assert_eq!(caller.answer().status, 200);
    caller.say(b"CONNECT shop.example:81 HTTP/1.1\r\nHost: shop.example:81\r\n\r\n");
    assert_eq!(caller.answer().status, 501);
    drop((caller, edge));
    let seen = seen.join().unwrap();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].0, "GET /p?q HTTP/1.1");
    assert_eq!(seen[0].1, [("host".to_owned(), "shop.example:81".to_owned())]);
}

#[test]
fn an_answer_to_head_keeps_its_length_and_its_connection() {
    let (address, seen) = app(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n".to_vec());
    let edge = Edge::to_app(address, Mtls::Strict, None);
    let mut caller = edge.caller();
    for _ in 0..2 {
        caller.say(b"HEAD / HTTP/1.1\r\nhost: test\r\n\r\n");
        let answer = caller.answer_to_head();
        assert_eq!((answer.status, answer.header("content-length")), (200, Some("5")));
    }
    drop((caller, edge));
    assert_eq!(seen.join().unwrap().len(), 2);
}

#[test]
fn what_is_under_way_is_answered_before_the_end() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell_arrived, arrived) = std::sync::mpsc::channel();
    let (tell_answer, answer) = std::sync::mpsc::channel::<()>();
    let server = std::thread::spawn(move || {
        let mut stream = BufReader::new(listener.accept().unwrap().0);
        head(&mut stream).unwrap();
        tell_arrived.send(()).unwrap();
        answer.recv().unwrap();
        stream.get_mut().write_all(b"HTTP/1.1 200 X\r\ncontent-length: 2\r\n\r\nok").unwrap();
    });
    let mut edge = Edge::to_app(address, Mtls::Strict, None);
    let mut caller = edge.caller();
    caller.say(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    arrived.recv().unwrap();
    for sidecar in [&mut edge.from, &mut edge.to] {
        sidecar.part.end();
        // Its listeners are closed once it has heard: from then on only what is under way keeps it.
        let end = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(sidecar.at.admin).is_ok() {
            assert!(Instant::now() < end, "it still listens");
            std::thread::yield_now();
        }
    }
    tell_answer.send(()).unwrap();
    let answer = caller.answer();
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    server.join().unwrap();
}

#[test]
fn large_bodies_pass_whole_chunked_and_of_known_length_both_ways() {
    let large: Vec<u8> = (0..5 * 1024 * 1024_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let (first, second) = large.split_at(1_000_003);
    let chunked = |head: &str| {
        let mut wire = format!("{head}transfer-encoding: chunked\r\n\r\n").into_bytes();
        for chunk in [first, second] {
            wire.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            wire.extend_from_slice(chunk);
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(b"0\r\n\r\n");
        wire
    };
    let sized = |head: &str| {
        let mut wire = format!("{head}content-length: {}\r\n\r\n", large.len()).into_bytes();
        wire.extend_from_slice(&large);
        wire
    };
    let request = "POST / HTTP/1.1\r\nhost: test\r\n";
    for response in [chunked("HTTP/1.1 200 OK\r\n"), sized("HTTP/1.1 200 OK\r\n")] {
        let (address, seen) = app(response);
        let edge = Edge::to_app(address, Mtls::Strict, None);
        let mut caller = edge.caller();
        for wire in [chunked(request), sized(request)] {
            caller.say(&wire);
            let answer = caller.answer();
            assert!(answer.status == 200 && answer.body == large, "{}", answer.body.len());
        }
        // Whoever closes is not the sidecar: both requests went over one connection.
        drop((caller, edge));
        let seen = seen.join().unwrap();
        assert_eq!(seen.len(), 2);
        assert!(seen.iter().all(|(_, _, body)| *body == large));
    }
}

#[test]
fn an_app_that_is_down_is_said_by_its_own_sidecar_and_counted_there() {
    let down = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let edge = Edge::to_app(down, Mtls::Strict, None);
    let answer = edge.caller().get("/");
    assert_eq!(answer.status, 503);
    let said = answer.header("x-meshtax-error").unwrap();
    assert!(said.starts_with(&format!("inbound: cannot connect to {down}")), "{said}");
    assert_eq!(edge.to.stats().inbound.unwrap().upstream_failures, 1);
    // The caller's sidecar did get a response, and passed it on.
    assert_eq!(edge.from.stats().outbound.remove(0).upstream_failures, 0);
}

#[test]
fn a_request_on_a_pooled_connection_that_is_dead_goes_out_on_a_fresh_one() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    // It closes without a word after its first response, as a server does whose idle timeout has passed, and says so
    // here once the sidecar has closed too.
    let server = std::thread::spawn(move || {
        for _ in 0..2 {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            head(&mut stream).unwrap();
            stream.get_mut().write_all(b"HTTP/1.1 200 X\r\ncontent-length: 2\r\n\r\nok").unwrap();
            stream.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
            assert!(head(&mut stream).is_none());
            tell.send(()).unwrap();
        }
    });
    let edge = Edge::to_app(address, Mtls::Disable, None);
    let mut caller = edge.caller();
    for connections in [1, 2] {
        assert_eq!(caller.get("/").status, 200);
        told.recv().unwrap();
        let inn = edge.to.stats().inbound.unwrap();
        assert_eq!((inn.upstream_connections, inn.upstream_failures), (connections, 0));
    }
    server.join().unwrap();
}

#[test]
fn a_request_that_was_written_is_not_written_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // It takes the second request of its connection and closes instead of answering; there is no third.
    let server = std::thread::spawn(move || {
        let mut stream = BufReader::new(listener.accept().unwrap().0);
        head(&mut stream).unwrap();
        stream.get_mut().write_all(b"HTTP/1.1 200 X\r\ncontent-length: 2\r\n\r\nok").unwrap();
        head(&mut stream).unwrap();
    });
    let edge = Edge::to_app(address, Mtls::Disable, None);
    let mut caller = edge.caller();
    assert_eq!(caller.get("/").status, 200);
    assert_eq!(caller.get("/").status, 503);
    server.join().unwrap();
    let inn = edge.to.stats().inbound.unwrap();
    assert_eq!((inn.requests, inn.upstream_connections, inn.upstream_failures), (2, 1, 1));
}

#[test]
fn the_admin_port_answers_what_it_knows_and_says_what_that_is() {
    let edge = Edge::to_service(idle_service("s2"), Mtls::Disable);
    let mut admin = Caller::connect(edge.to.at.admin);
    assert_eq!((admin.get("/ready").status, admin.get("/nothing").status), (200, 404));
    admin.say(b"POST /stats HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(admin.answer().status, 405);
}

#[test]
fn keys_that_cannot_be_used_are_an_error_that_names_the_file() {
    let keys = tempfile::tempdir().unwrap();
    let good = identity(&Authority::new().unwrap(), "s1", keys.path());
    let other = identity(&Authority::new().unwrap(), "s2", keys.path());
    let empty = keys.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let serve = |identity| {
        let config = SidecarConfig { inbound: inbound(ANY, Mtls::Strict), ..config("s1-sidecar", Some(identity)) };
        let lifeline = scenarios::lifeline::Lifeline::new(std::io::empty(), std::io::sink());
        scenarios::proxy::embedded::serve_on(config, lifeline).unwrap_err().to_string()
    };
    let missing = serve(IdentityFiles { key: "/nowhere/key.pem".into(), ..good.clone() });
    assert!(missing.contains("/nowhere/key.pem") && missing.contains("try: "), "{missing}");
    let blank = serve(IdentityFiles { chain: empty, ..good.clone() });
    assert!(blank.contains("empty.pem: there is no certificate in it"), "{blank}");
    let mixed = serve(IdentityFiles { key: other.key, ..good });
    assert!(mixed.contains("must belong together"), "{mixed}");
}
