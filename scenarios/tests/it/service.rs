//! Services: the stamps of a chain, the work they burn, and that no failure is hidden.

use std::io::{BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};

use record::{HopStamps, monotonic_ns};
use scenarios::service::{NextHop, Reply, ServiceConfig};

use crate::caller::{Answer, Caller, head};
use crate::part::{idle_service, service};

fn hops(answer: &Answer) -> Vec<HopStamps> {
    HopStamps::from_header(answer.header(HopStamps::HEADER).unwrap_or_else(|| panic!("no stamps: {answer:?}")))
}

fn calling(name: &str, address: SocketAddr) -> ServiceConfig {
    ServiceConfig { next: Some(NextHop { address }), ..idle_service(name) }
}

/// A port on which nobody listens: one that the kernel chose, given back.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A next hop that answers every connection with the same bytes, and then closes it.
fn always(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            if head(&mut stream).is_some() {
                stream.get_mut().write_all(answer.as_bytes()).unwrap();
            }
        }
    });
    address
}

#[test]
fn a_chain_stamps_every_hop_within_the_one_before() {
    let s3 = service(ServiceConfig { response_bytes: 3, ..idle_service("s3") });
    let s2 = service(ServiceConfig { response_bytes: 2, ..calling("s2", s3.listen) });
    let s1 = service(ServiceConfig { response_bytes: 1024, ..calling("s1", s2.listen) });
    let mut caller = Caller::connect(s1.listen);
    for _ in 0..3 {
        let before = monotonic_ns();
        let answer = caller.get("/any/path?q=1");
        let after = monotonic_ns();
        assert_eq!((answer.status, answer.body.len()), (200, 1024));
        let hops = hops(&answer);
        let names: Vec<&str> = hops.iter().map(|h| h.service.as_str()).collect();
        assert_eq!(names, ["s1", "s2", "s3"]);
        let (mut outer, inner) = ((before, after), &hops[2]);
        for hop in &hops[..2] {
            let (called, returned) = (hop.called_ns.unwrap(), hop.returned_ns.unwrap());
            let order = [outer.0, hop.received_ns, called, returned, hop.answered_ns, outer.1];
            assert!(order.is_sorted(), "{order:?}");
            outer = (called, returned);
        }
        assert_eq!((inner.called_ns, inner.returned_ns), (None, None));
        assert!([outer.0, inner.received_ns, inner.answered_ns, outer.1].is_sorted(), "{hops:?} {outer:?}");
    }
}

#[test]
fn work_is_done_before_the_call_and_takes_at_least_its_time() {
    let s2 = service(ServiceConfig { work_us: 3_000, ..idle_service("s2") });
    let s1 = service(ServiceConfig { work_us: 2_000, ..calling("s1", s2.listen) });
    let hops = hops(&Caller::connect(s1.listen).get("/"));
    // CPU time cannot pass faster than time.
    assert!(hops[0].called_ns.unwrap() - hops[0].received_ns >= 2_000_000, "{hops:?}");
    assert!(hops[1].answered_ns - hops[1].received_ns >= 3_000_000, "{hops:?}");
}

#[test]
fn a_next_hop_that_is_down_is_said_and_not_waited_for() {
    let down = nobody();
    let s1 = service(calling("s1", down));
    let answer = Caller::connect(s1.listen).get("/");
    assert_eq!(answer.status, 502);
    let said = answer.header("x-meshtax-error").unwrap();
    assert!(said.starts_with(&format!("s1: next hop http://{down}/: cannot connect")), "{said}");
    assert_eq!(answer.text(), format!("{said}\n"));
    assert_eq!(hops(&answer).len(), 1);
}

#[test]
fn a_failure_far_down_the_chain_comes_up_with_its_status_and_every_stamp() {
    let s3 = service(ServiceConfig { expect_next: true, ..idle_service("s3") });
    let s2 = service(calling("s2", s3.listen));
    let s1 = service(calling("s1", s2.listen));
    let answer = Caller::connect(s1.listen).get("/");
    assert_eq!(answer.status, 503);
    let said = answer.header("x-meshtax-error").unwrap();
    assert!(said.starts_with("s1: next hop ") && said.ends_with("s3: the next hop was not named yet"), "{said}");
    assert_eq!(hops(&answer).len(), 3);
}

#[test]
fn a_response_that_is_cut_off_or_an_error_is_not_taken_for_an_answer() {
    for (wire, status, said) in [
        ("", 502, "no response from"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort", 502, "its response was cut off"),
        ("HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n", 500, "answered 500: it gave no reason"),
        ("HTTP/1.1 404 X\r\ncontent-length: 0\r\n\r\n", 404, "answered 404: it gave no reason"),
        ("this is not HTTP\r\n\r\n", 502, "no response from"),
    ] {
        let s1 = service(calling("s1", always(wire)));
        let answer = Caller::connect(s1.listen).get("/");
        assert_eq!(answer.status, status, "{wire}");
        assert!(answer.text().contains(said), "{wire}: {}", answer.text());
    }
}

#[test]
fn the_next_hop_is_named_and_changed_while_it_runs() {
    let (a, b) = (service(idle_service("a")), service(idle_service("b")));
    let mut s1 = service(ServiceConfig { expect_next: true, threads: 3, ..idle_service("s1") });
    // One on each of its threads.
    let mut callers: Vec<Caller> = (0..3).map(|_| Caller::connect(s1.listen)).collect();
    assert!(callers.iter_mut().all(|caller| caller.get("/").status == 503));
    for next in [&a, &b] {
        let hop = NextHop { address: next.listen };
        s1.part.say(&format!("next {hop}"));
        assert_eq!(s1.part.hear::<Reply>(), Reply::Next(hop));
        // What was said holds for the very next request on every connection.
        let name = if next.listen == a.listen { "a" } else { "b" };
        for caller in &mut callers {
            assert_eq!(hops(&caller.get("/"))[1].service, name);
        }
    }
    s1.part.say("next nowhere");
    assert!(matches!(s1.part.hear::<Reply>(), Reply::Error(e) if e.contains("next hop 'nowhere'")));
    s1.part.say("hello");
    assert!(matches!(s1.part.hear::<Reply>(), Reply::Error(e) if e.starts_with("'hello' is not understood")));
    assert_eq!(hops(&callers[0].get("/"))[1].service, "b");
}

#[test]
fn method_path_and_body_reach_the_next_hop() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let s1 = service(calling("s1", address));
    let seen = std::thread::spawn(move || {
        let mut stream = BufReader::new(listener.accept().unwrap().0);
        let (first, headers) = head(&mut stream).unwrap();
        let body = crate::caller::body(&mut stream, &headers);
        stream.get_mut().write_all(b"HTTP/1.1 204 X\r\n\r\n").unwrap();
        (first, headers, body)
    });
    let mut caller = Caller::connect(s1.listen);
    caller.say(b"PUT /a/b?c=d HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\nx-secret: 1\r\n\r\nhello");
    assert_eq!(caller.answer().status, 200);
    let (first, headers, body) = seen.join().unwrap();
    assert_eq!((first.as_str(), body.as_slice()), ("PUT /a/b?c=d HTTP/1.1", b"hello".as_slice()));
    assert!(headers.contains(&("host".into(), address.to_string())), "{headers:?}");
    assert!(headers.iter().all(|(name, _)| name != "x-secret"), "{headers:?}");
}

#[test]
fn connections_to_the_next_hop_are_kept() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let s1 = service(calling("s1", listener.local_addr().unwrap()));
    // It accepts one connection and no other, so that a second one would find no answer.
    let server = std::thread::spawn(move || {
        let mut stream = BufReader::new(listener.accept().unwrap().0);
        let mut requests = 0;
        while head(&mut stream).is_some() {
            requests += 1;
            stream.get_mut().write_all(b"HTTP/1.1 200 X\r\ncontent-length: 2\r\n\r\nok").unwrap();
        }
        requests
    });
    let mut caller = Caller::connect(s1.listen);
    assert!((0..100).all(|_| caller.get("/").status == 200));
    drop(s1);
    assert_eq!(server.join().unwrap(), 100);
}
