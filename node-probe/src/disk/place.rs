//! From a path to the disk under it, by way of what is mounted there.
//!
//! A file system with a device of its own is easy. Those with major number 0 have none: an overlay lies
//! where its upper directory is, btrfs names its devices elsewhere, memory and network have no disk at all.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use record::Reading;

use super::device::{self, Under};
use crate::proc::mountinfo::{self, Mount};

/// What is said of file systems that have no disk and need none.
pub(crate) const IN_MEMORY: &str = "keeps its files in memory";

/// File systems on loop files or overlays stacked deeper than this are a loop.
const DEEPEST: u32 = 8;

/// Where a path's bytes end up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The whole disk's kernel name.
    pub(crate) name: String,
    /// Its number: "254:0".
    pub(crate) number: String,
    /// Its directory below /sys/devices.
    pub(crate) directory: PathBuf,
    /// The file system the path itself is on.
    pub(crate) filesystem: Reading<String>,
}

/// Finds the disk under a path, or says why there is none.
///
/// The path need not exist yet: its nearest directory that does will do. In a tree other than "/" mounts are
/// what its mountinfo says, since its files are all on one disk here.
pub(crate) fn of(root: &Path, path: &Path) -> Result<Place, String> {
    let mounts = mountinfo::read(root)
        .map_err(|e| format!("cannot read {}: {e}", root.join("proc/self/mountinfo").display()))?;
    let real = existing(root, path);
    let filesystem = mountinfo::of(&mounts, &real).map_or_else(
        || Reading::absent(format!("no mount holds {}", real.display())),
        |mount| Reading::Seen(mount.filesystem.clone()),
    );
    let device = find(root, &mounts, &real, 0)?;
    Ok(Place { name: device.name, number: device.number, directory: device.directory, filesystem })
}

/// The nearest part of a path that exists, without symbolic links.
pub(super) fn existing(root: &Path, path: &Path) -> PathBuf {
    if root != Path::new("/") {
        return path.to_owned();
    }
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    path.ancestors().find_map(|part| fs::canonicalize(part).ok()).unwrap_or(path)
}

fn find(root: &Path, mounts: &[Mount], path: &Path, depth: u32) -> Result<device::Device, String> {
    let mount =
        mountinfo::of(mounts, path).ok_or_else(|| format!("no mount holds {} (see mountinfo)", path.display()))?;
    if depth > DEEPEST {
        return Err(format!("{} lies on file systems that lie on one another", path.display()));
    }
    let number = match number_of(root, path, mount) {
        (0, _) => {
            match without_device(root, mount)? {
                Next::Device(number) => number,
                Next::Path(upper) => {
                    if mountinfo::of(mounts, &upper) == Some(mount) {
                        return Err("no block device to be seen: the upper directory of this overlay is outside of this container".to_owned());
                    }
                    return find(root, mounts, &upper, depth + 1);
                }
            }
        }
        number => number,
    };
    match device::whole_disk(root, number)? {
        Under::Disk(device) => Ok(device),
        Under::File(file) => find(root, mounts, &file, depth + 1),
    }
}

/// The device number of a path's files.
pub(super) fn number_of(root: &Path, path: &Path, mount: &Mount) -> (u32, u32) {
    if root == Path::new("/")
        && let Ok(data) = fs::metadata(path)
    {
        return (rustix::fs::major(data.dev()), rustix::fs::minor(data.dev()));
    }
    mount.number
}

pub(super) enum Next {
    Device((u32, u32)),
    Path(PathBuf),
}

/// Where a file system without a device of its own keeps its files.
pub(super) fn without_device(root: &Path, mount: &Mount) -> Result<Next, String> {
    let kind = mount.filesystem.as_str();
    match kind {
        "tmpfs" | "ramfs" | "devtmpfs" | "rootfs" | "hugetlbfs" => {
            return Err(format!("no block device: {kind} {IN_MEMORY}"));
        }
        "nfs" | "nfs4" | "cifs" | "smb3" | "ceph" | "glusterfs" | "lustre" | "afs" => {
            return Err(format!("no block device: {kind} keeps its files on another machine ({})", mount.source));
        }
        "9p" | "virtiofs" | "vboxsf" | "prl_fs" => {
            return Err(format!("no block device: {kind} shares a directory of the host of this virtual machine"));
        }
        "zfs" => return Err("no block device to be seen: a zfs pool does not say which disks serve a path".to_owned()),
        "overlay" => {
            return mount
                .option("upperdir")
                .map(|upper| Next::Path(mountinfo::unescape(&upper.replace("\\,", ",")).into()))
                .ok_or_else(|| {
                    "no block device: this overlay has no upper directory, so nothing is written".to_owned()
                });
        }
        _ => {}
    }
    let name = device_name(root, &mount.source)
        .ok_or_else(|| format!("no block device: {kind} from '{}' has none of its own", mount.source))?;
    if kind == "btrfs" {
        let devices = btrfs_devices(root, &name);
        if devices.len() > 1 {
            return Err(format!("no single block device: this btrfs lies on {}", devices.join(", ")));
        }
    }
    device::number_of(root, &name)
        .map(Next::Device)
        .ok_or_else(|| format!("block device {name} is not shown in /sys/class/block"))
}

/// The kernel's name of what a mount was made of: /dev/mapper/x is a link to dm-0.
pub(super) fn device_name(root: &Path, source: &str) -> Option<String> {
    if !source.starts_with("/dev/") {
        return None;
    }
    let path = mountinfo::inside(root, Path::new(source));
    let path = fs::canonicalize(&path).unwrap_or(path);
    let name = path.file_name()?.to_string_lossy().into_owned();
    // A container has no /dev/mapper of its own; the mapping's name is in /sys as well.
    if source.starts_with("/dev/mapper/")
        && !root.join("sys/class/block").join(&name).exists()
        && let Some(mapping) = mapping_named(root, &name)
    {
        return Some(mapping);
    }
    Some(name)
}

/// The kernel's name of the mapping that has this name: "vg-root" is dm-0.
fn mapping_named(root: &Path, name: &str) -> Option<String> {
    fs::read_dir(root.join("sys/class/block"))
        .ok()?
        .flatten()
        .find(|entry| device::line(&entry.path().join("dm/name")).as_deref() == Some(name))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
}

/// The devices of the btrfs that has this one among them.
pub(super) fn btrfs_devices(root: &Path, name: &str) -> Vec<String> {
    let names = |directory: PathBuf| -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(directory.join("devices"))
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    };
    fs::read_dir(root.join("sys/fs/btrfs"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| names(entry.path()))
        .find(|names| names.iter().any(|n| n == name))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A tree with a virtio disk with a partition, an NVMe disk, a mapping on each and a mapping on both.
    fn tree(mountinfo: &str) -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        let at = |path: &str| tree.path().join(path);
        let put = |path: &str, text: &str| {
            fs::create_dir_all(at(path).parent().unwrap()).unwrap();
            fs::write(at(path), text).unwrap();
        };
        put("proc/self/mountinfo", mountinfo);
        fs::create_dir_all(at("sys/dev/block")).unwrap();
        fs::create_dir_all(at("sys/class/block")).unwrap();
        let device = |number: &str, directory: &str| {
            let name = directory.rsplit('/').next().unwrap();
            put(&format!("sys/devices/{directory}/dev"), &format!("{number}\n"));
            symlink(format!("../../devices/{directory}"), at(&format!("sys/dev/block/{number}"))).unwrap();
            symlink(format!("../../devices/{directory}"), at(&format!("sys/class/block/{name}"))).unwrap();
        };
        device("254:0", "pci0000:00/0000:00:02.0/virtio1/block/vda");
        device("254:1", "pci0000:00/0000:00:02.0/virtio1/block/vda/vda1");
        device("259:0", "pci0000:00/0000:00:04.0/nvme/nvme0/nvme0n1");
        device("259:2", "pci0000:00/0000:00:04.0/nvme/nvme0/nvme0n1/nvme0n1p2");
        device("253:0", "virtual/block/dm-0");
        device("253:1", "virtual/block/dm-1");
        device("253:2", "virtual/block/dm-2");
        device("7:0", "virtual/block/loop0");
        put("sys/devices/pci0000:00/0000:00:02.0/virtio1/block/vda/vda1/partition", "1\n");
        put("sys/devices/pci0000:00/0000:00:04.0/nvme/nvme0/nvme0n1/nvme0n1p2/partition", "2\n");
        put("sys/devices/virtual/block/loop0/loop/backing_file", "/var/images/disk.img\n");
        let slave = |of: &str, name: &str, directory: &str| {
            let slaves = at(&format!("sys/devices/virtual/block/{of}/slaves"));
            fs::create_dir_all(&slaves).unwrap();
            symlink(format!("../../../../{directory}"), slaves.join(name)).unwrap();
        };
        slave("dm-0", "nvme0n1p2", "pci0000:00/0000:00:04.0/nvme/nvme0/nvme0n1/nvme0n1p2");
        slave("dm-1", "dm-0", "virtual/block/dm-0");
        slave("dm-2", "dm-1", "virtual/block/dm-1");
        slave("dm-2", "vda1", "pci0000:00/0000:00:02.0/virtio1/block/vda/vda1");
        tree
    }

    fn found(mountinfo: &str, path: &str) -> Result<(String, String), String> {
        of(tree(mountinfo).path(), Path::new(path)).map(|place| (place.name, place.number))
    }

    fn mount(number: &str, point: &str, what: &str) -> String {
        format!("27 1 {number} / {point} rw,relatime - {what}\n")
    }

    fn disk(name: &str, number: &str) -> Result<(String, String), String> {
        Ok((name.to_owned(), number.to_owned()))
    }

    #[test]
    fn a_partition_is_on_its_disk() {
        assert_eq!(found(&mount("254:1", "/", "ext4 /dev/vda1 rw"), "/runs"), disk("vda", "254:0"));
        assert_eq!(found(&mount("259:2", "/", "xfs /dev/nvme0n1p2 rw"), "/runs"), disk("nvme0n1", "259:0"));
        assert_eq!(found(&mount("254:0", "/", "ext4 /dev/vda rw"), "/runs"), disk("vda", "254:0"));
    }

    #[test]
    fn a_mapping_on_one_device_is_on_its_disk_and_one_on_several_is_itself() {
        let lvm_on_luks = mount("253:1", "/", "ext4 /dev/mapper/vg-root rw");
        assert_eq!(found(&lvm_on_luks, "/runs"), disk("nvme0n1", "259:0"));
        assert_eq!(found(&mount("253:2", "/", "ext4 /dev/mapper/raid rw"), "/runs"), disk("dm-2", "253:2"));
    }

    #[test]
    fn an_overlay_is_where_its_upper_directory_is() {
        let mounts = mount("254:1", "/", "ext4 /dev/vda1 rw")
            + &mount("259:2", "/var/lib", "xfs /dev/nvme0n1p2 rw")
            + &mount("0:50", "/merged", "overlay overlay rw,lowerdir=/a:/b,upperdir=/var/lib/up,workdir=/w");
        assert_eq!(found(&mounts, "/merged/runs"), disk("nvme0n1", "259:0"));

        let inside = mount("0:50", "/", "overlay overlay rw,lowerdir=/a,upperdir=/var/lib/docker/up,workdir=/w");
        assert!(found(&inside, "/runs").unwrap_err().contains("outside of this container"));
        let read_only = mount("0:50", "/", "overlay overlay ro,lowerdir=/a:/b");
        assert!(found(&read_only, "/runs").unwrap_err().contains("no upper directory"));
    }

    #[test]
    fn a_loop_device_is_where_its_file_is() {
        let mounts = mount("259:2", "/var", "xfs /dev/nvme0n1p2 rw") + &mount("7:0", "/image", "ext4 /dev/loop0 rw");
        assert_eq!(found(&mounts, "/image/runs"), disk("nvme0n1", "259:0"));
        let on_itself = mount("7:0", "/", "ext4 /dev/loop0 rw");
        assert!(found(&on_itself, "/runs").unwrap_err().contains("lie on one another"));
    }

    #[test]
    fn btrfs_is_on_its_device_if_it_has_only_one() {
        let tree = tree(&mount("0:30", "/", "btrfs /dev/vda1 rw,subvol=/@"));
        let devices = tree.path().join("sys/fs/btrfs/3f2a/devices");
        fs::create_dir_all(devices.join("vda1")).unwrap();
        fs::create_dir_all(tree.path().join("sys/fs/btrfs/features")).unwrap();
        let place = of(tree.path(), Path::new("/runs")).unwrap();
        assert_eq!((place.name.as_str(), place.filesystem), ("vda", Reading::Seen("btrfs".into())));

        fs::create_dir_all(devices.join("nvme0n1p2")).unwrap();
        let said = of(tree.path(), Path::new("/runs")).unwrap_err();
        assert!(said.contains("lies on nvme0n1p2, vda1"), "{said}");
    }

    #[test]
    fn memory_network_and_shares_have_no_disk_and_say_so() {
        for (what, says) in [
            ("tmpfs none rw", "in memory"),
            ("nfs4 server:/export rw", "another machine (server:/export)"),
            ("virtiofs share rw", "host of this virtual machine"),
            ("zfs tank/runs rw", "zfs pool"),
            ("fuse.sshfs me@there:/ rw", "'me@there:/' has none of its own"),
        ] {
            let said = found(&mount("0:40", "/", what), "/runs").unwrap_err();
            assert!(said.contains(says), "{what}: {said}");
        }
        assert!(found("", "/runs").unwrap_err().contains("no mount holds /runs"));
        let hidden = found(&mount("8:1", "/", "ext4 /dev/sda1 rw"), "/runs").unwrap_err();
        assert!(hidden.contains("8:1 is not shown in /sys"), "{hidden}");
    }
}
