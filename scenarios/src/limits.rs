//! CPU limits by cgroup: v1, v2 and hybrid.
//!
//! A run has one tree of cgroups, `meshtax-PID-STARTTIME-TAG`, in each hierarchy that counts or limits CPU time and
//! lets us write; each service and each sidecar has a leaf of its own in it. What is limited is what is counted.

mod delegation;
mod layout;
mod leaf;
mod remove;

use std::path::{Path, PathBuf};

use record::CpuQuantity;

pub use leaf::Leaf;
pub use remove::{remove, sweep_stale};

use crate::owner::Owner;
use crate::{Error, Result};
use layout::{Hierarchy, Kind};

/// The period of a limit, the one Kubernetes uses.
const PERIOD_US: u64 = 100_000;

/// The kernel takes no quota below a millisecond a period.
const LEAST_MILLICORES: u32 = 10;

/// The weight a cgroup is born with, in v1 and v2, and the most there may be.
const SHARES: (u64, u64) = (1024, 262_144);
const WEIGHT: (u64, u64) = (100, 10_000);

/// The cgroups of a run; removed when dropped.
#[derive(Debug)]
pub struct CgroupTree {
    branches: Vec<Branch>,
    roots: Vec<PathBuf>,
    /// Why limits cannot be set, though a tree could be made.
    no_limits: Option<String>,
}

/// The tree's part in one hierarchy.
#[derive(Debug)]
struct Branch {
    kind: Kind,
    root: PathBuf,
    /// Whether a quota can be set in it.
    limits: bool,
}

impl CgroupTree {
    /// Makes a tree, named for this process and `run_tag`.
    ///
    /// In v2 a cgroup that hands the cpu controller down may hold no processes: where we are alone in ours, we move
    /// into a leaf of the tree, and back when it is removed.
    ///
    /// # Errors
    /// [`Error::LimitNotPermitted`] when no hierarchy lets us make one, with what each of them said.
    pub fn create(run_tag: &str) -> Result<Self> {
        let owner = Owner::ourselves().ok_or_else(|| not_permitted("/proc/self/stat cannot be read"))?;
        let tag: String =
            run_tag.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
        let name = format!("{}-{}", owner.prefix(), tag.get(..40).unwrap_or(&tag));
        let mut tree = Self { branches: Vec::new(), roots: Vec::new(), no_limits: None };
        let mut reasons = Vec::new();
        for hierarchy in own_hierarchies() {
            match tree.grow(&hierarchy, &name) {
                Ok(None) => {}
                Ok(Some(reason)) | Err(reason) => reasons.push(reason),
            }
        }
        if tree.branches.is_empty() {
            let none = "neither cgroup v1 with cpu nor v2 is mounted here".to_owned();
            // The first is of the hierarchy that limits; the others say the same in other places.
            return Err(not_permitted(reasons.into_iter().next().unwrap_or(none)));
        }
        if !tree.branches.iter().any(|b| b.limits) {
            reasons.push(format!("{} has no cpu controller", tree.describe()));
            tree.no_limits = reasons.first().cloned();
        }
        Ok(tree)
    }

    /// Adds a branch; says why it cannot limit where that is so.
    fn grow(&mut self, hierarchy: &Hierarchy, name: &str) -> std::result::Result<Option<String>, String> {
        let (root, no_limits) = match &hierarchy.kind {
            Kind::V1(_) => (make(&hierarchy.own.join(name))?, None),
            Kind::V2 => delegation::grow(hierarchy, name, "cpu")?,
        };
        self.roots.push(root.clone());
        let limits = match &hierarchy.kind {
            Kind::V1(_) => hierarchy.has("cpu"),
            Kind::V2 => no_limits.is_none(),
        };
        self.branches.push(Branch { kind: hierarchy.kind.clone(), root, limits });
        // That the v2 tree of a hybrid has no cpu controller is how it should be.
        Ok(no_limits.filter(|_| !self.branches.iter().any(|b| b.limits)))
    }

    /// The directories of the tree, one a hierarchy; what [`remove()`] takes.
    pub fn roots(&self) -> &[PathBuf] {
        &self.roots
    }

    /// Why a limit cannot be set, where that is so though there are cgroups that count.
    pub fn no_limits(&self) -> Option<&str> {
        self.no_limits.as_deref()
    }

    /// Which hierarchies it is in: "v1 cpu, v1 cpuacct, v2".
    pub fn describe(&self) -> String {
        let words: Vec<String> = self
            .branches
            .iter()
            .map(|b| match &b.kind {
                Kind::V1(controllers) => format!("v1 {}", controllers.join("+")),
                Kind::V2 => "v2".to_owned(),
            })
            .collect();
        words.join(", ")
    }

    /// Makes the cgroup of a part, with a limit or without. An empty one of that name is made anew, so that its
    /// counters begin at zero.
    ///
    /// # Errors
    /// [`Error::Cgroup`] when the kernel refuses, or something is still inside; and those of [`Self::set_limit`].
    pub fn leaf(&self, name: &str, limit: Option<CpuQuantity>) -> Result<Leaf> {
        if let Some(limit) = limit {
            self.check_limit(limit)?;
        }
        let leaf = Leaf {
            name: name.to_owned(),
            directories: self.branches.iter().map(|branch| branch.root.join(name)).collect(),
        };
        if leaf.directories.iter().any(|d| d.exists()) {
            leaf.remove()?;
        }
        for directory in &leaf.directories {
            std::fs::create_dir(directory).map_err(cgroup_error("create", directory))?;
        }
        self.weigh()?;
        if let Some(limit) = limit {
            self.set_limit(&leaf, limit)?;
        }
        Ok(leaf)
    }

    /// Whether a limit could be set.
    ///
    /// # Errors
    /// [`Error::LimitNotPermitted`] where none can be, [`Error::Value`] for one the kernel would not take.
    pub fn check_limit(&self, limit: CpuQuantity) -> Result<()> {
        if let Some(reason) = &self.no_limits {
            return Err(not_permitted(reason.clone()));
        }
        if limit.millicores() < LEAST_MILLICORES {
            return Err(Error::Value {
                what: format!("the CPU limit {limit}"),
                problem: format!("the kernel takes none below {LEAST_MILLICORES}m, a millisecond of each 100"),
                remedy: format!("{LEAST_MILLICORES}m or more"),
            });
        }
        Ok(())
    }

    /// Limits a leaf, and reads the limit back.
    ///
    /// # Errors
    /// Those of [`Self::check_limit`]; [`Error::Cgroup`] when the kernel refuses, [`Error::Unproven`] when it keeps
    /// another.
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
        let found = leaf.limit_millicores()?;
        if found == Some(limit.millicores()) {
            return Ok(());
        }
        Err(Error::Unproven {
            part: leaf.name.clone(),
            claim: "CPU limit".to_owned(),
            expected: limit.to_string(),
            found: found.map_or_else(|| "none".to_owned(), |m| format!("{m}m")),
            read_from: leaf.limit_file(),
        })
    }

    /// Gives the tree the weight of all its leaves. Otherwise everything in it together would weigh as much as any
    /// one process outside when CPUs are short, and a chain of more parts would have less for each.
    fn weigh(&self) -> Result<()> {
        for branch in self.branches.iter().filter(|b| b.limits) {
            let (file, (one, most)) = match branch.kind {
                Kind::V1(_) => ("cpu.shares", SHARES),
                Kind::V2 => ("cpu.weight", WEIGHT),
            };
            let leaves = remove::children(&branch.root).len() as u64;
            write(&branch.root, file, &(one * leaves).min(most).to_string())?;
        }
        Ok(())
    }
}

impl Drop for CgroupTree {
    fn drop(&mut self) {
        let _ = remove(&self.roots);
    }
}

/// The hierarchies we are in.
fn own_hierarchies() -> Vec<Hierarchy> {
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    layout::hierarchies(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"))
}

fn make(root: &Path) -> std::result::Result<PathBuf, String> {
    match std::fs::create_dir(root) {
        Ok(()) => Ok(root.to_owned()),
        Err(e) => Err(format!("cannot create {}: {e}", root.display())),
    }
}

fn write(directory: &Path, file: &str, text: &str) -> Result<()> {
    std::fs::write(directory.join(file), text).map_err(|source| Error::Cgroup {
        action: format!("write '{text}' to {file} of"),
        path: directory.to_owned(),
        source,
    })
}

fn cgroup_error(action: &str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    move |source| Error::Cgroup { action: action.to_owned(), path: path.to_owned(), source }
}

fn not_permitted(reason: impl Into<String>) -> Error {
    let remedy = "as root, or `systemd-run --user --scope -p Delegate=yes meshtax run ...`, or without --cpu-limit";
    Error::LimitNotPermitted { reason: reason.into(), remedy: remedy.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_no_limit_can_be_set_asking_for_one_is_an_error_with_the_way_out() {
        let tree = CgroupTree {
            branches: Vec::new(),
            roots: Vec::new(),
            no_limits: Some("cannot create /sys/fs/cgroup/x: Permission denied".into()),
        };
        let said = tree.leaf("s1", Some("500m".parse().unwrap())).unwrap_err().to_string();
        assert_eq!(
            said,
            "a CPU limit needs a cgroup we may write: cannot create /sys/fs/cgroup/x: Permission denied\n  \
             try: as root, or `systemd-run --user --scope -p Delegate=yes meshtax run ...`, or without --cpu-limit"
        );
        assert_eq!(tree.leaf("s1", None).unwrap().directories(), Vec::<PathBuf>::new());
    }

    #[test]
    fn a_limit_below_the_kernels_least_is_refused_with_the_least() {
        let tree = CgroupTree { branches: Vec::new(), roots: Vec::new(), no_limits: None };
        let said = tree.leaf("s1", Some("9m".parse().unwrap())).unwrap_err().to_string();
        assert!(said.starts_with("the CPU limit 9m: the kernel takes none below 10m"), "{said}");
    }
}
