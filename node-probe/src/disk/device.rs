//! Block devices in /sys: from a partition, a mapping or an array to the whole disk that does the work.

use std::fs;
use std::path::{Path, PathBuf};

/// Devices stacked deeper than this are a loop.
const DEEPEST: u32 = 16;

/// A whole disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    /// The kernel's name: "vda".
    pub(crate) name: String,
    /// Major and minor number: "254:0".
    pub(crate) number: String,
    /// Its directory below /sys/devices.
    pub(crate) directory: PathBuf,
}

/// What is under a block device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Under {
    /// The disk itself.
    Disk(Device),
    /// A loop device lies on this file.
    File(PathBuf),
}

/// Goes from a device number to the whole disk: from a partition to its disk, through a device mapping or
/// an array that lies on one device only. One that lies on several is itself the best there is.
pub(crate) fn whole_disk(root: &Path, (major, minor): (u32, u32)) -> Result<Under, String> {
    let link = root.join(format!("sys/dev/block/{major}:{minor}"));
    let mut directory = fs::canonicalize(&link).map_err(|_| {
        format!(
            "block device {major}:{minor} is not shown in /sys (in a container the host's /sys/dev/block is needed)"
        )
    })?;
    for _ in 0..DEEPEST {
        if directory.join("partition").is_file() {
            directory.pop();
        } else if let Some(file) = line(&directory.join("loop/backing_file")) {
            return Ok(Under::File(file.into()));
        } else if let Some(only) = only_slave(&directory) {
            directory = only;
        } else {
            return device(&directory).map(Under::Disk);
        }
    }
    Err(format!("block device {major}:{minor} lies on devices that lie on one another"))
}

/// The number of a device by its name: "vda1".
pub(crate) fn number_of(root: &Path, name: &str) -> Option<(u32, u32)> {
    let text = line(&root.join("sys/class/block").join(name).join("dev"))?;
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn device(directory: &Path) -> Result<Device, String> {
    let number = line(&directory.join("dev"));
    match (directory.file_name(), number) {
        (Some(name), Some(number)) => {
            Ok(Device { name: name.to_string_lossy().into_owned(), number, directory: directory.to_owned() })
        }
        _ => Err(format!("{} is no block device", directory.display())),
    }
}

fn only_slave(directory: &Path) -> Option<PathBuf> {
    let mut slaves = fs::read_dir(directory.join("slaves")).ok()?.flatten();
    let only = slaves.next()?;
    if slaves.next().is_some() {
        return None;
    }
    fs::canonicalize(only.path()).ok()
}

/// The ways to an NVMe disk that has several: the disk itself is shown below its subsystem, and each way, which
/// no program may open, below its controller ("nvme0n1" by "nvme0c1n1").
pub(crate) fn nvme_paths(directory: &Path) -> Vec<PathBuf> {
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    let (Some((subsystem, space)), Some(parent)) = (name.rsplit_once('n'), directory.parent()) else {
        return Vec::new();
    };
    if !name.starts_with("nvme")
        || !parent.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"nvme-subsys"))
    {
        return Vec::new();
    }
    let is_path = |entry: &Path| {
        let name = entry.file_name().unwrap_or_default().to_string_lossy();
        name.strip_prefix(subsystem)
            .and_then(|rest| rest.strip_prefix('c')?.split_once('n'))
            .is_some_and(|(controller, of)| of == space && controller.bytes().all(|b| b.is_ascii_digit()))
    };
    let entries = |directory: &Path| fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut paths: Vec<PathBuf> = entries(parent)
        .filter_map(|controller| fs::canonicalize(controller).ok())
        .flat_map(|controller| entries(&controller).collect::<Vec<_>>())
        .filter(|entry| is_path(entry))
        .collect();
    paths.sort();
    paths
}

/// The text of a file of one line.
pub(crate) fn line(path: &Path) -> Option<String> {
    let text = fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&text);
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    (!text.is_empty()).then(|| text.to_owned())
}
