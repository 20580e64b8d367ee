//! A frame, as far as it is a TCP segment over IPv4.

use std::net::{Ipv4Addr, SocketAddrV4};

/// A TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment<'a> {
    pub(super) source: SocketAddrV4,
    pub(super) destination: SocketAddrV4,
    /// The sequence number of the first byte, or of the SYN.
    pub(super) sequence: u32,
    /// Whether it begins a connection.
    pub(super) begins: bool,
    pub(super) payload: &'a [u8],
}

/// The bytes of an Ethernet header without a VLAN, which these links have none of.
const ETHERNET: usize = 14;

/// The segment in a frame; none when it holds something else, or a fragment of one.
pub(super) fn segment(frame: &[u8]) -> Option<Segment<'_>> {
    const IPV4: u16 = 0x0800;
    const TCP: u8 = 6;
    if word(frame, 12)? != IPV4 {
        return None;
    }
    let packet = frame.get(ETHERNET..)?;
    let first = *packet.first()?;
    let (version, header) = (first >> 4, usize::from(first & 0x0f) * 4);
    let fragment_offset = word(packet, 6)? & 0x1fff;
    if version != 4 || *packet.get(9)? != TCP || fragment_offset != 0 {
        return None;
    }
    // A packet of more than 64 KiB says 0 for its length; then it is as long as its frame.
    let packet = match usize::from(word(packet, 2)?) {
        0 => packet,
        length => packet.get(..length)?,
    };
    let tcp = packet.get(header..)?;
    let flags = *tcp.get(13)?;
    let payload = tcp.get(usize::from(*tcp.get(12)? >> 4) * 4..)?;
    Some(Segment {
        source: SocketAddrV4::new(address(packet, 12)?, word(tcp, 0)?),
        destination: SocketAddrV4::new(address(packet, 16)?, word(tcp, 2)?),
        sequence: u32::from_be_bytes(bytes(tcp, 4)?),
        begins: flags & 0x02 != 0,
        payload,
    })
}

fn bytes<const N: usize>(text: &[u8], at: usize) -> Option<[u8; N]> {
    text.get(at..at + N)?.try_into().ok()
}

fn word(text: &[u8], at: usize) -> Option<u16> {
    bytes(text, at).map(u16::from_be_bytes)
}

fn address(packet: &[u8], at: usize) -> Option<Ipv4Addr> {
    bytes::<4>(packet, at).map(Ipv4Addr::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame with a TCP header of 32 bytes (options) and "hello", followed by two bytes of padding.
    fn frame() -> Vec<u8> {
        let mut frame = vec![0xff; 12];
        frame.extend([0x08, 0x00]);
        frame.extend([0x45, 0, 0, 20 + 32 + 5, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 77, 0, 1, 10, 77, 0, 2]);
        frame.extend([0x9c, 0x40, 0x1f, 0x90, 0xde, 0xad, 0xbe, 0xef, 0, 0, 0, 0, 0x80, 0x18, 0, 0, 0, 0, 0, 0]);
        frame.extend([1; 12]);
        frame.extend(b"hello\0\0");
        frame
    }

    #[test]
    fn a_segment_is_read_with_its_options_and_without_its_padding() {
        let frame = frame();
        let read = segment(&frame).unwrap();
        assert_eq!(read.source, "10.77.0.1:40000".parse().unwrap());
        assert_eq!(read.destination, "10.77.0.2:8080".parse().unwrap());
        assert_eq!((read.sequence, read.begins, read.payload), (0xdead_beef, false, &b"hello"[..]));
        let mut syn = frame.clone();
        syn[14 + 20 + 13] = 0x02;
        assert!(segment(&syn).unwrap().begins);
    }

    #[test]
    fn what_is_no_whole_segment_is_none() {
        let whole = frame();
        for length in 0..whole.len() - 2 {
            assert_eq!(segment(&whole[..length]), None, "{length} bytes");
        }
        for (at, value, what) in [(12, 0x86, "IPv6"), (23, 17, "UDP"), (14, 0x65, "version 6"), (21, 1, "a fragment")] {
            let mut other = whole.clone();
            other[at] = value;
            assert_eq!(segment(&other), None, "{what}");
        }
    }
}
