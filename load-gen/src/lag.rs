//! Whose lateness it is: a clock that runs only while no connection is free, and whether the generator was there to see it.

/// A clock that runs while no connection is free and the generator is there to notice one.
///
/// Read at a request's intended time and again when it is sent, its advance is the part of the send lag
/// that is not the generator's. It is asked about times in order: everything up to a moment is read before
/// the state changes at that moment.
#[derive(Debug, Default)]
pub(crate) struct Starvation {
    total_ns: u64,
    since_ns: Option<u64>,
}

impl Starvation {
    /// No connection is free from now on, or one is again.
    #[inline]
    pub(crate) fn set(&mut self, starved: bool, at_ns: u64) {
        match (self.since_ns, starved) {
            (None, true) => self.since_ns = Some(at_ns),
            (Some(since), false) => {
                self.total_ns += at_ns.saturating_sub(since);
                self.since_ns = None;
            }
            _ => {}
        }
    }

    /// The generator was away, and on coming back found answers waiting: a connection would have been free
    /// had it been there, so that time is its own. `until_ns` is now.
    #[inline]
    pub(crate) fn absent(&mut self, from_ns: u64, until_ns: u64) {
        if self.since_ns.is_some() && from_ns < until_ns {
            self.set(false, from_ns);
            self.since_ns = Some(until_ns);
        }
    }

    /// What the clock shows at a time not before the last change.
    #[inline]
    pub(crate) fn at(&self, ns: u64) -> u64 {
        self.total_ns + self.since_ns.map_or(0, |since| ns.saturating_sub(since))
    }

    /// Splits a lag into ours and theirs, given what the clock showed at the intended time.
    #[inline]
    pub(crate) fn split(&self, intended_ns: u64, starved_then_ns: u64, sent_ns: u64) -> (u64, u64) {
        let lag = sent_ns.saturating_sub(intended_ns);
        let theirs = self.at(sent_ns).saturating_sub(starved_then_ns).min(lag);
        (lag - theirs, theirs)
    }
}

/// Work between two looks for answers takes less, unless the generator is stopped or held up in it.
const AWAY_NS: u64 = 2_000_000;

/// Whether the generator has been looking for answers all along.
#[derive(Debug)]
pub(crate) struct Attention {
    looked_ns: u64,
    caught_up: bool,
}

impl Attention {
    /// It looks from now on.
    pub(crate) fn begin(now_ns: u64) -> Self {
        Self { looked_ns: now_ns, caught_up: false }
    }

    /// It has just looked.
    #[inline]
    pub(crate) fn looked(&mut self, at_ns: u64) {
        self.looked_ns = at_ns;
    }

    /// Since when it has been away, where that is so long that it must look before it gives anything up. Not twice in a row:
    /// with more at once than it can take it is always that late, and has an end all the same.
    #[inline]
    pub(crate) fn away_since(&mut self, now_ns: u64) -> Option<u64> {
        self.caught_up = !self.caught_up && now_ns.saturating_sub(self.looked_ns) > AWAY_NS;
        self.caught_up.then_some(self.looked_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_away_looks_once_before_it_goes_on() {
        let mut a = Attention::begin(100);
        assert_eq!(a.away_since(100 + AWAY_NS), None);
        a.looked(200 + AWAY_NS);
        assert_eq!(a.away_since(5_000_000_000), Some(200 + AWAY_NS));
        a.looked(5_000_000_000);
        assert_eq!(a.away_since(9_000_000_000), None, "it looked last time, and goes on");
        a.looked(9_000_000_000);
        assert_eq!(a.away_since(19_000_000_000), Some(9_000_000_000));
    }

    #[test]
    fn waiting_for_a_connection_is_theirs() {
        let mut s = Starvation::default();
        s.set(true, 100);
        let then = s.at(120);
        s.set(false, 300);
        // Due at 120, free from 300, written at 305: 180 waiting, 5 of our own.
        assert_eq!(s.split(120, then, 305), (5, 180));
    }

    #[test]
    fn lateness_with_a_free_connection_is_ours() {
        let s = Starvation::default();
        assert_eq!(s.split(100, s.at(100), 500), (400, 0));
        assert_eq!(s.split(100, s.at(100), 99), (0, 0));
    }

    #[test]
    fn a_queue_built_up_by_our_own_stall_stays_ours() {
        let mut s = Starvation::default();
        // Stopped until 500 with a free connection; then one request goes out and holds the connection to 510.
        let (first, second) = (s.at(100), s.at(200));
        assert_eq!(s.split(100, first, 500), (400, 0));
        s.set(true, 500);
        s.set(false, 510);
        assert_eq!(s.split(200, second, 510), (300, 10));
    }

    #[test]
    fn absence_with_answers_waiting_is_ours_and_the_rest_theirs() {
        let mut s = Starvation::default();
        s.set(true, 100);
        let before = s.at(150);
        // Away from 200 to 900.
        s.absent(200, 900);
        let during = s.at(400);
        s.set(false, 950);
        assert_eq!(s.split(150, before, 950), (700, 100));
        assert_eq!(s.split(400, during, 950), (500, 50));
        // Without starvation there is nothing to take back.
        s.absent(1000, 2000);
        assert_eq!(s.at(2000), 150);
    }
}
