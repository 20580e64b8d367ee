//! The memory limit of a cgroup: set, read back, and whether the kernel killed for it.

use std::path::{Path, PathBuf};

use record::MemoryQuantity;

use super::{cgroup_error, write};
use crate::Result;

/// What "no limit" looks like in v1: the most pages that fit into the kernel's counter.
const UNLIMITED: u64 = i64::MAX as u64 & !0xffff;

/// The files of one version.
struct Files {
    limit: &'static str,
    events: &'static str,
    /// Those that keep memory out of swap, with what is written there.
    swap: &'static [(&'static str, Swap)],
}

enum Swap {
    /// As much as the limit: memory and swap together.
    Both,
    /// Nothing.
    None,
}

const V1: Files = Files {
    limit: "memory.limit_in_bytes",
    events: "memory.oom_control",
    // The first is missing where swap is not accounted.
    swap: &[("memory.memsw.limit_in_bytes", Swap::Both), ("memory.swappiness", Swap::None)],
};
const V2: Files = Files { limit: "memory.max", events: "memory.events", swap: &[("memory.swap.max", Swap::None)] };

/// Limits the memory of a cgroup, and keeps it out of swap: a proxy that swaps would be slow where in Kubernetes it is
/// killed.
pub(super) fn set(directory: &Path, limit: MemoryQuantity) -> Result<()> {
    let Some(files) = files(directory) else { return Ok(()) };
    let bytes = limit.bytes().to_string();
    write(directory, files.limit, &bytes)?;
    for (file, swap) in files.swap.iter().filter(|(file, _)| directory.join(file).exists()) {
        let text = match swap {
            Swap::Both => bytes.as_str(),
            Swap::None => "0",
        };
        write(directory, file, text)?;
    }
    // The container dies as a whole, as Kubernetes has it in v2.
    if directory.join("memory.oom.group").exists() {
        write(directory, "memory.oom.group", "1")?;
    }
    Ok(())
}

/// The limit as the kernel has it, in bytes; none is no limit, or no memory controller.
pub(super) fn read(directories: &[PathBuf]) -> Result<Option<u64>> {
    let Some((directory, files)) = limiting(directories) else { return Ok(None) };
    let text = std::fs::read_to_string(directory.join(files.limit))
        .map_err(cgroup_error(&format!("read {} of", files.limit), directory))?;
    let text = text.trim();
    if text == "max" {
        return Ok(None);
    }
    let bytes: u64 = text.parse().map_err(|_| {
        cgroup_error("understand the memory limit of", directory)(std::io::Error::other(format!("'{text}'")))
    })?;
    Ok((bytes < UNLIMITED).then_some(bytes))
}

/// Where [`read`] reads; none without the controller.
pub(super) fn file(directories: &[PathBuf]) -> Option<PathBuf> {
    limiting(directories).map(|(directory, files)| directory.join(files.limit))
}

/// What a limit is once the kernel has it: whole pages.
pub(super) fn in_pages(limit: MemoryQuantity) -> u64 {
    let page = rustix::param::page_size() as u64;
    limit.bytes() / page * page
}

/// Whether the kernel has killed in a cgroup for want of memory. v1 counts that since Linux 4.13; before, how often
/// the limit was hit must do.
fn killed(directories: &[PathBuf]) -> bool {
    let Some((directory, files)) = limiting(directories) else { return false };
    let text = std::fs::read_to_string(directory.join(files.events)).unwrap_or_default();
    let counted = text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse::<u64>().ok());
    let hits = || std::fs::read_to_string(directory.join("memory.failcnt")).ok()?.trim().parse().ok();
    counted.or_else(hits).is_some_and(|count: u64| count > 0)
}

fn limiting(directories: &[PathBuf]) -> Option<(&Path, Files)> {
    directories.iter().find_map(|directory| Some((directory.as_path(), files(directory)?)))
}

fn files(directory: &Path) -> Option<Files> {
    [V1, V2].into_iter().find(|files| directory.join(files.limit).exists())
}

/// A memory limit that a process may die of.
#[derive(Clone, Debug)]
pub(crate) struct MemoryWatch {
    pub(crate) limit: MemoryQuantity,
    directories: Vec<PathBuf>,
}

impl MemoryWatch {
    /// One over a leaf, which is as old as what is in it: what is counted there is of this process.
    pub(super) fn new(limit: MemoryQuantity, directories: &[PathBuf]) -> Self {
        Self { limit, directories: directories.to_vec() }
    }

    /// Whether the kernel killed for it.
    pub(crate) fn killed(&self) -> bool {
        killed(&self.directories)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cgroup(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (file, text) in files {
            std::fs::write(directory.path().join(file), text).unwrap();
        }
        directory
    }

    fn said(directory: &tempfile::TempDir, file: &str) -> String {
        std::fs::read_to_string(directory.path().join(file)).unwrap()
    }

    fn all(directory: &tempfile::TempDir) -> Vec<PathBuf> {
        vec![PathBuf::from("/no/such/cgroup"), directory.path().to_owned()]
    }

    fn mebibytes(n: u64) -> MemoryQuantity {
        MemoryQuantity::from_bytes(n << 20).unwrap()
    }

    #[test]
    fn in_version_2_swap_is_shut_and_the_group_dies_as_one() {
        let leaf = cgroup(&[("memory.max", "max\n"), ("memory.swap.max", "max\n"), ("memory.oom.group", "0\n")]);
        assert_eq!(read(&all(&leaf)).unwrap(), None);
        set(leaf.path(), mebibytes(64)).unwrap();
        assert_eq!(read(&all(&leaf)).unwrap(), Some(64 << 20));
        assert_eq!((said(&leaf, "memory.swap.max"), said(&leaf, "memory.oom.group")), ("0".into(), "1".into()));
        assert_eq!(file(&all(&leaf)), Some(leaf.path().join("memory.max")));
    }

    #[test]
    fn in_version_1_memory_and_swap_together_have_no_more() {
        let none = "9223372036854771712\n";
        let leaf = cgroup(&[("memory.limit_in_bytes", none), ("memory.memsw.limit_in_bytes", none)]);
        assert_eq!(read(&all(&leaf)).unwrap(), None);
        set(leaf.path(), mebibytes(64)).unwrap();
        assert_eq!(read(&all(&leaf)).unwrap(), Some(64 << 20));
        assert_eq!(said(&leaf, "memory.memsw.limit_in_bytes"), (64 << 20).to_string());
        // Without swap accounting there is no such file, and none is made.
        let leaf = cgroup(&[("memory.limit_in_bytes", none), ("memory.swappiness", "60\n")]);
        set(leaf.path(), mebibytes(64)).unwrap();
        assert_eq!(said(&leaf, "memory.swappiness"), "0");
        assert!(!leaf.path().join("memory.memsw.limit_in_bytes").exists());
    }

    #[test]
    fn a_kill_is_seen_in_either_version() {
        let v2 = |kills| format!("low 0\nhigh 0\nmax 831\noom 3\noom_kill {kills}\noom_group_kill 0\n");
        let v1 = |kills| format!("oom_kill_disable 0\nunder_oom 0\noom_kill {kills}\n");
        let old = "oom_kill_disable 0\nunder_oom 0\n";
        for (limit, events, text, failcnt, want) in [
            ("memory.max", "memory.events", v2(1), None, true),
            ("memory.max", "memory.events", v2(0), None, false),
            ("memory.limit_in_bytes", "memory.oom_control", v1(2), Some("9"), true),
            // The limit was hit, and pages of files gave way.
            ("memory.limit_in_bytes", "memory.oom_control", v1(0), Some("9"), false),
            ("memory.limit_in_bytes", "memory.oom_control", old.to_owned(), Some("9"), true),
            ("memory.limit_in_bytes", "memory.oom_control", old.to_owned(), Some("0"), false),
        ] {
            let mut files = vec![(limit, "8388608\n"), (events, text.as_str())];
            files.extend(failcnt.map(|count| ("memory.failcnt", count)));
            let leaf = cgroup(&files);
            assert_eq!(MemoryWatch::new(mebibytes(8), &all(&leaf)).killed(), want, "{text} {failcnt:?}");
        }
        assert!(!killed(&[]));
    }

    #[test]
    fn the_kernel_keeps_whole_pages() {
        let page = rustix::param::page_size() as u64;
        let odd = MemoryQuantity::from_bytes(5 * page + 1).unwrap();
        assert_eq!(in_pages(odd), 5 * page);
        assert_eq!(in_pages(mebibytes(64)), 64 << 20);
    }
}
