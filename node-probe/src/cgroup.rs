//! CPU counters of a cgroup, whichever version it is of, on kept descriptors.
//!
//! On version 1 the CPU time, the throttling and the pressure of one group stand in up to three
//! directories (cpuacct, cpu, and one in a version 2 tree beside them); on version 2 in one. All that are
//! given are read and merged. Units differ: version 1 has nanoseconds, version 2 microseconds.

use std::path::{Path, PathBuf};

use record::{CgroupSample, Reading};
use rustix::io::Errno;

use crate::proc::pressure;
use crate::source::{Page, Source};
use crate::{Error, Result, absence};

/// One watched cgroup.
#[derive(Debug)]
pub(crate) struct Cgroup {
    stats: Vec<Kept>,
    usage: Option<Kept>,
    pressure: Reading<Kept>,
}

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
        let mut usage = None;
        let mut pressure = Reading::absent(absence_of_pressure(first));
        for directory in directories {
            stats.extend(keep(&directory.join("cpu.stat"))?);
            usage = usage.or(keep(&directory.join("cpuacct.usage"))?);
            if pressure.seen().is_none()
                && let Some(kept) = keep(&directory.join("cpu.pressure"))?
            {
                pressure = Reading::Seen(kept);
            }
        }
        if stats.is_empty() && usage.is_none() {
            let reason = "it has neither cpu.stat nor cpuacct.usage\n  \
                          try: a directory of the cpu or cpuacct hierarchy, or one of a version 2 tree";
            return Err(refuse(first, reason.to_owned()));
        }
        Ok(Self { stats, usage, pressure })
    }

    /// Its counters now; pressure only in rounds that may read it.
    pub(crate) fn sample(&self, may_read_pressure: bool, page: &mut Page) -> CgroupSample {
        let read_ns = record::monotonic_ns();
        let stat = self.stat(page);
        let from_stat = |pick: fn(&CpuStat) -> Option<u64>, missing: &str| match &stat {
            Ok(stat) => pick(stat).map_or_else(|| Reading::absent(missing), Reading::Seen),
            Err(reason) => Reading::absent(reason),
        };
        let no_bandwidth = "no throttling counters here: the cpu controller is not enabled for this cgroup";
        CgroupSample {
            read_ns,
            usage_ns: match &self.usage {
                Some(kept) => kept.number(page),
                None => from_stat(|s| s.usage_ns, "no CPU time here: give its cpuacct directory as well"),
            },
            periods: from_stat(|s| s.periods, no_bandwidth),
            throttled_periods: from_stat(|s| s.throttled_periods, no_bandwidth),
            throttled_ns: from_stat(|s| s.throttled_ns, no_bandwidth),
            psi_cpu_some_us: self.pressure(may_read_pressure, page),
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

    fn pressure(&self, may_read: bool, page: &mut Page) -> Reading<u64> {
        let kept = match &self.pressure {
            Reading::Absent { absent } => return Reading::absent(absent),
            Reading::Seen(kept) => kept,
        };
        if !may_read {
            return Reading::absent(pressure::BETWEEN);
        }
        match kept.source.read(page) {
            Err(Errno::NODEV) => Reading::absent(gone(&kept.path, Errno::NODEV)),
            Err(errno) => Reading::absent(absence::no_pressure(&kept.path, errno)),
            Ok(text) => pressure::parse(text).and_then(|sample| sample.some).map_or_else(
                || Reading::absent(format!("{} is not as it should be", kept.path.display())),
                |line| Reading::Seen(line.total_us),
            ),
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
    match errno {
        Errno::NODEV => "the cgroup was removed".to_owned(),
        other => absence::reason(path, other),
    }
}

fn absence_of_pressure(directory: &Path) -> String {
    format!("no pressure of its own: {} has no cpu.pressure (cgroup version 1, or PSI is off)", directory.display())
}

/// The lines of cpu.stat that are kept, in nanoseconds.
#[derive(Debug, Default, PartialEq, Eq)]
struct CpuStat {
    usage_ns: Option<u64>,
    periods: Option<u64>,
    throttled_periods: Option<u64>,
    throttled_ns: Option<u64>,
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
        Cgroup::open("s1", &directories).unwrap().sample(true, &mut Page::new())
    }

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
        assert_eq!(CgroupSample { read_ns: 0, ..r }, CgroupSample { read_ns: 0, ..s }, "their order does not matter");
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
    fn between_reads_pressure_is_absent() {
        let cgroup = Cgroup::open("s1", &[fixture("cgroup/v2/s1")]).unwrap();
        let s = cgroup.sample(false, &mut Page::new());
        assert_eq!(s.psi_cpu_some_us.reason(), Some(pressure::BETWEEN));
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
