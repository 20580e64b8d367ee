//! CPU counters of a cgroup, whichever version it is of, on kept descriptors.
//!
//! On version 1 the CPU time, the throttling and the pressure of one group stand in up to three
//! directories (cpuacct, cpu, and one in a version 2 tree beside them); on version 2 in one. All that are
//! given are read and merged. Units differ: version 1 has nanoseconds, version 2 microseconds.

pub(crate) mod around;
pub(crate) mod chain;
pub(crate) mod groups;
mod limit;

use std::path::{Path, PathBuf};

use record::{CgroupSample, PressureSample, Reading};
use rustix::io::Errno;

use limit::Limit;

use crate::proc::pressure;
use crate::source::{Page, Source};
use crate::tiers::Due;
use crate::{Error, Result, absence};

/// One watched cgroup.
#[derive(Debug)]
pub(crate) struct Cgroup {
    stats: Vec<Kept>,
    usage: Option<Kept>,
    limit: Option<Limit>,
    /// CPU, I/O and memory.
    pressures: [Reading<Kept>; 3],
    parent: Option<String>,
}

/// A file of the group that is kept open.
#[derive(Debug)]
struct Kept {
    path: PathBuf,
    source: Source,
}

impl Cgroup {
    /// Opens what its directories have.
    ///
    /// # Errors
    /// When one is no directory, none of them has CPU counters, or descriptors are used up.
    pub(crate) fn open(name: &str, directories: &[PathBuf]) -> Result<Self> {
        let refuse =
            |path: &Path, reason: String| Error::Cgroup { name: name.to_owned(), path: path.to_owned(), reason };
        let Some(first) = directories.first() else {
            return Err(refuse(Path::new(""), "no directory was given".to_owned()));
        };
        if let Some(missing) = directories.iter().find(|d| !d.is_dir()) {
            let reason = "there is no such directory\n  try: the group's directory below /sys/fs/cgroup";
            return Err(refuse(missing, reason.to_owned()));
        }
        let mut stats = Vec::new();
        let (mut usage, mut limit) = (None, None);
        let mut pressures =
            ["cpu", "io", "memory"].map(|kind| (kind, Reading::absent(absence_of_pressure(first, kind))));
        for directory in directories {
            stats.extend(keep(&directory.join("cpu.stat"))?);
            usage = usage.or(keep(&directory.join("cpuacct.usage"))?);
            limit = limit.or(Limit::open(directory)?);
            for (kind, pressure) in &mut pressures {
                if pressure.seen().is_none()
                    && let Some(kept) = keep(&directory.join(format!("{kind}.pressure")))?
                {
                    *pressure = Reading::Seen(kept);
                }
            }
        }
        if stats.is_empty() && usage.is_none() {
            let reason = "it has neither cpu.stat nor cpuacct.usage\n  \
                          try: a directory of the cpu or cpuacct hierarchy, or one of a version 2 tree";
            return Err(refuse(first, reason.to_owned()));
        }
        Ok(Self { stats, usage, limit, pressures: pressures.map(|(_, pressure)| pressure), parent: None })
    }

    /// A group around a watched one: its throttling holds up what is inside, and no more of it is read.
    pub(crate) fn open_around(name: &str, directory: &Path) -> Result<Self> {
        let pressures = [(); 3].map(|()| Reading::default());
        Ok(Self { pressures, ..Self::open(name, &[directory.to_owned()])? })
    }

    /// Its counters now; pressure and the limit in rounds where they are due.
    pub(crate) fn sample(&self, due: Due, page: &mut Page) -> CgroupSample {
        let read_ns = record::monotonic_ns();
        let stat = self.stat(page);
        let from_stat = |pick: fn(&CpuStat) -> Option<u64>, missing: &str| match &stat {
            Ok(stat) => pick(stat).map_or_else(|| Reading::absent(missing), Reading::Seen),
            Err(reason) => Reading::absent(reason),
        };
        let no_bandwidth = "no throttling counters here: the cpu controller is not enabled for this cgroup";
        let usage_ns = match &self.usage {
            Some(kept) => kept.number(page),
            None => from_stat(|s| s.usage_ns, "no CPU time here: give its cpuacct directory as well"),
        };
        let took_ns = record::monotonic_ns().saturating_sub(read_ns);
        let [cpu, io, memory] = &self.pressures;
        CgroupSample {
            read_ns,
            usage_ns,
            periods: from_stat(|s| s.periods, no_bandwidth),
            throttled_periods: from_stat(|s| s.throttled_periods, no_bandwidth),
            throttled_ns: from_stat(|s| s.throttled_ns, no_bandwidth),
            psi_cpu_some_us: if due.medium { some_us(pressure_of(cpu, page)) } else { Reading::default() },
            took_ns,
            parent: self.parent.clone(),
            limit: match &self.limit {
                Some(limit) if due.slow => limit.read(page),
                None if due.slow => Reading::absent("no bandwidth limit here: the cpu controller is not enabled"),
                _ => Reading::default(),
            },
            psi_io: if due.slow { pressure_of(io, page) } else { Reading::default() },
            psi_memory: if due.slow { pressure_of(memory, page) } else { Reading::default() },
        }
    }

    fn stat(&self, page: &mut Page) -> std::result::Result<CpuStat, String> {
        let mut merged = CpuStat::default();
        for kept in &self.stats {
            let text = kept.source.read(page).map_err(|errno| gone(&kept.path, errno))?;
            let CpuStat { usage_ns, periods, throttled_periods, throttled_ns } = parse(text);
            merged.usage_ns = merged.usage_ns.or(usage_ns);
            merged.periods = merged.periods.or(periods);
            merged.throttled_periods = merged.throttled_periods.or(throttled_periods);
            merged.throttled_ns = merged.throttled_ns.or(throttled_ns);
        }
        Ok(merged)
    }
}

fn pressure_of(kept: &Reading<Kept>, page: &mut Page) -> Reading<PressureSample> {
    let kept = match kept {
        Reading::Absent { absent } => return Reading::absent(absent),
        Reading::Seen(kept) => kept,
    };
    match kept.source.read(page) {
        Err(Errno::NODEV) => Reading::absent(gone(&kept.path, Errno::NODEV)),
        Err(errno) => Reading::absent(absence::no_pressure(&kept.path, errno)),
        Ok(text) => pressure::parse(text)
            .map_or_else(|| Reading::absent(format!("{} is not as it should be", kept.path.display())), Reading::Seen),
    }
}

fn some_us(pressure: Reading<PressureSample>) -> Reading<u64> {
    match pressure {
        Reading::Absent { absent } => Reading::absent(absent),
        Reading::Seen(sample) => {
            sample.some.map_or_else(|| Reading::absent("no 'some' line here"), |line| Reading::Seen(line.total_us))
        }
    }
}

impl Kept {
    fn number(&self, page: &mut Page) -> Reading<u64> {
        match self.source.read(page) {
            Err(errno) => Reading::absent(gone(&self.path, errno)),
            Ok(text) => text
                .trim()
                .parse()
                .map_or_else(|_| Reading::absent(format!("{} is not a number", self.path.display())), Reading::Seen),
        }
    }
}

/// Opens a file that may be missing: which ones there are tells what kind of directory it is.
fn keep(path: &Path) -> Result<Option<Kept>> {
    Ok(match Source::open_or_absent(path, absence::reason)? {
        Reading::Seen(source) => Some(Kept { path: path.to_owned(), source }),
        Reading::Absent { .. } => None,
    })
}

fn gone(path: &Path, errno: Errno) -> String {
    // A group whose pressure is switched off (cgroup.pressure) answers as one that is gone.
    match errno {
        Errno::NODEV if path.parent().is_some_and(Path::is_dir) => {
            format!("{} was switched off in this cgroup", path.display())
        }
        Errno::NODEV => "the cgroup was removed".to_owned(),
        other => absence::reason(path, other),
    }
}

fn absence_of_pressure(directory: &Path, kind: &str) -> String {
    format!("no pressure of its own: {} has no {kind}.pressure (cgroup version 1, or PSI is off)", directory.display())
}

/// The lines of cpu.stat that are kept, in nanoseconds.
#[derive(Debug, Default, PartialEq, Eq)]
struct CpuStat {
    usage_ns: Option<u64>,
    periods: Option<u64>,
    throttled_periods: Option<u64>,
    throttled_ns: Option<u64>,
}

/// The throttled time in the text of a cpu.stat of either version; none where the group has no bandwidth control.
pub(crate) fn throttled_ns(text: &str) -> Option<u64> {
    parse(text).throttled_ns
}

/// Reads cpu.stat of version 1 (`throttled_time`, ns) or 2 (`throttled_usec`, `usage_usec`).
fn parse(text: &str) -> CpuStat {
    let mut stat = CpuStat::default();
    for line in text.lines() {
        let Some((word, value)) = line.split_once(' ') else { continue };
        let value = value.trim().parse::<u64>().ok();
        let from_us = value.and_then(|us| us.checked_mul(1000));
        match word {
            "usage_usec" => stat.usage_ns = from_us,
            "nr_periods" => stat.periods = value,
            "nr_throttled" => stat.throttled_periods = value,
            "throttled_usec" => stat.throttled_ns = from_us,
            "throttled_time" => stat.throttled_ns = value,
            _ => {}
        }
    }
    stat
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(path: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(path)
    }

    fn sample(directories: &[&str]) -> CgroupSample {
        let directories: Vec<PathBuf> = directories.iter().map(|d| fixture(d)).collect();
        let mut sample = Cgroup::open("s1", &directories).unwrap().sample(ALL, &mut Page::new());
        (sample.read_ns, sample.took_ns) = (0, 0);
        sample
    }

    const ALL: Due = Due { medium: true, slow: true };

    #[test]
    fn version_2_has_microseconds() {
        let s = sample(&["cgroup/v2/s1"]);
        assert_eq!(s.usage_ns, Reading::Seen(1_020_340_000));
        assert_eq!((s.periods, s.throttled_periods), (Reading::Seen(51), Reading::Seen(50)));
        assert_eq!(s.throttled_ns, Reading::Seen(3_632_017_000));
        assert_eq!(s.psi_cpu_some_us, Reading::Seen(3_998_123));
    }

    #[test]
    fn version_1_has_nanoseconds_in_two_directories() {
        let s = sample(&["cgroup/v1/cpu/s1", "cgroup/v1/cpuacct/s1"]);
        assert_eq!(s.usage_ns, Reading::Seen(1_020_340_123));
        assert_eq!((s.periods, s.throttled_periods), (Reading::Seen(51), Reading::Seen(50)));
        assert_eq!(s.throttled_ns, Reading::Seen(3_632_017_456));
        assert!(s.psi_cpu_some_us.reason().unwrap().contains("no cpu.pressure"));
    }

    #[test]
    fn a_hybrid_has_throttling_in_one_tree_and_pressure_in_the_other() {
        let all = ["cgroup/v1/cpu/s1", "cgroup/v1/cpuacct/s1", "cgroup/hybrid/unified/s1"];
        let s = sample(&all);
        assert_eq!(s.usage_ns, Reading::Seen(1_020_340_123), "cpuacct is finer than the other tree");
        assert_eq!(s.throttled_ns, Reading::Seen(3_632_017_456));
        assert_eq!(s.psi_cpu_some_us, Reading::Seen(77_001));
        let reversed: Vec<&str> = all.iter().rev().copied().collect();
        let r = sample(&reversed);
        // Only which directory lacks a file depends on it.
        let r = CgroupSample { psi_io: s.psi_io.clone(), psi_memory: s.psi_memory.clone(), ..r };
        assert_eq!(r, s, "their order does not matter");
    }

    #[test]
    fn version_2_without_the_controller_has_time_and_says_why_no_throttling() {
        let s = sample(&["cgroup/hybrid/unified/s1"]);
        assert_eq!(s.usage_ns, Reading::Seen(5_000_000));
        for absent in [s.periods, s.throttled_periods, s.throttled_ns] {
            assert!(absent.reason().unwrap().contains("controller is not enabled"));
        }
    }

    #[test]
    fn what_is_not_due_is_not_read() {
        let cgroup = Cgroup::open("s1", &[fixture("cgroup/v2/s1")]).unwrap();
        let s = cgroup.sample(Due { medium: false, slow: false }, &mut Page::new());
        assert!(s.psi_cpu_some_us.is_unread() && s.psi_io.is_unread() && s.limit.is_unread());
        assert_eq!(s.periods, Reading::Seen(51));
    }

    #[test]
    fn what_is_no_cgroup_is_refused_with_the_way_out() {
        let tree = tempfile::tempdir().unwrap();
        let said = Cgroup::open("s1", &[tree.path().to_owned()]).unwrap_err().to_string();
        assert!(said.contains("'s1'") && said.contains("neither cpu.stat nor cpuacct.usage"), "{said}");
        let said = Cgroup::open("s1", &[tree.path().join("none")]).unwrap_err().to_string();
        assert!(said.contains("no such directory") && said.contains("try:"), "{said}");
    }
}
