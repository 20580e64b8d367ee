//! What the cgroups around this program allow it, up the whole chain: every ancestor's limit holds at once.

use std::path::{Path, PathBuf};

use record::{CgroupLimits, CpuQuota, MemoryLimit, Reading};

use super::cpu::parse_list;
use crate::cgroup::chain::Chain;
use crate::disk::device::line;
use crate::proc::mountinfo::{self, Mount};

/// Version 1 writes "no limit" as the largest number of bytes in whole pages.
const NO_LIMIT_FROM: u64 = 1 << 60;

pub(super) fn of(root: &Path, mounts: &[Mount]) -> CgroupLimits {
    let own = std::fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let chain = |controller: &str, file: &str| chain(root, mounts, &own, controller, file);
    CgroupLimits {
        cpu: from(chain("cpu", "cpu.max"), |groups| groups.iter().filter_map(|g| quota(root, g)).collect()),
        memory: from(chain("memory", "memory.max"), |groups| groups.iter().filter_map(|g| memory(root, g)).collect()),
        cpus: match chain("cpuset", "cpuset.cpus.effective") {
            Ok(groups) => groups
                .iter()
                .find_map(|group| cpus(group))
                .map_or_else(|| Reading::absent("no cgroup that is seen has a set of CPUs"), Reading::Seen),
            Err(reason) => Reading::absent(reason),
        },
    }
}

fn from<T>(groups: Result<Vec<PathBuf>, String>, read: impl FnOnce(&[PathBuf]) -> Vec<T>) -> Reading<Vec<T>> {
    Reading::from_result(groups.map(|groups| read(&groups)))
}

/// The directories of our own group and its ancestors that may limit what this controller gives.
fn chain(root: &Path, mounts: &[Mount], own: &str, controller: &str, file: &str) -> Result<Vec<PathBuf>, String> {
    let Chain { groups, mount } = Chain::of(root, mounts, own, controller)?;
    if mount.filesystem == "cgroup2" && !groups.iter().any(|group| group.join(file).exists()) {
        let seen = mountinfo::inside(root, &mount.point);
        // At the true root there is no limit to be had.
        let at_root = groups.len() == 1 && mount.root == Path::new("/") && !seen.join("cgroup.type").exists();
        if !at_root {
            return Err(format!("the {controller} controller is not enabled in the cgroups around this program"));
        }
    }
    Ok(groups)
}

/// A group's directory as it is called on the machine.
fn name(root: &Path, group: &Path) -> String {
    Path::new("/").join(group.strip_prefix(root).unwrap_or(group)).to_string_lossy().into_owned()
}

fn quota(root: &Path, group: &Path) -> Option<CpuQuota> {
    let number = |file: &str| line(&group.join(file))?.parse::<u64>().ok();
    let (quota_us, period_us) = match line(&group.join("cpu.max")) {
        Some(text) => {
            let (quota, period) = text.split_once(' ')?;
            (quota.parse().ok()?, period.parse().ok()?)
        }
        // Without a quota it is -1, which is no such number.
        None => (number("cpu.cfs_quota_us")?, number("cpu.cfs_period_us")?),
    };
    Some(CpuQuota { cgroup: name(root, group), quota_us, period_us })
}

fn memory(root: &Path, group: &Path) -> Option<MemoryLimit> {
    let text = line(&group.join("memory.max")).or_else(|| line(&group.join("memory.limit_in_bytes")))?;
    let bytes = text.parse().ok().filter(|&bytes| bytes < NO_LIMIT_FROM)?;
    Some(MemoryLimit { cgroup: name(root, group), bytes })
}

fn cpus(group: &Path) -> Option<Vec<u32>> {
    ["cpuset.cpus.effective", "cpuset.effective_cpus", "cpuset.cpus"]
        .iter()
        .find_map(|file| parse_list(&line(&group.join(file))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(own: &str, mounts: &str, files: &[(&str, &str)]) -> CgroupLimits {
        let tree = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = tree.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        put("proc/self/cgroup", own);
        for (path, text) in files {
            put(&format!("sys/fs/cgroup/{path}"), text);
        }
        of(tree.path(), &mountinfo::parse(mounts))
    }

    const TWO: &str = "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";

    #[test]
    fn every_ancestor_of_version_2_is_looked_at() {
        let limits = told(
            "0::/a.slice/b.scope\n",
            TWO,
            &[
                ("a.slice/cpu.max", "150000 100000\n"),
                ("a.slice/memory.max", "max\n"),
                ("a.slice/cpuset.cpus.effective", "0-3\n"),
                ("a.slice/b.scope/cpu.max", "max 100000\n"),
                ("a.slice/b.scope/memory.max", "536870912\n"),
            ],
        );
        let a = CpuQuota { cgroup: "/sys/fs/cgroup/a.slice".into(), quota_us: 150_000, period_us: 100_000 };
        let b = MemoryLimit { cgroup: "/sys/fs/cgroup/a.slice/b.scope".into(), bytes: 512 << 20 };
        assert_eq!((limits.cpu, limits.memory), (Reading::Seen(vec![a]), Reading::Seen(vec![b])));
        assert_eq!(limits.cpus, Reading::Seen(vec![0, 1, 2, 3]), "of the nearest group that has one");
    }

    #[test]
    fn version_1_has_a_path_for_each_controller_and_its_own_words_for_no_limit() {
        let mounts = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                      35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        let limits = told(
            "4:memory:/m/own\n3:cpu,cpuacct:/c\n",
            mounts,
            &[
                ("cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
                ("cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
                ("cpu,cpuacct/c/cpu.cfs_quota_us", "50000\n"),
                ("cpu,cpuacct/c/cpu.cfs_period_us", "100000\n"),
                ("memory/m/memory.limit_in_bytes", "9223372036854771712\n"),
                ("memory/m/own/memory.limit_in_bytes", "1073741824\n"),
            ],
        );
        let cpu = limits.cpu.seen().unwrap();
        assert_eq!((cpu.len(), cpu[0].quota_us), (1, 50_000));
        assert_eq!(cpu[0].cgroup, "/sys/fs/cgroup/cpu,cpuacct/c");
        assert_eq!(limits.memory.seen().unwrap().len(), 1);
        assert!(limits.cpus.reason().unwrap().contains("cpuset controller"));
    }

    #[test]
    fn in_a_container_the_mount_is_the_group() {
        let mounts = "31 23 0:28 /docker/3fa2 /sys/fs/cgroup ro - cgroup2 cgroup ro\n";
        let files = [("cpu.max", "20000 100000\n")];
        for own in ["0::/docker/3fa2\n", "0::/\n"] {
            let limits = told(own, mounts, &files);
            assert_eq!(limits.cpu.seen().unwrap()[0].cgroup, "/sys/fs/cgroup", "{own}");
        }
    }

    #[test]
    fn no_limit_is_an_empty_list_and_no_controller_is_a_reason() {
        assert_eq!(told("0::/\n", TWO, &[("cgroup.procs", "")]).cpu, Reading::Seen(vec![]), "the true root");
        let said = told("0::/a\n", TWO, &[("a/cgroup.procs", ""), ("a/cgroup.type", "domain\n")]);
        assert!(said.cpu.reason().unwrap().contains("cpu controller is not enabled"), "{said:?}");
        assert!(told("", "", &[]).memory.reason().is_some());
    }
}
