//! What the reader makes of responses: whole, in pieces of any size, and broken.

use record::HopStamps;

use super::*;
use crate::protocol::kept::{HOPS, SPLIT, names};

fn reader() -> Reader {
    Reader::new(Kept::new(names(None)))
}

/// Feeds pieces of so many bytes; the bytes taken of the whole, or the reason why not.
fn read(reader: &mut Reader, bytes: &[u8], piece: usize) -> Result<Option<usize>, Malformed> {
    let mut taken = 0;
    for part in bytes.chunks(piece) {
        match reader.feed(part)? {
            Progress::More => taken += part.len(),
            Progress::Whole { used } => return Ok(Some(taken + used)),
        }
    }
    Ok(None)
}

const WHOLE: &[(&str, u16, bool)] = &[
    ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n", 200, true),
    ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 200, true),
    ("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", 204, true),
    ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, true),
    ("HTTP/1.1 503 x\r\nConnection: Close\r\nContent-Length: 1\r\n\r\nx", 503, false),
    ("HTTP/1.1 200 OK\r\nConnection: upgrade, close\r\nContent-Length: 1\r\n\r\nx", 200, false),
    ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, false),
    ("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx", 200, true),
    (
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        200,
        true,
    ),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 200, true),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\nA;name=\"v\"\r\n0123456789\r\n00\r\nX-T: 1\r\nY: 2\r\n\r\n",
        200,
        true,
    ),
    ("HTTP/1.1 200 OK\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n1 \r\n\n\r\n0\r\n\r\n", 200, true),
    ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", 200, true),
];

#[test]
fn a_response_ends_where_it_ends_in_pieces_of_any_size() {
    for (text, status, keep_alive) in WHOLE {
        // What follows belongs to nobody and must not be taken.
        let bytes = format!("{text}HTTP/1.1 ");
        for piece in 1..=bytes.len() {
            let mut reader = reader();
            let end = read(&mut reader, bytes.as_bytes(), piece).unwrap();
            assert_eq!(end, Some(text.len()), "{text:?} in pieces of {piece}");
            assert_eq!((reader.status(), reader.keep_alive()), (*status, *keep_alive), "{text:?}");
        }
    }
}

#[test]
fn what_follows_a_response_is_not_counted_with_it() {
    for (text, ..) in WHOLE {
        let bytes = format!("{text}HTTP/1.1 ");
        for piece in 1..=bytes.len() {
            let mut reader = reader();
            read(&mut reader, bytes.as_bytes(), piece).unwrap();
            assert_eq!(reader.length(), text.len() as u64, "{text:?} in pieces of {piece}");
        }
    }
}

#[test]
fn one_reader_reads_one_response_after_another() {
    let mut reader = reader();
    for (text, status, _) in WHOLE.iter().chain(WHOLE) {
        reader.begin(false);
        assert_eq!(read(&mut reader, text.as_bytes(), 7).unwrap(), Some(text.len()), "{text:?}");
        assert_eq!(reader.status(), *status);
    }
}

#[test]
fn a_head_request_is_answered_by_a_head() {
    let mut reader = reader();
    reader.begin(true);
    let text = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n";
    assert_eq!(reader.feed(text), Ok(Progress::Whole { used: text.len() }));
    assert!(reader.keep_alive());
}

#[test]
fn without_a_length_the_close_is_the_end() {
    for text in ["HTTP/1.1 200 OK\r\n\r\nabc", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc"] {
        let mut reader = reader();
        assert_eq!(reader.feed(text.as_bytes()), Ok(Progress::More));
        assert!(reader.ends_with_close() && !reader.keep_alive());
    }
    let mut reader = reader();
    assert_eq!(reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), Ok(Progress::More));
    assert!(!reader.ends_with_close());
    reader.begin(false);
    assert_eq!(reader.feed(b"HTTP/1.1 200 OK\r\n"), Ok(Progress::More));
    assert!(!reader.ends_with_close());
}

#[test]
fn what_is_no_response_is_refused_in_pieces_of_any_size() {
    for text in [
        "HTTP/2 200 OK\r\n\r\n",
        "SSH-2.0-OpenSSH\r\n",
        "HTTP/1.1 101 Switching\r\n\r\n",
        "HTTP/1.1 099 x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3z\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1234567890abcdef\r\n",
    ] {
        for piece in 1..=text.len() {
            let got = read(&mut reader(), text.as_bytes(), piece);
            assert!(got.is_err(), "{text:?} in pieces of {piece}: {got:?}");
        }
    }
}

#[test]
fn heads_and_trailers_are_bounded() {
    let many = format!("HTTP/1.1 200 OK\r\n{}", "a: b\r\n".repeat(MOST_HEADERS + 1));
    assert_eq!(reader().feed(many.as_bytes()), Err(Malformed("there are too many headers")));
    let long = format!("HTTP/1.1 200 OK\r\na: {}", "b".repeat(2 * LARGEST_HEAD));
    for piece in [1000, long.len()] {
        let got = read(&mut reader(), long.as_bytes(), piece);
        assert_eq!(got, Err(Malformed("the head is too large")));
    }
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let trailer = format!("{head}0\r\na: {}", "b".repeat(2 * LARGEST_HEAD));
    let extension = format!("{head}1;{}", "b".repeat(2 * LARGEST_HEAD));
    for text in [trailer, extension] {
        assert!(read(&mut reader(), text.as_bytes(), 4096).is_err());
    }
}

#[test]
fn the_stamps_of_the_hops_are_kept_and_forgotten_with_the_response() {
    let text = b"HTTP/1.1 200 OK\r\nX-Meshtax-Hops: s1;1;2\r\nContent-Length: 1\r\nx-meshtax-hops: s2;2;3\r\n\r\nx";
    for piece in [1, 10, text.len()] {
        let mut reader = reader();
        read(&mut reader, text, piece).unwrap();
        let hops = HopStamps::from_header(std::str::from_utf8(reader.kept().value(HOPS)).unwrap());
        assert_eq!(hops.iter().map(|h| h.service.as_str()).collect::<Vec<_>>(), ["s1", "s2"]);
        reader.begin(false);
        assert_eq!(reader.kept().value(HOPS), b"");
    }
}

#[test]
fn the_request_is_what_servers_expect() {
    let get = |headers: &[(&str, &str)], keep_alive| {
        let headers: Vec<(String, String)> = headers.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect();
        String::from_utf8(request("GET", "/a?b", "h:1", &headers, keep_alive, b"")).unwrap()
    };
    let text = get(&[], true);
    assert!(text.starts_with("GET /a?b HTTP/1.1\r\nHost: h:1\r\nUser-Agent: meshtax/"), "{text}");
    assert!(text.ends_with("\r\nAccept: */*\r\n\r\n"), "{text}");
    let text = get(&[("host", "other"), ("X-A", "1")], false);
    assert!(
        !text.contains("Host: ") && text.contains("\r\nConnection: close\r\nhost: other\r\nX-A: 1\r\n\r\n"),
        "{text}"
    );
    let post = String::from_utf8(request("POST", "/", "h", &[], true, b"abc")).unwrap();
    assert!(post.contains("\r\nContent-Length: 3\r\n") && post.ends_with("\r\n\r\nabc"), "{post}");
    let empty = String::from_utf8(request("POST", "/", "h", &[], true, b"")).unwrap();
    assert!(empty.contains("\r\nContent-Length: 0\r\n"), "{empty}");
}

#[test]
fn the_values_of_a_malformed_head_are_not_those_of_the_next_known_one() {
    let mut r = Reader::new(Kept::new(names(Some("x-pod"))));
    let known = b"HTTP/1.1 200 OK\r\nX-Pod: a\r\nContent-Length: 0\r\n\r\n";
    for bytes in [&known[..], b"HTTP/1.1 200 OK\r\nX-Pod: b\r\nContent-Length: x\r\n\r\n", known] {
        r.begin(false);
        let _ = r.feed(bytes);
    }
    assert_eq!(r.kept().value(SPLIT), b"a");
}
