//! Responses of any bytes: a reader must make the same of them in pieces of any size, and whatever it read before.
//!
//! An input is four bytes that say how to read, and what is read: flags, the size of the pieces, and the place and the
//! value of a byte that is another in a second response.

use load_gen::protocol::Kept;
use load_gen::protocol::h1::{Progress, Reader};
use load_gen::protocol::kept::{ATTEMPTS, HOPS, OVERLOADED, SPLIT, names};

/// What was made of some bytes.
#[derive(Debug, PartialEq, Eq)]
enum Made {
    Malformed,
    /// It goes on. The rest is of the last head, if there was one.
    More(Option<Seen>),
    Whole {
        length: usize,
        seen: Seen,
    },
}

/// What a reader shows.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    status: u16,
    keep_alive: bool,
    ends_with_close: bool,
    kept: [Vec<u8>; 4],
}

fn reader() -> Reader {
    Reader::new(Kept::new(names(Some("x-pod"))))
}

fn seen(reader: &Reader) -> Seen {
    Seen {
        status: reader.status(),
        keep_alive: reader.keep_alive(),
        ends_with_close: reader.ends_with_close(),
        kept: [HOPS, ATTEMPTS, OVERLOADED, SPLIT].map(|place| reader.kept().value(place).to_vec()),
    }
}

/// Reads a response in pieces of this size.
fn read(reader: &mut Reader, head: bool, bytes: &[u8], size: usize) -> Made {
    reader.begin(head);
    let mut taken = 0;
    for piece in bytes.chunks(size.max(1)) {
        match reader.feed(piece) {
            Err(_) => return Made::Malformed,
            Ok(Progress::More) => taken += piece.len(),
            Ok(Progress::Whole { used }) => {
                assert!(used <= piece.len(), "{used} of {} bytes were taken", piece.len());
                assert_eq!(reader.length(), (taken + used) as u64, "another's bytes are counted");
                let whole = Made::Whole { length: taken + used, seen: seen(reader) };
                // It stays whole, and takes nothing of what belongs to the next.
                assert_eq!(reader.feed(&piece[used..]), Ok(Progress::Whole { used: 0 }));
                assert_eq!(reader.feed(bytes), Ok(Progress::Whole { used: 0 }));
                return whole;
            }
        }
    }
    assert_eq!(reader.length(), bytes.len() as u64);
    // Of a reader that has read before, the status is the last one's until the next head is there. One that may end
    // with the close has a head.
    Made::More(reader.ends_with_close().then(|| seen(reader)))
}

pub(crate) fn check(data: &[u8]) {
    let Some((&[flags, size, place, value], bytes)) = data.split_first_chunk() else { return };
    let head = flags & 1 != 0;
    let fresh = |head, bytes: &[u8]| read(&mut reader(), head, bytes, bytes.len());
    let made = fresh(head, bytes);

    let sizes = [1, usize::from(size), bytes.len() / 2, bytes.len().saturating_sub(1)];
    for size in sizes {
        assert_eq!(read(&mut reader(), head, bytes, size), made, "in pieces of {size}");
    }

    // One reader for one after the other, some of which have the head that the last one had, or nearly so.
    let mut changed = bytes.to_vec();
    if let Some(byte) = changed.get_mut(usize::from(place) * (1 + usize::from(flags >> 4))) {
        *byte = value;
    }
    let mut reader = reader();
    let mut again = |head, bytes: &[u8], size| {
        let now = read(&mut reader, head, bytes, size);
        assert_eq!(now, fresh(head, bytes), "after others, in pieces of {size}");
    };
    let whole = bytes.len();
    again(head, bytes, whole);
    again(head, bytes, whole);
    again(head, &changed, whole);
    again(head, bytes, whole);
    again(!head, bytes, whole);
    again(head, bytes, usize::from(size));
    again(head, &changed, usize::from(size));
    again(head, bytes, whole);
    // Given up in the middle.
    again(head, &bytes[..whole / 2], whole);
    again(head, bytes, whole);
    // What follows is the next response.
    if let Made::Whole { length, .. } = made {
        again(head, &bytes[length..], whole);
        again(head, bytes, whole);
    }
}
