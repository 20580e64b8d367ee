//! Pods on this machine's real kernel; needs root.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use scenarios::network::{
    CaptureBounds, INBOUND_PORT, Interception, Network, OUTBOUND_PORT, PROXY_USER, Pod, RuleCount, remove, sweep_stale,
};

use crate::launch::{LONG, gone_within, hear, meshtax, shell};

/// A network of these pods; none, with a word about it, where it isn't permitted.
pub(crate) fn network(names: &[&str]) -> Option<Network> {
    if let Err(why) = Network::permitted() {
        assert!(std::env::var_os("REQUIRE_ROOT").is_none(), "{why}");
        eprintln!("skipped: {why} (set REQUIRE_ROOT=1 to fail)");
        return None;
    }
    let mut network = Network::create().unwrap();
    network.add(names).unwrap();
    Some(network)
}

pub(crate) fn pod<'a>(network: &'a Network, name: &str) -> &'a Pod {
    network.pod(name).unwrap()
}

const BOTH: Interception = Interception { inbound: true, outbound: true };

/// The names there are of a network.
fn names(prefix: &str) -> Vec<PathBuf> {
    let all = std::fs::read_dir("/run/netns").unwrap().map(|e| e.unwrap().path());
    let of = |p: &PathBuf| p.file_name().unwrap().to_string_lossy().strip_prefix(prefix).map(str::to_owned);
    // The tenth network's names begin as the first one's do.
    all.filter(|p| of(p).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))).collect()
}

fn listen(pod: &Pod, port: u16) -> TcpListener {
    pod.within(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap()).unwrap()
}

fn at(pod: &Pod, port: u16) -> SocketAddr {
    (pod.address, port).into()
}

/// A connection from within a pod; the socket stays the pod's after the thread has ended.
fn connect(pod: &Pod, to: SocketAddr) -> TcpStream {
    pod.within(|| TcpStream::connect_timeout(&to, LONG).unwrap()).unwrap()
}

/// A connection by a thread of another user and group.
fn connect_as(pod: &Pod, user: Option<u32>, group: Option<u32>, to: SocketAddr) -> TcpStream {
    let dial = || {
        // Only this thread changes, and it ends with the connection made. The group first, while we are still root.
        if let Some(id) = group {
            rustix::thread::set_thread_gid(rustix::process::Gid::from_raw(id)).unwrap();
        }
        if let Some(id) = user {
            rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(id)).unwrap();
        }
        TcpStream::connect_timeout(&to, LONG).unwrap()
    };
    pod.within(dial).unwrap()
}

/// Where a connection was meant to go before it was redirected.
fn meant_for(stream: &TcpStream) -> SocketAddr {
    SocketAddr::V4(rustix::net::sockopt::ip_original_dst(stream).unwrap())
}

/// The counters of the rules of a chain that hold a text.
fn packets(rules: &[RuleCount], chain: &str, text: &str) -> Vec<u64> {
    rules.iter().filter(|r| r.chain == chain && r.rule.contains(text)).map(|r| r.packets).collect()
}

#[test]
fn pods_reach_one_another_and_have_sockets_of_their_own() {
    let Some(network) = network(&["s1", "s2"]) else { return };
    let (s1, s2) = (pod(&network, "s1"), pod(&network, "s2"));
    assert_eq!((s1.address, s2.address), (Ipv4Addr::new(10, 77, 0, 1), Ipv4Addr::new(10, 77, 0, 2)));
    assert_eq!(network.pods().iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["s1", "s2"]);
    // The same port in each; on loopback one hears itself and not the other.
    let (one, two) = (listen(s1, 8080), listen(s2, 8080));
    let mut out = connect(s1, at(s2, 8080));
    out.write_all(b"hello").unwrap();
    let (mut incoming, from) = two.accept().unwrap();
    let mut text = [0; 5];
    incoming.read_exact(&mut text).unwrap();
    assert_eq!((&text, from.ip()), (b"hello", s1.address.into()));
    let own = connect(s1, (Ipv4Addr::LOCALHOST, 8080).into());
    assert_eq!(one.accept().unwrap().1, own.local_addr().unwrap());
    // The host has neither the addresses nor a way to them.
    assert!(!std::fs::read_to_string("/proc/net/route").unwrap().contains("00004D0A"));
}

#[test]
fn the_links_carry_nothing_that_pods_did_not_send_and_no_firewall_of_the_hub_looks_at_it() {
    let Some(network) = network(&["s1", "s2"]) else { return };
    let hub = Pod {
        name: "hub".into(),
        address: Ipv4Addr::UNSPECIFIED,
        namespace: Path::new("/run/netns").join(network.prefix()),
    };
    let read = |name: &str| std::fs::read_to_string(Path::new("/proc/sys/net").join(name)).ok();
    let (ports, filters) = hub
        .within(|| {
            let filters = ["bridge/bridge-nf-call-iptables", "bridge/bridge-nf-call-arptables"].map(read);
            (["ipv6/conf/br0/disable_ipv6", "ipv6/conf/v1/disable_ipv6"].map(read), filters)
        })
        .unwrap();
    let pods = pod(&network, "s2").within(|| read("ipv6/conf/eth0/disable_ipv6")).unwrap();
    // A kernel without IPv6, or without filters of bridged packets, has no such files.
    assert!(ports.iter().chain([&pods]).flatten().all(|v| v.trim() == "1"), "{ports:?} {pods:?}");
    assert!(filters.iter().flatten().all(|v| v.trim() == "0"), "{filters:?}");
    let capture = network.capture().unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let seen = capture.finish().unwrap();
    assert_eq!((seen.frames, seen.missed), (0, 0));
}

#[test]
fn an_answer_is_had_from_within_a_pod() {
    let Some(network) = network(&["s1"]) else { return };
    let s1 = pod(&network, "s1");
    let server = listen(s1, 15000);
    let serve = std::thread::spawn(move || {
        let (mut stream, _) = server.accept().unwrap();
        let mut head = [0; 1024];
        let _ = stream.read(&mut head).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nLIVE").unwrap();
    });
    let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, 15000));
    let answer = s1.within(|| scenarios::http::get(admin, "/ready", LONG)).unwrap().unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "LIVE"));
    serve.join().unwrap();
}

#[test]
fn what_a_program_sends_and_is_sent_comes_to_its_sidecar() {
    let Some(network) = network(&["s1", "s2"]) else { return };
    let (s1, s2) = (pod(&network, "s1"), pod(&network, "s2"));
    s1.intercept(&BOTH).unwrap();
    s2.intercept(&BOTH).unwrap();
    let out = listen(s1, OUTBOUND_PORT);
    let inbound = listen(s2, INBOUND_PORT);
    let program = listen(s2, 8080);
    // A program's connection lands on its own sidecar, which is told where it was to go.
    let sent = connect(s1, at(s2, 8080));
    let (accepted, from) = out.accept().unwrap();
    assert_eq!((meant_for(&accepted), from), (at(s2, 8080), sent.local_addr().unwrap()));
    // The sidecar's own goes out, and lands on the sidecar of the other pod.
    let passed = connect_as(s1, Some(PROXY_USER), Some(PROXY_USER), at(s2, 8080));
    let (accepted, from) = inbound.accept().unwrap();
    assert_eq!((meant_for(&accepted), from), (at(s2, 8080), passed.local_addr().unwrap()));
    // From 127.0.0.6 the sidecar reaches the program itself.
    let to_program = || {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((scenarios::network::PASSTHROUGH_SOURCE, 0)).into()).unwrap();
        socket.connect(&at(s2, 8080).into()).unwrap();
        TcpStream::from(socket)
    };
    let last = s2.within(to_program).unwrap();
    assert_eq!(program.accept().unwrap().1, last.local_addr().unwrap());
}

#[test]
fn a_sidecar_is_known_by_its_user_or_its_group() {
    let Some(network) = network(&["s1", "s2"]) else { return };
    let (s1, s2) = (pod(&network, "s1"), pod(&network, "s2"));
    s1.intercept(&BOTH).unwrap();
    let (sidecar, far) = (listen(s1, OUTBOUND_PORT), listen(s2, 8080));
    for (user, group) in [(Some(PROXY_USER), None), (None, Some(PROXY_USER))] {
        let sent = connect_as(s1, user, group, at(s2, 8080));
        assert_eq!(far.accept().unwrap().1, sent.local_addr().unwrap());
    }
    // Another user is a program.
    let sent = connect_as(s1, Some(1338), Some(1338), at(s2, 8080));
    assert_eq!(sidecar.accept().unwrap().1, sent.local_addr().unwrap());
}

#[test]
fn excluded_ports_and_the_direction_that_is_not_intercepted_are_left_alone() {
    let Some(network) = network(&["s1", "s2", "s3"]) else { return };
    let (s1, s2, s3) = (pod(&network, "s1"), pod(&network, "s2"), pod(&network, "s3"));
    s2.intercept(&Interception { inbound: true, outbound: false }).unwrap();
    s3.intercept(&Interception { inbound: false, outbound: true }).unwrap();
    for port in [15090, 15021, 15020, 15008] {
        let itself = listen(s2, port);
        let sent = connect(s1, at(s2, port));
        let (accepted, from) = itself.accept().unwrap();
        assert_eq!((accepted.local_addr().unwrap(), from), (at(s2, port), sent.local_addr().unwrap()));
    }
    let (s2_in, s3_out) = (listen(s2, INBOUND_PORT), listen(s3, OUTBOUND_PORT));
    let (plain, s1_plain) = (listen(s3, 8080), listen(s1, 8080));
    // s2 is intercepted on its way in only, s3 on its way out only.
    let sent = connect(s1, at(s2, 8080));
    assert_eq!(s2_in.accept().unwrap().1, sent.local_addr().unwrap());
    let sent = connect(s2, at(s1, 8080));
    assert_eq!(s1_plain.accept().unwrap().1, sent.local_addr().unwrap());
    let sent = connect(s1, at(s3, 8080));
    assert_eq!(plain.accept().unwrap().1, sent.local_addr().unwrap());
    let sent = connect(s3, at(s1, 8080));
    assert_eq!(s3_out.accept().unwrap().1, sent.local_addr().unwrap());
}

#[test]
fn rules_count_connections_and_not_packets() {
    let Some(network) = network(&["s1", "s2"]) else { return };
    let (s1, s2) = (pod(&network, "s1"), pod(&network, "s2"));
    s1.intercept(&BOTH).unwrap();
    s2.intercept(&BOTH).unwrap();
    let (out, inbound) = (listen(s1, OUTBOUND_PORT), listen(s2, INBOUND_PORT));
    let metrics = listen(s2, 15090);
    for _ in 0..5 {
        let mut sent = connect(s1, at(s2, 8080));
        let (mut accepted, _) = out.accept().unwrap();
        // Many packets, one connection.
        for _ in 0..10 {
            sent.write_all(b"x").unwrap();
            accepted.read_exact(&mut [0]).unwrap();
        }
    }
    for _ in 0..3 {
        let _sent = connect_as(s1, Some(PROXY_USER), Some(PROXY_USER), at(s2, 8080));
        inbound.accept().unwrap();
    }
    let _sent = connect_as(s1, Some(PROXY_USER), Some(PROXY_USER), at(s2, 15090));
    metrics.accept().unwrap();
    let (rules_1, rules_2) = (s1.rules().unwrap(), s2.rules().unwrap());
    assert_eq!(packets(&rules_1, "ISTIO_REDIRECT", "--to-ports 15001"), [5]);
    assert_eq!(packets(&rules_1, "OUTPUT", "-j ISTIO_OUTPUT"), [9]);
    assert_eq!(packets(&rules_1, "ISTIO_OUTPUT", "-m owner --uid-owner 1337 -j RETURN"), [4]);
    assert_eq!(packets(&rules_1, "ISTIO_IN_REDIRECT", ""), [0]);
    assert_eq!(packets(&rules_2, "PREROUTING", "-j ISTIO_INBOUND"), [4]);
    assert_eq!(packets(&rules_2, "ISTIO_INBOUND", "--dport 15090"), [1]);
    assert_eq!(packets(&rules_2, "ISTIO_IN_REDIRECT", "--to-ports 15006"), [3]);
    assert_eq!(packets(&rules_2, "ISTIO_REDIRECT", ""), [0]);
    // Installed anew, they count anew, and each is there once.
    s1.intercept(&BOTH).unwrap();
    let anew = s1.rules().unwrap();
    assert_eq!((anew.len(), anew.iter().map(|r| r.packets).sum::<u64>()), (rules_1.len(), 0));
}

/// Sends parts one by one, so that each is a segment of its own.
fn send(from: &Pod, listener: &TcpListener, to: SocketAddr, parts: &[&[u8]]) -> SocketAddr {
    let mut out = connect(from, to);
    out.set_nodelay(true).unwrap();
    let (mut incoming, _) = listener.accept().unwrap();
    for part in parts {
        out.write_all(part).unwrap();
        incoming.read_exact(&mut vec![0; part.len()]).unwrap();
    }
    out.local_addr().unwrap()
}

#[test]
fn a_capture_sees_what_crosses_between_pods_and_nothing_of_their_loopbacks() {
    let Some(network) = network(&["s1", "s2"]) else { return };
    let (s1, s2) = (pod(&network, "s1"), pod(&network, "s2"));
    let (near, far) = (listen(s1, 8080), listen(s2, 8080));
    send(s1, &far, at(s2, 8080), &[b"before-the-capture"]);
    let capture = network.capture().unwrap();
    send(s1, &near, (Ipv4Addr::LOCALHOST, 8080).into(), &[b"on-the-loopback"]);
    send(s1, &near, at(s1, 8080), &[b"on-the-loopback-by-address"]);
    let whole = send(s1, &far, at(s2, 8080), &[b"the whole-marker is here"]);
    let split = send(s1, &far, at(s2, 8080), &[b"the split-", b"marker is here"]);
    let big = vec![b'x'; 300_000];
    send(s1, &far, at(s2, 8080), &[&big]);
    let seen = capture.finish().unwrap();
    assert!(seen.complete(), "{} missed, {} not kept", seen.missed, seen.not_kept_bytes);
    for (marker, was) in [
        ("whole-marker", true),
        ("split-marker", true),
        ("marker is herethe", false),
        ("on-the-loopback", false),
        ("before-the-capture", false),
    ] {
        assert_eq!(seen.contains(marker.as_bytes()), was, "{marker}");
    }
    let to: SocketAddr = at(s2, 8080);
    let streams: Vec<(SocketAddr, SocketAddr, usize)> = seen
        .streams
        .iter()
        .map(|s| (SocketAddr::V4(s.source), SocketAddr::V4(s.destination), s.payload().len()))
        .collect();
    assert_eq!(streams[..2], [(whole, to, 24), (split, to, 24)]);
    assert_eq!((streams.len(), streams[2].2), (3, big.len()));
    // Three connections of at least six frames each, and the pods' questions for one another's hardware address.
    assert!(seen.frames >= 18, "{}", seen.frames);
}

#[test]
fn what_a_capture_could_not_read_or_keep_is_counted() {
    let Some(network) = network(&["s1", "s2"]) else { return };
    let (s1, s2) = (pod(&network, "s1"), pod(&network, "s2"));
    let sink = s2.within(|| UdpSocket::bind((s2.address, 9)).unwrap()).unwrap();
    let far = listen(s2, 8080);
    let bounds = CaptureBounds { kept_bytes: 2000, waiting_bytes: 0 };
    // A waiting room of the least size the kernel has, and a burst that no reader follows.
    let capture = network.capture_within(bounds).unwrap();
    const SENT: u64 = 20_000;
    let burst = || {
        let socket = UdpSocket::bind((s1.address, 0)).unwrap();
        socket.connect((s2.address, 9)).unwrap();
        for _ in 0..SENT {
            socket.send(b"x").unwrap();
        }
    };
    s1.within(burst).unwrap();
    let seen = capture.finish().unwrap();
    drop(sink);
    assert!(!seen.complete() && seen.missed > 0, "{seen:?}");
    assert!((SENT..SENT + 10).contains(&(seen.frames + seen.missed)), "{seen:?}");
    let capture = network.capture_within(CaptureBounds { kept_bytes: 2000, ..CaptureBounds::default() }).unwrap();
    send(s1, &far, at(s2, 8080), &[&[b'a'; 1000], &[b'b'; 1000]]);
    let seen = capture.finish().unwrap();
    assert_eq!((seen.missed, seen.not_kept_bytes, seen.streams[0].payload().len()), (0, 1000, 1000));
    assert!(!seen.complete());
}

#[test]
fn a_network_is_gone_when_it_is_removed_or_dropped_and_the_kernel_takes_its_links() {
    let Some(removed) = network(&["s1", "s2"]) else { return };
    let prefix = removed.prefix().to_owned();
    assert_eq!(names(&prefix).len(), 3);
    // From within the hub, which lives as long as somebody is inside, its links are seen to go with the pods.
    let (ready, hub) = (std::sync::mpsc::channel(), Path::new("/run/netns").join(&prefix));
    let links = std::thread::spawn(move || {
        let hub = Pod { name: "hub".into(), address: Ipv4Addr::UNSPECIFIED, namespace: hub };
        let look = || {
            let ports = || {
                let text = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
                text.lines().filter(|l| l.trim_start().starts_with('v')).count()
            };
            let before = ports();
            ready.0.send(()).unwrap();
            let until = Instant::now() + LONG;
            while ports() > 0 && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(5));
            }
            (before, ports())
        };
        hub.within(look).unwrap()
    });
    ready.1.recv().unwrap();
    removed.remove().unwrap();
    assert_eq!(names(&prefix), Vec::<PathBuf>::new());
    assert_eq!(links.join().unwrap(), (2, 0));
    let mut dropped = Network::create().unwrap();
    dropped.add(&["s1"]).unwrap();
    let prefix = dropped.prefix().to_owned();
    assert_eq!(names(&prefix).len(), 2);
    drop(dropped);
    assert_eq!(names(&prefix), Vec::<PathBuf>::new());
    remove(&prefix).unwrap();
}

#[test]
fn names_that_are_taken_or_none_are_refused_and_pods_may_be_added_later() {
    let Some(mut network) = network(&["s1"]) else { return };
    for (names, says) in [
        (vec!["s1"], "the name of pod 's1': there is such a pod already"),
        (vec!["s2", "s2"], "the name of pod 's2': there is such a pod already"),
        (vec!["../s3"], "the name of pod '../s3': it is none that a namespace may have"),
    ] {
        let said = network.add(&names).unwrap_err().to_string();
        assert!(said.starts_with(says), "{said}");
    }
    network.add(&["s2"]).unwrap();
    let (s1, s2) = (pod(&network, "s1"), pod(&network, "s2"));
    let listener = listen(s2, 8080);
    let out = connect(s1, at(s2, 8080));
    assert_eq!(listener.accept().unwrap().1, out.local_addr().unwrap());
    let taken = SocketAddrV4::new(s2.address, 8080);
    let said = s2.within(|| TcpListener::bind(taken).unwrap_err().kind()).unwrap();
    assert_eq!(said, std::io::ErrorKind::AddrInUse);
}

/// The variable that makes a test of this program the owner of a network, to be killed.
const OWNER: &str = "MESHTAX_TEST_NETWORK_OWNER";

/// No test of its own: makes a network and a program in it, says what they are, and waits for its end.
#[test]
fn plays_the_owner() {
    let Some(directory) = std::env::var_os(OWNER).map(PathBuf::from) else { return };
    let network = network(&["s1"]).unwrap();
    let mut launch = shell(&directory, "echo said up; trap '' TERM HUP; while :; do sleep 1; done");
    launch.netns = Some(pod(&network, "s1").namespace.clone());
    launch.user = Some(PROXY_USER);
    let mut part = launch.spawn(&directory.join("meshtax")).unwrap();
    assert_eq!(hear(&mut part), "up");
    std::fs::write(directory.join("owner"), format!("{} {}\n", part.pid(), network.prefix())).unwrap();
    let mut never = String::new();
    std::io::stdin().read_line(&mut never).unwrap();
}

#[test]
fn what_a_killed_owner_left_is_swept_and_its_programs_die_with_it() {
    let Some(mine) = network(&["s1"]) else { return };
    let directory = tempfile::tempdir().unwrap();
    open_to_all(directory.path());
    meshtax(directory.path());
    let mut owner = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "network::plays_the_owner", "--nocapture", "--test-threads", "1"])
        .env(OWNER, directory.path())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let file = directory.path().join("owner");
    let until = Instant::now() + LONG;
    let (pid, prefix) = loop {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        if let Some((pid, prefix)) = text.strip_suffix('\n').and_then(|t| t.split_once(' ')) {
            break (pid.parse::<u32>().unwrap(), prefix.to_owned());
        }
        assert!(Instant::now() < until && owner.try_wait().unwrap().is_none(), "the owner made no network");
        std::thread::sleep(Duration::from_millis(2));
    };
    assert!(!gone_within(pid, Duration::ZERO), "it must live first");
    // Other tests sweep too; none takes what belongs to the living.
    sweep_stale();
    assert_eq!((names(&prefix).len(), names(mine.prefix()).len()), (2, 2));
    owner.kill().unwrap();
    owner.wait().unwrap();
    assert!(gone_within(pid, LONG), "{pid} outlived its parent");
    sweep_stale();
    assert_eq!((names(&prefix), names(mine.prefix()).len()), (Vec::new(), 2));
}

/// Lets every user read what is in a directory of root's.
fn open_to_all(directory: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_launched_sidecar_is_in_its_pod_with_its_user_and_group_and_no_other() {
    let Some(network) = network(&["s1"]) else { return };
    let s1 = pod(&network, "s1");
    let directory = tempfile::tempdir().unwrap();
    open_to_all(directory.path());
    let script = "echo said $(grep -E '^(Uid|Gid|Groups|NoNewPrivs):' /proc/self/status); echo said $(readlink /proc/self/ns/net); read line";
    let mut launch = shell(directory.path(), script);
    launch.netns = Some(s1.namespace.clone());
    launch.user = Some(PROXY_USER);
    let meshtax = meshtax(directory.path());
    let other_groups = || {
        // Whoever starts it is in groups that it must not be in; only this thread is.
        let group = rustix::process::Gid::from_raw(4);
        rustix::thread::set_thread_groups(&[group]).unwrap();
        let mut part = launch.spawn(&meshtax).unwrap();
        (hear(&mut part), hear(&mut part))
    };
    let (is, namespace) = std::thread::scope(|scope| scope.spawn(other_groups).join().unwrap());
    assert_eq!(is, "Uid: 1337 1337 1337 1337 Gid: 1337 1337 1337 1337 Groups: NoNewPrivs: 1");
    let inside = s1.within(|| std::fs::read_link("/proc/thread-self/ns/net").unwrap()).unwrap();
    assert_eq!(namespace, inside.to_str().unwrap());
    assert_ne!(inside, std::fs::read_link("/proc/self/ns/net").unwrap());
}

#[test]
fn a_namespace_that_is_not_there_stands_in_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let mut launch = shell(directory.path(), "echo said up");
    launch.netns = Some(directory.path().join("no-such"));
    let mut part = launch.spawn(&meshtax(directory.path())).unwrap();
    let error = loop {
        if let Err(error) = part.read_line(LONG, "its port") {
            break error.to_string();
        }
    };
    let says =
        format!("cannot enter the network namespace {}: No such file", directory.path().join("no-such").display());
    assert!(error.contains(&says), "{error}");
}
