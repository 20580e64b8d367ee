//! A peer that sends any bytes: nothing panics, each request ends once at most, and what is written stays in bounds.
//!
//! An input is eight bytes that say what we do, and what the peer sends: the size of the pieces that it comes in, and
//! what is done after a piece, one after the other and from the beginning again.

use std::sync::{Arc, LazyLock};

use load_gen::protocol::h2::{Broken, Event, Request, Session};

const PLACES: u32 = 4;
const PREFACE: usize = 24;

struct Prepared {
    request: Request,
    body: usize,
}

static REQUESTS: LazyLock<[Prepared; 4]> = LazyLock::new(|| {
    [("GET", "", 0), ("HEAD", "", 0), ("POST", "text/plain", 100_000), ("POST", "application/grpc", 10)].map(
        |(method, kind, body)| {
            let headers = [("content-type".to_owned(), kind.to_owned()), ("cookie".to_owned(), "a=b".to_owned())];
            let request = Request::new(method, "http", "h:1", "/a?b", &headers, vec![0; body]);
            Prepared { request, body }
        },
    )
});

/// A session, with account kept of it.
struct Desk {
    session: Session,
    out: Vec<u8>,
    /// What may have been written.
    bound: usize,
    open: [bool; PLACES as usize],
    begun: [bool; PLACES as usize],
    events: Vec<Event>,
}

impl Desk {
    fn new() -> Self {
        let wanted: Arc<[String]> = ["x-kept".to_owned(), "grpc-message".to_owned()].into();
        Self {
            session: Session::new(PLACES, wanted),
            out: Vec::new(),
            bound: 0,
            open: [false; PLACES as usize],
            begun: [false; PLACES as usize],
            events: Vec::new(),
        }
    }

    fn begin(&mut self) {
        self.out.clear();
        self.events.clear();
        self.bound = 200;
        self.open = [false; PLACES as usize];
        self.session.begin(&mut self.out);
    }

    fn open(&mut self, place: u32, prepared: &Prepared) {
        let may = self.session.can_open() && !self.open[place as usize];
        assert_eq!(self.session.open(place, &prepared.request, &mut self.out), may);
        if may {
            self.open[place as usize] = true;
            self.begun[place as usize] = false;
            // Its head, its body in frames of the usual size, and the reset that may follow.
            self.bound += 200 + prepared.body + 9 * (prepared.body / 16_384 + 2) + 13;
        }
    }

    fn cancel(&mut self, place: u32) {
        self.session.cancel(place, &mut self.out);
        self.bound += 13;
        self.open[place as usize] = false;
    }

    fn feed(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        let before = self.events.len();
        let done = self.session.feed(bytes, &mut self.out, &mut self.events);
        for event in &self.events[before..] {
            match *event {
                Event::FirstByte { place } => {
                    assert!(self.open[place as usize], "something comes of a request that is not under way");
                    assert!(!std::mem::replace(&mut self.begun[place as usize], true), "it begins twice");
                }
                Event::Ended { place, .. } => {
                    assert!(std::mem::take(&mut self.open[place as usize]), "it ends twice, or was never begun");
                }
            }
        }
        let under_way = self.open.iter().filter(|o| **o).count();
        assert_eq!(self.session.under_way() as usize, under_way);
        // Nothing is answered by more than twice its length, and may let each body go on by one frame more.
        self.bound += (2 + PLACES as usize) * bytes.len();
        assert!(self.out.len() <= self.bound + 17, "{} bytes were written", self.out.len());
        for place in 0..=PLACES {
            for wanted in 0..3 {
                assert!(self.session.value(place, wanted).len() < 512 << 10);
            }
        }
        if done.is_err() {
            assert!(self.session.closing() && !self.session.can_open());
        }
        done
    }

    /// Lives a connection's life; how it ended.
    fn live(&mut self, control: &[u8; 8], bytes: &[u8], in_bits: bool) -> Result<(), Broken> {
        let [size, actions @ ..] = control;
        self.begin();
        for (place, prepared) in (0..).zip(&*REQUESTS) {
            self.open(place, prepared);
        }
        let mut actions = actions.iter().cycle();
        for piece in bytes.chunks(1 + usize::from(*size)) {
            let cut = if in_bits { 1 } else { piece.len() };
            for bit in piece.chunks(cut) {
                if let Err(broken) = self.feed(bit) {
                    // It has said so, and says it again.
                    let written = self.out.len();
                    assert_eq!(self.feed(b"x"), Err(broken));
                    assert_eq!(self.out.len(), written);
                    return Err(broken);
                }
            }
            let action = actions.next().copied().unwrap_or_default();
            let place = u32::from(action) % PLACES;
            match action >> 2 & 3 {
                0 => {}
                1 => self.cancel(place),
                _ => self.open(place, &REQUESTS[usize::from(action >> 4 & 3)]),
            }
        }
        Ok(())
    }

    /// What was written is whole frames.
    fn check_frames(&self) {
        let mut rest = &self.out[PREFACE..];
        while let Some(([a, b, c, ..], after)) = rest.split_first_chunk::<9>() {
            let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
            rest = after.get(length..).expect("a frame is cut off");
        }
        assert!(rest.is_empty(), "half a head was written");
    }
}

pub(crate) fn check(data: &[u8]) {
    let Some((control, bytes)) = data.split_first_chunk() else { return };
    let mut desk = Desk::new();
    let end = desk.live(control, bytes, false);
    desk.check_frames();

    // In bits it means the same; what is written may be cut into frames in another way.
    let mut bits = Desk::new();
    assert_eq!(bits.live(control, bytes, true), end);
    assert_eq!(bits.events, desk.events);
    bits.check_frames();

    // On another socket nothing is left of the one before.
    let (out, events) = (desk.out.clone(), desk.events.clone());
    assert_eq!(desk.live(control, bytes, false), end);
    assert_eq!(desk.events, events);
    assert_eq!(desk.out, out);
}
