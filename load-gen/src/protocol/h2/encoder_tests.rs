//! The encoder against the examples of RFC 7541 Appendix C, and its table against the peer's.

use std::sync::Arc;

use super::*;
use crate::protocol::h2::decoder::Decoder;
use crate::protocol::h2::desk::hex;
use crate::protocol::h2::names::Names;

fn request(scheme: &str, path: &str, headers: &[(&str, &str)]) -> Request {
    let headers: Vec<_> = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    Request::new("GET", scheme, "www.example.com", path, &headers, Vec::new())
}

fn encoded(encoder: &mut Encoder, request: &Request) -> Vec<u8> {
    let mut out = b"before".to_vec();
    encoder.encode(request, &mut out);
    out.split_off(6)
}

#[test]
fn the_requests_of_the_rfc() {
    let mut encoder = Encoder::new();
    let first = request("http", "/", &[]);
    assert_eq!(encoded(&mut encoder, &first), hex("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff"));
    assert_eq!(encoder.table.size(), 57);
    let second = request("http", "/", &[("Cache-Control", "no-cache")]);
    assert_eq!(encoded(&mut encoder, &second), hex("8286 84be 5886 a8eb 1064 9cbf"));
    assert_eq!(encoder.table.size(), 110);
    let third = request("https", "/index.html", &[("custom-key", "custom-value")]);
    let block = hex("8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf");
    assert_eq!(encoded(&mut encoder, &third), block);
    assert_eq!(encoder.table.size(), 164);
}

#[test]
fn what_comes_again_is_a_byte_each() {
    let mut encoder = Encoder::new();
    let one = request("http", "/a", &[("x", "1"), ("user-agent", "meshtax")]);
    let other = request("http", "/b", &[("x", "2")]);
    encoded(&mut encoder, &one);
    encoded(&mut encoder, &other);
    for _ in 0..3 {
        assert_eq!(encoded(&mut encoder, &one), hex("8286 c3c2 c1c0"));
        assert_eq!(encoded(&mut encoder, &other), hex("8286 bfc2 be"));
    }
}

#[test]
fn what_is_secret_enters_no_table_and_is_marked() {
    let mut encoder = Encoder::new();
    let secret = request("http", "/", &[("authorization", "abc"), ("cookie", "a=b"), ("x", "1")]);
    for _ in 0..3 {
        let block = encoded(&mut encoder, &secret);
        // Names 23 and 32 of the static table.
        let marked = |number: u8| [0x1f, number - 15];
        assert!(block.windows(2).any(|w| w == marked(23)) && block.windows(2).any(|w| w == marked(32)), "{block:x?}");
    }
    assert_eq!(encoder.table.size(), 57 + 34);
}

/// What a peer with a table of its own reads of these blocks; names and values go into its table or it fails.
struct Peer {
    decoder: Decoder,
    names: Names,
}

impl Peer {
    fn new() -> Self {
        let wanted: Arc<[String]> = [":path".to_owned(), "x".to_owned()].into();
        Self { decoder: Decoder::new(), names: Names::new(wanted) }
    }

    fn read(&mut self, block: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        let read = self.decoder.decode(block, &self.names, |meaning, value| {
            if meaning.wanted().is_some() {
                found.push(String::from_utf8(value.to_vec()).unwrap());
            }
        });
        read.unwrap();
        found
    }
}

#[test]
fn more_requests_than_the_table_holds_leave_it_as_it_is() {
    let (mut encoder, mut peer) = (Encoder::new(), Peer::new());
    let long = "v".repeat(100);
    let all: Vec<Request> =
        (0..100).map(|i| request("http", &format!("/{i}"), &[("x", &format!("{long}{i}"))])).collect();
    for _ in 0..3 {
        for (i, request) in all.iter().enumerate() {
            let block = encoded(&mut encoder, request);
            assert_eq!(peer.read(&block), [format!("/{i}"), format!("{long}{i}")]);
        }
    }
    assert!(encoder.table.size() <= LARGEST && encoder.table.size() > LARGEST - 200);
}

#[test]
fn the_peer_may_make_the_table_smaller_and_is_told() {
    let (mut encoder, mut peer) = (Encoder::new(), Peer::new());
    let one = request("http", "/one", &[("x", "1")]);
    let check = |encoder: &mut Encoder, peer: &mut Peer, begins: &[u8]| {
        let block = encoded(encoder, &one);
        assert!(block.starts_with(begins), "{block:x?}");
        assert_eq!(peer.read(&block), ["/one", "1"]);
        // It is told once.
        let block = encoded(encoder, &one);
        assert_eq!(block[0], 0x82, "{block:x?}");
        assert_eq!(peer.read(&block), ["/one", "1"]);
    };
    check(&mut encoder, &mut peer, &[0x82]);
    encoder.set_limit(1 << 20);
    check(&mut encoder, &mut peer, &[0x82]);
    encoder.set_limit(100);
    check(&mut encoder, &mut peer, &hex("3f45 82"));
    assert!(encoder.table.size() <= 100);
    encoder.set_limit(0);
    check(&mut encoder, &mut peer, &hex("20 82"));
    assert_eq!(encoder.table.size(), 0);
    // Down and up again: both must be told, for the peer has dropped its entries.
    encoder.set_limit(200);
    check(&mut encoder, &mut peer, &hex("3fa901 82"));
    encoder.set_limit(10);
    encoder.set_limit(4096);
    check(&mut encoder, &mut peer, &hex("2a 3fe11f 82"));
}
