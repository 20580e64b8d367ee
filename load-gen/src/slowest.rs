//! The slowest requests of an interval, kept whole in memory that is used again.

use record::{HopStamps, Outcome, SlowRequest};

use crate::recorder::Ended;

/// The slowest few of an interval. Offering one costs a comparison unless it is kept.
#[derive(Debug)]
pub(crate) struct Slowest {
    most: usize,
    kept: Vec<Kept>,
    count: usize,
    /// The response time to beat once there are enough.
    least_ns: u64,
}

#[derive(Debug)]
struct Kept {
    ended: Ended,
    hops: Vec<u8>,
}

impl Slowest {
    pub(crate) fn new(most: u32) -> Self {
        Self { most: most as usize, kept: Vec::with_capacity(most as usize), count: 0, least_ns: 0 }
    }

    /// Whether none is kept.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Forgets all, keeping the memory.
    pub(crate) fn clear(&mut self) {
        self.count = 0;
    }

    /// Keeps a request if it is one of the slowest so far.
    #[inline]
    pub(crate) fn offer(&mut self, ended: &Ended, hops: &[u8]) {
        if self.count < self.most {
            if self.kept.len() == self.count {
                self.kept.push(Kept { ended: *ended, hops: Vec::with_capacity(512) });
            }
            self.count += 1;
            self.put(self.count - 1, ended, hops);
        } else if self.most > 0 && ended.response_ns() > self.least_ns {
            let least = (0..self.count).min_by_key(|i| self.kept[*i].ended.response_ns()).unwrap_or(0);
            self.put(least, ended, hops);
        }
    }

    fn put(&mut self, place: usize, ended: &Ended, hops: &[u8]) {
        let kept = &mut self.kept[place];
        kept.ended = *ended;
        kept.hops.clear();
        kept.hops.extend_from_slice(hops);
        self.least_ns = self.kept[..self.count].iter().map(|k| k.ended.response_ns()).min().unwrap_or(0);
    }

    /// Those kept, the slowest first, with the stamps of their hops read.
    pub(crate) fn requests(&self) -> Vec<SlowRequest> {
        let mut all: Vec<SlowRequest> = self.kept[..self.count].iter().map(Kept::whole).collect();
        all.sort_by_key(|s| (std::cmp::Reverse(s.response_ns()), s.index));
        all
    }
}

impl Kept {
    fn whole(&self) -> SlowRequest {
        let Ended { index, phase, intended_ns, sent_ns, first_byte_ns: _, done_ns, outcome, connection } = self.ended;
        SlowRequest {
            index,
            phase,
            intended_ns,
            sent_ns,
            done_ns,
            outcome: outcome.unwrap_or(Outcome::CutByDeadline),
            connection,
            hops: std::str::from_utf8(&self.hops).map(HopStamps::from_header).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::Phase;

    fn ended(index: u64, response_ns: u64) -> Ended {
        Ended {
            index,
            phase: Phase::Measure,
            intended_ns: 1000,
            sent_ns: Some(1000),
            first_byte_ns: None,
            done_ns: 1000 + response_ns,
            outcome: Some(Outcome::Answered(200)),
            connection: Some(0),
        }
    }

    #[test]
    fn the_slowest_are_kept_in_any_order_of_arrival() {
        for order in [[5u64, 4, 3, 2, 1], [1, 2, 3, 4, 5], [3, 5, 1, 4, 2]] {
            let mut s = Slowest::new(3);
            for round in 0..2 {
                s.clear();
                order.iter().for_each(|i| s.offer(&ended(*i, i * 10 + round), format!("h;{i};9").as_bytes()));
                let kept = s.requests();
                assert_eq!(kept.iter().map(|k| k.index).collect::<Vec<_>>(), [5, 4, 3], "{order:?}");
                assert!(kept.iter().all(|k| k.hops.len() == 1 && k.hops[0].received_ns == k.index));
            }
        }
    }

    #[test]
    fn none_are_kept_when_none_are_wanted() {
        let mut s = Slowest::new(0);
        s.offer(&ended(1, 10), b"");
        assert!(s.is_empty() && s.requests().is_empty());
    }
}
