//! The drives under a path, and what the kernel says of their health.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use record::{BlockLayer, DriveHealth, LayerKind, Reading, SmartLog};

use super::smart;
use crate::disk::chain;
use crate::disk::device::{line, nvme_paths};

/// Each whole disk under a path, once.
pub(super) fn all(root: &Path, path: &Path) -> Reading<Vec<DriveHealth>> {
    let layers = match chain::of(root, path) {
        Reading::Seen(layers) => layers,
        Reading::Absent { absent } => return Reading::absent(absent),
    };
    let mut disks: Vec<&BlockLayer> = layers.iter().filter(|layer| layer.kind == LayerKind::Disk).collect();
    disks.sort_by(|a, b| a.name.cmp(&b.name));
    disks.dedup_by(|a, b| a.name == b.name);
    if disks.is_empty() {
        let end = layers.last().map_or("nothing is known of it", |layer| layer.name.as_str());
        return Reading::absent(format!("no disk is seen under {}: {end}", path.display()));
    }
    Reading::Seen(disks.into_iter().map(|disk| health(root, disk)).collect())
}

fn health(root: &Path, disk: &BlockLayer) -> DriveHealth {
    let directory = disk.number.as_ref().and_then(|n| fs::canonicalize(root.join("sys/dev/block").join(n)).ok());
    let controller = directory.as_deref().and_then(controller);
    DriveHealth {
        device: disk.name.clone(),
        controller: controller.as_deref().map(told).unwrap_or_default(),
        temperature_millicelsius: temperature(directory.as_deref(), controller.as_deref()),
        smart: smart_log(root, disk),
    }
}

/// The NVMe controller of a disk: the directory above it, or that of its first path.
fn controller(directory: &Path) -> Option<PathBuf> {
    if !directory.file_name()?.to_string_lossy().starts_with("nvme") {
        return None;
    }
    let path = nvme_paths(directory).into_iter().next();
    path.as_deref().unwrap_or(directory).parent().map(Path::to_owned)
}

/// What the kernel says of a controller. Its serial number is left out: reports are passed on.
fn told(controller: &Path) -> BTreeMap<String, String> {
    ["model", "firmware_rev", "transport", "state", "queue_count", "numa_node"]
        .into_iter()
        .filter_map(|file| Some((file.to_owned(), line(&controller.join(file))?)))
        .collect()
}

/// The kernel's own sensor (hwmon): below the NVMe controller, or its device on older kernels; below the SCSI
/// device of an ATA drive, where the module drivetemp is loaded.
fn temperature(disk: Option<&Path>, controller: Option<&Path>) -> Reading<i64> {
    let device = disk.map(|directory| directory.join("device"));
    let places = controller.into_iter().chain(device.as_deref()).flat_map(|place| {
        let hwmon = |directory: &Path| {
            fs::read_dir(directory)
                .into_iter()
                .flatten()
                .flatten()
                .filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"hwmon"))
                .map(|entry| entry.path())
                .collect::<Vec<_>>()
        };
        let mut all = hwmon(place);
        all.extend(hwmon(&place.join("hwmon")));
        all.extend(hwmon(&place.join("device/hwmon")));
        all
    });
    places
        .filter_map(|sensor| line(&sensor.join("temp1_input"))?.parse().ok())
        .next()
        .map_or_else(|| Reading::absent("the kernel shows no temperature of it"), Reading::Seen)
}

fn smart_log(root: &Path, disk: &BlockLayer) -> Reading<SmartLog> {
    if root != Path::new("/") {
        return Reading::absent("a tree of text has no drive to ask");
    }
    let says = |word: &str| disk.says.get(word).map(String::as_str);
    match (says("driver"), says("transport")) {
        (Some(driver @ ("virtio_blk" | "vbd")), _) => {
            return Reading::absent(format!("{driver} drives a virtual disk, which keeps no such log"));
        }
        (_, Some(transport @ ("network" | "memory" | "iscsi"))) => {
            return Reading::absent(format!("{} is no drive of this machine ({transport})", disk.name));
        }
        _ => {}
    }
    smart::of(Command::new("smartctl"), &Path::new("/dev").join(&disk.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_temperature_is_found_where_each_kernel_keeps_it() {
        for place in ["nvme0/hwmon1", "nvme0/device/hwmon/hwmon0"] {
            let tree = tempfile::tempdir().unwrap();
            let sensor = tree.path().join(place);
            fs::create_dir_all(&sensor).unwrap();
            fs::write(sensor.join("temp1_input"), "38850\n").unwrap();
            let controller = tree.path().join("nvme0");
            assert_eq!(temperature(None, Some(&controller)), Reading::Seen(38_850), "{place}");
        }
        assert!(temperature(None, None).reason().is_some());
    }

    #[test]
    fn a_virtual_disk_is_not_asked() {
        let disk = |word: &str, value: &str| BlockLayer {
            depth: 1,
            kind: LayerKind::Disk,
            name: "vda".into(),
            number: None,
            says: [(word.to_owned(), value.to_owned())].into(),
            queue: None,
        };
        for (word, value) in [("driver", "virtio_blk"), ("driver", "vbd"), ("transport", "network")] {
            let said = smart_log(Path::new("/"), &disk(word, value));
            assert!(said.reason().unwrap().contains(value), "{said:?}");
        }
    }
}
