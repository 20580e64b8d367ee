//! CPU work of an exact amount.

use std::hint::black_box;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Burns CPU on this thread. The amount is CPU time and not time: a thread that is preempted or throttled meanwhile
/// still has all of its work to do, as a real service would.
pub(super) fn burn(work: Duration) {
    if work.is_zero() {
        return;
    }
    let end = cpu_ns() + work.as_nanos() as u64;
    let mut state = end | 1;
    while cpu_ns() < end {
        // Some tenths of a microsecond between two looks at the clock, which is a call into the kernel.
        for _ in 0..128 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
        }
        black_box(state);
    }
}

fn cpu_ns() -> u64 {
    let t = clock_gettime(ClockId::ThreadCPUTime);
    // Never negative: it counts from the thread's start.
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_work_is_cpu_time_and_little_more() {
        let work = Duration::from_millis(20);
        let start = cpu_ns();
        burn(work);
        let burnt = cpu_ns() - start;
        assert!(burnt >= 20_000_000, "{burnt}");
        // CPU time, so that a busy machine adds only what interrupts and the hypervisor take in its name.
        assert!(burnt < 30_000_000, "{burnt}");
    }

    #[test]
    fn no_work_takes_none() {
        let start = cpu_ns();
        burn(Duration::ZERO);
        assert!(cpu_ns() - start < 1_000_000);
    }
}
