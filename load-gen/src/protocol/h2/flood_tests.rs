//! Peers that keep the session busy with frames that serve no request.

use super::desk::*;
use super::frame::{LONGEST, code, flag, kind};
use super::inbound::MOST_NOISE;

const CALM: u32 = code::ENHANCE_YOUR_CALM;
const OK: &[(&str, &str)] = &[(":status", "200")];

/// How many of these frames are taken before the peer is told to calm down.
fn taken(before: &[u8], frame: &[u8]) -> u32 {
    let mut desk = Desk::new(2, &[]);
    desk.open(0, &get());
    desk.open(1, &get());
    desk.feed(before).unwrap();
    for count in 0..2 * MOST_NOISE {
        if let Err(broken) = desk.feed(frame) {
            assert_eq!(broken.code, CALM, "{broken:?}");
            return count;
        }
    }
    panic!("it was never told");
}

#[test]
fn floods_are_stopped() {
    for (name, before, frame) in [
        ("pings", vec![], frame(kind::PING, 0, 0, b"12345678")),
        ("settings", vec![], settings(&[])),
        ("acknowledgements", vec![], frame(kind::SETTINGS, flag::ACK, 0, b"")),
        ("resets", reset(1, 0), reset(1, 0)),
        ("bodies of nothing", head(1, OK, false), data(1, b"", false)),
        ("bodies of padding", head(1, OK, false), frame(kind::DATA, flag::PADDED, 1, b"\x01\0")),
        ("bodies that nobody waits for", reset(1, 0), data(1, b"x", false)),
        ("heads that nobody waits for", reset(1, 0), head(1, OK, false)),
        ("heads that only inform", vec![], head(1, &[(":status", "103")], false)),
        ("goodbyes", vec![], goaway(99, 0)),
        ("priorities", vec![], frame(kind::PRIORITY, 0, 1, b"12345")),
        ("frames of no known kind", vec![], frame(0xee, 0, 0, b"")),
        ("headers without end", frame(kind::HEADERS, 0, 1, b""), frame(kind::CONTINUATION, 0, 1, b"")),
    ] {
        let count = taken(&before, &frame);
        assert!((MOST_NOISE - 4..=MOST_NOISE).contains(&count), "{name}: {count}");
    }
}

#[test]
fn headers_are_bounded() {
    let begin = frame(kind::HEADERS, 0, 1, &vec![0; LONGEST]);
    assert_eq!(taken(&begin, &frame(kind::CONTINUATION, 0, 1, &vec![0; LONGEST])), 3);
}

#[test]
fn what_serves_requests_is_no_flood() {
    let mut desk = Desk::new(1, &[]);
    let ping = frame(kind::PING, 0, 0, b"12345678");
    for round in 0..3 * MOST_NOISE {
        assert!(desk.open(0, &get()));
        let id = 2 * round + 1;
        // Some servers ping with every answer, and some say with each that they need no more of the request.
        desk.feed(&[ping.clone(), head(id, OK, true), reset(id, 0)].concat()).unwrap();
        assert_eq!(desk.happened(), [first(0), answered(0, 200, 0)]);
    }
    desk.happened();
    assert!(desk.open(0, &get()));
    let id = 6 * MOST_NOISE + 1;
    desk.feed(&head(id, OK, false)).unwrap();
    for _ in 0..3 * MOST_NOISE {
        desk.feed(&[ping.clone(), data(id, b"x", false)].concat()).unwrap();
    }
}

#[test]
fn late_answers_to_requests_that_were_given_up_are_no_flood() {
    let mut desk = Desk::new(1, &[]);
    for round in 0..MOST_NOISE {
        assert!(desk.open(0, &get()));
        desk.cancel(0);
        let id = 2 * round + 1;
        desk.feed(&[head(id, OK, false), data(id, b"x", true)].concat()).unwrap();
    }
    assert_eq!(desk.happened(), []);
}
