//! Where cgroups are: the directories of a process's group, and the groups around a group.
//!
//! A limit on any group around holds up what is inside just as its own does. Each controller of version 1 has a tree of
//! its own, and a process stands in another place in each (proc_pid_cgroup(5), cgroups(7)).

use std::fs;
use std::path::{Path, PathBuf};

use crate::proc::mountinfo::{self, Mount};

/// The trees of cgroups that are mounted.
#[derive(Debug)]
pub(crate) struct Trees {
    trees: Vec<Tree>,
}

#[derive(Debug)]
struct Tree {
    /// Its top directory, as this program opens it.
    top: PathBuf,
    /// The group that is mounted there.
    mounted: PathBuf,
    /// Its controllers; none on version 2.
    controllers: Option<Vec<String>>,
}

impl Trees {
    pub(crate) fn of(root: &Path, mounts: &[Mount]) -> Self {
        let tree = |mount: &Mount| {
            let controllers = match mount.filesystem.as_str() {
                "cgroup" => Some(mount.options.split(',').map(str::to_owned).collect()),
                "cgroup2" => None,
                _ => return None,
            };
            let top = mountinfo::inside(root, &mount.point);
            let top = fs::canonicalize(&top).unwrap_or(top);
            Some(Tree { top, mounted: mount.root.clone(), controllers })
        };
        Self { trees: mounts.iter().filter_map(tree).collect() }
    }

    /// The group of a process, from the text of its /proc/PID/cgroup: a key and its directories in the trees that
    /// count CPU time or pressure. None for one that is in the top group of all of them, which nothing limits.
    pub(crate) fn group_of(&self, text: &str) -> Option<(String, Vec<PathBuf>)> {
        let mut directories = Vec::new();
        let mut key = None;
        // The line of version 2 comes last, and it names the group where no tree of version 1 does.
        for line in text.lines() {
            let mut fields = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
            let controllers: Vec<&str> = controllers.split(',').filter(|c| !c.is_empty()).collect();
            if !controllers.is_empty() && !controllers.iter().any(|c| matches!(*c, "cpu" | "cpuacct")) {
                continue;
            }
            let Some(directory) = self.directory(&controllers, Path::new(path)) else { continue };
            if !directories.contains(&directory) {
                directories.push(directory);
                key.get_or_insert_with(|| path.to_owned());
            }
        }
        Some((key?, directories))
    }

    /// The directory of a group; none if it is at the top, or is not to be seen from here.
    fn directory(&self, controllers: &[&str], path: &Path) -> Option<PathBuf> {
        self.trees.iter().find_map(|tree| {
            let same = match &tree.controllers {
                None => controllers.is_empty(),
                Some(own) => own.iter().any(|c| controllers.contains(&c.as_str())),
            };
            let below = path.strip_prefix(&tree.mounted).ok()?;
            let directory = tree.top.join(below);
            (same && below != Path::new("") && directory.is_dir()).then_some(directory)
        })
    }

    /// The groups around a directory, the nearest first, that can be limited: a key and the directory of each.
    pub(crate) fn around(&self, directory: &Path) -> Vec<(String, PathBuf)> {
        let holds = |tree: &&Tree| directory.starts_with(&tree.top);
        let Some(tree) = self.trees.iter().filter(holds).max_by_key(|tree| tree.top.components().count()) else {
            return Vec::new();
        };
        let above = directory.ancestors().skip(1).take_while(|parent| parent.starts_with(&tree.top));
        above
            .filter(|parent| can_be_limited(parent, &tree.top))
            .map(|parent| (tree.key(parent), parent.to_owned()))
            .collect()
    }
}

impl Tree {
    fn key(&self, directory: &Path) -> String {
        let below = directory.strip_prefix(&self.top).unwrap_or(directory);
        self.mounted.join(below).display().to_string()
    }
}

/// The top of a tree has no limit of its own, unless it is a group inside another that a container sees as its top.
fn can_be_limited(directory: &Path, top: &Path) -> bool {
    if directory.join("cpu.max").exists() {
        return true;
    }
    match fs::read_to_string(directory.join("cpu.cfs_quota_us")) {
        Ok(quota) => directory != top || quota.trim() != "-1",
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree with these files, empty but for what follows '='.
    fn tree(files: &[&str]) -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        for file in files {
            let (path, text) = file.split_once('=').unwrap_or((file, ""));
            let path = tree.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        tree
    }

    const V1: &str = "30 25 0:26 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
31 25 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
32 25 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
";

    #[test]
    fn version_1_is_found_by_controller_and_the_other_tree_beside_it() {
        let tree = tree(&["sys/fs/cgroup/cpu,cpuacct/a/b/cpu.stat", "sys/fs/cgroup/unified/u/cpu.stat"]);
        let trees = Trees::of(tree.path(), &mountinfo::parse(V1));
        let (key, directories) =
            trees.group_of("9:memory:/elsewhere\n4:cpu,cpuacct:/a/b\n1:name=systemd:/s\n0::/u\n").unwrap();
        assert_eq!(key, "/a/b");
        let want = ["cpu,cpuacct/a/b", "unified/u"].map(|d| tree.path().join("sys/fs/cgroup").join(d));
        assert_eq!(directories, want);
        assert_eq!(trees.group_of("4:cpu,cpuacct:/\n0::/\n"), None, "the top is nobody's group");
    }

    #[test]
    fn every_group_around_a_pod_is_named_up_to_the_top() {
        let pod = "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice";
        let files: Vec<String> = ["", "/cri-containerd-1.scope"]
            .iter()
            .map(|end| format!("sys/fs/cgroup/{pod}{end}/cpu.max"))
            .chain(
                ["kubepods.slice", "kubepods.slice/kubepods-burstable.slice"]
                    .map(|d| format!("sys/fs/cgroup/{d}/cpu.max")),
            )
            .collect();
        let tree = tree(&files.iter().map(String::as_str).collect::<Vec<_>>());
        let mounts = mountinfo::parse("30 25 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
        let trees = Trees::of(tree.path(), &mounts);
        let (key, directories) = trees.group_of(&format!("0::/{pod}/cri-containerd-1.scope\n")).unwrap();
        assert_eq!(key, format!("/{pod}/cri-containerd-1.scope"));
        let around: Vec<String> = trees.around(&directories[0]).into_iter().map(|(key, _)| key).collect();
        let burstable = "/kubepods.slice/kubepods-burstable.slice";
        assert_eq!(around, [&format!("/{pod}"), burstable, "/kubepods.slice"], "the top has no cpu.max");
    }

    #[test]
    fn a_container_that_sees_its_own_group_as_the_top_is_limited_there() {
        let tree = tree(&["sys/fs/cgroup/cpu.max", "sys/fs/cgroup/app/cpu.max"]);
        let mounts = mountinfo::parse("30 25 0:26 /../docker-1.scope /sys/fs/cgroup ro - cgroup2 cgroup rw\n");
        let around = Trees::of(tree.path(), &mounts).around(&tree.path().join("sys/fs/cgroup/app"));
        assert_eq!(around, [("/../docker-1.scope/".to_owned(), tree.path().join("sys/fs/cgroup"))]);
    }

    #[test]
    fn the_top_of_version_1_counts_only_where_it_is_limited() {
        let mounts = mountinfo::parse("30 25 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n");
        for (quota, want) in [("-1", 0), ("50000", 1)] {
            let top = format!("sys/fs/cgroup/cpu/cpu.cfs_quota_us={quota}\n");
            let tree = tree(&[&top, "sys/fs/cgroup/cpu/s1/cpu.cfs_quota_us=-1\n"]);
            let around = Trees::of(tree.path(), &mounts).around(&tree.path().join("sys/fs/cgroup/cpu/s1"));
            assert_eq!(around.len(), want, "{quota}");
        }
    }
}
