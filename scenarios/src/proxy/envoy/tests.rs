//! The configuration as text, and a real Envoy that runs it: who is let through, and what its counters say.

mod rendering;
mod running;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use record::Mtls;

use super::super::proof::{self, Asked, Speech};
use super::super::stage::write_script;
use super::super::{App, Callee, Stand, Subset};
use super::*;
use crate::certs::{Authority, IdentityFiles};
use crate::http;

const LONG: Duration = Duration::from_secs(30);

/// The Envoys of this machine: the newest, and the oldest that is to work, which ENVOY_OLDEST names; without a word about
/// it none is left out.
fn envoys() -> Vec<EnvoyProgram> {
    let required = std::env::var_os("REQUIRE_PROXIES").is_some();
    let newest = find(None);
    if let Err(error) = &newest {
        assert!(!required, "{error}");
        eprintln!("skipped: {error} (set REQUIRE_PROXIES=1 to fail)");
    }
    let oldest = std::env::var_os("ENVOY_OLDEST").map(|path| find(Some(Path::new(&path))).unwrap());
    if oldest.is_none() {
        assert!(!required, "ENVOY_OLDEST names no Envoy of 1.36");
        eprintln!("skipped: the oldest Envoy (set ENVOY_OLDEST to the path of one of 1.36)");
    }
    newest.into_iter().chain(oldest).collect()
}

/// The newest.
fn envoy() -> Option<EnvoyProgram> {
    envoys().into_iter().next()
}

/// The folders of a deployment, and a stand-in for `meshtax launch` that only becomes the program.
fn folders(directory: &Path) -> Folders {
    let meshtax = directory.join("meshtax");
    write_script(&meshtax, "#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done\nshift\nexec \"$@\"\n");
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
        taken_at: std::net::Ipv4Addr::LOCALHOST.into(),
        reached_at: std::net::Ipv4Addr::LOCALHOST.into(),
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
