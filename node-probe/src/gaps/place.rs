//! Which CPU a thread watches, and the pinning to it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::proc::stat;
use crate::{Error, Result};

/// How long the CPUs are looked at before one is chosen: 20 ticks of /proc/stat.
const LOOK: Duration = Duration::from_millis(200);

/// The CPUs the calling thread may run on, by their kernel numbers.
pub(crate) fn allowed_cpus() -> Vec<u32> {
    let Ok(set) = sched_getaffinity(None) else { return Vec::new() };
    (0..CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).filter_map(|cpu| u32::try_from(cpu).ok()).collect()
}

/// Keeps the calling thread on one CPU.
///
/// # Errors
/// When this process may not run there.
pub(crate) fn pin(cpu: u32) -> Result<()> {
    let allowed = allowed_cpus();
    let refused = |reason: String| {
        let list: Vec<String> = allowed.iter().map(u32::to_string).collect();
        Error::Pin { cpu, reason, allowed: list.join(", ") }
    };
    if !allowed.contains(&cpu) {
        return Err(refused("this process may not run there".to_owned()));
    }
    let mut set = CpuSet::new();
    set.set(cpu as usize);
    sched_setaffinity(None, &set).map_err(|errno| refused(std::io::Error::from(errno).to_string()))
}

/// The CPU to watch and how it was chosen: the one asked for, or the one that was idle most of 0.2 s.
///
/// # Errors
/// When the one asked for is not allowed, or none is known.
pub(super) fn choose(asked: Option<u32>) -> Result<(u32, String)> {
    let allowed = allowed_cpus();
    if let Some(cpu) = asked {
        if allowed.contains(&cpu) {
            return Ok((cpu, "as asked".to_owned()));
        }
        let list: Vec<String> = allowed.iter().map(u32::to_string).collect();
        return Err(Error::Pin { cpu, reason: "this process may not run there".to_owned(), allowed: list.join(", ") });
    }
    let (Some(&first), Some(&last)) = (allowed.first(), allowed.last()) else {
        return Err(Error::Gaps { reason: "the CPUs this process may run on cannot be read".to_owned() });
    };
    if first == last {
        return Ok((first, "the only one allowed".to_owned()));
    }
    let before = idle_ticks();
    std::thread::sleep(LOOK);
    let after = idle_ticks();
    let idle = |cpu: &u32| {
        let ticks = |all: &[(u32, u64)]| all.iter().find(|(number, _)| number == cpu).map(|(_, ticks)| *ticks);
        Some(ticks(&after)?.saturating_sub(ticks(&before)?))
    };
    // Of equal ones the last, because the first CPU has most of the interrupts.
    Ok(match allowed.iter().filter_map(|cpu| Some((idle(cpu)?, *cpu))).max() {
        Some((_, cpu)) => (cpu, "the least busy of those allowed".to_owned()),
        None => (last, "the last of those allowed: /proc/stat does not tell which is the least busy".to_owned()),
    })
}

fn idle_ticks() -> Vec<(u32, u64)> {
    let text = fs::read_to_string(Path::new("/proc/stat")).unwrap_or_default();
    let cpus = stat::parse(&text).map(|stat| stat.cpus).unwrap_or_default();
    cpus.into_iter().map(|(cpu, times)| (cpu, times.idle_ticks + times.iowait_ticks.unwrap_or(0))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpu_is_chosen_among_those_allowed_and_another_is_refused_with_the_list() {
        let allowed = allowed_cpus();
        let (cpu, how) = choose(None).unwrap();
        assert!(allowed.contains(&cpu) && !how.is_empty(), "{how}");
        assert_eq!(choose(Some(allowed[0])).unwrap(), (allowed[0], "as asked".to_owned()));
        let said = choose(Some(1023)).unwrap_err().to_string();
        assert!(said.contains("1023") && said.contains(&allowed[0].to_string()), "{said}");
    }

    #[test]
    fn a_pinned_thread_may_run_there_only() {
        let cpu = allowed_cpus()[0];
        let after = std::thread::spawn(move || {
            pin(cpu).unwrap();
            allowed_cpus()
        });
        assert_eq!(after.join().unwrap(), [cpu]);
        assert!(pin(1023).is_err());
    }
}
