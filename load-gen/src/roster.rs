//! Where every connection stands: free, busy, connecting or resting, each in the order it came there.

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Open, and without a request.
    Free,
    /// Its request is on the way.
    Busy,
    /// Being opened.
    Connecting,
    /// Closed, until it is time to try again.
    Resting,
}

const PLACES: usize = 4;
const NOBODY: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Node {
    place: Place,
    since_ns: u64,
    before: u32,
    after: u32,
}

#[derive(Clone, Copy, Debug)]
struct Queue {
    first: u32,
    last: u32,
    length: u32,
}

/// Four queues through which connections move. Every timeout of a place is the same length, so that the
/// first of a queue is the first to run out, and nothing has to be searched or sorted. The free connection
/// taken is the one that rested longest: all are used in turn, and a mesh's pools evenly with them.
#[derive(Debug)]
pub(crate) struct Roster {
    nodes: Vec<Node>,
    queues: [Queue; PLACES],
}

impl Roster {
    /// So many connections, all resting.
    pub(crate) fn new(connections: u32) -> Self {
        let nobody = Queue { first: NOBODY, last: NOBODY, length: 0 };
        let alone = Node { place: Place::Resting, since_ns: 0, before: NOBODY, after: NOBODY };
        let mut roster = Self { nodes: vec![alone; connections as usize], queues: [nobody; PLACES] };
        (0..connections).for_each(|slot| roster.append(slot));
        roster
    }

    /// The first of a queue, and since when it has been there.
    #[inline]
    pub(crate) fn first(&self, place: Place) -> Option<(u32, u64)> {
        let first = self.queues[place as usize].first;
        (first != NOBODY).then(|| (first, self.nodes[first as usize].since_ns))
    }

    /// How many stand there.
    #[inline]
    pub(crate) fn count(&self, place: Place) -> u32 {
        self.queues[place as usize].length
    }

    /// Where a connection stands.
    #[inline]
    pub(crate) fn place(&self, slot: u32) -> Place {
        self.nodes[slot as usize].place
    }

    /// Moves a connection to the end of a queue.
    #[inline]
    pub(crate) fn move_to(&mut self, slot: u32, place: Place, at_ns: u64) {
        let Node { place: old, before, after, .. } = self.nodes[slot as usize];
        let queue = &mut self.queues[old as usize];
        queue.length -= 1;
        match before {
            NOBODY => queue.first = after,
            b => self.nodes[b as usize].after = after,
        }
        match after {
            NOBODY => queue.last = before,
            a => self.nodes[a as usize].before = before,
        }
        let node = &mut self.nodes[slot as usize];
        node.place = place;
        node.since_ns = at_ns;
        self.append(slot);
    }

    fn append(&mut self, slot: u32) {
        let queue = &mut self.queues[self.nodes[slot as usize].place as usize];
        let last = queue.last;
        queue.last = slot;
        queue.length += 1;
        match last {
            NOBODY => queue.first = slot,
            l => self.nodes[l as usize].after = slot,
        }
        let node = &mut self.nodes[slot as usize];
        node.before = last;
        node.after = NOBODY;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Place; 4] = [Place::Free, Place::Busy, Place::Connecting, Place::Resting];

    fn queue(roster: &Roster, place: Place) -> Vec<u32> {
        let mut found = Vec::new();
        let mut slot = roster.queues[place as usize].first;
        while slot != NOBODY {
            found.push(slot);
            slot = roster.nodes[slot as usize].after;
        }
        found
    }

    #[test]
    fn free_connections_are_taken_in_turn() {
        let mut r = Roster::new(3);
        (0..3).for_each(|s| r.move_to(s, Place::Free, 1));
        let mut taken = Vec::new();
        for t in 2..11 {
            let (slot, _) = r.first(Place::Free).unwrap();
            r.move_to(slot, Place::Busy, t);
            taken.push(slot);
            r.move_to(slot, Place::Free, t);
        }
        assert_eq!(taken, [0, 1, 2, 0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn queues_are_those_of_a_plain_model_after_any_moves() {
        let mut r = Roster::new(7);
        let mut model: [Vec<u32>; 4] = [vec![], vec![], vec![], (0..7).collect()];
        let mut x = 12345u64;
        for t in 0..5000 {
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (slot, to) = (((x >> 33) % 7) as u32, ((x >> 50) % 4) as usize);
            r.move_to(slot, ALL[to], t);
            model.iter_mut().for_each(|q| q.retain(|s| *s != slot));
            model[to].push(slot);
            for place in ALL {
                assert_eq!(queue(&r, place), model[place as usize]);
                assert_eq!(r.count(place) as usize, model[place as usize].len());
            }
            assert_eq!((r.place(slot), r.nodes[slot as usize].since_ns), (ALL[to], t));
        }
    }
}
