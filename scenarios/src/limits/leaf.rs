//! The cgroup of one part: where it is, the limit it has, and whether a process is in it.

use std::path::{Path, PathBuf};

use super::{cgroup_error, remove};
use crate::Result;

/// A cgroup for one part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    pub(super) name: String,
    pub(super) directories: Vec<PathBuf>,
}

impl Leaf {
    /// Its name in the tree.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its directory in each hierarchy, the one that limits first.
    pub fn directories(&self) -> &[PathBuf] {
        &self.directories
    }

    /// Removes it; its processes must be gone.
    ///
    /// # Errors
    /// [`crate::Error::Cgroup`] when something is still inside.
    pub fn remove(&self) -> Result<()> {
        for directory in &self.directories {
            match std::fs::remove_dir(directory) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(cgroup_error("remove", directory)(e));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The limit as the kernel has it, in thousandths of a core; none is no limit.
    ///
    /// # Errors
    /// [`crate::Error::Cgroup`] when it cannot be read, or is no limit of the form the kernel documents.
    pub fn limit_millicores(&self) -> Result<Option<u32>> {
        for directory in &self.directories {
            let text = |file: &str| std::fs::read_to_string(directory.join(file));
            let (quota, period) = if directory.join("cpu.cfs_quota_us").exists() {
                let read = || Ok((text("cpu.cfs_quota_us")?, text("cpu.cfs_period_us")?));
                read().map_err(cgroup_error("read the limit of", directory))?
            } else if directory.join("cpu.max").exists() {
                let both = text("cpu.max").map_err(cgroup_error("read cpu.max of", directory))?;
                let (quota, period) = both.trim().split_once(' ').unwrap_or_default();
                (quota.to_owned(), period.to_owned())
            } else {
                continue;
            };
            return millicores(quota.trim(), period.trim()).ok_or_else(|| {
                let source = std::io::Error::other(format!("quota '{}', period '{}'", quota.trim(), period.trim()));
                cgroup_error("understand the limit of", directory)(source)
            });
        }
        Ok(None)
    }

    /// Where [`Self::limit_millicores`] reads.
    pub fn limit_file(&self) -> String {
        let files = self.directories.iter().flat_map(|d| [d.join("cpu.cfs_quota_us"), d.join("cpu.max")]);
        files.into_iter().find(|f| f.exists()).map_or_else(|| "no cgroup".to_owned(), |f| f.display().to_string())
    }

    /// The first of its directories in which a process is not.
    pub fn missing(&self, pid: u32) -> Option<&Path> {
        self.directories.iter().map(PathBuf::as_path).find(|d| !remove::pids(d).contains(&pid))
    }
}

/// Thousandths of a core; -1 (v1) and "max" (v2) are no limit.
fn millicores(quota: &str, period: &str) -> Option<Option<u32>> {
    if quota == "-1" || quota == "max" {
        return Some(None);
    }
    let (quota, period): (u64, u64) = (quota.parse().ok()?, period.parse().ok()?);
    let thousandths = (quota * 1000).checked_div(period)?;
    u32::try_from(thousandths).ok().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_read_in_thousandths_of_a_core() {
        for (quota, period, want) in [
            ("5000", "100000", Some(Some(50))),
            ("150000", "100000", Some(Some(1500))),
            ("50000", "50000", Some(Some(1000))),
            ("-1", "100000", Some(None)),
            ("max", "100000", Some(None)),
            ("", "", None),
            ("5000", "0", None),
            ("-2", "100000", None),
        ] {
            assert_eq!(millicores(quota, period), want, "{quota}/{period}");
        }
    }
}
