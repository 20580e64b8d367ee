//! The cgroup of one part: where it is, what it is held to, and whether a process is in it.

use std::path::{Path, PathBuf};

use record::{CpuQuantity, MemoryQuantity, Proof};

use super::layout::Kind;
use super::{Limits, MemoryWatch, cgroup_error, memory, remove, weight};
use crate::Result;
use crate::proxy::proof::claim;

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

    /// Those of its directories that count CPU time, for the probe: one that limits memory alone counts none.
    pub fn counting(&self) -> Vec<PathBuf> {
        let counts = |d: &&PathBuf| ["cpu.stat", "cpuacct.usage"].iter().any(|file| d.join(file).exists());
        self.directories.iter().filter(counts).cloned().collect()
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

    /// Reads back what it is held to; of memory only where there is a controller for it.
    ///
    /// # Errors
    /// [`crate::Error::Unproven`] when that is not what was wanted, and [`crate::Error::Cgroup`] when it cannot be read.
    pub fn prove(&self, wanted: &Limits) -> Result<Vec<Proof>> {
        let Limits { cpu, request, memory } = wanted;
        let mut proofs = vec![self.prove_limit(*cpu)?];
        proofs.extend(self.prove_request(*request)?);
        proofs.extend(self.prove_memory(*memory)?);
        Ok(proofs)
    }

    pub(super) fn prove_limit(&self, limit: Option<CpuQuantity>) -> Result<Proof> {
        let shown = |millicores: Option<u32>| millicores.map_or_else(|| "none".to_owned(), |m| format!("{m}m"));
        let expected = shown(limit.map(CpuQuantity::millicores));
        claim(&self.name, "CPU limit", &expected, &shown(self.limit_millicores()?), &self.limit_file())
    }

    /// A leaf without a request has the weight it was born with, which nobody claims anything of.
    pub(super) fn prove_request(&self, request: Option<CpuQuantity>) -> Result<Option<Proof>> {
        let Some(request) = request else { return Ok(None) };
        let weights = [Kind::V1(Vec::new()), Kind::V2];
        let found = self.directories.iter().find_map(|directory| {
            let kind = weights.iter().find(|kind| directory.join(weight::file(kind)).exists())?;
            Some((directory.join(weight::file(kind)), kind, weight::read(directory, kind)))
        });
        let Some((file, kind, found)) = found else {
            return claim(&self.name, "CPU weight", &request.to_string(), "none", "no cgroup").map(Some);
        };
        let expected = weight::of_request(request, kind).to_string();
        let found = found.map_or_else(|| "unreadable".to_owned(), |weight| weight.to_string());
        claim(&self.name, "CPU weight", &expected, &found, &file.display().to_string()).map(Some)
    }

    pub(super) fn prove_memory(&self, limit: Option<MemoryQuantity>) -> Result<Option<Proof>> {
        let Some(file) = memory::file(&self.directories) else {
            let Some(limit) = limit else { return Ok(None) };
            return claim(&self.name, "memory limit", &limit.to_string(), "none", "no cgroup").map(Some);
        };
        let expected = limit.map_or_else(|| "none".to_owned(), |limit| limit.to_string());
        let found = match (memory::read(&self.directories)?, limit) {
            (None, _) => "none".to_owned(),
            (Some(bytes), Some(limit)) if bytes == memory::in_pages(limit) => limit.to_string(),
            (Some(bytes), _) => MemoryQuantity::from_bytes(bytes).map_or_else(|_| "0".to_owned(), |q| q.to_string()),
        };
        claim(&self.name, "memory limit", &expected, &found, &file.display().to_string()).map(Some)
    }

    /// What tells whether the kernel killed a process in it for want of memory.
    pub(crate) fn watch_memory(&self, limit: MemoryQuantity) -> MemoryWatch {
        MemoryWatch::new(limit, &self.directories)
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
