//! What the disk itself counted over an arm.

use record::{DiskArmDevice, DiskCounters, Reading};

use crate::disk::Disk;
use crate::source::Page;

/// The counters before an arm.
#[derive(Debug)]
pub(super) struct Before<'d> {
    disk: &'d Reading<Disk>,
    then: Reading<DiskCounters>,
}

impl<'d> Before<'d> {
    /// Reads them.
    pub(super) fn read(disk: &'d Reading<Disk>) -> Self {
        Self { disk, then: now(disk) }
    }

    /// What was added since.
    pub(super) fn since(self) -> Reading<DiskArmDevice> {
        match (self.then, now(self.disk)) {
            (Reading::Seen(then), Reading::Seen(now)) => difference(&then, &now)
                .map_or_else(|| Reading::absent("a counter of the disk went backwards"), Reading::Seen),
            (Reading::Absent { absent }, _) | (_, Reading::Absent { absent }) => Reading::absent(absent),
        }
    }
}

fn now(disk: &Reading<Disk>) -> Reading<DiskCounters> {
    match disk {
        Reading::Seen(disk) => disk.sample(&mut Page::new()),
        Reading::Absent { absent } => Reading::absent(absent),
    }
}

/// None where a counter went backwards.
fn difference(then: &DiskCounters, now: &DiskCounters) -> Option<DiskArmDevice> {
    let of = |pick: fn(&DiskCounters) -> u64| pick(now).checked_sub(pick(then));
    let mean_ns = |ms: u64, count: u64| (count > 0).then(|| ms * 1_000_000 / count);
    let (reads, writes) = (of(|c| c.reads)?, of(|c| c.writes)?);
    let flushes = now.flushes.zip(then.flushes).and_then(|(now, then)| now.checked_sub(then));
    let flush_ms = now.flush_ms.zip(then.flush_ms).and_then(|(now, then)| now.checked_sub(then));
    Some(DiskArmDevice {
        reads,
        read_await_ns: mean_ns(of(|c| c.read_ms)?, reads),
        writes,
        write_await_ns: mean_ns(of(|c| c.write_ms)?, writes),
        flushes,
        flush_await_ns: flushes.zip(flush_ms).and_then(|(count, ms)| mean_ns(ms, count)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(n: u64, flushes: Option<u64>) -> DiskCounters {
        DiskCounters {
            device: "vda".into(),
            reads: 100 * n,
            read_ms: 25 * n,
            writes: 1000,
            write_ms: 10,
            flushes,
            flush_ms: flushes.map(|f| f * 2),
            ..DiskCounters::default()
        }
    }

    #[test]
    fn means_are_of_what_was_added() {
        let found = difference(&counters(1, Some(5)), &counters(3, Some(9))).unwrap();
        let want = DiskArmDevice {
            reads: 200,
            read_await_ns: Some(250_000),
            writes: 0,
            write_await_ns: None,
            flushes: Some(4),
            flush_await_ns: Some(2_000_000),
        };
        assert_eq!(found, want);
    }

    #[test]
    fn what_the_kernel_does_not_count_is_not_zero_and_backwards_is_nothing() {
        let found = difference(&counters(1, None), &counters(3, None)).unwrap();
        assert_eq!((found.flushes, found.flush_await_ns), (None, None));
        assert_eq!(difference(&counters(3, None), &counters(1, None)), None);
    }
}
