//! CPU limits, weights and memory limits by cgroup: v1, v2 and hybrid.
//!
//! A run has one tree of cgroups, `meshtax-PID-STARTTIME-TAG`, in each hierarchy that counts or limits CPU time and
//! lets us write, and where it was asked for in the one that limits memory; each service and each sidecar has a leaf of
//! its own in it. What is limited is what is counted.

mod delegation;
mod holding;
mod layout;
mod leaf;
mod memory;
mod remove;
mod wanted;
mod weight;

use std::path::{Path, PathBuf};

use record::CpuQuantity;

pub use leaf::Leaf;
pub(crate) use memory::MemoryWatch;
pub use remove::{remove, sweep_stale};
pub use wanted::Limits;

use crate::owner::Owner;
use crate::{Error, Result};
use holding::{CPU, MEMORY, What};
use layout::{Hierarchy, Kind};

/// The cgroups of a run; removed when dropped.
#[derive(Debug)]
pub struct CgroupTree {
    branches: Vec<Branch>,
    roots: Vec<PathBuf>,
    /// Why CPU limits cannot be set, though a tree could be made.
    no_limits: Option<String>,
    /// Why memory limits cannot be set.
    no_memory: Option<String>,
}

/// The tree's part in one hierarchy.
#[derive(Debug)]
struct Branch {
    kind: Kind,
    root: PathBuf,
    /// Whether a quota can be set in it.
    limits: bool,
    /// Whether memory can be limited in it.
    memory: bool,
}

impl CgroupTree {
    /// Makes a tree, named for this process and `run_tag`, that does not touch the accounting of memory.
    ///
    /// In v2 a cgroup that hands the cpu controller down may hold no processes: where we are alone in ours, we move
    /// into a leaf of the tree, and back when it is removed.
    ///
    /// # Errors
    /// [`Error::LimitNotPermitted`] when no hierarchy lets us make one, with what each of them said.
    pub fn create(run_tag: &str) -> Result<Self> {
        Self::made(run_tag, false)
    }

    /// Makes one in which memory can be limited too, where that is permitted: [`Self::check`] says whether it is.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn with_memory(run_tag: &str) -> Result<Self> {
        Self::made(run_tag, true)
    }

    fn made(run_tag: &str, memory: bool) -> Result<Self> {
        let what = if memory { MEMORY } else { CPU };
        let owner = Owner::ourselves().ok_or_else(|| not_permitted(what, "/proc/self/stat cannot be read"))?;
        let tag: String =
            run_tag.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
        let name = format!("{}-{}", owner.prefix(), tag.get(..40).unwrap_or(&tag));
        let mut tree = Self { branches: Vec::new(), roots: Vec::new(), no_limits: None, no_memory: None };
        let (mut reasons, mut of_memory) = (Vec::new(), Vec::new());
        for hierarchy in own_hierarchies().into_iter().filter(|h| memory || h.counts_cpu()) {
            let grown = tree.grow(&hierarchy, &name);
            if hierarchy.counts_cpu() {
                reasons.extend(grown.clone().unwrap_or_else(Some));
            }
            if memory {
                of_memory.extend(grown.and_then(|_| tree.limit_memory_in_last()).err());
            }
        }
        if tree.branches.is_empty() {
            let none = "neither cgroup v1 with cpu nor v2 is mounted here".to_owned();
            // The first is of the hierarchy that limits; the others say the same in other places.
            return Err(not_permitted(what, reasons.into_iter().next().unwrap_or(none)));
        }
        if !tree.branches.iter().any(|b| b.limits) {
            reasons.push(format!("{} has no cpu controller", tree.describe()));
            tree.no_limits = reasons.first().cloned();
        }
        if !tree.branches.iter().any(|b| b.memory) {
            let none = if memory { "no hierarchy here has the memory controller" } else { "it was not asked for" };
            tree.no_memory = Some(of_memory.into_iter().next().unwrap_or_else(|| none.to_owned()));
        }
        Ok(tree)
    }

    /// Adds a branch; says why it cannot limit CPU time where that is so.
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
        self.branches.push(Branch { kind: hierarchy.kind.clone(), root, limits, memory: false });
        // That the v2 tree of a hybrid has no cpu controller is how it should be.
        Ok(no_limits.filter(|_| !self.branches.iter().any(|b| b.limits)))
    }

    /// Has the branch that was added last limit memory too; says why it cannot, where one would expect it to.
    fn limit_memory_in_last(&mut self) -> std::result::Result<(), String> {
        let found = self.branches.iter().any(|b| b.memory);
        let Some(branch) = self.branches.last_mut() else { return Ok(()) };
        branch.memory = match &branch.kind {
            Kind::V1(controllers) => controllers.iter().any(|c| c == "memory"),
            // One controller is in one hierarchy.
            Kind::V2 if found => false,
            Kind::V2 => delegation::also(&branch.root, "memory").map(|()| true)?,
        };
        Ok(())
    }

    /// The directories of the tree, one a hierarchy; what [`remove()`] takes.
    pub fn roots(&self) -> &[PathBuf] {
        &self.roots
    }

    /// Why a CPU limit cannot be set, where that is so though there are cgroups that count.
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

    /// Gives the tree the weight of all its leaves. Otherwise everything in it together would weigh as much as any
    /// one process outside when CPUs are short, and a chain of more parts would have less for each.
    fn weigh(&self) -> Result<()> {
        for branch in self.branches.iter().filter(|b| b.limits) {
            let all = weight::of_all(&remove::children(&branch.root), &branch.kind);
            write(&branch.root, weight::file(&branch.kind), &all.to_string())?;
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

fn not_permitted((what, flag): What, reason: impl Into<String>) -> Error {
    let reason = reason.into();
    // So it is in a container: root of the inside cannot change that.
    let remedy = if reason.contains("Read-only file system") {
        format!("outside of this container or in a privileged one, as root, or without {flag}")
    } else {
        format!("as root, or `systemd-run --user --scope -p Delegate=yes meshtax run ...`, or without {flag}")
    };
    Error::LimitNotPermitted { what, reason, remedy }
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
            no_memory: Some("the memory controller is not delegated to /sys/fs/cgroup/x".into()),
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
    fn a_request_and_a_memory_limit_that_cannot_be_set_are_named_as_such() {
        let tree = CgroupTree {
            branches: Vec::new(),
            roots: Vec::new(),
            no_limits: Some("cannot create /sys/fs/cgroup/x: Permission denied".into()),
            no_memory: Some("the memory controller is not delegated to /sys/fs/cgroup/x".into()),
        };
        let said = |limits: Limits| tree.check(&limits).unwrap_err().to_string();
        let request = said(Limits { request: Some("100m".parse().unwrap()), ..Limits::default() });
        assert!(request.starts_with("a CPU request needs a cgroup we may write: cannot create"), "{request}");
        assert!(request.ends_with("or without --cpu-request"), "{request}");
        let memory = said(Limits { memory: Some("64Mi".parse().unwrap()), ..Limits::default() });
        assert!(memory.starts_with("a memory limit needs a cgroup we may write: the memory controller"), "{memory}");
        assert!(memory.ends_with("or without --memory-limit"), "{memory}");
        tree.check(&Limits::default()).unwrap();
    }

    #[test]
    fn a_limit_below_the_kernels_least_is_refused_with_the_least() {
        let tree = CgroupTree { branches: Vec::new(), roots: Vec::new(), no_limits: None, no_memory: None };
        let said = tree.leaf("s1", Some("9m".parse().unwrap())).unwrap_err().to_string();
        assert!(said.starts_with("the CPU limit 9m: the kernel takes none below 10m"), "{said}");
    }
}
