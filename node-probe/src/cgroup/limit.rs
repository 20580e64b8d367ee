//! The bandwidth limit of a cgroup: cpu.max on version 2, two files on version 1.

use std::path::Path;

use record::{CpuBandwidth, Reading};

use super::{Kept, gone, keep};
use crate::Result;
use crate::source::Page;

/// Where it is said.
#[derive(Debug)]
pub(super) enum Limit {
    /// "20000 100000" or "max 100000", microseconds.
    Max(Kept),
    /// Microseconds each; a quota of -1 is none.
    Cfs { quota: Kept, period: Kept },
}

impl Limit {
    /// None where this directory has no bandwidth control.
    pub(super) fn open(directory: &Path) -> Result<Option<Self>> {
        if let Some(max) = keep(&directory.join("cpu.max"))? {
            return Ok(Some(Self::Max(max)));
        }
        let quota = keep(&directory.join("cpu.cfs_quota_us"))?;
        let period = keep(&directory.join("cpu.cfs_period_us"))?;
        Ok(quota.zip(period).map(|(quota, period)| Self::Cfs { quota, period }))
    }

    pub(super) fn read(&self, page: &mut Page) -> Reading<CpuBandwidth> {
        let mut text = |kept: &Kept| match kept.source.read(page) {
            Ok(text) => Ok(text.trim().to_owned()),
            Err(errno) => Err(gone(&kept.path, errno)),
        };
        let (words, path) = match self {
            Self::Max(kept) => (text(kept), &kept.path),
            Self::Cfs { quota, period } => {
                (text(quota).and_then(|q| Ok(format!("{q} {}", text(period)?))), &quota.path)
            }
        };
        match words {
            Err(reason) => Reading::absent(reason),
            Ok(words) => parse(&words)
                .map_or_else(|| Reading::absent(format!("{} is not as it should be", path.display())), Reading::Seen),
        }
    }
}

fn parse(words: &str) -> Option<CpuBandwidth> {
    let (quota, period) = words.split_once(' ')?;
    let in_ns = |us: &str| us.trim().parse::<u64>().ok()?.checked_mul(1000);
    let quota_ns = if matches!(quota, "max" | "-1") { None } else { Some(in_ns(quota)?) };
    Some(CpuBandwidth { quota_ns, period_ns: in_ns(period)? })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn read(files: &[(&str, &str)]) -> Option<Reading<CpuBandwidth>> {
        let tree = tempfile::tempdir().unwrap();
        files.iter().for_each(|(name, text)| fs::write(tree.path().join(name), text).unwrap());
        Some(Limit::open(tree.path()).unwrap()?.read(&mut Page::new()))
    }

    #[test]
    fn both_versions_say_the_same_in_their_way() {
        let a_fifth = CpuBandwidth { quota_ns: Some(20_000_000), period_ns: 100_000_000 };
        assert_eq!(read(&[("cpu.max", "20000 100000\n")]), Some(Reading::Seen(a_fifth)));
        let cfs = |quota| read(&[("cpu.cfs_quota_us", quota), ("cpu.cfs_period_us", "100000\n")]);
        assert_eq!(cfs("20000\n"), Some(Reading::Seen(a_fifth)));
        let none = CpuBandwidth { quota_ns: None, period_ns: 100_000_000 };
        assert_eq!(read(&[("cpu.max", "max 100000\n")]), Some(Reading::Seen(none)));
        assert_eq!(cfs("-1\n"), Some(Reading::Seen(none)));
        assert_eq!(read(&[]), None);
        assert!(read(&[("cpu.max", "much\n")]).unwrap().reason().unwrap().contains("cpu.max"));
    }
}
