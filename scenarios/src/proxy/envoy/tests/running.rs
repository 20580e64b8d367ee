//! A real Envoy that runs the configuration.

use record::{AccessLog, LogSink, Protocol};

use super::*;
use crate::onlooker::serial_shown;

#[test]
fn a_request_goes_through_two_sidecars_with_mtls_and_their_counters_prove_it() {
    let Some(envoy) = envoy() else { return };
    let directory = tempfile::tempdir().unwrap();
    let folders = folders(directory.path());
    let authority = Authority::new().unwrap();
    let identity = |name: &str| Some(authority.issue(name).unwrap().write(&folders.private).unwrap());
    let beside_s1 = place("s1", Some(app()), None, identity("s1"));
    let (callee, listens) = started(&envoy, &beside_s1, &folders);
    let to = listens.inbound.unwrap();
    let at_entry = place("entry", None, Some(("s1", to)), identity("entry"));
    let (caller, outbound) = started(&envoy, &at_entry, &folders);
    for _ in 0..3 {
        let answer = http::get(outbound.outbound[0].1, "/", LONG).unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    }
    let asked = |part| Asked { part, speech: Speech::Secured(vec![]), refused_probes: 0 };
    let tally = envoy.tally(&beside_s1, &callee, &listens).unwrap();
    assert_eq!(tally.program, envoy.describe());
    let way = tally.inbound.unwrap();
    assert_eq!(way.requests.value, 3);
    assert_eq!(proof::inbound(&asked("s1-sidecar"), &way).unwrap().len(), 5);
    let tally = envoy.tally(&at_entry, &caller, &outbound).unwrap();
    let way = tally.to("s1").unwrap();
    assert_eq!(way.requests.value, 3);
    assert_eq!(proof::outbound(&asked("entry-sidecar"), "s1", way).unwrap().len(), 4);

    // Without TLS there is no answer, and it is counted as what it is.
    assert!(http::get(to, "/", LONG).is_err());
    let tally = envoy.tally(&beside_s1, &callee, &listens).unwrap();
    let broken = tally.inbound.as_ref().unwrap().broken.as_ref().unwrap();
    assert_eq!(broken.value, 1);
    assert!(broken.source.ends_with(" + listener.virtualInbound.no_filter_chain_match"), "{}", broken.source);
    assert_eq!(tally.inbound.unwrap().requests.value, 3);
}

#[test]
fn a_stranger_is_turned_away_and_counted() {
    let Some(envoy) = envoy() else { return };
    let directory = tempfile::tempdir().unwrap();
    let folders = folders(directory.path());
    let authority = Authority::new().unwrap();
    let identity =
        |authority: &Authority, name: &str| Some(authority.issue(name).unwrap().write(&folders.private).unwrap());
    let beside_s1 = place("s1", Some(app()), None, identity(&authority, "s1"));
    let (callee, inbound) = started(&envoy, &beside_s1, &folders);
    let to = inbound.inbound.unwrap();

    // One who expects another service there turns away itself.
    let mistaken = place("entry", None, Some(("s9", to)), identity(&authority, "entry"));
    let (caller, outbound) = started(&envoy, &mistaken, &folders);
    assert_eq!(http::get(outbound.outbound[0].1, "/", LONG).unwrap().status, 503);
    let way = envoy.tally(&mistaken, &caller, &outbound).unwrap();
    assert!(way.to("s9").unwrap().strangers.as_ref().unwrap().value > 0);

    // One of another authority is turned away by the callee.
    let foreign = place("foreign", None, Some(("s1", to)), identity(&Authority::new().unwrap(), "foreign"));
    let (_caller, outbound) = started(&envoy, &foreign, &folders);
    assert_eq!(http::get(outbound.outbound[0].1, "/", LONG).unwrap().status, 503);
    let way = envoy.tally(&beside_s1, &callee, &inbound).unwrap().inbound.unwrap();
    assert_eq!(way.requests.value, 0);
}

#[test]
fn an_envoy_that_dies_at_start_is_named_with_its_last_words() {
    let Some(envoy) = envoy() else { return };
    let directory = tempfile::tempdir().unwrap();
    let folders = folders(directory.path());
    let files = IdentityFiles { chain: "/missing/chain".into(), key: "/missing/key".into(), ca: "/missing/ca".into() };
    let place = place("s1", Some(any()), None, Some(files));
    let mut part = envoy.launch(&place, &folders).unwrap().spawn(&folders.meshtax).unwrap();
    let said = envoy.listening(&place, &mut part, &folders, LONG).unwrap_err().to_string();
    assert!(said.starts_with("s1-sidecar ended: exit status 1, while waiting for "), "{said}");
    assert!(said.contains("\n  its last log lines:\n    | ") && said.contains("/missing/"), "{said}");
}

/// Who is let in by a way in of this mode: a caller in clear, and one of the mesh.
fn let_in(envoy: &EnvoyProgram, mode: Mtls, protocol: Protocol) -> (bool, bool) {
    let directory = tempfile::tempdir().unwrap();
    let folders = folders(directory.path());
    let authority = Authority::new().unwrap();
    let identity = |name: &str| Some(authority.issue(name).unwrap().write(&folders.private).unwrap());
    let mut callee = place("s1", Some(app()), None, identity("s1"));
    (callee.factors.mtls, callee.factors.protocol) = (mode, protocol);
    let (part, listens) = started(envoy, &callee, &folders);
    let to = listens.inbound.unwrap();
    let in_clear = http::get(to, "/", LONG).is_ok_and(|answer| answer.status == 200);
    let read_in_clear = envoy.tally(&callee, &part, &listens).unwrap().inbound.unwrap().in_clear.unwrap().value;
    assert_eq!(read_in_clear, u64::from(in_clear));
    let caller = place("entry", None, Some(("s1", to)), identity("entry"));
    let (_caller, outbound) = started(envoy, &caller, &folders);
    let secured = http::get(outbound.outbound[0].1, "/", LONG).unwrap().status == 200;
    envoy.prove(&callee, &part, &listens).unwrap();
    if secured {
        // The second one was not in clear.
        let way = envoy.tally(&callee, &part, &listens).unwrap().inbound.unwrap();
        assert_eq!((way.requests.value, way.in_clear.unwrap().value), (1 + read_in_clear, read_in_clear));
    }
    (in_clear, secured)
}

#[test]
fn each_mode_lets_in_whom_it_should_with_either_protocol() {
    for envoy in envoys() {
        for protocol in [Protocol::Http, Protocol::Auto] {
            assert_eq!(let_in(&envoy, Mtls::Strict, protocol), (false, true), "{protocol}");
            assert_eq!(let_in(&envoy, Mtls::Permissive, protocol), (true, true), "{protocol}");
            assert_eq!(let_in(&envoy, Mtls::Disable, protocol), (true, false), "{protocol}");
        }
    }
}

#[test]
fn a_configuration_that_is_not_what_was_asked_for_is_found_out() {
    let Some(envoy) = envoy() else { return };
    let directory = tempfile::tempdir().unwrap();
    let folders = folders(directory.path());
    let authority = Authority::new().unwrap();
    let identity = authority.issue("s1").unwrap().write(&folders.private).unwrap();
    let place = place("s1", Some(app()), Some(("s2", app())), Some(identity));
    let (part, ports) = started(&envoy, &place, &folders);
    assert!(envoy.prove(&place, &part, &ports).unwrap().len() >= 10);
    let set = |change: fn(&mut Place)| {
        let mut other = place.clone();
        change(&mut other);
        envoy.prove(&other, &part, &ports).unwrap_err().to_string()
    };
    for (said, claim) in [
        (set(|p| p.factors.mtls = Mtls::Permissive), "mTLS of port"),
        (set(|p| p.factors.protocol = Protocol::Auto), "filter chains of port"),
        (set(|p| p.factors.retries = 2), "retries inbound to port"),
        (set(|p| p.factors.requests_per_connection = 7), "requests per connection inbound to port"),
        (set(|p| p.factors.access_log = AccessLog::Json), "access log inbound to port"),
        (set(|p| p.callees[0].secured = false), "ALPN outbound to s2 should be no TLS and is istio-http/1.1, istio"),
    ] {
        assert!(said.contains(claim), "{said}");
    }
    // A new certificate that it was never given is not the one it shows.
    authority.issue("s1").unwrap().replace(&folders.private, |_| Ok(())).unwrap();
    let said = envoy.prove(&place, &part, &ports).unwrap_err().to_string();
    assert!(said.contains("serial number of its certificate should be"), "{said}");
}

/// Answers every request with its name.
fn named(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = [0; 4096];
            let _ = stream.read(&mut head);
            let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{name}");
        }
    });
    address
}

#[test]
fn weights_are_followed_and_when_they_are_shifted_so_are_the_new_ones() {
    for envoy in envoys() {
        let directory = tempfile::tempdir().unwrap();
        let folders = folders(directory.path());
        let mut place = place("s1", None, Some(("s2", any())), None);
        place.callees[0].subsets = vec![
            Subset { name: "v1".into(), weight: 1, address: named("v1") },
            Subset { name: "v2".into(), weight: 0, address: named("v2") },
        ];
        let (mut part, ports) = started(&envoy, &place, &folders);
        let answers = |n: u32| {
            let ask = |_| http::get(ports.outbound[0].1, "/", LONG).unwrap().text();
            let all: Vec<String> = (0..n).map(ask).collect();
            all.iter().filter(|name| *name == "v2").count()
        };
        assert_eq!(answers(20), 0);
        envoy.shift(&place, &mut part, &folders, &"v1=0,v2=3".parse().unwrap()).unwrap();
        assert_eq!(answers(20), 20);
        envoy.shift(&place, &mut part, &folders, &"v2=50,v1=50".parse().unwrap()).unwrap();
        // Fewer than 10 or more than 90 of 100 tosses of a coin: less than once in 10^16.
        assert!((10..=90).contains(&answers(100)));
        // Half and half was never asked for by the factors.
        let said = envoy.prove(&place, &part, &ports).unwrap_err().to_string();
        assert!(said.contains("weights outbound to s2, as told last should be v1=1,v2=0 and is v1=50,v2=50"), "{said}");
        // What stands in the file and was never taken up is not what runs.
        let file = folders.private.join("s1-sidecar.routes-s2.yaml");
        let other = std::fs::read_to_string(&file).unwrap().replace("weight: 50", "weight: 1");
        std::fs::write(&file, other).unwrap();
        let said = envoy.prove(&place, &part, &ports).unwrap_err().to_string();
        assert!(said.contains("weights outbound to s2 should be v1=1,v2=1 and is v1=50,v2=50"), "{said}");
    }
}

#[test]
fn a_certificate_is_renewed_while_a_connection_stays() {
    for envoy in envoys() {
        let directory = tempfile::tempdir().unwrap();
        let folders = folders(directory.path());
        let authority = Authority::new().unwrap();
        let files = authority.issue("s1").unwrap().write(&folders.private).unwrap();
        let mut place = place("s1", Some(app()), None, Some(files));
        place.factors.rotate_ns = 1;
        let (mut part, ports) = started(&envoy, &place, &folders);
        let to = ports.inbound.unwrap();
        let onlooker = authority.issue("onlooker").unwrap();
        let first = serial_shown(to, &onlooker, LONG).unwrap();
        for _ in 0..3 {
            let next = authority.issue("s1").unwrap();
            next.replace(&folders.private, |_| Ok(())).unwrap();
            envoy.renew(&place, &mut part, &ports).unwrap();
            let shown = serial_shown(to, &onlooker, LONG).unwrap();
            assert_eq!(shown, next.serial().unwrap());
            assert_ne!(shown, first);
        }
        envoy.prove(&place, &part, &ports).unwrap();
    }
}

#[test]
fn a_log_has_a_line_for_each_request_in_its_form_and_without_one_nothing_is_written() {
    for envoy in envoys() {
        for (form, to) in [
            (AccessLog::Off, LogSink::File),
            (AccessLog::Text, LogSink::File),
            (AccessLog::Json, LogSink::File),
            (AccessLog::Text, LogSink::Stdout),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let folders = folders(directory.path());
            let mut place = place("s1", Some(app()), None, None);
            (place.factors.access_log, place.factors.access_log_to) = (form, to);
            place.factors.log_flush_ns = 50_000_000;
            let (part, ports) = started(&envoy, &place, &folders);
            for _ in 0..3 {
                assert_eq!(http::get(ports.inbound.unwrap(), "/a/path", LONG).unwrap().status, 200);
            }
            let log = folders.logs.join("s1-sidecar.access.log");
            assert_eq!(log.exists(), form != AccessLog::Off && to == LogSink::File);
            let written = || {
                let text = std::fs::read_to_string(&log).unwrap_or_default();
                let whole = |text: &str| text.matches('\n').count() == 3;
                (form == AccessLog::Off || part.drained() > Some(600) || whole(&text)).then_some(text)
            };
            let text = until(&part, "its log", &Deadline::after(LONG), || Ok(written())).unwrap();
            match form {
                AccessLog::Off => assert_eq!(text, ""),
                AccessLog::Text => assert_eq!(text.matches("] \"GET /a/path HTTP/1.1\" 200 - via_upstream").count(), {
                    if to == LogSink::File { 3 } else { 0 }
                }),
                AccessLog::Json => {
                    let line: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
                    assert_eq!((&line["path"], &line["response_code"]), (&"/a/path".into(), &200.into()));
                    assert_eq!(line.as_object().unwrap().len(), log::FIELDS.len());
                }
            }
            let proofs = envoy.prove(&place, &part, &ports).unwrap();
            let lines = proofs.iter().find(|p| p.claim == "access log lines").unwrap();
            assert_eq!(lines.found, if form == AccessLog::Off { "0" } else { "3" });
        }
    }
}

#[test]
fn an_envoy_that_cannot_be_told_how_much_to_buffer_says_so() {
    let old =
        EnvoyProgram { path: "/bin/true".into(), version: "1.36.4".into(), build: "RELEASE".into(), flush_size: false };
    let directory = tempfile::tempdir().unwrap();
    let folders = folders(directory.path());
    let mut place = place("s1", Some(any()), None, None);
    old.launch(&place, &folders).unwrap();
    place.factors.log_flush_kb = 4;
    old.launch(&place, &folders).unwrap();
    place.factors.access_log = AccessLog::Text;
    let said = old.launch(&place, &folders).unwrap_err().to_string();
    assert!(said.contains("envoy 1.36.4 always buffers 64 KiB of its log"), "{said}");
}

#[test]
fn a_gateway_ends_its_clients_tls_and_is_a_peer_of_the_mesh() {
    for envoy in envoys() {
        let directory = tempfile::tempdir().unwrap();
        let folders = folders(directory.path());
        let authority = Authority::new().unwrap();
        let identity = |name: &str| Some(authority.issue(name).unwrap().write(&folders.private).unwrap());
        let callee = place("s1", Some(app()), None, identity("s1"));
        let (_callee, listens) = started(&envoy, &callee, &folders);
        let mut gateway = place("gateway", None, Some(("s1", listens.inbound.unwrap())), identity("gateway"));
        let server = authority.issue_server(crate::certs::GATEWAY_NAME).unwrap().named("door");
        let files = server.write(&folders.private).unwrap();
        gateway.door = Some(super::super::super::Door { identity: files.clone() });
        let (part, ports) = started(&envoy, &gateway, &folders);
        let door = ports.inbound.unwrap();
        let tls = http::Tls { name: crate::certs::GATEWAY_NAME, authority: &files.ca };
        let answer = http::ask_tls(door, tls, "/", &[], LONG).unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
        assert!(http::get(door, "/", LONG).is_err());
        let tally = envoy.tally(&gateway, &part, &ports).unwrap();
        let (inbound, outbound) = (tally.inbound.as_ref().unwrap(), tally.to("s1").unwrap());
        assert_eq!((inbound.requests.value, outbound.requests.value), (1, 1));
        assert_eq!((inbound.handshakes.value, outbound.handshakes.value), (1, 1));
        envoy.prove(&gateway, &part, &ports).unwrap();
    }
}
