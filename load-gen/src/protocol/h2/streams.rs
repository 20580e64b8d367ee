//! The streams under way: by place, and by number.

use std::sync::Arc;

use super::answer::Answer;
use super::frame::MOST;

/// One request under way.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// 0: none.
    pub(super) id: u32,
    /// What the peer takes of the body; a change of its settings may make it negative.
    pub(super) window: i64,
    /// What has come since the peer was last given more window.
    pub(super) received: u32,
    /// The body, if some of it is unsent, and how much is sent.
    pub(super) body: Option<Arc<[u8]>>,
    pub(super) sent: usize,
    /// Whether it stands in the queue of those that wait for window.
    pub(super) queued: bool,
    pub(super) bodiless: bool,
    pub(super) answer: Answer,
}

/// What the number of a stream stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It is under way in this place.
    Open(u32),
    /// It is over, or was never used and never will be.
    Closed,
    /// It was not begun, or is none of ours.
    Idle,
}

/// All streams of a connection.
///
/// A number is looked up without a hash: `ring` says for its last bits which place it would be in. Two that are under
/// way never share these bits, because a new stream passes over the numbers that are taken.
#[derive(Debug)]
pub(super) struct Streams {
    places: Vec<Stream>,
    ring: Vec<u32>,
    /// The number that the next stream has at least.
    next: u32,
    open: u32,
}

impl Streams {
    pub(super) fn new(places: u32) -> Self {
        let ring = (places as usize * 2).next_power_of_two();
        Self {
            places: (0..places).map(|_| Stream::default()).collect(),
            // More than twice what can be taken, so that there is always a free one near.
            ring: vec![0; ring],
            next: 1,
            open: 0,
        }
    }

    /// As new, with the memory kept.
    pub(super) fn clear(&mut self) {
        self.places.iter_mut().for_each(|s| *s = Stream::default());
        (self.next, self.open) = (1, 0);
    }

    /// Streams under way.
    #[inline]
    pub(super) fn open(&self) -> u32 {
        self.open
    }

    pub(super) fn places(&self) -> u32 {
        self.places.len() as u32
    }

    /// Whether the numbers are used up.
    #[inline]
    pub(super) fn used_up(&self) -> bool {
        // So many may have to be passed over.
        self.next > MOST - 2 * self.ring.len() as u32
    }

    /// Begins a stream in this place, which must be free.
    #[inline]
    pub(super) fn begin(&mut self, place: u32, window: i64, bodiless: bool) -> Option<&mut Stream> {
        if self.used_up() || self.places.get(place as usize)?.id != 0 {
            return None;
        }
        let mut at = self.slot(self.next);
        while self.is_taken(at) {
            self.next += 2;
            at = self.slot(self.next);
        }
        self.ring[at] = place;
        let stream = &mut self.places[place as usize];
        let queued = stream.queued;
        *stream = Stream { id: self.next, window, queued, bodiless, ..Stream::default() };
        self.next += 2;
        self.open += 1;
        Some(stream)
    }

    /// The stream in this place is over.
    #[inline]
    pub(super) fn close(&mut self, place: u32) {
        let stream = &mut self.places[place as usize];
        if stream.id != 0 {
            stream.id = 0;
            stream.body = None;
            self.open -= 1;
        }
    }

    /// What this number stands for.
    #[inline]
    pub(super) fn find(&self, id: u32) -> Found {
        if id >= self.next || id.is_multiple_of(2) {
            return Found::Idle;
        }
        let place = self.ring[self.slot(id)];
        match self.places.get(place as usize) {
            Some(stream) if stream.id == id => Found::Open(place),
            _ => Found::Closed,
        }
    }

    /// The stream in this place.
    #[inline]
    pub(super) fn at(&mut self, place: u32) -> &mut Stream {
        &mut self.places[place as usize]
    }

    /// All that are under way, with their places.
    pub(super) fn each(&mut self) -> impl Iterator<Item = (u32, &mut Stream)> {
        (0u32..).zip(&mut self.places).filter(|(_, s)| s.id != 0)
    }

    #[cfg(test)]
    pub(super) fn skip_to(&mut self, id: u32) {
        self.next = id;
    }

    #[inline]
    fn slot(&self, id: u32) -> usize {
        (id >> 1) as usize & (self.ring.len() - 1)
    }

    #[inline]
    fn is_taken(&self, slot: usize) -> bool {
        let place = self.ring[slot];
        self.places.get(place as usize).is_some_and(|s| s.id != 0 && self.slot(s.id) == slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_lasts_is_passed_over_and_found() {
        let mut streams = Streams::new(2);
        let first = streams.begin(0, 0, false).unwrap().id;
        let mut last = 0;
        for _ in 0..20 {
            let id = streams.begin(1, 0, false).unwrap().id;
            assert!(id > last && id % 2 == 1, "{id} after {last}");
            assert_eq!((streams.find(first), streams.find(id)), (Found::Open(0), Found::Open(1)));
            streams.close(1);
            assert_eq!((streams.find(id), streams.find(id + 2)), (Found::Closed, Found::Idle));
            last = id;
        }
        assert_eq!(streams.open(), 1);
    }

    #[test]
    fn a_place_holds_one_stream_and_the_numbers_end() {
        let mut streams = Streams::new(1);
        assert!(streams.begin(0, 0, false).is_some());
        assert!(streams.begin(0, 0, false).is_none());
        assert!(streams.begin(1, 0, false).is_none());
        streams.close(0);
        streams.skip_to(MOST - 2);
        assert!(streams.used_up() && streams.begin(0, 0, false).is_none());
    }
}
