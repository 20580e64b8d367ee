//! The configuration as text, and a real Envoy that runs it: who is let through, and what its counters say.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use record::Mtls;

use super::super::proof::{self, Asked, Speech};
use super::super::{App, Callee, Stand, Subset};
use super::*;
use crate::certs::{Authority, IdentityFiles};
use crate::http;

const LONG: Duration = Duration::from_secs(30);

/// The Envoy of this machine; none, with a word about it, where there isn't one.
fn envoy() -> Option<EnvoyProgram> {
    match find(None) {
        Ok(program) => Some(program),
        Err(error) => {
            assert!(std::env::var_os("REQUIRE_PROXIES").is_none(), "{error}");
            eprintln!("skipped: {error} (set REQUIRE_PROXIES=1 to fail)");
            None
        }
    }
}

/// The folders of a deployment, and a stand-in for `meshtax launch` that only becomes the program.
fn folders(directory: &Path) -> Folders {
    let meshtax = directory.join("meshtax");
    std::fs::write(&meshtax, "#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done\nshift\nexec \"$@\"\n").unwrap();
    std::fs::set_permissions(&meshtax, std::fs::Permissions::from_mode(0o755)).unwrap();
    let private = directory.join("it's \"private\" {{ x }}");
    std::fs::create_dir(&private).unwrap();
    std::fs::set_permissions(&private, std::fs::Permissions::from_mode(0o700)).unwrap();
    Folders { meshtax, kept: directory.to_owned(), logs: directory.to_owned(), private, owner: None }
}

fn place(
    service: &str,
    app: Option<SocketAddr>,
    callee: Option<(&str, SocketAddr)>,
    identity: Option<IdentityFiles>,
) -> Place {
    let factors = Factors {
        mtls: if identity.is_some() { Mtls::Strict } else { Mtls::Disable },
        workers: 2,
        ..Factors::unmeshed()
    };
    let secured = identity.is_some();
    Place {
        name: format!("{service}-sidecar"),
        service: service.to_owned(),
        factors,
        stand: Stand::Loopback,
        app: app.map(|address| App { address, ports: vec![address.port()] }),
        callees: callee
            .into_iter()
            .map(|(service, address)| Callee {
                service: service.to_owned(),
                address,
                secured,
                subsets: vec![Subset { name: String::new(), weight: 1, address }],
            })
            .collect(),
        identity,
        door: None,
    }
}

fn any() -> SocketAddr {
    "127.0.0.1:9".parse().unwrap()
}

/// Answers every connection with one response; ends with the test program.
fn app() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = [0; 4096];
            let _ = stream.read(&mut head);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello");
        }
    });
    address
}

fn started(envoy: &EnvoyProgram, place: &Place, folders: &Folders) -> (Launched, Ports) {
    let mut part = envoy.launch(place, folders).unwrap().spawn(&folders.meshtax).unwrap();
    let ports = envoy.listening(place, &mut part, folders, LONG).unwrap();
    (part, ports)
}

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
    assert_eq!(proof::inbound(&asked("s1-sidecar"), &way).unwrap().len(), 4);
    let tally = envoy.tally(&at_entry, &caller, &outbound).unwrap();
    let way = tally.to("s1").unwrap();
    assert_eq!(way.requests.value, 3);
    assert_eq!(proof::outbound(&asked("entry-sidecar"), "s1", way).unwrap().len(), 4);

    // Without TLS there is no answer, and it is counted as what it is.
    assert!(http::get(to, "/", LONG).is_err());
    let tally = envoy.tally(&beside_s1, &callee, &listens).unwrap();
    let broken = tally.inbound.as_ref().unwrap().broken.as_ref().unwrap();
    assert_eq!((broken.value, broken.source.as_str()), (1, "listener.inbound.ssl.connection_error"));
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
