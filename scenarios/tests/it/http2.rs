//! HTTP/2 by prior knowledge: told from HTTP/1.1 by how it begins, and answered alike.

use std::io::{BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use record::HopStamps;
use scenarios::service::{NextHop, ServiceConfig};

use crate::caller::{Answer, Caller, body, head};
use crate::h2_caller::{H2Answer, H2Caller, run};
use crate::part::{idle_service, service};

fn calling(name: &str, address: SocketAddr) -> ServiceConfig {
    ServiceConfig { next: Some(NextHop { address }), ..idle_service(name) }
}

/// Preface, empty SETTINGS, and what a server answers first: a frame of type 4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// All that the two versions must have in common: everything but the time.
fn common(status: u16, mut headers: Vec<(String, String)>, body: &[u8]) -> (u16, Vec<(String, String)>, Vec<u8>) {
    let mut names = None;
    headers.retain(|(name, value)| {
        if name == HopStamps::HEADER {
            let hops = HopStamps::from_header(value);
            names = Some(hops.iter().map(|hop| hop.service.as_str()).collect::<Vec<_>>().join(" "));
        }
        name != HopStamps::HEADER && name != "date"
    });
    headers.push(("hops".into(), names.expect("no stamps")));
    headers.sort();
    (status, headers, body.to_vec())
}

fn of_one(answer: &Answer) -> (u16, Vec<(String, String)>, Vec<u8>) {
    common(answer.status, answer.headers.clone(), &answer.body)
}

fn of_two(answer: &H2Answer) -> (u16, Vec<(String, String)>, Vec<u8>) {
    let text = |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
        (name.to_string(), value.to_str().unwrap().to_owned())
    };
    assert_eq!(answer.trailers, None);
    common(answer.status, answer.headers.iter().map(text).collect(), &answer.body)
}

#[test]
fn a_chain_answers_both_versions_alike() {
    let s3 = service(ServiceConfig { response_bytes: 3, ..idle_service("s3") });
    let s2 = service(ServiceConfig { response_bytes: 0, ..calling("s2", s3.listen) });
    let s1 = service(ServiceConfig { response_bytes: 100_000, ..calling("s1", s2.listen) });
    for (entry, length, names) in [(&s1, 100_000, "s1 s2 s3"), (&s2, 0, "s2 s3"), (&s3, 3, "s3")] {
        let one = Caller::connect(entry.listen).get("/any/path?q=1");
        let two = run(async { H2Caller::connect(entry.listen).await.get("/any/path?q=1").await });
        assert_eq!((two.status, two.body.len()), (200, length));
        assert_eq!(two.hops().iter().map(|hop| hop.service.as_str()).collect::<Vec<_>>().join(" "), names);
        assert_eq!(of_two(&two), of_one(&one));
    }
}

#[test]
fn failures_and_heads_are_answered_alike_too() {
    let s2 = service(ServiceConfig { expect_next: true, ..idle_service("s2") });
    let s1 = service(calling("s1", s2.listen));
    let one = Caller::connect(s1.listen).get("/");
    let two = run(async { H2Caller::connect(s1.listen).await.get("/").await });
    assert_eq!((two.status, two.hops().len()), (503, 2));
    assert_eq!(of_two(&two), of_one(&one));

    let s = service(ServiceConfig { response_bytes: 5, ..idle_service("s") });
    let mut caller = Caller::connect(s.listen);
    caller.say(b"HEAD / HTTP/1.1\r\nhost: test\r\n\r\n");
    let one = caller.answer_to_head();
    let two = run(async { H2Caller::connect(s.listen).await.send("HEAD", "/", &[], "").await });
    assert_eq!((two.header("content-length"), two.body.len()), (Some("5"), 0));
    assert_eq!(of_two(&two), of_one(&one));
}

#[test]
fn work_is_done_for_each_request() {
    let s1 = service(ServiceConfig { work_us: 2_000, ..idle_service("s1") });
    let hops = run(async { H2Caller::connect(s1.listen).await.get("/").await }).hops();
    // CPU time cannot pass faster than time.
    assert!(hops[0].answered_ns - hops[0].received_ns >= 2_000_000, "{hops:?}");
}

#[test]
fn method_path_and_body_reach_a_next_hop_on_http_1() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let s1 = service(calling("s1", address));
    let seen = std::thread::spawn(move || {
        let mut stream = BufReader::new(listener.accept().unwrap().0);
        let (first, headers) = head(&mut stream).unwrap();
        let body = body(&mut stream, &headers);
        stream.get_mut().write_all(b"HTTP/1.1 204 X\r\n\r\n").unwrap();
        (first, headers, body)
    });
    let answer =
        run(async { H2Caller::connect(s1.listen).await.send("PUT", "/a/b?c=d", &[("x-secret", "1")], "hello").await });
    assert_eq!(answer.status, 200);
    let (first, headers, body) = seen.join().unwrap();
    assert_eq!((first.as_str(), body.as_slice()), ("PUT /a/b?c=d HTTP/1.1", b"hello".as_slice()));
    assert!(headers.contains(&("host".into(), address.to_string())), "{headers:?}");
    assert!(headers.iter().all(|(name, _)| name != "x-secret"), "{headers:?}");
}

#[test]
fn the_versions_are_told_apart_however_slowly_they_begin() {
    let s1 = service(idle_service("s1"));
    // So long that most bytes come alone; it doesn't matter when some don't.
    let pause = || std::thread::sleep(Duration::from_millis(3));
    for method in ["PUT", "PRO", "PRIVATE", "GET"] {
        let mut caller = Caller::connect(s1.listen);
        for byte in format!("{method} / HTTP/1.1\r\nhost: test\r\n\r\n").bytes() {
            caller.say(&[byte]);
            pause();
        }
        assert_eq!(caller.answer().status, 200, "{method}");
    }
    let mut stream = TcpStream::connect(s1.listen).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    for byte in PREFACE {
        stream.write_all(&[*byte]).unwrap();
        pause();
    }
    let mut frame = [0; 9];
    stream.read_exact(&mut frame).unwrap();
    assert_eq!(frame[3], 4, "{frame:?}");
}

#[test]
fn a_connection_that_begins_and_ends_there_stops_nothing() {
    let s1 = service(idle_service("s1"));
    for begin in [&b""[..], b"P", b"PRI", b"PRI ", b"PRI * HTTP/1.1\r\n\r\n", &PREFACE[..20], PREFACE] {
        let mut stream = TcpStream::connect(s1.listen).unwrap();
        stream.write_all(begin).unwrap();
        drop(stream);
    }
    assert_eq!(Caller::connect(s1.listen).get("/").status, 200);
    assert_eq!(run(async { H2Caller::connect(s1.listen).await.get("/").await }).status, 200);
}
