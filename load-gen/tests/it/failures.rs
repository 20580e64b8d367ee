//! Requests that fail, in every way there is: each is counted once and none is forgotten.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use record::{Verdict, monotonic_ns};

use crate::server::{Answer, Server, ok};
use crate::{alone, assert_adds_up, four_and_four, load, plan, together};

#[test]
fn responses_of_every_form_are_answers() {
    let _together = together();
    let forms: [&[u8]; 5] = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nx: y\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n",
    ];
    let server = Server::start(move |number, _| match number % 5 {
        3 => Answer::Close(forms[3].to_vec()),
        form => Answer::Whole(forms[form as usize].to_vec()),
    });
    let s = load(&plan(&server.url(), 500.0, 3, 1000));
    assert_adds_up(&s);
    let want = [(200, 100), (201, 100), (204, 100), (404, 100), (503, 100)];
    assert_eq!(s.outcomes.answered.into_iter().collect::<Vec<_>>(), want);
    assert_eq!((s.outcomes.reset, s.verdict), (0, Verdict::Invalid));
}

#[test]
fn a_body_larger_than_any_buffer_is_read_to_its_end_and_a_close_may_be_that_end() {
    let _together = together();
    let big = [b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n".to_vec(), vec![b'x'; 3_000_000]].concat();
    let until_close = [b"HTTP/1.1 202 OK\r\n\r\n".to_vec(), vec![b'x'; 300_000]].concat();
    let server = Server::start(move |number, _| match number % 2 {
        0 => Answer::Whole(big.clone()),
        _ => Answer::Close(until_close.clone()),
    });
    let s = load(&plan(&server.url(), 20.0, 2, 1000));
    assert_adds_up(&s);
    assert_eq!(s.outcomes.answered.into_iter().collect::<Vec<_>>(), [(200, 10), (202, 10)]);
}

#[test]
fn half_a_response_and_nonsense_are_resets() {
    let _together = together();
    for (bytes, close) in [
        (&b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"[..], true),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", true),
        (b"HTTP/1.1 200", true),
        (b"", true),
        (b"no response at all\r\n\r\n", false),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", false),
    ] {
        // Every tenth answer is bad; the rest must be untouched by it.
        let server = Server::start(move |number, _| match (number % 10, close) {
            (4, true) => Answer::Close(bytes.to_vec()),
            (4, false) => Answer::Whole(bytes.to_vec()),
            _ => Answer::Whole(ok()),
        });
        let s = load(&plan(&server.url(), 400.0, 2, 500));
        assert_adds_up(&s);
        assert_eq!((s.due, s.outcomes.reset, s.answered), (200, 20, 180), "{:?}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn words_after_a_response_end_its_connection_and_are_no_answer_to_the_next_request() {
    let _together = together();
    let server = Server::start(|_, _| Answer::Whole([ok(), ok()].concat()));
    let s = load(&plan(&server.url(), 100.0, 2, 500));
    assert_adds_up(&s);
    assert_eq!((s.answered, server.requests()), (50, 50));
}

#[test]
fn a_connection_closed_while_idle_is_opened_again_without_a_failure() {
    let _together = together();
    // Each connection lives for one answer; the close is not announced.
    let server = Server::start(|_, _| Answer::Close(ok()));
    let s = load(&four_and_four(&server.url()));
    assert_adds_up(&s);
    assert_eq!((s.due, s.answered, s.outcomes.failed()), (8, 8, 0));
    let carried: Vec<usize> = server.arrivals().iter().map(Vec::len).filter(|n| *n > 0).collect();
    assert_eq!(carried, [1; 8]);
}

#[test]
fn a_target_that_takes_connections_and_drops_them_is_not_asked_without_pause() {
    let _alone = alone();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (dropping, accepted) = (AtomicBool::new(false), AtomicU64::new(0));
    let s = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut kept = Vec::new();
            for stream in listener.incoming() {
                if accepted.fetch_add(1, Ordering::SeqCst) == u64::MAX / 2 {
                    return;
                }
                if dropping.load(Ordering::SeqCst) {
                    kept.clear();
                } else {
                    kept.push(stream);
                    dropping.store(kept.len() == 2, Ordering::SeqCst);
                }
            }
        });
        let mut plan = plan(&format!("http://{address}/"), 100.0, 2, 1000);
        plan.request_timeout = Duration::from_millis(100);
        let s = load(&plan);
        let tries = accepted.swap(u64::MAX / 2, Ordering::SeqCst);
        drop(std::net::TcpStream::connect(address));
        // Two connections, ten tries a second each and a few at once after a timeout.
        assert!(tries < 60, "{tries} connections in a second");
        s
    });
    assert_adds_up(&s);
    assert_eq!(s.answered, 0);
}

#[test]
fn requests_that_are_never_answered_time_out_at_their_age() {
    let _alone = alone();
    let server = Server::start(|number, _| if number % 50 == 7 { Answer::Silence } else { Answer::Whole(ok()) });
    let mut plan = plan(&server.url(), 200.0, 8, 1000);
    plan.request_timeout = Duration::from_millis(150);
    let s = load(&plan);
    assert_adds_up(&s);
    assert_eq!((s.outcomes.timed_out, s.answered), (4, 196));
    assert!(s.response_ns.max >= 150_000_000 && s.service_ns.max >= 149_900_000, "{:?}", s.response_ns);
}

#[test]
fn what_has_no_answer_at_the_end_counts_as_its_age() {
    let _alone = alone();
    // From the 100th request on nothing is answered; 2 connections then hold 2 requests and 98 wait.
    let server = Server::start(|number, _| if number < 100 { Answer::Whole(ok()) } else { Answer::Silence });
    let mut plan = plan(&server.url(), 200.0, 2, 1000);
    plan.drain = Duration::from_millis(300);
    let s = load(&plan);
    assert_adds_up(&s);
    assert_eq!((s.due, s.answered, s.sent), (200, 100, 102));
    assert_eq!((s.censored, s.unsent, s.outcomes.cut_by_deadline), (100, 98, 2));
    // The oldest without an answer was due at 500 ms and is given up at 1300 ms.
    assert!((795_000_000..1_000_000_000).contains(&s.response_ns.max), "{}", s.response_ns.max);
    assert!(s.response_ns.p90 > 600_000_000, "{:?}", s.response_ns);
    assert_eq!(s.verdict, Verdict::Invalid);
}

#[test]
fn a_backlog_over_its_bound_gives_up_the_oldest_at_its_age() {
    let _alone = alone();
    let server = Server::start(|_, _| Answer::Silence);
    let mut plan = plan(&server.url(), 200.0, 1, 1000);
    plan.backlog = 10;
    plan.drain = Duration::from_millis(100);
    let s = load(&plan);
    assert_adds_up(&s);
    assert_eq!((s.due, s.sent, s.unsent, s.outcomes.cut_by_deadline), (200, 1, 199, 1));
    // 189 overflow when ten more are due, 5 ms apart; nine more wait for the end.
    assert!(s.response_ns.p50.abs_diff(50_000_000) < 100_000, "{:?}", s.response_ns);
}

/// Serves for half of the load, then closes the port and every connection; with the time of closing.
fn closes_in_the_middle(rate: f64, duration_ms: u64) -> (record::LoadSummary, u64) {
    let server = Server::start(|_, _| Answer::Whole(ok()));
    let plan = plan(&server.url(), rate, 4, duration_ms);
    std::thread::scope(|scope| {
        let loading = scope.spawn(|| load(&plan));
        while (server.requests() as f64) < rate * duration_ms as f64 / 2000.0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        let served = server.requests();
        drop(server);
        (loading.join().unwrap(), served)
    })
}

#[test]
fn a_target_that_goes_away_leaves_connect_failures_and_no_hole() {
    let _alone = alone();
    let (s, served) = closes_in_the_middle(200.0, 2000);
    assert_adds_up(&s);
    assert_eq!(s.due, 400);
    assert!(s.answered >= served && s.answered < 400, "{s:?}");
    assert!(s.outcomes.connect_failed > 100, "{s:?}");
    assert_eq!((s.censored, s.verdict), (0, Verdict::Invalid));
    // It was refused at once, ten times a second for each connection, not tried without pause.
    assert!(s.cpu_seconds < 1.5, "{}", s.cpu_seconds);
}

#[test]
fn a_target_that_comes_back_is_found_again() {
    let _together = together();
    let first = Server::start(|_, _| Answer::Whole(ok()));
    let address = first.address();
    let plan = plan(&first.url(), 200.0, 4, 3000);
    let s = std::thread::scope(|scope| {
        let loading = scope.spawn(|| load(&plan));
        while first.requests() < 100 {
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(first);
        std::thread::sleep(Duration::from_millis(300));
        let second = Server::start_at(address, |_, _| Answer::Whole(ok()));
        let s = loading.join().unwrap();
        assert!(second.requests() > 100, "{s:?}");
        s
    });
    assert_adds_up(&s);
    assert!(s.outcomes.connect_failed > 0 && s.answered > 300, "{s:?}");
}

#[test]
fn a_stop_ends_the_sending_at_once_and_counts_what_was_due_by_then() {
    let _together = together();
    let server = Server::start(|_, _| Answer::Whole(ok()));
    let stop = AtomicBool::new(false);
    let plan = plan(&server.url(), 500.0, 4, 60_000);
    let begun = Instant::now();
    let s = std::thread::scope(|scope| {
        let loading = scope.spawn(|| load_gen::run(&plan, &stop).unwrap());
        while server.requests() < 250 {
            std::thread::sleep(Duration::from_millis(1));
        }
        stop.store(true, Ordering::Relaxed);
        loading.join().unwrap()
    });
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert_adds_up(&s);
    assert!(s.due >= 250 && s.due == (s.duration_ns as f64 / 2e6).ceil() as u64, "{s:?}");
    assert!(s.reasons.iter().any(|r| r.contains("it was stopped after")), "{:?}", s.reasons);
}

#[test]
fn an_unreachable_target_is_an_error_with_the_address_and_the_way_out() {
    let _together = together();
    // A port that was free a moment ago and that nobody listens on.
    let address: SocketAddr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let plan = plan(&format!("http://{address}/"), 10.0, 4, 1000);
    let before = monotonic_ns();
    let said = load_gen::run(&plan, &AtomicBool::new(false)).unwrap_err().to_string();
    assert!(said.starts_with(&format!("cannot connect to {address}: Connection refused\n  try: ")), "{said}");
    assert!(monotonic_ns() - before < 2_000_000_000);
}

#[test]
fn while_no_connection_is_free_the_cpu_is_left_to_the_target() {
    let _alone = alone();
    let server = Server::start(|_, _| Answer::Silence);
    let mut plan = plan(&server.url(), 20_000.0, 1, 1000);
    (plan.backlog, plan.drain) = (100, Duration::ZERO);
    let s = load(&plan);
    assert_adds_up(&s);
    assert_eq!((s.due, s.sent, s.unsent), (20_000, 1, 19_999));
    // Waking for each of them would take most of a second.
    assert!(s.cpu_seconds < 0.4, "{} s of CPU", s.cpu_seconds);
}
