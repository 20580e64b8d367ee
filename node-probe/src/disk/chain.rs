//! Everything between a path and the disks under it, layer by layer, down to where the kernel shows no more.
//!
//! Unlike [`place`], which looks for the one disk whose counters stand for the path, this follows every
//! branch: all members of an array, all devices of a btrfs, all ways to an NVMe disk.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use record::{BlockLayer, LayerKind, Reading};

use super::device::{self, line};
use super::identity::drivers;
use super::place::{self, Next};
use super::queue;
use crate::proc::mountinfo::{self, Mount};

/// Layers deeper than this are a loop.
const DEEPEST: u32 = 16;

/// A tree with more layers than this is told no further.
const MOST: usize = 200;

/// The layers below a path, the path's own file system first; absent if nothing is known of mounts.
pub(crate) fn of(root: &Path, path: &Path) -> Reading<Vec<BlockLayer>> {
    let mounts = match mountinfo::read(root) {
        Ok(mounts) => mounts,
        Err(e) => {
            return Reading::absent(format!("cannot read {}: {e}", root.join("proc/self/mountinfo").display()));
        }
    };
    let mut walk = Walk { root, mounts: &mounts, layers: Vec::new() };
    walk.file_system(&place::existing(root, path), 0);
    Reading::Seen(walk.layers)
}

struct Walk<'a> {
    root: &'a Path,
    mounts: &'a [Mount],
    layers: Vec<BlockLayer>,
}

impl Walk<'_> {
    fn push(&mut self, depth: u32, kind: LayerKind, name: impl Into<String>, says: BTreeMap<String, String>) {
        self.layers.push(BlockLayer { depth, kind, name: name.into(), number: None, says, queue: None });
    }

    /// The end of a branch, and why it ends there.
    fn end(&mut self, depth: u32, kind: LayerKind, why: impl Into<String>) {
        self.push(depth, kind, why, BTreeMap::new());
    }

    /// Whether to go no further; says so if so.
    fn enough(&mut self, depth: u32) -> bool {
        if depth > DEEPEST {
            self.end(depth, LayerKind::NotShown, "these lie on one another");
        } else if self.layers.len() >= MOST {
            self.end(depth, LayerKind::NotShown, "more layers than are told here");
        } else {
            return false;
        }
        true
    }

    fn file_system(&mut self, path: &Path, depth: u32) {
        if self.enough(depth) {
            return;
        }
        let Some(mount) = mountinfo::of(self.mounts, path) else {
            return self.end(depth, LayerKind::NotShown, format!("no mount holds {}", path.display()));
        };
        let says = [
            ("mounted at", Some(mount.point.to_string_lossy().into_owned())),
            ("source", Some(mount.source.clone()).filter(|s| !s.is_empty())),
            ("upper directory", mount.option("upperdir").map(str::to_owned)),
        ];
        self.push(depth, LayerKind::FileSystem, &mount.filesystem, told(says));
        let (major, minor) = place::number_of(self.root, path, mount);
        if major != 0 {
            return self.device((major, minor), depth + 1);
        }
        if mount.filesystem == "btrfs"
            && let Some(name) = place::device_name(self.root, &mount.source)
        {
            let members = place::btrfs_devices(self.root, &name);
            if members.len() > 1 {
                return self.members(&members, depth + 1);
            }
        }
        match place::without_device(self.root, mount) {
            Ok(Next::Device(number)) => self.device(number, depth + 1),
            Ok(Next::Path(upper)) if mountinfo::of(self.mounts, &upper) == Some(mount) => self.end(
                depth + 1,
                LayerKind::NotShown,
                "the upper directory of this overlay is outside of this container",
            ),
            Ok(Next::Path(upper)) => self.file_system(&upper, depth + 1),
            Err(why) => self.end(depth + 1, end_of(&mount.filesystem), why),
        }
    }

    fn members(&mut self, names: &[String], depth: u32) {
        for name in names {
            match device::number_of(self.root, name) {
                Some(number) => self.device(number, depth),
                None => self.end(depth, LayerKind::NotShown, format!("{name} is not shown in /sys/class/block")),
            }
        }
    }

    fn device(&mut self, (major, minor): (u32, u32), depth: u32) {
        match fs::canonicalize(self.root.join(format!("sys/dev/block/{major}:{minor}"))) {
            Ok(directory) => self.device_at(&directory, depth),
            Err(_) => {
                let why = format!(
                    "block device {major}:{minor} is not shown in /sys (in a container the host's /sys/dev/block is \
                     needed)"
                );
                self.end(depth, LayerKind::NotShown, why);
            }
        }
    }

    fn device_at(&mut self, directory: &Path, depth: u32) {
        if self.enough(depth) {
            return;
        }
        let name = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let said = |file: &str| line(&directory.join(file));
        let below = below(directory);
        let (kind, says) = match &below {
            Below::Parent(_) => (LayerKind::Partition, BTreeMap::new()),
            Below::File(file) => (LayerKind::Loop, told([("backing file", Some(file.to_string_lossy().into_owned()))])),
            Below::Members(_) if directory.join("md").is_dir() => (
                LayerKind::Array,
                told([
                    ("level", said("md/level")),
                    ("members", said("md/raid_disks")),
                    ("missing members", said("md/degraded").filter(|n| n != "0")),
                    ("state", said("md/array_state")),
                ]),
            ),
            Below::Members(_) => (
                LayerKind::Mapping,
                told([("name", said("dm/name")), ("made by", said("dm/uuid").map(|uuid| made_by(&uuid)))]),
            ),
            Below::Nothing => (LayerKind::Disk, disk(directory)),
        };
        self.layers.push(BlockLayer {
            depth,
            kind,
            number: said("dev"),
            says,
            queue: directory.join("queue").is_dir().then(|| queue::of(directory)),
            name,
        });
        match below {
            Below::Parent(disk) => self.device_at(&disk, depth + 1),
            Below::File(file) => self.file_system(&file, depth + 1),
            Below::Members(members) => {
                for member in members {
                    self.device_at(&member, depth + 1);
                }
            }
            Below::Nothing => {
                for path in device::nvme_paths(directory) {
                    self.nvme_path(&path, depth + 1);
                }
            }
        }
    }

    fn nvme_path(&mut self, directory: &Path, depth: u32) {
        let controller = directory.parent().unwrap_or(directory);
        let says = told([
            ("controller", controller.file_name().map(|name| name.to_string_lossy().into_owned())),
            ("state", line(&controller.join("state"))),
            ("transport", line(&controller.join("transport"))),
            ("access", line(&directory.join("ana_state"))),
        ]);
        let name = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.push(depth, LayerKind::NvmePath, name, says);
    }
}

/// What a block device lies on.
enum Below {
    Parent(PathBuf),
    File(PathBuf),
    Members(Vec<PathBuf>),
    Nothing,
}

fn below(directory: &Path) -> Below {
    if directory.join("partition").is_file()
        && let Some(disk) = directory.parent()
    {
        return Below::Parent(disk.to_owned());
    }
    if let Some(file) = line(&directory.join("loop/backing_file")) {
        return Below::File(file.into());
    }
    let mut members: Vec<PathBuf> = fs::read_dir(directory.join("slaves"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| fs::canonicalize(entry.path()).ok())
        .collect();
    members.sort();
    if members.is_empty() { Below::Nothing } else { Below::Members(members) }
}

/// The kind of the end of a file system that has no device.
fn end_of(filesystem: &str) -> LayerKind {
    match filesystem {
        "tmpfs" | "ramfs" | "devtmpfs" | "rootfs" | "hugetlbfs" => LayerKind::Memory,
        "nfs" | "nfs4" | "cifs" | "smb3" | "ceph" | "glusterfs" | "lustre" | "afs" => LayerKind::Network,
        "9p" | "virtiofs" | "vboxsf" | "prl_fs" => LayerKind::HostShare,
        _ => LayerKind::NotShown,
    }
}

/// The program that made a mapping: device-mapper's uuids begin with it. The rest would name the machine.
fn made_by(uuid: &str) -> String {
    let mut parts = uuid.split('-');
    let first = parts.next().unwrap_or_default();
    match (first, parts.next()) {
        ("CRYPT", Some(kind)) => format!("crypt ({kind})"),
        ("LVM", _) => "LVM".to_owned(),
        ("mpath", _) => "multipath".to_owned(),
        (part, _) if part.starts_with("part") => "partition of a mapping".to_owned(),
        (other, _) => other.to_owned(),
    }
}

/// What a whole disk says of itself. Serial numbers are left out: reports are passed on.
fn disk(directory: &Path) -> BTreeMap<String, String> {
    let said = |file: &str| line(&directory.join("device").join(file));
    let mut drivers = drivers(directory).into_iter();
    let driver = drivers.next();
    // "sd" is every SCSI disk; which adapter it hangs on says more.
    let adapter = drivers.next().filter(|_| driver.as_deref() == Some("sd"));
    told([
        ("driver", driver),
        ("adapter", adapter),
        ("vendor", said("vendor").filter(|vendor| !vendor.starts_with("0x"))),
        ("model", said("model")),
        ("firmware", said("firmware_rev").or_else(|| said("rev"))),
        ("transport", said("transport").or_else(|| transport(directory))),
        (
            "bytes",
            line(&directory.join("size"))
                .and_then(|sectors| Some(sectors.parse::<u64>().ok()?.checked_mul(512)?.to_string())),
        ),
    ])
}

/// What a disk hangs on, by where it is in /sys/devices.
fn transport(directory: &Path) -> Option<String> {
    let path = directory.to_string_lossy();
    let name = directory.file_name()?.to_string_lossy();
    let network = ["nbd", "rbd", "drbd"].iter().any(|kind| name.starts_with(kind));
    let memory = ["zram", "ram", "pmem"].iter().any(|kind| name.starts_with(kind));
    let word = if network {
        "network"
    } else if memory {
        "memory"
    } else if path.contains("/session") {
        "iscsi"
    } else if path.contains("/usb") {
        "usb"
    } else if path.contains("/virtio") {
        "virtio"
    } else if path.contains("/vbd-") {
        "xen"
    } else if path.contains("/ata") {
        "ata"
    } else {
        return None;
    };
    Some(word.to_owned())
}

fn told<const N: usize>(said: [(&str, Option<String>); N]) -> BTreeMap<String, String> {
    said.into_iter().filter_map(|(word, value)| Some((word.to_owned(), value?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_is_named_by_its_maker_and_not_by_its_number() {
        for (uuid, want) in [
            ("CRYPT-LUKS2-0123456789abcdef-root", "crypt (LUKS2)"),
            ("LVM-AbCdEf0123", "LVM"),
            ("mpath-360000000000000000e00000000010001", "multipath"),
            ("part1-mpath-3600", "partition of a mapping"),
            ("stratis-1-private-0123-flex-mdv", "stratis"),
        ] {
            assert_eq!(made_by(uuid), want);
        }
    }

    #[test]
    fn what_a_disk_hangs_on_is_in_its_place() {
        let on = |path: &str| transport(Path::new(path));
        assert_eq!(on("/sys/devices/pci0000:00/0000:00:02.0/virtio1/block/vda").as_deref(), Some("virtio"));
        assert_eq!(on("/sys/devices/vbd-51712/block/xvda").as_deref(), Some("xen"));
        assert_eq!(on("/sys/devices/platform/host2/session1/target2:0:0/2:0:0:1/block/sdb").as_deref(), Some("iscsi"));
        assert_eq!(on("/sys/devices/virtual/block/nbd0").as_deref(), Some("network"));
        assert_eq!(on("/sys/devices/virtual/block/zram0").as_deref(), Some("memory"));
        assert_eq!(on("/sys/devices/platform/soc/mmc0/block/mmcblk0"), None);
    }
}
