//! The disk's counters beside programs that read and write it a known number of times.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::Command;

use node_probe::{Sampler, Watch};
use record::{Reading, Sample};

/// As many as each program does.
const TIMES: u64 = 300;

fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn sampler(directory: &Path) -> Sampler {
    let it = vec![("it".into(), std::process::id())];
    Sampler::new(Watch { disk_path: Some(directory.to_owned()), processes: it, ..Watch::default() }).unwrap()
}

/// What was counted before and after; none, and why, where this directory is on no disk.
fn counted(directory: &Path, act: impl FnOnce()) -> Option<(Sample, Sample)> {
    let mut sampler = sampler(directory);
    let before = sampler.sample(record::monotonic_ns());
    act();
    // The slow tier has its turn only a second later.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let after = sampler.sample(record::monotonic_ns());
    if let Reading::Absent { absent } = &before.node.disk {
        eprintln!("skipped: {} is on no disk that is watched ({absent})", directory.display());
        return None;
    }
    Some((before, after))
}

#[test]
fn every_direct_read_and_write_is_counted_with_its_sectors() {
    let directory = directory();
    let file = directory.path().join("direct");
    let dd = |args: &[&str]| {
        let of = format!("bs=4096 count={TIMES} status=none");
        let status = Command::new("dd").args(of.split(' ')).args(args).status().unwrap();
        assert!(status.success(), "dd {args:?}");
    };
    let path = file.to_str().unwrap();
    let refused = OpenOptions::new().write(true).create(true).custom_flags(libc_o_direct()).open(&file).is_err();
    if refused {
        eprintln!("skipped: {} takes no direct I/O", directory.path().display());
        return;
    }
    let Some((before, after)) = counted(directory.path(), || {
        dd(&["if=/dev/zero", &format!("of={path}"), "oflag=direct"]);
        dd(&[&format!("if={path}"), "of=/dev/null", "iflag=direct"]);
    }) else {
        return;
    };
    let (before, after) = (before.node.disk.seen().unwrap(), after.node.disk.seen().unwrap());
    // Others may use the disk as well, so these are the least there can be.
    assert!(after.writes - before.writes >= TIMES, "{before:?} {after:?}");
    assert!(after.write_sectors - before.write_sectors >= TIMES * 8, "{before:?} {after:?}");
    assert!(after.reads - before.reads >= TIMES, "{before:?} {after:?}");
    assert!(after.read_sectors - before.read_sectors >= TIMES * 8, "{before:?} {after:?}");
}

/// O_DIRECT of this architecture (asm-generic/fcntl.h; arm has its own).
fn libc_o_direct() -> i32 {
    i32::try_from(rustix::fs::OFlags::DIRECT.bits()).unwrap()
}

#[test]
fn a_logger_that_waits_for_the_disk_is_seen_in_its_writes_and_its_waits() {
    let directory = directory();
    let line = [b'x'; 2300];
    let mut log = File::create(directory.path().join("access.log")).unwrap();
    let Some((before, after)) = counted(directory.path(), || {
        for _ in 0..TIMES {
            log.write_all(&line).unwrap();
            log.sync_data().unwrap();
        }
    }) else {
        return;
    };
    let (disk, disk_after) = (before.node.disk.seen().unwrap(), after.node.disk.seen().unwrap());
    assert!(disk_after.writes - disk.writes >= TIMES, "{disk:?} {disk_after:?}");
    // Each line is at least the five sectors it fills.
    assert!(disk_after.write_sectors - disk.write_sectors >= TIMES * 4, "{disk:?} {disk_after:?}");
    let waits = |sample: &Sample| *sample.processes["it"].voluntary_switches.seen().unwrap();
    let waited = waits(&after) - waits(&before);
    assert!(waited >= TIMES / 2, "each wait for the disk gives up the CPU, and {waited} did");
}
