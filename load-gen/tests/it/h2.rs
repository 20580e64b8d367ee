//! Loads over HTTP/2, from a server that keeps the protocol and from several that do not.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::h2::server::Builder;
use load_gen::{Arrivals, Draw, Error, Generator, Plan, Profile, Protocol};
use record::monotonic_ns;

use crate::h2_server::{
    DATA, Framing, H2Server, MAX_CONCURRENT_STREAMS, PING, answer, frame, goaway, head, reset, settings, whole,
};
use crate::raw::{Listening, say};
use crate::tls_server::{Authority, Holds, TlsServer, Turn, loopback};
use crate::{TIMEOUT, alone, assert_adds_up, comes_true, load, plan, together};

const LOCAL: &str = "127.0.0.1:0";

fn h2_plan(url: &str, rate: f64, connections: u32, streams: u32, duration_ms: u64) -> Plan {
    let mut plan = plan(url, rate, connections, duration_ms);
    (plan.protocol, plan.streams) = (Protocol::Http2, streams);
    plan
}

#[test]
fn every_stream_of_every_connection_carries_requests() {
    let _together = together();
    let server = H2Server::start(LOCAL, Builder::new(), None, async |call| {
        tokio::time::sleep(Duration::from_millis(20)).await;
        answer(call).await;
    });
    let s = load(&h2_plan(&server.url("http"), 1000.0, 8, 10, 500));
    assert_adds_up(&s);
    assert_eq!((s.due, s.answered, server.requests(), server.connections()), (500, 500, 500, 8));
    assert_eq!(s.observed.protocol, "http/2");
    assert_eq!((s.observed.balance.unwrap().used, s.observed.bytes_read), (8, 1500));
    // Without a plan all of them are on the way at once.
    let mut full = h2_plan(&server.url("http"), 1.0, 8, 10, 300);
    full.arrivals = Arrivals::max();
    let s = load(&full);
    assert_adds_up(&s);
    assert!(s.due == s.answered && s.due >= 80, "{s:?}");
    assert_eq!(server.counts.most_under_way.load(Ordering::SeqCst), 80);
    server.assert_content();
}

#[test]
fn over_tls_the_protocol_is_agreed_on_in_the_handshake() {
    let _together = together();
    let authority = Authority::new();
    let identity = authority.issue(&[loopback()], Holds::Now);
    let server = H2Server::start(LOCAL, Builder::new(), Some(authority.config(&identity, false, &["h2"])), answer);
    let mut plan = h2_plan(&server.url("https"), 400.0, 4, 5, 500);
    plan.trust = authority.trusted();
    plan.requests[0].method = "POST".to_owned();
    plan.requests[0].body = vec![b'x'; 1000].into();
    let s = load(&plan);
    assert_adds_up(&s);
    assert_eq!((s.due, s.answered, server.connections()), (200, 200, 4));
    assert_eq!(server.counts.body_bytes.load(Ordering::SeqCst), 200_000);
    assert_eq!(s.observed.protocol, "http/2 over TLS 1.3");
    server.assert_content();
    // One that wants another protocol says so in the handshake, one that knows of none says nothing.
    for (alpn, why) in [(&["http/1.1"][..], "TLS failed: "), (&[], "it did not agree to it in TLS's handshake")] {
        let other = TlsServer::start(authority.config(&identity, false, alpn), |_| Turn::Answer);
        plan.requests[0].url = other.url();
        let e = load_gen::run(&plan, &AtomicBool::new(false)).unwrap_err();
        assert!(matches!(&e, Error::Unfit { .. }) && e.to_string().contains(why), "{e}");
    }
}

#[test]
fn a_server_that_takes_one_stream_at_a_time_is_never_asked_for_a_second() {
    let _together = together();
    let mut one_at_a_time = Builder::new();
    one_at_a_time.max_concurrent_streams(1);
    let server = H2Server::start(LOCAL, one_at_a_time, None, answer);
    // They come ten at a time.
    let mut plan = h2_plan(&server.url("http"), 200.0, 1, 10, 500);
    plan.arrivals = Arrivals::Open { draw: Draw::Burst(10), profile: Profile::Flat(200.0) };
    let s = load(&plan);
    assert_adds_up(&s);
    assert_eq!((s.due, s.answered, server.requests(), server.connections()), (100, 100, 100, 1));
    server.assert_content();
}

#[test]
fn a_limit_of_streams_that_falls_and_rises_is_followed() {
    let _together = together();
    let limit = |n| settings(&[(MAX_CONCURRENT_STREAMS, n)]);
    let held = Mutex::new(Vec::new());
    let server = Framing::start(limit(10), move |asked| {
        let mut says = match asked.number {
            10 => limit(1),
            40 => limit(10),
            _ => Vec::new(),
        };
        // Answered once ten are under way; with fewer there is no answer at all.
        let mut held = held.lock().unwrap();
        held.push(asked.stream);
        if !(50..60).contains(&asked.number) || held.len() == 10 {
            held.drain(..).for_each(|stream| says.extend(whole(stream)));
        }
        (says, true)
    });
    let mut plan = h2_plan(&server.listening.url(), 400.0, 1, 10, 500);
    plan.arrivals = Arrivals::Open { draw: Draw::Burst(10), profile: Profile::Flat(400.0) };
    let s = load(&plan);
    assert_adds_up(&s);
    assert_eq!((s.due, s.answered, s.outcomes.failed()), (200, 200, 0), "{:?}", s.outcomes);
    assert_eq!(server.listening.accepted(), 1);
}

#[test]
fn a_server_that_goes_away_is_connected_to_again() {
    let _alone = alone();
    let shortest_ns = Arc::new(AtomicU64::new(u64::MAX));
    let (gone_ns, between_ns) = (AtomicU64::new(0), Arc::clone(&shortest_ns));
    // With each 20th answer, and nothing else on the way: there is one stream.
    let server = Framing::start(settings(&[]), move |asked| {
        let mut says = whole(asked.stream);
        match asked.nth {
            0 if asked.number > 0 => {
                between_ns.fetch_min(monotonic_ns() - gone_ns.load(Ordering::SeqCst), Ordering::SeqCst);
            }
            19 => {
                gone_ns.store(monotonic_ns(), Ordering::SeqCst);
                says.extend(goaway(asked.stream));
            }
            _ => {}
        }
        (says, true)
    });
    let s = load(&h2_plan(&server.listening.url(), 400.0, 1, 1, 500));
    assert_adds_up(&s);
    assert_eq!((s.due, s.answered, server.requests()), (200, 200, 200));
    // The last one went away as well: before or after the load had ended.
    assert!([10, 11].contains(&s.observed.setup_ns.opened), "{:?}", s.observed.setup_ns);
    // Nine times a connection is opened at once: one that failed would have rested for 100 ms each time. Whatever holds
    // this machine up does not hold up all nine.
    assert!(shortest_ns.load(Ordering::SeqCst) < 90_000_000, "{shortest_ns:?}");
    assert!(s.observed.setup_ns.connect.p50 < 1_000_000_000, "{:?}", s.observed.setup_ns);
}

#[test]
fn requests_above_the_last_stream_of_a_goodbye_are_resets_and_those_below_are_answered() {
    let _together = together();
    let ignored = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&ignored);
    // They come ten at a time. Six are answered before the goodbye and two behind it; the other two are too late.
    let server = Framing::start(settings(&[]), move |asked| match asked.nth {
        6 => (goaway(asked.stream + 2), true),
        7 => ([whole(asked.stream - 2), whole(asked.stream)].concat(), true),
        8.. => {
            counted.fetch_add(1, Ordering::SeqCst);
            (Vec::new(), true)
        }
        _ => (whole(asked.stream), true),
    });
    let mut generator = Generator::open(&h2_plan(&server.listening.url(), 1.0, 1, 10, 10)).unwrap();
    // One load after the other, so that all ten have ended, and their connection with them, before the next are due.
    let at_once = Arrivals::Replay([0; 10].into());
    let mut opened = 0;
    for _ in 0..10 {
        let s = trial(&mut generator, &at_once, 10);
        assert_eq!((s.due, s.answered, s.outcomes.reset), (10, 8, 2), "{:?}", s.outcomes);
        opened = s.observed.setup_ns.opened;
    }
    // The last one went away as well: before or after its load had ended.
    assert!([10, 11].contains(&opened), "{opened}");
    // What came too late may be read after it was given up.
    assert!(comes_true(|| (ignored.load(Ordering::SeqCst), server.requests()) == (20, 100)), "{ignored:?}");
}

#[test]
fn a_stream_that_is_reset_is_a_reset_and_costs_no_other() {
    let _together = together();
    for code in [2, 7, 8] {
        let server = Framing::start(settings(&[]), move |asked| match asked.number % 3 {
            2 => ([head(asked.stream, 0), reset(asked.stream, code)].concat(), true),
            _ => (whole(asked.stream), true),
        });
        let s = load(&h2_plan(&server.listening.url(), 600.0, 2, 3, 250));
        assert_adds_up(&s);
        assert_eq!((s.due, s.answered, s.outcomes.reset), (150, 100, 50), "{:?}", s.outcomes);
        assert_eq!(server.listening.accepted(), 2);
    }
}

#[test]
fn floods_and_frames_against_the_protocol_cost_the_connection_and_no_more() {
    let _together = together();
    let ping = frame(PING, 0, 0, &[1; 8]);
    let empty = frame(DATA, 0, 1, &[]);
    for (what, flood) in [
        ("pings", ping.repeat(30_000)),
        ("resets", reset(1, 8).repeat(30_000)),
        ("settings", settings(&[]).repeat(30_000)),
        ("empty frames of a stream that is over", empty.repeat(30_000)),
        ("a stream of the server's", head(2, 0)),
        ("a stream never begun", head(999_999, 0)),
        ("a frame that is too long", frame(DATA, 0, 1, &[0; 20_000])),
        ("a window beyond all bounds", frame(8, 0, 0, &[0x7f, 0xff, 0xff, 0xff])),
        ("half a frame and the end", whole(1)[..5].to_vec()),
    ] {
        let cut = what.starts_with("half");
        let server = Framing::start(settings(&[]), move |asked| match asked.number {
            30 | 60 => (flood.clone(), !cut),
            _ => (whole(asked.stream), true),
        });
        let s = load(&h2_plan(&server.listening.url(), 800.0, 1, 1, 125));
        assert_adds_up(&s);
        assert_eq!((s.due, s.answered, s.outcomes.reset), (100, 98, 2), "{what}: {:?}", s.outcomes);
        assert_eq!(server.listening.accepted(), 3, "{what}");
    }
}

#[test]
fn a_stream_that_is_never_answered_times_out_alone() {
    let _alone = alone();
    let server = Framing::start(settings(&[]), |asked| match asked.number % 20 {
        7 => (Vec::new(), true),
        // The head is no answer yet.
        8 => (head(asked.stream, 0), true),
        _ => (whole(asked.stream), true),
    });
    let mut plan = h2_plan(&server.listening.url(), 200.0, 1, 20, 500);
    plan.request_timeout = TIMEOUT;
    let s = load(&plan);
    assert_adds_up(&s);
    assert_eq!((s.due, s.answered, s.outcomes.timed_out), (100, 90, 10), "{:?}", s.outcomes);
    // The others wait for none of them.
    assert!(s.response_ns.p50 < 1_000_000_000 && s.response_ns.max >= 1_500_000_000, "{:?}", s.response_ns);
    assert_eq!(server.listening.accepted(), 1);
    // The server is told: each was cancelled, and the last ones as the connection ended.
    assert!(comes_true(|| server.resets.lock().unwrap().get(&8) == Some(&10)), "{:?}", server.resets);
}

#[test]
fn a_server_that_does_not_speak_http2_is_unfit() {
    let _together = together();
    let old = Listening::start(|mut stream| {
        let _ = std::io::Read::read(&mut stream, &mut [0; 4096]);
        say(&mut stream, b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    });
    let silent =
        Listening::start(|mut stream| while std::io::Read::read(&mut stream, &mut [0; 4096]).is_ok_and(|n| n > 0) {});
    let closing = Listening::start(|mut stream| drop(std::io::Read::read(&mut stream, &mut [0; 4096])));
    for server in [&old, &silent, &closing] {
        let mut plan = h2_plan(&server.url(), 10.0, 2, 2, 100);
        plan.connect_timeout = Duration::from_millis(200);
        let e = load_gen::run(&plan, &AtomicBool::new(false)).unwrap_err();
        assert!(matches!(e, Error::Unfit { .. }), "{e:?}");
        let said = e.to_string();
        assert!(said.contains(&server.address().to_string()) && said.contains("does not speak http/2"), "{said}");
        assert!(said.contains("try: without --http2"), "{said}");
    }
}

#[test]
fn a_connection_cut_in_mid_body_fails_what_was_on_it() {
    let _together = together();
    let server = Framing::start(settings(&[]), |asked| match asked.number % 10 {
        4 => ([head(asked.stream, 0), frame(DATA, 0, asked.stream, b"ha")].concat(), false),
        _ => (whole(asked.stream), true),
    });
    let s = load(&h2_plan(&server.listening.url(), 200.0, 2, 1, 500));
    assert_adds_up(&s);
    assert_eq!((s.due, s.answered, s.outcomes.reset), (100, 90, 10), "{:?}", s.outcomes);
    assert_eq!(server.listening.accepted(), 12);
}

#[test]
fn bodies_beyond_every_window_arrive_whole() {
    let _together = together();
    let mut narrow = Builder::new();
    narrow.initial_window_size(1000).initial_connection_window_size(70_000);
    for builder in [Builder::new(), narrow] {
        let server = H2Server::start(LOCAL, builder, None, answer);
        let mut plan = h2_plan(&server.url("http"), 40.0, 2, 4, 500);
        plan.requests[0].method = "PUT".to_owned();
        plan.requests[0].body = vec![b'x'; 300_000].into();
        let s = load(&plan);
        assert_adds_up(&s);
        assert_eq!((s.due, s.answered), (20, 20), "{:?}", s.outcomes);
        assert_eq!(server.counts.body_bytes.load(Ordering::SeqCst), 20 * 300_000);
        server.assert_content();
    }
}

fn trial(generator: &mut Generator, arrivals: &Arrivals, duration_ms: u64) -> record::LoadSummary {
    let duration = Duration::from_millis(duration_ms);
    let s = generator.load(arrivals, Duration::ZERO, duration, 1, &AtomicBool::new(false), None).unwrap();
    assert_adds_up(&s);
    s
}

#[test]
fn a_server_that_closes_between_two_trials_is_found_again() {
    let _together = together();
    let first = H2Server::start(LOCAL, Builder::new(), None, answer);
    let plan = h2_plan(&first.url("http"), 200.0, 2, 5, 250);
    let mut generator = Generator::open(&plan).unwrap();
    let s = trial(&mut generator, &Arrivals::constant(200.0), 250);
    assert_eq!((s.answered, first.connections()), (50, 2));
    let address = first.address().to_string();
    drop(first);
    let second = H2Server::start(&address, Builder::new(), None, answer);
    let s = trial(&mut generator, &Arrivals::constant(200.0), 250);
    assert_eq!((s.due, s.answered, second.requests(), second.connections()), (50, 50, 50, 2), "{:?}", s.outcomes);
}

#[test]
fn streams_that_were_cut_are_there_again_in_the_next_trial() {
    let _together = together();
    let server = Framing::start(settings(&[]), |asked| match asked.number {
        // All the generator has.
        16..20 => (Vec::new(), true),
        _ => (whole(asked.stream), true),
    });
    let mut plan = h2_plan(&server.listening.url(), 100.0, 1, 4, 200);
    // Long enough for all the others to be answered, whatever holds them up.
    plan.drain = TIMEOUT;
    let mut generator = Generator::open(&plan).unwrap();
    let s = trial(&mut generator, &Arrivals::constant(100.0), 200);
    assert_eq!((s.answered, s.outcomes.cut_by_deadline), (16, 4));
    let s = trial(&mut generator, &Arrivals::constant(100.0), 200);
    assert_eq!((s.due, s.answered, s.outcomes.failed()), (20, 20, 0), "{:?}", s.outcomes);
    assert_eq!(server.listening.accepted(), 1);
}
