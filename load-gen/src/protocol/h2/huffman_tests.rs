//! The code against the strings of RFC 7541 Appendix C, against itself, and against what is no code.

use super::*;
use crate::protocol::h2::desk::hex;

fn decoded(input: &[u8]) -> Result<Vec<u8>, BadCode> {
    let mut out = b"what was there".to_vec();
    decode(input, &mut out).map(|()| out)
}

fn encoded(input: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode(input, &mut out);
    assert_eq!(out.len(), encoded_length(input));
    out
}

#[test]
fn the_strings_of_the_rfc() {
    for (text, code) in [
        ("www.example.com", "f1e3c2e5f23a6ba0ab90f4ff"),
        ("no-cache", "a8eb10649cbf"),
        ("custom-key", "25a849e95ba97d7f"),
        ("custom-value", "25a849e95bb8e8b4bf"),
        ("302", "6402"),
        ("private", "aec3771a4b"),
        ("Mon, 21 Oct 2013 20:13:21 GMT", "d07abe941054d444a8200595040b8166e082a62d1bff"),
        ("https://www.example.com", "9d29ad171863c78f0b97c8e9ae82ae43d3"),
        ("", ""),
    ] {
        assert_eq!(encoded(text.as_bytes()), hex(code), "{text}");
        assert_eq!(decoded(&hex(code)).unwrap(), text.as_bytes());
    }
}

#[test]
fn every_byte_comes_back_alone_and_beside_every_other() {
    for first in 0..=255u8 {
        assert_eq!(decoded(&encoded(&[first])).unwrap(), [first]);
        for second in 0..=255u8 {
            let pair = [first, second, first];
            assert_eq!(decoded(&encoded(&pair)).unwrap(), pair);
        }
    }
    let all: Vec<u8> = (0..=255).chain((0..=255).rev()).collect();
    assert_eq!(decoded(&encoded(&all)).unwrap(), all);
}

#[test]
fn the_code_is_full() {
    let filled: u64 = LENGTHS.iter().map(|l| 1u64 << (30 - l)).sum();
    assert_eq!(filled, 1 << 30, "every sequence of bits is some code, and none begins another");
}

#[test]
fn padding_is_less_than_a_byte_of_ones() {
    // "0" is 00000, then three bits of padding.
    assert_eq!(decoded(&[0b0000_0111]).unwrap(), b"0");
    assert_eq!(decoded(&[0b0000_0110]), Err(BadCode));
    assert_eq!(decoded(&[0b0000_0011]), Err(BadCode));
    assert_eq!(decoded(&[0b0000_0111, 0xff]), Err(BadCode), "a byte of padding");
    assert_eq!(decoded(&[0xff]), Err(BadCode));
    assert_eq!(
        decoded(&hex("f1e3c2e5f23a6ba0ab90f4")),
        decoded(&hex("f1e3c2e5f23a6ba0ab90f4ff"))
            .map(|mut t| {
                t.pop();
                t
            })
            .and(Err(BadCode))
    );
}

#[test]
fn the_end_of_the_string_is_never_written() {
    assert_eq!(decoded(&[0xff, 0xff, 0xff, 0xff]), Err(BadCode));
    assert_eq!(decoded(&[0xff, 0xff, 0xff, 0xfc]), Err(BadCode));
    // After "0": 00000, then thirty ones.
    assert_eq!(decoded(&[0x07, 0xff, 0xff, 0xff, 0xff]), Err(BadCode));
}
