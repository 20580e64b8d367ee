//! What lies between a path and its disks, for each way of stacking them.

use std::path::Path;

use node_probe::{Sampler, Watch, host};
use record::{BlockLayer, LayerKind, Reading};

use crate::laid::Laid;

fn chain(tree: &Laid, path: &str) -> Vec<BlockLayer> {
    let reading = host(tree.path(), Path::new(path)).disk_chain;
    reading.seen().unwrap_or_else(|| panic!("absent: {:?}", reading.reason())).clone()
}

/// Depth, kind and name of each layer, a line each.
fn drawn(layers: &[BlockLayer]) -> Vec<String> {
    layers.iter().map(|l| format!("{}{} {}", " ".repeat(l.depth as usize), l.kind, l.name)).collect()
}

/// A machine with these mounts and what `sys` lays.
fn machine(mounts: &str, sys: &str) -> Laid {
    let tree = Laid::tree("no-psi");
    std::fs::create_dir_all(tree.path().join("proc/self")).unwrap();
    std::fs::write(tree.path().join("proc/self/mountinfo"), mounts).unwrap();
    tree.lay(sys);
    tree
}

/// A block device with its number and its links.
fn device(number: &str, directory: &str) -> String {
    let name = directory.rsplit('/').next().unwrap();
    format!(
        "sys/devices/{directory}/dev = {number}\nsys/dev/block/{number} -> ../../devices/{directory}\n\
         sys/class/block/{name} -> ../../devices/{directory}\n"
    )
}

const NVME: [&str; 2] = ["pci0/0000:01:00.0/nvme/nvme0/nvme0n1", "pci0/0000:02:00.0/nvme/nvme1/nvme1n1"];

#[test]
fn lvm_on_a_mirror_of_partitions() {
    let layers = chain(&Laid::tree("ubuntu-raid"), "/runs");
    assert_eq!(
        drawn(&layers),
        [
            "file system ext4",
            " mapping dm-0",
            "  array md0",
            "   partition nvme0n1p2",
            "    disk nvme0n1",
            "   partition nvme1n1p2",
            "    disk nvme1n1",
        ]
    );
    assert_eq!(layers[0].says["source"], "/dev/mapper/vg0-root");
    assert_eq!((layers[1].says["name"].as_str(), layers[1].says["made by"].as_str()), ("vg0-root", "LVM"));
    assert_eq!((layers[2].says["level"].as_str(), layers[2].says["members"].as_str()), ("raid1", "2"));
    assert!(!layers[2].says.contains_key("missing members"));
    let disk = &layers[4];
    assert_eq!((disk.says["driver"].as_str(), disk.says["transport"].as_str()), ("nvme", "pcie"));
    assert_eq!((disk.says["firmware"].as_str(), disk.says["bytes"].as_str()), ("EXF7201Q", "512110190592"));
    let queue = disk.queue.as_ref().unwrap();
    assert_eq!((queue.scheduler.seen().unwrap().as_str(), queue.hardware_queues.seen()), ("none", Some(&4)));
    assert_eq!((queue.requests.seen(), queue.max_request_bytes.seen()), (Some(&1023), Some(&(128 << 10))));
    assert_eq!((queue.rotational.seen(), queue.write_back_throttle_us.seen()), (Some(&false), Some(&2000)));
    let mapping = layers[1].queue.as_ref().unwrap();
    assert!(mapping.hardware_queues.reason().unwrap().contains("none of its own"));
    assert_eq!(layers[3].queue, None, "a partition has the queue of its disk");
}

#[test]
fn a_partition_of_a_paravirtual_disk_and_lvm_on_virtio() {
    let xen = chain(&Laid::tree("ubuntu-xen"), "/runs");
    assert_eq!(drawn(&xen), ["file system ext4", " partition xvda1", "  disk xvda"]);
    assert_eq!((xen[2].says["driver"].as_str(), xen[2].says["transport"].as_str()), ("vbd", "xen"));

    let old = chain(&Laid::tree("centos-7"), "/runs");
    assert_eq!(drawn(&old), ["file system xfs", " mapping dm-0", "  partition vda2", "   disk vda"]);
    let queue = old[3].queue.as_ref().unwrap();
    assert_eq!(queue.scheduler.seen().unwrap(), "noop");
    assert!(queue.hardware_queues.reason().is_some() && queue.write_cache.reason().is_some());
    assert!(!old[3].says.contains_key("vendor"), "a PCI number is no name: {:?}", old[3].says);
}

#[test]
fn a_pod_sees_its_volume_and_not_what_is_under_its_root() {
    let tree = Laid::tree("kubernetes-node");
    let volume = chain(&tree, "/runs/a");
    assert_eq!(drawn(&volume), ["file system ext4", " disk nvme1n1"]);
    assert_eq!(volume[1].says["model"], "Amazon Elastic Block Store");
    let root = chain(&tree, "/tmp");
    assert_eq!(
        drawn(&root),
        ["file system overlay", " not shown the upper directory of this overlay is outside of this container"]
    );
    assert!(root[0].says["upper directory"].ends_with("snapshots/77/fs"));
}

#[test]
fn what_has_no_disk_says_where_it_ends() {
    for (filesystem, kind, why) in [
        ("tmpfs tmpfs rw", LayerKind::Memory, "in memory"),
        ("nfs4 10.0.0.1:/export rw", LayerKind::Network, "on another machine"),
        ("virtiofs share rw", LayerKind::HostShare, "host of this virtual machine"),
        ("zfs tank/runs rw", LayerKind::NotShown, "zfs pool"),
    ] {
        let layers = chain(&machine(&format!("27 1 0:40 / / rw - {filesystem}\n"), ""), "/runs");
        assert_eq!((layers.len(), layers[1].kind), (2, kind), "{filesystem}");
        assert!(layers[1].name.contains(why), "{layers:?}");
    }
    let hidden = chain(&machine("27 1 8:1 / / rw - ext4 /dev/sda1 rw\n", ""), "/runs");
    assert_eq!(hidden[1].kind, LayerKind::NotShown);
    assert!(hidden[1].name.contains("8:1 is not shown in /sys"), "{hidden:?}");
    let unread = host(Path::new("/nonexistent"), Path::new("/runs")).disk_chain;
    assert!(unread.reason().unwrap().contains("mountinfo"));
}

#[test]
fn a_btrfs_on_two_devices_has_both() {
    let sys = device("259:0", NVME[0])
        + &device("254:0", "pci0/virtio1/block/vda")
        + "sys/fs/btrfs/3f2a/devices/vda -> ../../../../devices/pci0/virtio1/block/vda\n\
           sys/fs/btrfs/3f2a/devices/nvme0n1 -> ../../../../devices/pci0/0000:01:00.0/nvme/nvme0/nvme0n1\n";
    let tree = machine("27 1 0:30 /@ / rw - btrfs /dev/nvme0n1 rw,subvol=/@\n", &sys);
    assert_eq!(drawn(&chain(&tree, "/runs")), ["file system btrfs", " disk nvme0n1", " disk vda"]);
    let disk = host(tree.path(), Path::new("/runs")).disk;
    assert!(disk.reason().unwrap().contains("lies on nvme0n1, vda"), "no one disk stands for it: {disk:?}");
}

#[test]
fn a_loop_file_on_an_overlay_goes_down_to_the_disk() {
    let mounts = "27 1 254:0 / / rw - ext4 /dev/vda rw\n\
                  40 27 0:50 / /merged rw - overlay overlay rw,lowerdir=/l,upperdir=/up,workdir=/w\n\
                  41 27 7:0 / /image rw - xfs /dev/loop0 rw\n";
    let sys = device("254:0", "pci0/virtio1/block/vda")
        + &device("7:0", "virtual/block/loop0")
        + "sys/devices/virtual/block/loop0/loop/backing_file = /merged/disk.img\n";
    let tree = machine(mounts, &sys);
    let layers = chain(&tree, "/image/runs");
    let want = ["file system xfs", " loop loop0", "  file system overlay", "   file system ext4", "    disk vda"];
    assert_eq!(drawn(&layers), want);
    assert_eq!(layers[1].says["backing file"], "/merged/disk.img");
    assert_eq!(host(tree.path(), Path::new("/image/runs")).disk.seen().unwrap().name, "vda");
}

#[test]
fn a_loop_file_on_itself_ends() {
    let sys = device("7:0", "virtual/block/loop0") + "sys/devices/virtual/block/loop0/loop/backing_file = /disk.img\n";
    let layers = chain(&machine("27 1 7:0 / / rw - ext4 /dev/loop0 rw\n", &sys), "/runs");
    let last = layers.last().unwrap();
    assert!(last.kind == LayerKind::NotShown && last.name.contains("on one another"), "{last:?}");
    assert!(layers.len() < 30);
}

#[test]
fn a_mapping_is_found_by_its_name_where_dev_has_no_link_to_it() {
    let sys = device("253:0", "virtual/block/dm-0")
        + &device("254:0", "pci0/virtio1/block/vda")
        + "sys/devices/virtual/block/dm-0/dm/name = luks-root\n\
           sys/devices/virtual/block/dm-0/dm/uuid = CRYPT-LUKS2-0123-luks-root\n\
           sys/devices/virtual/block/dm-0/slaves/vda -> ../../../../pci0/virtio1/block/vda\n";
    let layers = chain(&machine("27 1 0:30 / / rw - btrfs /dev/mapper/luks-root rw\n", &sys), "/runs");
    assert_eq!(drawn(&layers), ["file system btrfs", " mapping dm-0", "  disk vda"]);
    assert_eq!(layers[1].says["made by"], "crypt (LUKS2)");
}

#[test]
fn a_scsi_disk_names_the_adapter_it_hangs_on() {
    let directory = "pci0/virtio2/host2/target2:0:0/2:0:0:1/block/sda";
    let sys = device("8:0", directory)
        + "sys/devices/pci0/virtio2/host2/target2:0:0/2:0:0:1/driver -> ../../../../../../bus/scsi/drivers/sd\n\
           sys/devices/pci0/virtio2/driver -> ../../../bus/virtio/drivers/virtio_scsi\n\
           sys/devices/pci0/virtio2/host2/target2:0:0/2:0:0:1/vendor = QEMU    \n\
           sys/devices/pci0/virtio2/host2/target2:0:0/2:0:0:1/model = QEMU HARDDISK   \n\
           sys/devices/pci0/virtio2/host2/target2:0:0/2:0:0:1/block/sda/device -> ../../../2:0:0:1\n";
    let layers = chain(&machine("27 1 8:0 / / rw - ext4 /dev/sda rw\n", &sys), "/runs");
    let says = &layers[1].says;
    assert_eq!((says["driver"].as_str(), says["adapter"].as_str()), ("sd", "virtio_scsi"));
    assert_eq!((says["vendor"].as_str(), says["model"].as_str()), ("QEMU", "QEMU HARDDISK"));
}

/// An NVMe disk with two ways to it, of which the second has carried everything.
fn two_ways(own: &str, first: &str) -> Laid {
    let head = "virtual/nvme-subsystem/nvme-subsys0";
    let mut sys = device("259:0", &format!("{head}/nvme0n1"));
    for (n, stat) in [(0, first), (1, "7 0 56 1 9 0 72 2 0 3 3 0 0 0 0 4 5")] {
        let controller = format!("pci0/0000:0{n}:00.0/nvme/nvme{n}");
        sys += &format!(
            "sys/devices/{controller}/nvme0c{n}n1/stat = {stat}\nsys/devices/{controller}/nvme0c{n}n1/ana_state = \
             optimized\nsys/devices/{controller}/state = live\nsys/devices/{controller}/transport = pcie\n\
             sys/devices/{head}/nvme{n} -> ../../../{controller}\n"
        );
    }
    sys += &format!("sys/devices/{head}/nvme0n1/stat = {own}\n");
    machine("27 1 259:0 / / rw - xfs /dev/nvme0n1 rw\n", &sys)
}

const NOTHING: &str = "0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0";

#[test]
fn an_nvme_disk_with_two_ways_to_it_has_both_below_it() {
    let tree = two_ways(NOTHING, NOTHING);
    let layers = chain(&tree, "/runs");
    assert_eq!(drawn(&layers), ["file system xfs", " disk nvme0n1", "  NVMe path nvme0c0n1", "  NVMe path nvme0c1n1"]);
    assert_eq!((layers[2].says["controller"].as_str(), layers[3].says["access"].as_str()), ("nvme0", "optimized"));
    let disk = host(tree.path(), Path::new("/runs")).disk;
    assert_eq!(disk.seen().unwrap().driver, Reading::Seen("nvme".into()));
}

#[test]
fn where_only_the_ways_are_counted_the_used_one_stands_for_the_disk() {
    let reads = |own, first| {
        let tree = two_ways(own, first);
        let watch = Watch { root: tree.root(), disk_path: Some("/runs".into()), ..Watch::default() };
        let disk = Sampler::new(watch).unwrap().sample(record::monotonic_ns()).node.disk;
        let disk = disk.seen().unwrap().clone();
        assert_eq!(disk.device, "nvme0n1");
        disk.reads
    };
    assert_eq!(reads(NOTHING, NOTHING), 7, "an older kernel counts the way only");
    let counted = "3 0 24 1 0 0 0 0 0 1 1 0 0 0 0 0 0";
    assert_eq!(reads(counted, NOTHING), 3, "a newer one counts the disk");
    assert_eq!(reads(NOTHING, counted), 0, "two used ways: neither is the disk");
}
