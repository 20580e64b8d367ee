//! The session against frames made by hand: what it says of them, and what it answers.

use std::sync::Arc;

use super::*;
use crate::protocol::h2::desk::*;
use crate::protocol::h2::frame::{MOST, code, flag};
use crate::protocol::h2::{End, Event, Request};

const OK: &[(&str, &str)] = &[(":status", "200"), ("server", "x")];
const GRPC: &[(&str, &str)] = &[(":status", "200"), ("content-type", "application/grpc+proto")];

fn ended(place: u32, end: End) -> Event {
    Event::Ended { place, end }
}

fn failed(place: u32, code: u32) -> Event {
    ended(place, End::Reset { code })
}

/// What comes of a script that breaks nothing.
fn events(script: &[Vec<u8>]) -> Vec<Event> {
    let (desk, result) = play(&script.concat());
    assert_eq!(result, Ok(()));
    desk.events
}

/// How a script breaks the connection; a GOAWAY must say so.
fn breaks(script: &[Vec<u8>]) -> u32 {
    let (mut desk, result) = play(&script.concat());
    let broken = result.expect_err("it was taken");
    let (head, payload) = desk.written().pop().unwrap();
    assert_eq!((head.kind, head.stream), (kind::GOAWAY, 0));
    assert_eq!(payload, [[0; 4], broken.code.to_be_bytes()].concat());
    assert!(!desk.session.can_open() && desk.session.closing());
    assert_eq!(desk.feed(&data(1, b"", true)), Err(broken), "it stays broken");
    assert!(desk.out.is_empty(), "it is said once");
    broken.code
}

#[test]
fn it_begins_as_a_client_does() {
    let mut session = Session::new(10, Arc::new([]));
    assert!(!session.can_open() && session.closing());
    let mut out = Vec::new();
    for _ in 0..2 {
        out.clear();
        session.begin(&mut out);
        assert!(out.starts_with(PREFACE));
        let said = frames(&out);
        assert_eq!(said[0].0.kind, kind::SETTINGS);
        assert!(said[0].1.chunks(6).any(|s| *s == [0, 2, 0, 0, 0, 0]), "pushes are forbidden");
        assert_eq!(said[1], (Head { length: 4, kind: kind::WINDOW_UPDATE, flags: 0, stream: 0 }, said[1].1.clone()));
        assert!(session.can_open() && !session.closing());
        let mut answer = settings(&[(setting::MAX_CONCURRENT_STREAMS, 3)]);
        answer.extend(frame(kind::SETTINGS, flag::ACK, 0, &[]));
        out.clear();
        session.feed(&answer, &mut out, &mut Vec::new()).unwrap();
        assert_eq!(frames(&out), [(Head { length: 0, kind: kind::SETTINGS, flags: flag::ACK, stream: 0 }, vec![])]);
        assert_eq!(session.open_limit(), 3);
        for place in 0..3 {
            assert!(session.open(place, &get(), &mut out));
        }
        assert!(!session.can_open() && !session.open(3, &get(), &mut out));
        assert_eq!(session.under_way(), 3);
    }
}

#[test]
fn before_the_peer_has_spoken_no_more_than_it_should_take_is_opened() {
    let mut session = Session::new(1000, Arc::new([]));
    session.begin(&mut Vec::new());
    assert_eq!(session.open_limit(), 100);
    session.feed(&settings(&[]), &mut Vec::new(), &mut Vec::new()).unwrap();
    assert_eq!(session.open_limit(), 1000);
}

#[test]
fn answers_come_in_any_order_and_in_pieces() {
    let script = [
        head(3, OK, false),
        head(1, &[(":status", "404"), ("content-length", "5")], false),
        data(1, b"ab", false),
        data(3, b"12345678", true),
        data(1, b"cde", true),
    ];
    let expected = [first(1), first(0), answered(1, 200, 8), answered(0, 404, 5)];
    assert_eq!(events(&script), expected);
    assert_eq!(events(&[head(1, &[(":status", "204")], true)]), [first(0), answered(0, 204, 0)]);
    assert_eq!(events(&[head(1, OK, false), data(1, b"", true)]), [first(0), answered(0, 200, 0)]);
}

#[test]
fn a_head_may_be_padded_and_have_a_priority_and_go_on() {
    let fields = block(&[(":status", "200"), ("x-kept", "value")]);
    let (begin, rest) = fields.split_at(9);
    let padded = [&[3, 0, 0, 0, 0, 16][..], begin, &[0; 3]].concat();
    let script = [
        frame(kind::HEADERS, flag::PADDED | flag::PRIORITY | flag::END_STREAM, 1, &padded),
        frame(kind::CONTINUATION, 0, 1, &rest[..2]),
        frame(kind::CONTINUATION, 0, 1, b""),
        frame(kind::CONTINUATION, flag::END_HEADERS, 1, &rest[2..]),
    ];
    let (desk, result) = play(&script.concat());
    assert_eq!((result, &desk.events[..]), (Ok(()), &[first(0), answered(0, 200, 0)][..]));
    assert_eq!(desk.session.value(0, 0), b"value");
    assert_eq!(
        (desk.session.value(0, 1), desk.session.value(9, 0), desk.session.value(0, 9)),
        (&b""[..], &b""[..], &b""[..])
    );
}

#[test]
fn padding_is_no_part_of_a_body() {
    let script = [
        head(1, &[(":status", "200"), ("content-length", "3")], false),
        frame(kind::DATA, flag::PADDED, 1, b"\x04ab\0\0\0\0"),
        frame(kind::DATA, flag::PADDED, 1, b"\x02\0\0"),
        frame(kind::DATA, flag::PADDED | flag::END_STREAM, 1, b"\0c"),
    ];
    assert_eq!(events(&script), [first(0), answered(0, 200, 3)]);
}

#[test]
fn heads_that_only_inform_are_passed_over() {
    let script = [
        head(1, &[(":status", "100"), ("x-kept", "of the first")], false),
        head(1, &[(":status", "103")], false),
        head(1, &[(":status", "200"), ("x-kept", "a"), ("x-kept", "b")], true),
    ];
    let (desk, _) = play(&script.concat());
    assert_eq!(desk.events, [first(0), answered(0, 200, 0)]);
    assert_eq!(desk.session.value(0, 0), b"a,b");
}

#[test]
fn grpc_ends_with_its_trailers() {
    let trailers: &[(&str, &str)] = &[("grpc-status", "5"), ("grpc-message", "no such")];
    let script = [
        head(1, GRPC, false),
        data(1, b"\0\0\0\0\x02ab\0\0", false),
        data(1, b"\0\0\x01c", false),
        head(1, trailers, true),
    ];
    let (desk, _) = play(&script.concat());
    let end = End::Answered { status: 200, grpc_status: Some(5), messages: 2, bytes: 13 };
    assert_eq!(desk.events, [first(0), ended(0, end)]);
    assert_eq!(desk.session.value(0, 1), b"no such");
    // A head that is the trailer, too.
    let only = [GRPC, &[("grpc-status", "14")]].concat();
    let end = End::Answered { status: 200, grpc_status: Some(14), messages: 0, bytes: 0 };
    assert_eq!(events(&[head(1, &only, true)]), [ended(0, end)]);
    let end = End::Answered { status: 200, grpc_status: Some(2), messages: 0, bytes: 0 };
    assert_eq!(events(&[head(1, &[GRPC, &[("grpc-status", "x")]].concat(), true)]), [ended(0, end)]);
}

#[test]
fn values_are_forgotten_with_the_next_request() {
    let mut desk = Desk::new(1, &[]);
    desk.open(0, &get());
    desk.feed(&head(1, &[(":status", "200"), ("x-kept", "1")], true)).unwrap();
    assert_eq!(desk.session.value(0, 0), b"1");
    desk.open(0, &get());
    assert_eq!(desk.session.value(0, 0), b"");
}

#[test]
fn the_length_that_a_head_says_must_come() {
    let said = |length: &'static str| head(1, &[(":status", "200"), ("content-length", length)], false);
    let wrong = failed(0, code::PROTOCOL);
    assert_eq!(events(&[said("3"), data(1, b"ab", true)]), [first(0), wrong]);
    assert_eq!(events(&[said("3"), data(1, b"abcd", false)]), [first(0), wrong]);
    assert_eq!(events(&[head(1, &[(":status", "200"), ("content-length", "3")], true)]), [first(0), wrong]);
    for bad in ["", "-1", "3, 3", "99999999999999999999"] {
        assert_eq!(events(&[said(bad)]), [wrong], "{bad:?}");
    }
    let two = [(":status", "200"), ("content-length", "1"), ("content-length", "2")];
    assert_eq!(events(&[head(1, &two, false)]), [wrong]);
    assert_eq!(
        events(&[head(1, &[(":status", "304"), ("content-length", "3")], true)]),
        [first(0), answered(0, 304, 0)]
    );
    let mut desk = Desk::new(1, &[]);
    desk.open(0, &Request::new("HEAD", "http", "h", "/", &[], Vec::new()));
    desk.feed(&head(1, &[(":status", "200"), ("content-length", "3")], true)).unwrap();
    assert_eq!(desk.events, [first(0), answered(0, 200, 0)]);
}

#[test]
fn what_makes_no_answer_ends_one_request_only() {
    let end: &[(&str, &str)] = &[("grpc-status", "0")];
    for (name, script) in [
        ("a body without a head", vec![data(1, b"x", false)]),
        ("no status", vec![head(1, &[("server", "x")], true)]),
        ("two statuses", vec![head(1, &[(":status", "200"), (":status", "200")], true)]),
        ("a status after headers", vec![head(1, &[("server", "x"), (":status", "200")], true)]),
        ("a status of two digits", vec![head(1, &[(":status", "20")], true)]),
        ("a status that is no number", vec![head(1, &[(":status", "2x0")], true)]),
        ("a change of the protocol", vec![head(1, &[(":status", "101")], false)]),
        ("an end that only informs", vec![head(1, &[(":status", "100")], true)]),
        ("another pseudo-header", vec![head(1, &[(":status", "200"), (":path", "/")], true)]),
        ("capitals", vec![head(1, &[(":status", "200"), ("Server", "x")], true)]),
        ("an empty name", vec![head(1, &[(":status", "200"), ("", "x")], true)]),
        ("a header of a hop", vec![head(1, &[(":status", "200"), ("transfer-encoding", "chunked")], true)]),
        ("trailers that are not the end", vec![head(1, OK, false), head(1, end, false)]),
        ("a status in the trailers", vec![head(1, OK, false), head(1, OK, true)]),
        ("a window that grows by nothing", vec![window(1, 0)]),
    ] {
        let (mut desk, result) = play(&[script.concat(), head(3, OK, true)].concat());
        assert_eq!(result, Ok(()), "{name}");
        let ends: Vec<_> = desk.events.iter().filter(|e| !matches!(e, Event::FirstByte { .. })).collect();
        assert_eq!(ends, [&failed(0, code::PROTOCOL), &answered(1, 200, 0)], "{name}");
        let (head, payload) = desk.written().pop().unwrap();
        assert_eq!((head.kind, head.stream, &payload[..]), (kind::RST_STREAM, 1, &[0, 0, 0, 1][..]), "{name}");
    }
    assert_eq!(events(&[window(1, MOST)]), [failed(0, code::FLOW_CONTROL)]);
}

#[test]
fn the_peer_resets_a_stream() {
    assert_eq!(events(&[reset(1, 2)]), [failed(0, 2)]);
    assert_eq!(events(&[reset(1, code::REFUSED_STREAM)]), [ended(0, End::Refused)]);
    assert_eq!(events(&[head(1, OK, false), reset(1, code::CANCEL)]), [first(0), failed(0, code::CANCEL)]);
    // After a whole answer it says only that the rest of the body is not needed.
    assert_eq!(events(&[head(1, OK, true), reset(1, 0)]), [first(0), answered(0, 200, 0)]);
}

#[test]
fn an_answer_before_the_body_is_sent_ends_the_sending() {
    let mut desk = Desk::new(1, &[]);
    desk.open(0, &post(100_000));
    assert_eq!(desk.body_written(), 65_535);
    desk.feed(&[head(1, OK, true), reset(1, 0), window(1, 1000), window(0, 1000)].concat()).unwrap();
    assert_eq!(desk.happened(), [first(0), answered(0, 200, 0)]);
    let written = desk.written();
    assert_eq!(written.len(), 1);
    assert_eq!((written[0].0.kind, &written[0].1[..]), (kind::RST_STREAM, &[0, 0, 0, 8][..]));
    desk.open(0, &get());
    desk.feed(&head(3, OK, true)).unwrap();
    assert_eq!(desk.happened(), [first(0), answered(0, 200, 0)]);
}

#[test]
fn a_peer_that_goes_away_ends_what_it_did_not_look_at() {
    let script = [goaway(1, 0), head(1, OK, false), data(1, b"x", true)];
    let (desk, result) = play(&script.concat());
    assert_eq!(result, Ok(()));
    assert_eq!(desk.events, [ended(1, End::Refused), first(0), answered(0, 200, 1)]);
    assert!(desk.session.closing() && !desk.session.can_open());
    // First a warning, then the word.
    let script = [goaway(MOST, 0), goaway(1, 0), goaway(0, 2)];
    assert_eq!(events(&script), [ended(1, End::Refused), ended(0, End::Refused)]);
}

#[test]
fn a_request_that_was_given_up_is_passed_over_and_its_place_free() {
    let mut desk = Desk::new(2, &[]);
    desk.open(0, &get());
    // In the middle of a frame.
    let late = data(1, &[7; 100], false);
    desk.feed(&head(1, OK, false)).unwrap();
    desk.feed(&late[..50]).unwrap();
    assert_eq!(desk.happened(), [first(0)]);
    desk.out.clear();
    desk.cancel(0);
    desk.cancel(0);
    desk.cancel(7);
    let written = desk.written();
    assert_eq!((written.len(), written[0].0.kind, &written[0].1[..]), (1, kind::RST_STREAM, &[0, 0, 0, 8][..]));
    assert!(desk.open(0, &get()));
    desk.feed(&late[50..]).unwrap();
    // What it puts into the table counts.
    desk.feed(&frame(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, 1, &hex("88 40 06 782d6b657074 01 61")))
        .unwrap();
    assert_eq!(desk.happened(), []);
    desk.feed(&frame(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, 3, &hex("88 be"))).unwrap();
    assert_eq!(desk.happened(), [first(0), answered(0, 200, 0)]);
    assert_eq!(desk.session.value(0, 0), b"a");
}

#[test]
fn windows_are_given_back_when_half_of_them_is_used() {
    let mut desk = Desk::new(1, &[]);
    desk.open(0, &get());
    desk.feed(&head(1, OK, false)).unwrap();
    desk.out.clear();
    let piece = data(1, &[7; 16_384], false);
    let mut given = [0, 0];
    // In the middle the request is given up; the connection's window is given back all the same.
    for round in 0..2 * WINDOW / 16_384 {
        if round == WINDOW / 16_384 {
            desk.cancel(0);
            desk.open(0, &get());
        }
        desk.feed(&piece).unwrap();
        desk.session.noise = 0; // else it would look like a flood
        for (head, payload) in desk.written().into_iter().filter(|(h, _)| h.kind == kind::WINDOW_UPDATE) {
            let more = frame::word(&payload, 0);
            assert_eq!(more, if head.stream == 0 { WINDOW / 2 } else { STREAM_WINDOW / 2 });
            given[usize::from(head.stream == 1)] += more;
        }
    }
    assert_eq!(given, [2 * WINDOW, WINDOW]);
}

#[test]
fn bodies_are_sent_as_the_windows_permit() {
    let mut desk = Desk::new(2, &[(setting::INITIAL_WINDOW_SIZE, 20_000)]);
    desk.open(0, &post(50_000));
    desk.open(1, &post(50_000));
    assert_eq!(desk.body_written(), 40_000);
    desk.feed(&window(1, 30_001)).unwrap();
    assert_eq!(desk.body_written(), 25_535, "the connection's window is the smaller one");
    desk.feed(&window(3, 100_000)).unwrap();
    assert_eq!(desk.body_written(), 0);
    desk.feed(&window(0, 1_000_000)).unwrap();
    let written = desk.written();
    let sent: usize = written.iter().map(|(_, p)| p.len()).sum();
    assert_eq!(sent, 34_465);
    assert!(written.iter().all(|(h, p)| h.kind == kind::DATA && p.len() <= 16_384));
    let ends: Vec<u32> = written.iter().filter(|(h, _)| h.has(flag::END_STREAM)).map(|(h, _)| h.stream).collect();
    assert_eq!(ends, [1, 3]);
}

#[test]
fn a_change_of_the_first_window_changes_all() {
    let mut desk = Desk::new(2, &[(setting::INITIAL_WINDOW_SIZE, 1000)]);
    desk.open(0, &post(5000));
    assert_eq!(desk.body_written(), 1000);
    desk.feed(&settings(&[(setting::INITIAL_WINDOW_SIZE, 0)])).unwrap();
    desk.feed(&window(1, 600)).unwrap();
    assert_eq!(desk.body_written(), 0, "the window is 400 below nothing");
    desk.feed(&window(1, 500)).unwrap();
    assert_eq!(desk.body_written(), 100);
    desk.feed(&settings(&[(setting::INITIAL_WINDOW_SIZE, 10_000), (setting::MAX_FRAME_SIZE, 20_000)])).unwrap();
    assert_eq!(desk.body_written(), 3900);
    desk.open(1, &post(9000));
    assert_eq!(desk.body_written(), 9000);
}

#[test]
fn a_body_that_was_given_up_is_not_sent() {
    let mut desk = Desk::new(1, &[(setting::INITIAL_WINDOW_SIZE, 10)]);
    desk.open(0, &post(100));
    desk.cancel(0);
    desk.open(0, &post(30));
    assert_eq!(desk.body_written(), 20);
    desk.feed(&[window(1, 1000), window(3, 1000)].concat()).unwrap();
    assert_eq!(desk.body_written(), 20);
}

#[test]
fn a_long_head_goes_on_in_further_frames() {
    let long = |fill: &str| [("cookie".to_owned(), fill.repeat(20_000))];
    for fill in ["~", "\u{7f}"] {
        let mut desk = Desk::new(1, &[]);
        desk.open(0, &Request::new("GET", "http", "h", "/", &long(fill), Vec::new()));
        let written = desk.written();
        let shape: Vec<_> = written.iter().map(|(h, _)| (h.kind, h.flags)).collect();
        assert_eq!(shape, [(kind::HEADERS, flag::END_STREAM), (kind::CONTINUATION, flag::END_HEADERS)]);
        assert_eq!(written[0].1.len(), 16_384);
        assert!(written[1].1.len() > 3_600);
    }
}

#[test]
fn a_post_says_its_length_and_grpc_does_not() {
    let headers = [("Content-Type".to_owned(), "application/grpc".to_owned()), ("Host".to_owned(), "h".to_owned())];
    let names = |request: &Request| {
        request.fields.iter().map(|f| String::from_utf8_lossy(&f.name).into_owned()).collect::<Vec<_>>()
    };
    let pseudo = [":method", ":scheme", ":path", ":authority"];
    assert_eq!(names(&post(3)), [&pseudo[..], &["content-length"]].concat());
    let grpc = Request::new("POST", "http", "h", "/", &headers, b"\0\0\0\0\0".to_vec());
    assert_eq!(names(&grpc), [&pseudo[..], &["content-type"]].concat());
    assert_eq!(names(&get()), pseudo);
}

#[test]
fn pings_are_answered_and_unknown_frames_are_not() {
    let script = [
        frame(kind::PING, 0, 0, b"12345678"),
        frame(kind::PING, flag::ACK, 0, b"12345678"),
        frame(kind::PRIORITY, 0, 99, b"12345"),
        frame(0xfa, 0xff, 77, b"whatever"),
        settings(&[(0xfafa, 7)]),
    ];
    let (mut desk, result) = play(&script.concat());
    assert_eq!(result, Ok(()));
    let written = desk.written();
    assert_eq!(written.len(), 2);
    assert_eq!((written[0].0.kind, written[0].0.flags, &written[0].1[..]), (kind::PING, flag::ACK, &b"12345678"[..]));
    assert_eq!((written[1].0.kind, written[1].0.flags), (kind::SETTINGS, flag::ACK));
}

#[test]
fn the_peer_may_take_fewer_streams_from_now_on() {
    let mut desk = Desk::new(4, &[]);
    assert_eq!(desk.session.open_limit(), 4);
    assert!(desk.open(0, &get()) && desk.open(1, &get()));
    desk.feed(&settings(&[(setting::MAX_CONCURRENT_STREAMS, 1)])).unwrap();
    assert!(!desk.session.can_open() && desk.session.open_limit() == 1);
    desk.feed(&[head(1, OK, true), head(3, OK, true)].concat()).unwrap();
    assert!(desk.session.can_open());
    assert!(desk.open(3, &get()) && !desk.open(3, &get()));
}

#[test]
fn the_numbers_of_streams_are_used_up() {
    let mut desk = Desk::new(1, &[]);
    desk.session.streams.skip_to(MOST - 8);
    let mut opened = 0;
    while desk.open(0, &get()) {
        let id = desk.written().pop().unwrap().0.stream;
        desk.feed(&head(id, OK, true)).unwrap();
        opened += 1;
    }
    assert!(opened > 0 && desk.session.closing());
    desk.session.begin(&mut Vec::new());
    assert!(desk.session.can_open());
}

#[test]
fn what_breaks_the_protocol_breaks_the_connection() {
    let padded = flag::PADDED | flag::END_HEADERS;
    let no_priority = frame(kind::HEADERS, flag::PRIORITY | flag::END_HEADERS, 1, b"1234");
    let begun = frame(kind::HEADERS, 0, 1, &block(OK));
    for (name, script) in [
        ("a push", vec![frame(kind::PUSH_PROMISE, flag::END_HEADERS, 1, &[0, 0, 0, 2, 0x88])]),
        ("a body of nothing", vec![data(0, b"x", false)]),
        ("a head of nothing", vec![head(0, OK, false)]),
        ("a stream that was not begun", vec![head(5, OK, false)]),
        ("a stream of the server's", vec![head(2, OK, false)]),
        ("a body of a stream that was not begun", vec![data(5, b"x", false)]),
        ("a reset of a stream that was not begun", vec![reset(5, 0)]),
        ("a reset of nothing", vec![reset(0, 0)]),
        ("a window of a stream that was not begun", vec![window(5, 1)]),
        ("a window that grows by nothing", vec![window(0, 0)]),
        ("padding without end", vec![frame(kind::DATA, flag::PADDED, 1, b"\x02x")]),
        ("padding of a head without end", vec![frame(kind::HEADERS, padded, 1, b"\x02\x88")]),
        ("no padding", vec![frame(kind::HEADERS, padded, 1, b"")]),
        ("no priority", vec![no_priority]),
        ("a priority of nothing", vec![frame(kind::PRIORITY, 0, 0, b"12345")]),
        ("a ping of a stream", vec![frame(kind::PING, 0, 1, b"12345678")]),
        ("settings of a stream", vec![frame(kind::SETTINGS, 0, 1, b"")]),
        ("a goodbye of a stream", vec![frame(kind::GOAWAY, 0, 1, b"12345678")]),
        ("headers that go on without beginning", vec![frame(kind::CONTINUATION, 0, 1, b"")]),
        ("another frame between headers", vec![begun.clone(), data(1, b"", false)]),
        ("headers that go on elsewhere", vec![begun, frame(kind::CONTINUATION, flag::END_HEADERS, 3, b"")]),
        ("pushes", vec![settings(&[(setting::ENABLE_PUSH, 1)])]),
        ("too short a longest frame", vec![settings(&[(setting::MAX_FRAME_SIZE, 16_383)])]),
        ("too long a longest frame", vec![settings(&[(setting::MAX_FRAME_SIZE, 1 << 24)])]),
    ] {
        assert_eq!(breaks(&script), code::PROTOCOL, "{name}");
    }
    for (name, script) in [
        ("a long ping", vec![frame(kind::PING, 0, 0, b"123456789")]),
        ("a short reset", vec![frame(kind::RST_STREAM, 0, 1, b"123")]),
        ("a short window", vec![frame(kind::WINDOW_UPDATE, 0, 1, b"123")]),
        ("a short goodbye", vec![frame(kind::GOAWAY, 0, 0, b"1234567")]),
        ("half a setting", vec![frame(kind::SETTINGS, 0, 0, b"1234567")]),
        ("an acknowledgement of something", vec![frame(kind::SETTINGS, flag::ACK, 0, b"123456")]),
        ("a long frame", vec![data(1, &[0; 16_385], false)]),
        ("no room for padding", vec![frame(kind::DATA, flag::PADDED, 1, b"")]),
    ] {
        assert_eq!(breaks(&script), code::FRAME_SIZE, "{name}");
    }
    for (name, script) in [
        ("too large a window", vec![window(0, MOST)]),
        ("too large a first window", vec![settings(&[(setting::INITIAL_WINDOW_SIZE, MOST + 1)])]),
        ("too large a window by a setting", vec![window(1, 70_000), settings(&[(setting::INITIAL_WINDOW_SIZE, MOST)])]),
    ] {
        assert_eq!(breaks(&script), code::FLOW_CONTROL, "{name}");
    }
    let bad = frame(kind::HEADERS, flag::END_HEADERS, 1, &[0x80]);
    assert_eq!(breaks(&[bad]), code::COMPRESSION);
    // The table would be wrong for all that follow, so a stream that is over makes no difference.
    let bad = frame(kind::HEADERS, flag::END_HEADERS, 1, &[0x88, 0xff]);
    assert_eq!(breaks(&[reset(1, 0), bad]), code::COMPRESSION);
}

#[test]
fn what_does_not_speak_http2_is_found_out() {
    let mut session = Session::new(1, Arc::new([]));
    for first in
        [b"HTTP/1.1 400 Bad Request\r\n".to_vec(), data(1, b"", true), frame(kind::SETTINGS, flag::ACK, 0, b"")]
    {
        let (mut out, mut events) = (Vec::new(), Vec::new());
        session.begin(&mut Vec::new());
        let broken = session.feed(&first, &mut out, &mut events).unwrap_err();
        assert_eq!(broken, Broken { code: code::PROTOCOL, reason: "the peer does not begin as HTTP/2 does" });
    }
}
