//! The built-in sidecar in a pod whose connections are redirected to it; needs root.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use record::{Mtls, Protocol};
use rustix::process::{Gid, Uid};
use scenarios::certs::{Authority, IdentityFiles, spiffe_id};
use scenarios::network::{INBOUND_PORT, Interception, OUTBOUND_PORT, PASSTHROUGH_SOURCE, PROXY_USER, Pod};
use scenarios::proxy::embedded::{CalleeConfig, InboundConfig, OutboundConfig, PortConfig, SidecarConfig};
use scenarios::service::ServiceConfig;

use crate::embedded::{callee, config, identity};
use crate::network::{network, pod};
use crate::part::{Service, Sidecar, idle_service, service, sidecar};

const LONG: Duration = Duration::from_secs(20);

fn all(port: u16) -> SocketAddr {
    (Ipv4Addr::UNSPECIFIED, port).into()
}

fn at(pod: &Pod, port: u16) -> SocketAddr {
    (pod.address, port).into()
}

/// A service in a pod; its threads stay there.
fn service_in(pod: &Pod, name: &str, ports: &[u16]) -> Service {
    let listen = ports.iter().map(|port| all(*port)).collect();
    pod.within(|| service(ServiceConfig { listen, ..idle_service(name) })).unwrap()
}

/// A sidecar in a pod, of the user by whom its own connections are known.
fn sidecar_in(pod: &Pod, config: SidecarConfig) -> Sidecar {
    let start = || {
        // This thread changes, and those that it starts; the group first, while we are still root.
        rustix::thread::set_thread_gid(Gid::from_raw(PROXY_USER)).unwrap();
        rustix::thread::set_thread_uid(Uid::from_raw(PROXY_USER)).unwrap();
        sidecar(config)
    };
    pod.within(start).unwrap()
}

/// An identity that the sidecar's user may read.
fn given_identity(authority: &Authority, name: &str, directory: &Path) -> IdentityFiles {
    let who = identity(authority, name, directory);
    for path in [directory, &directory.join("keys"), &who.chain, &who.key, &who.ca] {
        std::os::unix::fs::chown(path, Some(PROXY_USER), Some(PROXY_USER)).unwrap();
    }
    who
}

/// Asks once from within a pod; none when the connection is closed instead.
fn ask(pod: &Pod, to: SocketAddr) -> Option<u16> {
    pod.within(|| scenarios::http::get(to, "/", LONG)).unwrap().ok().map(|answer| answer.status)
}

/// An app in a pod that says where each caller comes from, and then back what it says.
fn raw_app(pod: &Pod, port: u16) {
    let listener = pod.within(|| TcpListener::bind(all(port)).unwrap()).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut heard = Vec::new();
            stream.read_to_end(&mut heard).unwrap();
            let from = stream.peer_addr().unwrap().ip();
            stream.write_all(format!("{from} said {}", String::from_utf8_lossy(&heard)).as_bytes()).unwrap();
        }
    });
}

fn say(pod: &Pod, to: SocketAddr, words: &str) -> String {
    let say = || {
        let mut stream = TcpStream::connect_timeout(&to, LONG).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        // It may be closed already.
        let _ = stream.write_all(words.as_bytes()).and_then(|()| stream.shutdown(Shutdown::Write));
        let mut heard = String::new();
        match stream.read_to_string(&mut heard) {
            // Closed without having been read.
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => {}
            read => drop(read.unwrap()),
        }
        heard
    };
    pod.within(say).unwrap()
}

/// A sidecar in a pod, configured as the runner does: its own port in one mode, all others in another.
fn in_pod(pod: &Pod, own: Mtls, workload: Mtls, callees: Vec<CalleeConfig>) -> SidecarConfig {
    let ports = [(8080, own), (8081, workload)].map(|(port, mtls)| PortConfig { app: at(pod, port), mtls });
    SidecarConfig {
        protocol: Protocol::Auto,
        inbound: Some(InboundConfig {
            listen: all(INBOUND_PORT),
            redirected: true,
            ports: ports.to_vec(),
            mtls: workload,
            from: Some(IpAddr::V4(PASSTHROUGH_SOURCE)),
        }),
        outbound: (!callees.is_empty()).then(|| OutboundConfig {
            capture: Some(all(OUTBOUND_PORT)),
            door: None,
            callees,
        }),
        ..config(&format!("{}-sidecar", pod.name), None)
    }
}

const BOTH: Interception = Interception { inbound: true, outbound: true };

#[test]
fn callers_come_in_by_the_mode_of_the_port_they_meant() {
    let Some(network) = network(&["client", "s1"]) else { return };
    let (client, s1) = (pod(&network, "client"), pod(&network, "s1"));
    let keys = tempfile::tempdir().unwrap();
    let who = given_identity(&Authority::new().unwrap(), "s1", keys.path());
    s1.intercept(&BOTH).unwrap();
    let _app = service_in(s1, "s1", &[8080, 8081]);
    raw_app(s1, 9000);
    let config = in_pod(s1, Mtls::Permissive, Mtls::Strict, vec![]);
    let sidecar = sidecar_in(s1, SidecarConfig { identity: Some(who), ..config });
    assert_eq!(ask(client, at(s1, 8080)), Some(200));
    assert_eq!(ask(client, at(s1, 8081)), None);
    // A port that nobody named has the mode of the workload.
    assert_eq!(say(client, at(s1, 9000), "hello"), "");
    let inn = s1.within(|| sidecar.stats()).unwrap().inbound.unwrap();
    let modes: Vec<_> = inn.ports.iter().map(|p| (p.port, p.mtls)).collect();
    assert_eq!(modes, [(8080, Mtls::Permissive), (8081, Mtls::Strict)]);
    assert_eq!(inn.other_ports, Some(Mtls::Strict));
    assert_eq!((inn.requests, inn.plaintext_requests, inn.plaintext_refused), (1, 1, 2));
}

#[test]
fn a_port_that_nobody_named_is_passed_on_from_the_address_that_is_not_redirected_again() {
    let Some(network) = network(&["client", "s1"]) else { return };
    let (client, s1) = (pod(&network, "client"), pod(&network, "s1"));
    s1.intercept(&BOTH).unwrap();
    raw_app(s1, 9000);
    let sidecar = sidecar_in(s1, in_pod(s1, Mtls::Disable, Mtls::Disable, vec![]));
    assert_eq!(say(client, at(s1, 9000), "hello"), format!("{PASSTHROUGH_SOURCE} said hello"));
    let stats = s1.within(|| sidecar.stats()).unwrap();
    assert_eq!((stats.passed_through, stats.inbound.unwrap().byte_connections), (1, 1));
}

#[test]
fn calls_are_captured_by_the_address_they_meant_and_all_others_pass_through() {
    let Some(network) = network(&["s1", "s2", "other"]) else { return };
    let [s1, s2, other] = ["s1", "s2", "other"].map(|name| pod(&network, name));
    let keys = tempfile::tempdir().unwrap();
    let authority = Authority::new().unwrap();
    let [one, two] = ["s1", "s2"].map(|name| given_identity(&authority, name, keys.path()));
    for pod in [s1, s2] {
        pod.intercept(&BOTH).unwrap();
    }
    let _app = service_in(s2, "s2", &[8080, 8081]);
    raw_app(other, 7000);
    let strict = in_pod(s2, Mtls::Strict, Mtls::Strict, vec![]);
    let to = sidecar_in(s2, SidecarConfig { identity: Some(two), ..strict });
    let known = CalleeConfig { listen: None, ..callee("s2", at(s2, 8080), Some("s2")) };
    let calling = in_pod(s1, Mtls::Strict, Mtls::Strict, vec![known]);
    let from = sidecar_in(s1, SidecarConfig { identity: Some(one), ..calling });
    // The program in the pod knows of no sidecar: it dials the other pod.
    let answer = s1.within(|| scenarios::http::get(at(s2, 8080), "/", LONG)).unwrap().unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(say(s1, at(other, 7000), "hello"), format!("{} said hello", s1.address));
    let stats = s1.within(|| from.stats()).unwrap();
    assert_eq!(stats.passed_through, 1);
    let out = &stats.outbound[0];
    assert_eq!((out.connections, out.requests, out.tls_handshakes), (1, 1, 1));
    let inn = s2.within(|| to.stats()).unwrap().inbound.unwrap();
    assert_eq!((inn.requests, inn.plaintext_requests), (1, 0));
    assert_eq!(inn.peers.into_keys().collect::<Vec<_>>(), [spiffe_id("s1")]);
}
