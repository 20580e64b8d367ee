//! Where this process stands in the cgroup hierarchies, from /proc/self/mountinfo and /proc/self/cgroup.

use std::path::{Path, PathBuf};

/// A kind of hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One of version 1, with its controllers.
    V1(Vec<String>),
    /// The one of version 2.
    V2,
}

/// A hierarchy that is mounted here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hierarchy {
    pub(super) kind: Kind,
    /// Where it is mounted.
    pub(super) mount: PathBuf,
    /// The directory of the cgroup we are in.
    pub(super) own: PathBuf,
}

impl Hierarchy {
    pub(super) fn has(&self, controller: &str) -> bool {
        matches!(&self.kind, Kind::V1(controllers) if controllers.iter().any(|c| c == controller))
    }

    /// Whether it counts CPU time or limits it.
    pub(super) fn counts_cpu(&self) -> bool {
        self.kind == Kind::V2 || self.has("cpu") || self.has("cpuacct")
    }
}

/// The hierarchies that count CPU time or limit it, or memory: v1 with cpu, cpuacct or memory, and v2.
///
/// A hierarchy whose mount does not show our own cgroup is left out: there is no place in it for us.
pub(super) fn hierarchies(mountinfo: &str, cgroup: &str) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    for mount in mountinfo.lines().filter_map(Mount::parse) {
        let Some(path) = own_path(cgroup, &mount.kind) else { continue };
        let Some(below) = below(&mount.root, path) else { continue };
        let own = if below.is_empty() { mount.point.clone() } else { mount.point.join(below) };
        let hierarchy = Hierarchy { kind: mount.kind, mount: mount.point, own };
        // The same hierarchy may be mounted twice; the first is where everyone looks for it.
        if (hierarchy.counts_cpu() || hierarchy.has("memory")) && !found.iter().any(|h| h.kind == hierarchy.kind) {
            found.push(hierarchy);
        }
    }
    // The one that limits first: a leaf's first directory is the one that is shown.
    found.sort_by_key(|h| (!h.has("cpu"), h.kind == Kind::V2));
    found
}

struct Mount {
    root: String,
    point: PathBuf,
    kind: Kind,
}

impl Mount {
    /// A line as proc_pid_mountinfo(5) has it:
    /// `36 35 98:0 /root /mount/point options [optional fields] - type source super-options`.
    fn parse(line: &str) -> Option<Self> {
        let (left, right) = line.split_once(" - ")?;
        let mut left = left.split(' ').skip(3);
        let (root, point) = (unescaped(left.next()?), unescaped(left.next()?));
        let mut right = right.split(' ');
        let kind = match right.next()? {
            "cgroup2" => Kind::V2,
            "cgroup" => {
                let options = right.nth(1)?.split(',');
                Kind::V1(options.filter(|o| !["rw", "ro"].contains(o)).map(str::to_owned).collect())
            }
            _ => return None,
        };
        Some(Self { root, point: PathBuf::from(point), kind })
    }
}

/// mountinfo writes space, tab, line end and backslash as `\` and three octal digits.
fn unescaped(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match (code, part.get(3..)) {
            (Some(code), Some(rest)) => {
                plain.push(char::from(code));
                plain.push_str(rest);
            }
            _ => {
                plain.push('\\');
                plain.push_str(part);
            }
        }
    }
    plain
}

/// Our path in a hierarchy: `0::/path` is v2, `2:cpu,cpuacct:/path` is v1.
fn own_path<'a>(cgroup: &'a str, kind: &Kind) -> Option<&'a str> {
    cgroup.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let here = match kind {
            Kind::V2 => number == "0" && controllers.is_empty(),
            Kind::V1(wanted) => {
                !controllers.is_empty() && controllers.split(',').all(|c| wanted.iter().any(|w| w == c))
            }
        };
        here.then_some(path)
    })
}

/// The part of a path below the root of a mount, without a leading `/`.
fn below<'a>(root: &str, path: &'a str) -> Option<&'a str> {
    // Outside our cgroup namespace the kernel writes paths with "..": there is no such directory for us.
    if path.split('/').any(|part| part == "..") {
        return None;
    }
    let rest = if root == "/" { path } else { path.strip_prefix(root)? };
    match rest.strip_prefix('/') {
        Some(rest) => Some(rest),
        None => rest.is_empty().then_some(""),
    }
}

/// The cgroup directories from `own` up to `mount`, `own` first.
pub(super) fn upward<'a>(own: &'a Path, mount: &'a Path) -> impl Iterator<Item = &'a Path> {
    own.ancestors().take_while(move |directory| directory.starts_with(mount))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(mountinfo: &str, cgroup: &str) -> Vec<(String, String)> {
        let show = |h: Hierarchy| {
            let kind = match h.kind {
                Kind::V1(controllers) => controllers.join("+"),
                Kind::V2 => "v2".to_owned(),
            };
            (kind, h.own.display().to_string())
        };
        hierarchies(mountinfo, cgroup).into_iter().map(show).collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    #[test]
    fn a_systemd_host_has_one_hierarchy_and_we_are_deep_in_it() {
        let mountinfo = "\
            28 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n\
            25 30 0:22 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
        let own = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/run-r1.scope\n";
        let path = "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice/run-r1.scope";
        assert_eq!(found(mountinfo, own), pairs(&[("v2", path)]));
    }

    #[test]
    fn separate_v1_controllers_and_a_v2_tree_beside_them() {
        let mountinfo = "\
            31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
            33 31 0:30 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpuacct\n\
            35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
            32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n\
            34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset\n\
            40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd\n\
            41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
        let own = "9:name=systemd:/\n4:memory:/x/y\n3:cpuset:/\n2:cpuacct:/\n1:cpu:/jobs/7\n0::/\n";
        assert_eq!(
            found(mountinfo, own),
            pairs(&[
                ("cpu", "/sys/fs/cgroup/cpu/jobs/7"),
                ("cpuacct", "/sys/fs/cgroup/cpuacct"),
                ("memory", "/sys/fs/cgroup/memory/x/y"),
                ("v2", "/sys/fs/cgroup/unified")
            ])
        );
    }

    #[test]
    fn co_mounted_v1_controllers_are_one_hierarchy() {
        let mountinfo = "33 24 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct\n\
                         34 24 0:30 / /other rw,nosuid - cgroup cgroup rw,cpu,cpuacct\n";
        assert_eq!(
            found(mountinfo, "4:cpu,cpuacct:/user.slice\n1:name=systemd:/user.slice\n"),
            pairs(&[("cpu+cpuacct", "/sys/fs/cgroup/cpu,cpuacct/user.slice")])
        );
    }

    #[test]
    fn in_a_container_the_mount_begins_at_our_own_cgroup() {
        let mountinfo = "33 24 0:30 /docker/abc /sys/fs/cgroup/cpu ro,nosuid - cgroup cgroup rw,cpu\n";
        assert_eq!(found(mountinfo, "4:cpu:/docker/abc\n"), pairs(&[("cpu", "/sys/fs/cgroup/cpu")]));
        assert_eq!(found(mountinfo, "4:cpu:/docker/abc/in\n"), pairs(&[("cpu", "/sys/fs/cgroup/cpu/in")]));
        // A sibling whose name begins alike, and a place outside our namespace, are not below the mount.
        assert_eq!(found(mountinfo, "4:cpu:/docker/abcdef\n"), []);
        assert_eq!(found(mountinfo, "4:cpu:/../other\n"), []);
    }

    #[test]
    fn a_place_with_a_space_in_it_is_read() {
        let mountinfo = "33 24 0:30 / /mnt/my\\040groups rw - cgroup2 none rw\n";
        assert_eq!(found(mountinfo, "0::/\n"), pairs(&[("v2", "/mnt/my groups")]));
    }

    #[test]
    fn no_cgroups_at_all_is_no_hierarchy() {
        assert_eq!(found("28 1 254:1 / / rw - ext4 /dev/vda1 rw\n", ""), []);
    }

    #[test]
    fn upward_ends_at_the_mount() {
        let all: Vec<&Path> = upward(Path::new("/c/a/b"), Path::new("/c")).collect();
        assert_eq!(all, [Path::new("/c/a/b"), Path::new("/c/a"), Path::new("/c")]);
    }
}
