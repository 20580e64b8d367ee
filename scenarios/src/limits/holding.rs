//! Holding a part to a CPU limit, a weight and a memory limit: each is set and read back.

use record::{CpuQuantity, MemoryQuantity};

use super::layout::Kind;
use super::{CgroupTree, Leaf, Limits, memory, not_permitted, weight, write};
use crate::{Error, Result};

/// The period of a limit, the one Kubernetes uses.
const PERIOD_US: u64 = 100_000;

/// The kernel takes no quota below a millisecond a period.
const LEAST_MILLICORES: u32 = 10;

/// What may not be permitted, and the flag that asks for it.
pub(super) type What = (&'static str, &'static str);

pub(super) const CPU: What = ("a CPU limit", "--cpu-limit");
const REQUEST: What = ("a CPU request", "--cpu-request");
pub(super) const MEMORY: What = ("a memory limit", "--memory-limit");

impl CgroupTree {
    /// Whether a part could be held to so much.
    ///
    /// # Errors
    /// [`Error::LimitNotPermitted`] for what cannot be set here, [`Error::Value`] for a CPU limit that the kernel would
    /// not take.
    pub fn check(&self, limits: &Limits) -> Result<()> {
        let Limits { cpu, request, memory } = limits;
        cpu.map_or(Ok(()), |limit| self.check_limit(limit))?;
        request.map_or(Ok(()), |_| self.check_cpu(REQUEST))?;
        match (&self.no_memory, memory) {
            (Some(reason), Some(_)) => Err(not_permitted(MEMORY, reason.clone())),
            _ => Ok(()),
        }
    }

    fn check_cpu(&self, what: What) -> Result<()> {
        self.no_limits.as_ref().map_or(Ok(()), |reason| Err(not_permitted(what, reason.clone())))
    }

    pub(super) fn check_limit(&self, limit: CpuQuantity) -> Result<()> {
        self.check_cpu(CPU)?;
        if limit.millicores() < LEAST_MILLICORES {
            return Err(Error::Value {
                what: format!("the CPU limit {limit}"),
                problem: format!("the kernel takes none below {LEAST_MILLICORES}m, a millisecond of each 100"),
                remedy: format!("{LEAST_MILLICORES}m or more"),
            });
        }
        Ok(())
    }

    /// Limits the CPU time of a leaf, and reads the limit back.
    ///
    /// # Errors
    /// Those of [`Self::check`]; [`Error::Cgroup`] when the kernel refuses, [`Error::Unproven`] when it keeps another.
    pub fn set_limit(&self, leaf: &Leaf, limit: CpuQuantity) -> Result<()> {
        self.check_limit(limit)?;
        let quota_us = u64::from(limit.millicores()) * PERIOD_US / 1000;
        for branch in self.branches.iter().filter(|b| b.limits) {
            let directory = branch.root.join(&leaf.name);
            match branch.kind {
                Kind::V1(_) => {
                    write(&directory, "cpu.cfs_period_us", &PERIOD_US.to_string())?;
                    write(&directory, "cpu.cfs_quota_us", &quota_us.to_string())?;
                }
                Kind::V2 => write(&directory, "cpu.max", &format!("{quota_us} {PERIOD_US}"))?,
            }
        }
        leaf.prove_limit(Some(limit)).map(drop)
    }

    /// Gives a leaf the weight of a CPU request, and reads it back.
    ///
    /// # Errors
    /// As [`Self::set_limit`].
    pub fn set_request(&self, leaf: &Leaf, request: CpuQuantity) -> Result<()> {
        self.check_cpu(REQUEST)?;
        for branch in self.branches.iter().filter(|b| b.limits) {
            let weight = weight::of_request(request, &branch.kind).to_string();
            write(&branch.root.join(&leaf.name), weight::file(&branch.kind), &weight)?;
        }
        self.weigh()?;
        leaf.prove_request(Some(request)).map(drop)
    }

    /// Limits the memory of a leaf, and reads the limit back. To be done before anything is inside: what was charged
    /// before a limit stays, and v1 refuses a limit below it while v2 kills at once.
    ///
    /// # Errors
    /// As [`Self::set_limit`].
    pub fn set_memory(&self, leaf: &Leaf, limit: MemoryQuantity) -> Result<()> {
        self.check(&Limits { memory: Some(limit), ..Limits::default() })?;
        for branch in self.branches.iter().filter(|b| b.memory) {
            memory::set(&branch.root.join(&leaf.name), limit)?;
        }
        leaf.prove_memory(Some(limit)).map(drop)
    }
}
