//! Where each of many things stands: queues through which they move, each in the order of its arrival there.

const NOBODY: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Node {
    queue: u32,
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

/// Queues through which connections, or the places on them, move. Whoever waits in a queue waits for the same
/// time, so that the first is the first to run out, and nothing has to be searched or sorted. The free place taken is
/// the one that rested longest: all are used in turn, and a mesh's pools evenly with them.
#[derive(Debug)]
pub(crate) struct Roster {
    nodes: Vec<Node>,
    queues: Vec<Queue>,
}

impl Roster {
    /// So many, all in queue `at` of `queues`.
    pub(crate) fn new(count: u32, queues: u32, at: u32) -> Self {
        let nobody = Queue { first: NOBODY, last: NOBODY, length: 0 };
        let alone = Node { queue: at, since_ns: 0, before: NOBODY, after: NOBODY };
        let mut roster = Self { nodes: vec![alone; count as usize], queues: vec![nobody; queues as usize] };
        (0..count).for_each(|one| roster.append(one));
        roster
    }

    /// The first of a queue, and since when it has been there.
    #[inline]
    pub(crate) fn first(&self, queue: u32) -> Option<(u32, u64)> {
        let first = self.queues[queue as usize].first;
        (first != NOBODY).then(|| (first, self.nodes[first as usize].since_ns))
    }

    /// How many stand there.
    #[inline]
    pub(crate) fn count(&self, queue: u32) -> u32 {
        self.queues[queue as usize].length
    }

    /// In which queue one stands.
    #[inline]
    pub(crate) fn place(&self, one: u32) -> u32 {
        self.nodes[one as usize].queue
    }

    /// Moves one to the end of a queue.
    #[inline]
    pub(crate) fn move_to(&mut self, one: u32, queue: u32, at_ns: u64) {
        let Node { queue: old, before, after, .. } = self.nodes[one as usize];
        let left = &mut self.queues[old as usize];
        left.length -= 1;
        match before {
            NOBODY => left.first = after,
            b => self.nodes[b as usize].after = after,
        }
        match after {
            NOBODY => left.last = before,
            a => self.nodes[a as usize].before = before,
        }
        let node = &mut self.nodes[one as usize];
        node.queue = queue;
        node.since_ns = at_ns;
        self.append(one);
    }

    fn append(&mut self, one: u32) {
        let queue = &mut self.queues[self.nodes[one as usize].queue as usize];
        let last = queue.last;
        queue.last = one;
        queue.length += 1;
        match last {
            NOBODY => queue.first = one,
            l => self.nodes[l as usize].after = one,
        }
        let node = &mut self.nodes[one as usize];
        node.before = last;
        node.after = NOBODY;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(roster: &Roster, queue: u32) -> Vec<u32> {
        let mut found = Vec::new();
        let mut one = roster.queues[queue as usize].first;
        while one != NOBODY {
            found.push(one);
            one = roster.nodes[one as usize].after;
        }
        found
    }

    #[test]
    fn those_that_rested_longest_are_taken_first() {
        let (free, busy) = (0, 1);
        let mut r = Roster::new(3, 2, free);
        let mut taken = Vec::new();
        for t in 2..11 {
            let (one, _) = r.first(free).unwrap();
            r.move_to(one, busy, t);
            taken.push(one);
            r.move_to(one, free, t);
        }
        assert_eq!(taken, [0, 1, 2, 0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn queues_are_those_of_a_plain_model_after_any_moves() {
        let mut r = Roster::new(7, 4, 3);
        let mut model: [Vec<u32>; 4] = [vec![], vec![], vec![], (0..7).collect()];
        let mut x = 12345u64;
        for t in 0..5000 {
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (one, to) = (((x >> 33) % 7) as u32, ((x >> 50) % 4) as u32);
            r.move_to(one, to, t);
            model.iter_mut().for_each(|q| q.retain(|s| *s != one));
            model[to as usize].push(one);
            for q in 0..4 {
                assert_eq!(queue(&r, q), model[q as usize]);
                assert_eq!(r.count(q) as usize, model[q as usize].len());
            }
            assert_eq!((r.place(one), r.nodes[one as usize].since_ns), (to, t));
        }
    }
}
