//! The container around this process, told apart from the virtual machine under it.
//!
//! Files that containers leave behind outlive them in images, so evidence that stands alone is named as such.

use std::fs;
use std::path::Path;

use record::Reading;

use crate::disk::device::line;
use crate::proc::mountinfo::{self, Mount};

/// The container's kind, or "none" when nothing speaks for one.
pub(super) fn of(root: &Path, mounts: &[Mount]) -> Reading<String> {
    if fs::read_dir(root.join("proc")).is_err() {
        return Reading::absent("no /proc here to look at");
    }
    if let Some(kind) = told_by_manager(root) {
        return Reading::Seen(kind);
    }
    if root.join("proc/vz").exists() && !root.join("proc/bc").exists() {
        return Reading::Seen("openvz".to_owned());
    }
    if fakes_proc(mounts) {
        return Reading::Seen("lxc".to_owned());
    }
    let cgroup = by_cgroup(root);
    let Some((mark, kind)) = mark(root) else {
        return Reading::Seen(cgroup.unwrap_or("none").to_owned());
    };
    let layered = mountinfo::of(mounts, Path::new("/")).is_some_and(|m| m.filesystem == "overlay");
    if layered || cgroup.is_some() {
        return Reading::Seen(cgroup.unwrap_or(kind).to_owned());
    }
    Reading::Seen(format!("{kind}, if {mark} is not a leftover: nothing else speaks for a container"))
}

/// What the container's manager told its first process.
fn told_by_manager(root: &Path) -> Option<String> {
    if let Some(kind) = line(&root.join("run/systemd/container")) {
        return Some(kind);
    }
    // As a rule only root may read this; that it cannot be read tells nothing.
    let environment = fs::read(root.join("proc/1/environ")).ok()?;
    let value = environment.split(|&b| b == 0).find_map(|pair| pair.strip_prefix(b"container="))?;
    (!value.is_empty()).then(|| String::from_utf8_lossy(value).into_owned())
}

/// The file a container engine puts at the root, and the engine.
fn mark(root: &Path) -> Option<(&'static str, &'static str)> {
    [("/.dockerenv", "docker"), ("/run/.containerenv", "podman")]
        .into_iter()
        .find(|(file, _)| mountinfo::inside(root, Path::new(file)).exists())
}

fn by_cgroup(root: &Path) -> Option<&'static str> {
    let text = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    [
        ("kubepods", "kubernetes"),
        ("libpod", "podman"),
        ("docker", "docker"),
        ("containerd", "containerd"),
        ("/lxc", "lxc"),
    ]
    .into_iter()
    // A daemon's own group ("docker.service") is outside of its containers.
    .find(|(word, _)| text.lines().any(|l| l.contains(word) && !l.ends_with(".service")))
    .map(|(_, kind)| kind)
}

/// Whether /proc/stat is not the kernel's own, but made by lxcfs.
pub(super) fn fakes_proc(mounts: &[Mount]) -> bool {
    mounts.iter().any(|m| m.filesystem == "fuse.lxcfs" && m.point.starts_with("/proc"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(files: &[(&str, &str)], mounts: &str) -> String {
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir(tree.path().join("proc")).unwrap();
        for (path, text) in files {
            let path = tree.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        of(tree.path(), &mountinfo::parse(mounts)).seen().unwrap().clone()
    }

    const DISK: &str = "27 1 254:0 / / rw - ext4 /dev/vda rw\n";
    const LAYERS: &str = "27 1 0:50 / / rw - overlay overlay rw,lowerdir=/a,upperdir=/b,workdir=/c\n";

    #[test]
    fn the_manager_is_believed_first() {
        assert_eq!(told(&[("run/systemd/container", "systemd-nspawn\n")], DISK), "systemd-nspawn");
        assert_eq!(told(&[("proc/1/environ", "HOME=/\0container=lxc\0TERM=x\0")], DISK), "lxc");
        assert_eq!(told(&[("proc/1/environ", "HOME=/\0")], DISK), "none");
    }

    #[test]
    fn a_file_that_may_be_a_leftover_is_doubted_when_it_stands_alone() {
        assert_eq!(told(&[(".dockerenv", "")], LAYERS), "docker");
        assert_eq!(told(&[(".dockerenv", ""), ("proc/self/cgroup", "0::/docker/3fa2\n")], DISK), "docker");
        let alone = told(&[(".dockerenv", ""), ("proc/self/cgroup", "0::/\n")], DISK);
        assert!(alone.starts_with("docker, if /.dockerenv is not a leftover"), "{alone}");
    }

    #[test]
    fn cgroups_and_lxcfs_speak_too() {
        let pod = ("proc/self/cgroup", "0::/kubepods.slice/kubepods-burstable.slice/cri-containerd-1.scope\n");
        assert_eq!(told(&[pod], LAYERS), "kubernetes");
        assert_eq!(told(&[("proc/self/cgroup", "0::/system.slice/docker.service\n")], DISK), "none");
        let lxcfs = "40 22 0:60 /proc/stat /proc/stat rw - fuse.lxcfs lxcfs rw\n";
        assert_eq!(told(&[], &format!("{DISK}{lxcfs}")), "lxc");
    }
}
