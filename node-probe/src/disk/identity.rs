//! What a disk says of itself: driver, model, whether it rotates.

use std::fs;
use std::path::Path;

use record::{BlockDevice, Reading};

use super::device::line;
use super::{place, queue};

/// The disk under a path, or why there is none.
pub(crate) fn of(root: &Path, path: &Path) -> Reading<BlockDevice> {
    let place = match place::of(root, path) {
        Ok(place) => place,
        Err(reason) => return Reading::absent(reason),
    };
    let said = |name: &str| line(&place.directory.join(name));
    Reading::Seen(BlockDevice {
        driver: driver(&place.directory, &place.name),
        model: said("device/model").map_or_else(|| Reading::absent("it does not say"), Reading::Seen),
        rotational: queue::rotational(&place.directory),
        filesystem: place.filesystem,
        name: place.name,
        number: place.number,
    })
}

/// The driver of the nearest device above the disk that has one.
fn driver(directory: &Path, name: &str) -> Reading<String> {
    match drivers(directory).into_iter().next() {
        Some(driver) => Reading::Seen(driver),
        // With several paths to one NVMe disk, the kernel shows the disk apart from its controllers.
        None if name.starts_with("nvme") => Reading::Seen("nvme".to_owned()),
        None => Reading::absent("no device in /sys drives it"),
    }
}

/// The drivers of the devices above a disk, the nearest first.
pub(super) fn drivers(directory: &Path) -> Vec<String> {
    directory
        .ancestors()
        .take_while(|above| above.file_name().is_some_and(|name| name != "devices"))
        .filter_map(|above| fs::read_link(above.join("driver")).ok())
        .filter_map(|link| Some(link.file_name()?.to_string_lossy().into_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_driver_is_that_of_the_nearest_device_above() {
        let tree = tempfile::tempdir().unwrap();
        let at = |path: &str| tree.path().join(path);
        for directory in ["sys/dev/block", "proc/self", "sys/devices/pci0/virtio1/block/vda/queue"] {
            fs::create_dir_all(at(directory)).unwrap();
        }
        fs::write(at("proc/self/mountinfo"), "27 1 254:0 / / rw - ext4 /dev/vda rw\n").unwrap();
        symlink("../../devices/pci0/virtio1/block/vda", at("sys/dev/block/254:0")).unwrap();
        symlink("../../../bus/virtio/drivers/virtio_blk", at("sys/devices/pci0/virtio1/driver")).unwrap();
        symlink("../../bus/pci/drivers/virtio-pci", at("sys/devices/pci0/driver")).unwrap();
        fs::write(at("sys/devices/pci0/virtio1/block/vda/dev"), "254:0\n").unwrap();
        fs::write(at("sys/devices/pci0/virtio1/block/vda/queue/rotational"), "1\n").unwrap();
        let want = BlockDevice {
            name: "vda".into(),
            number: "254:0".into(),
            driver: Reading::Seen("virtio_blk".into()),
            model: Reading::absent("it does not say"),
            rotational: Reading::Seen(true),
            filesystem: Reading::Seen("ext4".into()),
        };
        assert_eq!(of(tree.path(), Path::new("/runs")), Reading::Seen(want));
    }
}
