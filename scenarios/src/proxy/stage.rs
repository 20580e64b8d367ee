//! A stage for tests of real proxies: places for them, programs that they stand beside, and callers.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use record::{Dataplane, Factors, Mtls};

use super::packaged::{PackagedProgram, find};
use super::{App, Callee, Folders, Place, Ports, Proxy, Stand, Subset};
use crate::certs::IdentityFiles;
use crate::http;
use crate::launch::Launched;
use crate::ready::Deadline;

#[path = "../../tests/it/programs.rs"]
#[allow(dead_code)]
mod programs;
pub(super) use programs::write_script;

pub(super) const LONG: Duration = Duration::from_secs(30);

/// The program of this machine; none, with a word about it, where there isn't one.
pub(super) fn packaged(dataplane: Dataplane) -> Option<PackagedProgram> {
    match find(dataplane, None) {
        Ok(program) => Some(program),
        Err(error) => {
            assert!(std::env::var_os("REQUIRE_PROXIES").is_none(), "{error}");
            eprintln!("skipped: {error} (set REQUIRE_PROXIES=1 to fail)");
            None
        }
    }
}

/// The folders of a deployment, with a name that no language likes, and a stand-in for `meshtax launch` that only
/// becomes the program.
pub(super) fn folders(directory: &Path) -> Folders {
    let meshtax = directory.join("meshtax");
    // In a session of its own, as that has it: what it started is killed with it.
    write_script(&meshtax, "#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done\nshift\nexec setsid \"$@\"\n");
    let private = directory.join("it's \"private\" {{ x }}");
    std::fs::create_dir(&private).unwrap();
    std::fs::set_permissions(&private, std::fs::Permissions::from_mode(0o700)).unwrap();
    Folders { meshtax, kept: directory.to_owned(), logs: directory.to_owned(), private, owner: None }
}

/// The subsets of a callee: names, weights, addresses.
pub(super) type Subsets<'a> = &'a [(&'a str, u32, SocketAddr)];

/// Beside a service on loopback, strict where there is an identity.
pub(super) fn place(
    dataplane: Dataplane,
    service: &str,
    app: Option<SocketAddr>,
    callees: &[(&str, Subsets<'_>)],
    identity: Option<IdentityFiles>,
) -> Place {
    let secured = identity.is_some();
    let callee = |(service, subsets): &(&str, Subsets<'_>)| Callee {
        service: (*service).to_owned(),
        address: subsets[0].2,
        secured,
        subsets: subsets
            .iter()
            .map(|(name, weight, address)| Subset { name: (*name).to_owned(), weight: *weight, address: *address })
            .collect(),
    };
    Place {
        name: format!("{service}-sidecar"),
        service: service.to_owned(),
        factors: Factors {
            dataplane,
            mtls: if secured { Mtls::Strict } else { Mtls::Disable },
            workers: 2,
            ..Factors::unmeshed()
        },
        stand: Stand::Loopback,
        taken_at: std::net::Ipv4Addr::LOCALHOST.into(),
        reached_at: std::net::Ipv4Addr::LOCALHOST.into(),
        app: app.map(|address| App { address, ports: vec![address.port()] }),
        callees: callees.iter().map(callee).collect(),
        identity,
        door: None,
    }
}

/// Answers with a word and the port of the connection that each request came by; ends with the test program.
pub(super) fn app(word: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let from = stream.peer_addr().unwrap().port();
            std::thread::spawn(move || {
                let mut head = [0; 4096];
                let mut seen = Vec::new();
                while let Ok(n @ 1..) = stream.read(&mut head) {
                    seen.extend_from_slice(&head[..n]);
                    if seen.ends_with(b"\r\n\r\n") {
                        seen.clear();
                        let length = word.len();
                        let answer =
                            format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nx-from: {from}\r\n\r\n{word}");
                        stream.write_all(answer.as_bytes()).unwrap();
                    }
                }
            });
        }
    });
    address
}

/// Starts one and waits for it.
pub(super) fn started(proxy: &dyn Proxy, place: &Place, folders: &Folders) -> (Launched, Ports) {
    let mut part = proxy.launch(place, folders).unwrap().spawn(&folders.meshtax).unwrap();
    let ports = proxy.listening(place, &mut part, folders, LONG).unwrap();
    (part, ports)
}

/// What a proxy says once it has counted what it has done: its threads count after they have answered.
pub(super) fn settled<T>(mut look: impl FnMut() -> crate::Result<T>) -> T {
    let deadline = Deadline::after(Duration::from_secs(5));
    loop {
        match look() {
            Ok(found) => return found,
            Err(error) => assert!(!deadline.left().is_zero(), "{error}"),
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// How often each word was answered to so many requests.
pub(super) fn answers(at: SocketAddr, requests: u32) -> BTreeMap<String, u32> {
    let mut words = BTreeMap::new();
    for _ in 0..requests {
        let answer = http::get(at, "/", LONG).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        *words.entry(answer.text()).or_default() += 1;
    }
    words
}
