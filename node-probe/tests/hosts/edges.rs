//! What is read before and after a load, on each machine.

use std::path::Path;

use node_probe::edges;
use record::EdgeReadings;

use crate::laid::Laid;

fn read(tree: &str, pid: u32) -> EdgeReadings {
    edges(Laid::tree(tree).path(), &[("p".to_owned(), pid)], Some(Path::new("/runs")))
}

#[test]
fn memory_is_told_by_whose_it_is() {
    let e = read("kubernetes-node", 4711);
    let memory = e.processes["p"].seen().unwrap();
    let anon = (20_480 * 4 - 20_040) << 10;
    assert_eq!((memory.pid, memory.rss_bytes), (4711, 20_480 * 4096));
    assert_eq!((memory.pss_anon_bytes, memory.pss_file_bytes), (Some(anon), Some(6680 << 10)));
    assert_eq!(memory.pss_bytes, anon + (6680 << 10));
    assert_eq!(memory.private_bytes, anon + (1000 << 10));
    assert!(e.after_ns > e.before_ns);
}

#[test]
fn an_older_kernel_tells_less_or_nothing_and_says_so() {
    let memory = read("ubuntu-xen", 2212);
    let memory = memory.processes["p"].seen().unwrap();
    assert_eq!((memory.rss_bytes, memory.pss_anon_bytes), (6789 * 4096, None), "5.4 does not split it");
    let none = read("centos-7", 812);
    assert!(none.processes["p"].reason().unwrap().contains("older than 4.14"));
    assert_eq!(read("centos-7", 4712).processes["p"].reason(), Some("exited"));
}

#[test]
fn each_drive_under_the_path_tells_of_its_controller() {
    let drives = read("ubuntu-raid", 4711).drives;
    let drives = drives.seen().unwrap();
    assert_eq!(drives.iter().map(|d| d.device.as_str()).collect::<Vec<_>>(), ["nvme0n1", "nvme1n1"]);
    assert_eq!(drives[0].temperature_millicelsius.seen(), Some(&38_850));
    assert_eq!(drives[1].temperature_millicelsius.seen(), Some(&41_850));
    assert_eq!((drives[0].controller["state"].as_str(), drives[0].controller["queue_count"].as_str()), ("live", "5"));
    assert!(drives[0].smart.reason().unwrap().contains("no drive to ask"));

    let volume = read("kubernetes-node", 4711).drives;
    let volume = &volume.seen().unwrap()[0];
    assert_eq!(volume.controller["model"], "Amazon Elastic Block Store");
    assert!(volume.temperature_millicelsius.reason().is_some());
    assert!(!volume.controller.contains_key("serial"), "it would name the machine: {volume:?}");
}

#[test]
fn without_a_disk_there_is_no_drive() {
    let none = read("lxc", 1).drives;
    assert!(none.reason().unwrap().contains("zfs pool"), "{none:?}");
    let unasked = edges(Laid::tree("lxc").path(), &[], None).drives;
    assert_eq!(unasked.reason(), Some("no disk was asked for"));
}
