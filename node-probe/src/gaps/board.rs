//! Counters that one thread writes and others read without waiting for it.
//!
//! There are two copies. The writer fills the one that is not shown and then shows it, once in a burst; a reader that
//! was so slow that its copy was filled again meanwhile sees that by the number of showings, and reads once more.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use record::{GapCounters, GapLosses};

const FIELDS: usize = 15;

#[derive(Debug, Default)]
pub(super) struct Board {
    /// How often the writer has shown a copy; its lowest bit names the one that is shown.
    shown: AtomicU64,
    copies: [[AtomicU64; FIELDS]; 2],
}

impl Board {
    /// Shows new counters. For one writer only.
    pub(super) fn show(&self, counters: &GapCounters) {
        let next = self.shown.load(Ordering::Relaxed) + 1;
        // Whoever sees a value of this filling sees the showing before it as well.
        fence(Ordering::Release);
        for (place, value) in self.copies[(next & 1) as usize].iter().zip(to_array(counters)) {
            place.store(value, Ordering::Relaxed);
        }
        self.shown.store(next, Ordering::Release);
    }

    /// The counters shown last.
    pub(super) fn read(&self) -> GapCounters {
        loop {
            let shown = self.shown.load(Ordering::Acquire);
            let values = self.copies[(shown & 1) as usize].each_ref().map(|place| place.load(Ordering::Relaxed));
            fence(Ordering::Acquire);
            if self.shown.load(Ordering::Relaxed) == shown {
                return from_array(values);
            }
            std::hint::spin_loop();
        }
    }
}

fn to_array(counters: &GapCounters) -> [u64; FIELDS] {
    let GapCounters {
        bursts,
        missed_bursts,
        burst_ns,
        lost: GapLosses { own_run_delay_ns, quota_ns, known_steal_ns, interrupt_ns, unexplained_ns },
        gaps,
        longest_gap_ns,
        late_ns,
        latest_ns,
        chunk_median_sum_ns,
        chunk_best_ns,
        cpu_ns,
    } = *counters;
    [
        bursts,
        missed_bursts,
        burst_ns,
        own_run_delay_ns,
        quota_ns,
        known_steal_ns,
        interrupt_ns,
        unexplained_ns,
        gaps,
        longest_gap_ns,
        late_ns,
        latest_ns,
        chunk_median_sum_ns,
        chunk_best_ns,
        cpu_ns,
    ]
}

fn from_array(values: [u64; FIELDS]) -> GapCounters {
    let [
        bursts,
        missed_bursts,
        burst_ns,
        own_run_delay_ns,
        quota_ns,
        known_steal_ns,
        interrupt_ns,
        unexplained_ns,
        gaps,
        longest_gap_ns,
        late_ns,
        latest_ns,
        chunk_median_sum_ns,
        chunk_best_ns,
        cpu_ns,
    ] = values;
    GapCounters {
        bursts,
        missed_bursts,
        burst_ns,
        lost: GapLosses { own_run_delay_ns, quota_ns, known_steal_ns, interrupt_ns, unexplained_ns },
        gaps,
        longest_gap_ns,
        late_ns,
        latest_ns,
        chunk_median_sum_ns,
        chunk_best_ns,
        cpu_ns,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[test]
    fn every_field_comes_back_where_it_was() {
        let values = std::array::from_fn(|i| i as u64 + 1);
        assert_eq!(to_array(&from_array(values)), values);
        let board = Board::default();
        assert_eq!(board.read(), GapCounters::default());
        board.show(&from_array(values));
        assert_eq!(board.read(), from_array(values));
    }

    #[test]
    fn a_reader_sees_one_showing_and_never_half_of_two() {
        let board = Arc::new(Board::default());
        let stop = Arc::new(AtomicBool::new(false));
        let writer = std::thread::spawn({
            let (board, stop) = (Arc::clone(&board), Arc::clone(&stop));
            move || {
                let mut n = 0;
                while !stop.load(Ordering::Relaxed) {
                    n += 1;
                    board.show(&from_array([n; FIELDS]));
                    // As in life, the writer leaves time between two showings.
                    (0..200).for_each(|_| std::hint::spin_loop());
                }
                n
            }
        });
        let mut last = 0;
        for _ in 0..20_000 {
            let values = to_array(&board.read());
            assert!(values.iter().all(|v| *v == values[0]) && values[0] >= last, "{values:?} after {last}");
            last = values[0];
        }
        stop.store(true, Ordering::Relaxed);
        assert!(writer.join().unwrap() >= last);
    }
}
