//! The throttled time of the cgroup this thread is in, and of those above it, on kept descriptors.

use std::fs;
use std::path::{Path, PathBuf};

use record::Reading;

use crate::absence;
use crate::cgroup::chain::Chain;
use crate::cgroup::throttled_ns;
use crate::proc::mountinfo;
use crate::source::{Page, Source};

/// The levels that can be throttled, this thread's own first.
#[derive(Debug)]
pub(super) struct Quota {
    levels: Vec<Level>,
    /// The directories, or why there are none.
    watched: Reading<Vec<String>>,
}

#[derive(Debug)]
struct Level {
    source: Source,
    last_ns: u64,
}

impl Quota {
    /// Opens what the calling thread's cgroup has under `root`.
    pub(super) fn open(root: &Path, page: &mut Page) -> Self {
        let directories = match directories(root) {
            Ok(directories) => directories,
            Err(reason) => return Self { levels: Vec::new(), watched: Reading::absent(reason) },
        };
        let (mut levels, mut names) = (Vec::new(), Vec::new());
        for directory in directories {
            // A group without the cpu controller, such as the root of version 2, has no such counter.
            if let Ok(source) = Source::open(&directory.join("cpu.stat"))
                && let Some(last_ns) = source.read(page).ok().and_then(throttled_ns)
            {
                levels.push(Level { source, last_ns });
                names.push(directory.display().to_string());
            }
        }
        let watched = if names.is_empty() {
            Reading::absent("no cgroup from this thread's own up to the root counts throttling: none has a quota")
        } else {
            Reading::Seen(names)
        };
        Self { levels, watched }
    }

    /// The directories that are read.
    pub(super) fn watched(&self) -> &Reading<Vec<String>> {
        &self.watched
    }

    /// Throttled time of all levels since boot, added up. A level that was removed stands as it was read last.
    pub(super) fn throttled_ns(&mut self, page: &mut Page) -> u64 {
        for level in &mut self.levels {
            if let Some(now) = level.source.read(page).ok().and_then(throttled_ns) {
                level.last_ns = now;
            }
        }
        self.levels.iter().map(|level| level.last_ns).sum()
    }
}

/// The directories of this thread's cgroup of the cpu controller and of those above it, as far as they are mounted.
fn directories(root: &Path) -> Result<Vec<PathBuf>, String> {
    let path = root.join("proc/thread-self/cgroup");
    let text = fs::read_to_string(&path)
        .map_err(|e| absence::reason(&path, rustix::io::Errno::from_io_error(&e).unwrap_or(rustix::io::Errno::IO)))?;
    let mounts = mountinfo::read(root).map_err(|e| format!("cannot read the mounts: {e}"))?;
    Ok(Chain::of(root, &mounts, &text, "cpu")?.groups)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text_tree::tree;

    const STATS: [(&str, &str); 3] = [
        ("sys/fs/cgroup/cpu/a/b/cpu.stat", "nr_periods 5\nnr_throttled 4\nthrottled_time 1000\n"),
        ("sys/fs/cgroup/cpu/a/cpu.stat", "nr_periods 5\nnr_throttled 4\nthrottled_time 200\n"),
        ("sys/fs/cgroup/cpu/cpu.stat", "nr_periods 0\nnr_throttled 0\nthrottled_time 0\n"),
    ];

    #[test]
    fn every_level_of_version_1_counts_in_nanoseconds() {
        let mounts = "30 1 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      31 1 0:31 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
                      32 1 0:32 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let own = "5:memory:/x\n2:cpu,cpuacct:/a/b\n0::/\n";
        let tree = tree(&[&STATS[..], &[("proc/self/mountinfo", mounts), ("proc/thread-self/cgroup", own)]].concat());
        let mut page = Page::new();
        let mut quota = Quota::open(tree.path(), &mut page);
        assert_eq!(quota.watched().seen().unwrap().len(), 3);
        assert_eq!(quota.throttled_ns(&mut page), 1200);
        fs::write(tree.path().join(STATS[1].0), "throttled_time 900\n").unwrap();
        assert_eq!(quota.throttled_ns(&mut page), 1900);
    }

    #[test]
    fn version_2_counts_in_microseconds_and_its_root_does_not() {
        let tree = tree(&[
            ("proc/self/mountinfo", "31 1 0:31 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n"),
            ("proc/thread-self/cgroup", "0::/pod/one\n"),
            ("sys/fs/cgroup/cpu.stat", "usage_usec 9\n"),
            ("sys/fs/cgroup/pod/cpu.stat", "usage_usec 9\nnr_periods 1\nnr_throttled 1\nthrottled_usec 7\n"),
            ("sys/fs/cgroup/pod/one/cpu.stat", "usage_usec 9\nnr_periods 1\nnr_throttled 1\nthrottled_usec 30\n"),
        ]);
        let mut page = Page::new();
        let mut quota = Quota::open(tree.path(), &mut page);
        assert_eq!(quota.watched().seen().unwrap().len(), 2);
        assert_eq!(quota.throttled_ns(&mut page), 37_000);
    }

    #[test]
    fn a_mount_that_begins_at_the_containers_group_is_that_group() {
        let tree = tree(&[
            ("proc/self/mountinfo", "31 1 0:31 /docker/3f /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n"),
            ("proc/thread-self/cgroup", "2:cpu:/docker/3f\n0::/\n"),
            ("sys/fs/cgroup/cpu/cpu.stat", "throttled_time 5\n"),
        ]);
        let mut page = Page::new();
        assert_eq!(Quota::open(tree.path(), &mut page).throttled_ns(&mut page), 5);
    }

    #[test]
    fn what_cannot_be_watched_says_why() {
        let mut page = Page::new();
        let mounts = ("proc/self/mountinfo", "31 1 0:31 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
        for (files, want) in [
            (vec![], "does not exist"),
            (vec![mounts, ("proc/thread-self/cgroup", "0::/../other\n")], "outside"),
            (vec![mounts, ("proc/thread-self/cgroup", "0::/x\n")], "none has a quota"),
            (
                vec![mounts, ("proc/thread-self/cgroup", "3:cpu:/x\n")],
                "no cgroup hierarchy here has the cpu controller",
            ),
        ] {
            let tree = tree(&files);
            let mut quota = Quota::open(tree.path(), &mut page);
            assert!(quota.watched().reason().unwrap().contains(want), "{:?}", quota.watched());
            assert_eq!(quota.throttled_ns(&mut page), 0);
        }
    }
}
