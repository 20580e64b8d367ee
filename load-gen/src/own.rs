//! What a thread of the generator used and what it was kept from.

use record::{Reading, ThreadUse, monotonic_ns};
use rustix::thread::CpuSet;
use rustix::time::{ClockId, clock_gettime};

use crate::Result;
use crate::error::kernel;

/// A thread's clocks at the beginning of what is measured of it.
#[derive(Debug)]
pub(crate) struct Usage {
    cpu: Option<u32>,
    began_ns: u64,
    cpu_ns: u64,
    run_delay_ns: Reading<u64>,
}

impl Usage {
    /// For the thread that calls it, pinned to a CPU where one is given.
    pub(crate) fn begin(cpu: Option<u32>) -> Result<Self> {
        if let Some(cpu) = cpu {
            let mut set = CpuSet::new();
            set.set(cpu as usize);
            rustix::thread::sched_setaffinity(None, &set).map_err(kernel("pin a thread to the CPU asked for"))?;
        }
        let began_ns = monotonic_ns();
        Ok(Self { cpu, began_ns, cpu_ns: thread_cpu_ns(), run_delay_ns: run_delay_ns() })
    }

    /// What it used since; to be called from the same thread.
    pub(crate) fn end(&self) -> ThreadUse {
        let run_delay_ns = match (&self.run_delay_ns, run_delay_ns()) {
            (Reading::Seen(before), Reading::Seen(now)) => Reading::Seen(now.saturating_sub(*before)),
            (Reading::Absent { .. }, _) => self.run_delay_ns.clone(),
            (_, absent) => absent,
        };
        ThreadUse {
            cpu: self.cpu,
            cpu_seconds: thread_cpu_ns().saturating_sub(self.cpu_ns) as f64 / 1e9,
            run_delay_ns,
            elapsed_ns: monotonic_ns().saturating_sub(self.began_ns),
        }
    }
}

fn thread_cpu_ns() -> u64 {
    let t = clock_gettime(ClockId::ThreadCPUTime);
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

/// Time in the run queue: the second field (Documentation/scheduler/sched-stats.rst). Of this thread, since
/// /proc/self would be that of the first thread only.
fn run_delay_ns() -> Reading<u64> {
    let path = "/proc/thread-self/schedstat";
    match std::fs::read_to_string(path) {
        Ok(text) => match text.split_ascii_whitespace().nth(1).and_then(|field| field.parse().ok()) {
            Some(ns) => Reading::Seen(ns),
            None => Reading::absent(format!("{path} is of another form")),
        },
        Err(e) => Reading::absent(format!("{path}: {e}")),
    }
}

/// CPU time the hypervisor has taken from all CPUs since boot, in ticks.
pub(crate) fn steal_ticks() -> Reading<u64> {
    let Ok(text) = std::fs::read_to_string("/proc/stat") else { return Reading::absent("/proc/stat cannot be read") };
    // cpu user nice system idle iowait irq softirq steal ...
    match text.lines().next().and_then(|line| line.split_ascii_whitespace().nth(8)).and_then(|f| f.parse().ok()) {
        Some(ticks) => Reading::Seen(ticks),
        None => Reading::absent("/proc/stat counts no steal"),
    }
}

/// The difference of two readings of a counter.
pub(crate) fn since(before: &Reading<u64>, now: Reading<u64>) -> Reading<u64> {
    match (before, now) {
        (Reading::Seen(before), Reading::Seen(now)) => Reading::Seen(now.saturating_sub(*before)),
        (Reading::Absent { .. }, _) => before.clone(),
        (_, absent) => absent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_spins_has_used_its_time() {
        let usage = Usage::begin(None).unwrap();
        let until = thread_cpu_ns() + 20_000_000;
        while thread_cpu_ns() < until {
            std::hint::spin_loop();
        }
        let used = usage.end();
        assert!((0.02..0.03).contains(&used.cpu_seconds), "{used:?}");
        assert!(used.elapsed_ns >= 20_000_000 && used.run_delay_ns.seen().is_some(), "{used:?}");
    }

    #[test]
    fn a_cpu_that_is_not_there_is_an_error() {
        let said = std::thread::spawn(|| Usage::begin(Some(1000)).unwrap_err().to_string()).join().unwrap();
        assert!(said.contains("pin a thread"), "{said}");
    }
}
