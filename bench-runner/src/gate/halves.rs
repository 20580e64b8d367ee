//! The two halves of the CPUs on which a duet plays: each side has cores of its own.

use std::collections::BTreeMap;
use std::fs;

use anyhow::Context as _;
use record::{AccessLog, Cell, LogSink};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::exit::Usage;

/// CPUs for either side of a duet, as many for the one as for the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Halves {
    pub(crate) first: Vec<u32>,
    pub(crate) second: Vec<u32>,
    /// Whether both are threads of one and the same core, which then is a bottleneck that the sides share.
    pub(crate) one_core: bool,
}

impl Halves {
    /// Splits the CPUs that this process may use, where nothing else that these cells need is had only once.
    pub(crate) fn find<'a>(mut cells: impl Iterator<Item = &'a Cell>) -> anyhow::Result<Self> {
        if let Some((cell, shared)) = cells.find_map(|cell| Some((cell, shared(cell)?))) {
            let said = format!(
                "--duet: both sides of '{}' would {shared}, and so slow one another\n  try: without --duet, one trial after the other",
                cell.label
            );
            return Err(Usage(said).into());
        }
        let set = sched_getaffinity(None).context("cannot find out which CPUs this program may use")?;
        let allowed: Vec<u32> =
            (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).filter_map(|cpu| u32::try_from(cpu).ok()).collect();
        Self::split(&allowed, core).ok_or_else(|| {
            let said = "--duet: each side needs a CPU of its own, and this program may use only one\n  try: without --duet, one trial after the other";
            Usage(said.to_owned()).into()
        })
    }

    /// Whole cores for each half; an odd one stays free, for whatever else is at work. None of one CPU.
    fn split(cpus: &[u32], core_of: impl Fn(u32) -> u32) -> Option<Self> {
        let mut cores: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        cpus.iter().for_each(|cpu| cores.entry(core_of(*cpu)).or_default().push(*cpu));
        // Of cores that may be used in part only, an equal number of CPUs need not be an equal number of cores.
        let alike = cores.values().all(|threads| Some(threads.len()) == cores.values().next().map(Vec::len));
        let units: Vec<Vec<u32>> = if cores.len() > 1 && alike {
            cores.into_values().collect()
        } else {
            cpus.iter().map(|cpu| vec![*cpu]).collect()
        };
        let half = units.len() / 2;
        let first: Vec<u32> = units.iter().take(half).flatten().copied().collect();
        let second: Vec<u32> = units.iter().skip(half).take(half).flatten().copied().collect();
        let one_core = first.iter().any(|one| second.iter().any(|other| core_of(*one) == core_of(*other)));
        (half > 0).then_some(Self { first, second, one_core })
    }

    /// What is to be said of them beside the answer.
    pub(crate) fn note(&self) -> String {
        format!(
            "duet: both trials of a pair were made at the same time, one on {} and the other on {}, by chance; what their reports say of the machine is of both",
            said(&self.first),
            said(&self.second)
        )
    }

    /// Why their comparison is doubted, where it is.
    pub(crate) fn doubt(&self) -> Option<String> {
        self.one_core.then(|| {
            "the CPUs of both sides of the duet are threads of one core, so that each side slows the other".to_owned()
        })
    }
}

/// Keeps the calling thread, and all that it starts, on these CPUs.
pub(crate) fn keep_to(cpus: &[u32]) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    cpus.iter().for_each(|cpu| set.set(*cpu as usize));
    sched_setaffinity(None, &set).with_context(|| format!("cannot keep a side of the duet to {}", said(cpus)))
}

/// What both sides of a cell would do at the same place, where there is such a thing.
fn shared(cell: &Cell) -> Option<&'static str> {
    let factors = &cell.factors;
    if factors.access_log != AccessLog::Off && factors.access_log_to == LogSink::File {
        return Some("write their access logs to one disk");
    }
    (!factors.neighbour.is_none()).then_some("have a noisy neighbour, who is everybody's on the host")
}

/// The core of a CPU, named by the first of its threads; where the kernel does not tell, each CPU is one.
fn core(cpu: u32) -> u32 {
    let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
    let list = fs::read_to_string(path).unwrap_or_default();
    list.split([',', '-', '\n']).next().and_then(|first| first.parse().ok()).unwrap_or(cpu)
}

fn said(cpus: &[u32]) -> String {
    let list: Vec<String> = cpus.iter().map(u32::to_string).collect();
    format!("CPU{} {}", if cpus.len() == 1 { "" } else { "s" }, list.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_side_has_whole_cores() {
        // Four cores of two threads, as Linux numbers them: CPU 0 and 4 are of one core.
        let halves = Halves::split(&[0, 1, 2, 3, 4, 5, 6, 7], |cpu| cpu % 4).unwrap();
        assert_eq!((halves.first, halves.second, halves.one_core), (vec![0, 4, 1, 5], vec![2, 6, 3, 7], false));
        let odd = Halves::split(&[2, 3, 5], |cpu| cpu).unwrap();
        assert_eq!((odd.first, odd.second, odd.one_core), (vec![2], vec![3], false));
    }

    #[test]
    fn threads_of_one_core_are_told_apart_and_doubted() {
        let halves = Halves::split(&[0, 1], |_| 0).unwrap();
        assert_eq!((&halves.first, &halves.second), (&vec![0], &vec![1]));
        assert!(halves.doubt().unwrap().contains("threads of one core"));
        assert_eq!(Halves::split(&[0, 1], |cpu| cpu).unwrap().doubt(), None);
        assert_eq!(Halves::split(&[3], |cpu| cpu), None);
    }

    #[test]
    fn a_side_keeps_to_its_half() {
        let Ok(set) = sched_getaffinity(None) else { return };
        let cpu = (0..CpuSet::MAX_CPU).rfind(|cpu| set.is_set(*cpu)).unwrap();
        std::thread::spawn(move || {
            keep_to(&[u32::try_from(cpu).unwrap()]).unwrap();
            let now = sched_getaffinity(None).unwrap();
            assert!(now.is_set(cpu) && now.count() == 1);
        })
        .join()
        .unwrap();
    }
}
