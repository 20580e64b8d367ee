//! What was sent in each direction of each connection, put together from its segments.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddrV4;

use super::frame::Segment;

/// What it takes to keep a segment and a stream besides the payload, in bytes; counted against the bound, so that
/// many small ones cannot fill the memory either.
const SEGMENT_COST: usize = 64;
const STREAM_COST: usize = 512;

/// The payload sent in one direction of a TCP connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Who sent it.
    pub source: SocketAddrV4,
    /// To whom.
    pub destination: SocketAddrV4,
    /// What was sent, cut where something is missing.
    pieces: Vec<Vec<u8>>,
}

impl Stream {
    /// All that was kept, in the order in which it was sent; what was sent twice is in it once.
    pub fn payload(&self) -> Vec<u8> {
        self.pieces.concat()
    }

    /// How often something is missing between two parts of it.
    pub fn gaps(&self) -> usize {
        self.pieces.len().saturating_sub(1)
    }

    /// Whether a marker is in it, however it was cut into segments. One that was sent over a gap is not found.
    pub fn contains(&self, marker: &[u8]) -> bool {
        self.pieces.iter().any(|piece| memchr::memmem::find(piece, marker).is_some())
    }
}

/// The streams of a capture while it goes on.
#[derive(Debug)]
pub(super) struct Streams {
    kept: Vec<Parts>,
    /// Where the stream of a connection that goes on is.
    open: HashMap<(SocketAddrV4, SocketAddrV4), usize>,
    /// Bytes that may still be kept.
    room: usize,
    not_kept_bytes: u64,
}

/// The segments of a stream.
#[derive(Debug)]
struct Parts {
    source: SocketAddrV4,
    destination: SocketAddrV4,
    /// The last segment's place and its sequence number, from which the next one's place is counted.
    last: (i64, u32),
    /// By their places: sequence numbers that do not wrap.
    segments: BTreeMap<i64, Vec<u8>>,
}

impl Streams {
    pub(super) fn new(room: usize) -> Self {
        Self { kept: Vec::new(), open: HashMap::new(), room, not_kept_bytes: 0 }
    }

    pub(super) fn take(&mut self, segment: &Segment<'_>) {
        let key = (segment.source, segment.destination);
        if segment.begins {
            // The port's former connection, if there was one, is over.
            self.open.remove(&key);
        }
        if segment.payload.is_empty() {
            return;
        }
        let known = self.open.get(&key).copied();
        let cost = segment.payload.len() + SEGMENT_COST + if known.is_none() { STREAM_COST } else { 0 };
        if cost > self.room {
            self.not_kept_bytes += segment.payload.len() as u64;
            return;
        }
        self.room -= cost;
        let index = known.unwrap_or(self.kept.len());
        if known.is_none() {
            self.open.insert(key, index);
            self.kept.push(Parts {
                source: segment.source,
                destination: segment.destination,
                last: (0, segment.sequence),
                segments: BTreeMap::new(),
            });
        }
        if let Some(parts) = self.kept.get_mut(index) {
            parts.add(segment);
        }
    }

    /// The streams, and how many bytes of payload were not kept.
    pub(super) fn done(self) -> (Vec<Stream>, u64) {
        (self.kept.into_iter().map(Parts::joined).collect(), self.not_kept_bytes)
    }
}

impl Parts {
    fn add(&mut self, segment: &Segment<'_>) {
        let (place, sequence) = self.last;
        // Forward or backward, whichever is nearer: what modular numbers mean.
        let step = segment.sequence.wrapping_sub(sequence).cast_signed();
        self.last = (place + i64::from(step), segment.sequence);
        let kept = self.segments.entry(self.last.0).or_default();
        if kept.len() < segment.payload.len() {
            *kept = segment.payload.to_vec();
        }
    }

    fn joined(self) -> Stream {
        let mut pieces: Vec<Vec<u8>> = Vec::new();
        let mut end = None;
        for (place, payload) in self.segments {
            let after = place + payload.len() as i64;
            match (end, pieces.last_mut()) {
                (Some(end), Some(piece)) if place <= end => {
                    // What lies before the end was sent again.
                    let again = usize::try_from(end - place).unwrap_or(usize::MAX);
                    piece.extend(payload.get(again..).unwrap_or_default());
                }
                _ => pieces.push(payload),
            }
            end = end.max(Some(after));
        }
        Stream { source: self.source, destination: self.destination, pieces }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYN: bool = true;

    fn seen(room: usize, segments: &[(u16, u32, bool, &str)]) -> (Vec<Stream>, u64) {
        let mut streams = Streams::new(room);
        for (port, sequence, begins, payload) in segments {
            streams.take(&Segment {
                source: format!("10.77.0.1:{port}").parse().unwrap(),
                destination: "10.77.0.2:80".parse().unwrap(),
                sequence: *sequence,
                begins: *begins,
                payload: payload.as_bytes(),
            });
        }
        streams.done()
    }

    fn text(stream: &Stream) -> Vec<String> {
        stream.pieces.iter().map(|p| String::from_utf8(p.clone()).unwrap()).collect()
    }

    #[test]
    fn segments_make_a_stream_in_whatever_order_and_however_often_they_come() {
        let (streams, _) = seen(
            1 << 20,
            &[
                (1, 9, SYN, ""),
                (1, 10, false, "one "),
                (2, 70, false, "other"),
                (1, 18, false, "three"),
                (1, 14, false, "two "),
                (1, 14, false, "two thr"),
                (1, 10, false, "one "),
                (1, 23, false, ""),
            ],
        );
        assert_eq!(streams.iter().map(text).collect::<Vec<_>>(), [["one two three"], ["other"]]);
        assert!(streams[0].contains(b"ne two th") && !streams[0].contains(b"other") && !streams[1].contains(b"one"));
        assert_eq!((streams[0].source.port(), streams[0].payload()), (1, b"one two three".to_vec()));
    }

    #[test]
    fn sequence_numbers_wrap() {
        let (streams, _) =
            seen(1 << 20, &[(1, u32::MAX - 1, false, "abcd"), (1, 2, false, "ef"), (1, u32::MAX, false, "bc")]);
        assert_eq!(text(&streams[0]), ["abcdef"]);
    }

    #[test]
    fn a_gap_is_no_neighbourhood() {
        let (streams, _) = seen(1 << 20, &[(1, 10, false, "mar"), (1, 14, false, "ker")]);
        assert_eq!((text(&streams[0]), streams[0].gaps()), (vec!["mar".to_owned(), "ker".to_owned()], 1));
        assert!(!streams[0].contains(b"marker") && streams[0].contains(b"ker"));
    }

    #[test]
    fn a_port_that_is_used_again_begins_another_stream() {
        let (streams, _) = seen(1 << 20, &[(1, 10, false, "mar"), (1, 500, SYN, ""), (1, 13, false, "ker")]);
        assert_eq!(streams.iter().map(text).collect::<Vec<_>>(), [["mar"], ["ker"]]);
    }

    #[test]
    fn beyond_the_bound_payload_is_counted_and_not_kept() {
        let room = STREAM_COST + 2 * SEGMENT_COST + 6;
        let (streams, not_kept) =
            seen(room, &[(1, 1, false, "abc"), (1, 4, false, "def"), (1, 7, false, "ghi"), (2, 1, false, "x")]);
        assert_eq!((streams.iter().map(text).collect::<Vec<_>>(), not_kept), (vec![vec!["abcdef".to_owned()]], 4));
    }
}
