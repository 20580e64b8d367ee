//! A machine one of whose texts in /proc, /sys or a cgroup is of any bytes: every counter is read or absent with a reason, what
//! is read is kept as it was read, and takes no more memory than its text is worth.
//!
//! The first byte says which text it is, the rest is in it.

use std::cell::LazyCell;
use std::fs;
use std::path::Path;

use node_probe::{Sampler, Watch, host};
use record::{Host, Sample};

use crate::laid::Laid;

/// The tree, and the text in it. A corpus goes by their places: new ones come at the end.
const TEXTS: [(Machine, &str); 38] = [
    (POD, "proc/stat"),
    (POD, "proc/loadavg"),
    (POD, "proc/meminfo"),
    (POD, "proc/pressure/cpu"),
    (POD, "proc/pressure/io"),
    (POD, "proc/schedstat"),
    (POD, "proc/interrupts"),
    (POD, "proc/softirqs"),
    (POD, "proc/vmstat"),
    (POD, "proc/self/net/dev"),
    (POD, "proc/self/net/snmp"),
    (POD, "proc/self/net/netstat"),
    (POD, "proc/self/net/softnet_stat"),
    (POD, "proc/4711/net/softnet_stat"),
    (POD, "proc/4711/net/dev"),
    (POD, "proc/4711/cgroup"),
    (POD, "proc/4711/stat"),
    (POD, "proc/4711/status"),
    (POD, "proc/4711/task/4711/schedstat"),
    (POD, "proc/4711/task/4712/status"),
    (POD, "proc/self/mountinfo"),
    (POD, "proc/self/cgroup"),
    (POD, "proc/cpuinfo"),
    (POD, "proc/swaps"),
    (POD, "proc/1/environ"),
    (POD, "etc/os-release"),
    (POD, "proc/config.gz"),
    (POD, "sys/devices/system/cpu/online"),
    (POD, "sys/devices/system/cpu/cpu0/topology/thread_siblings_list"),
    (POD, "sys/fs/cgroup/kubepods.slice/cpu.max"),
    (POD, "sys/fs/cgroup/kubepods.slice/cpu.stat"),
    (POD, "sys/fs/cgroup/kubepods.slice/cpu.pressure"),
    (POD, "sys/fs/cgroup/kubepods.slice/memory.max"),
    (POD, "sys/fs/cgroup/kubepods.slice/cpuset.cpus.effective"),
    (OLD, "sys/fs/cgroup/cpu,cpuacct/system.slice/meshtax.service/cpu.stat"),
    (OLD, "sys/fs/cgroup/cpu,cpuacct/system.slice/meshtax.service/cpuacct.usage"),
    (OLD, "sys/fs/cgroup/cpu,cpuacct/system.slice/meshtax.service/cpu.cfs_quota_us"),
    (OLD, "sys/fs/cgroup/memory/memory.limit_in_bytes"),
];

/// A tree of text, what is watched in it, and a group of it.
type Machine = (&'static str, u32, &'static str);
const POD: Machine = ("kubernetes-node", 4711, "kubepods.slice");
const OLD: Machine = ("centos-7", 812, "cpu,cpuacct/system.slice/meshtax.service");

/// What a sample or a card of these machines takes without the text in question and with the most CPUs that a kernel has
/// named twice, and what a byte of it may add: the
/// shortest counter is two characters in /proc and a line of words in a sample.
const FIXED_BYTES: usize = 128 << 10;
const BYTES_FOR_ONE: usize = 200;

thread_local! {
    // Laid once; each text is put back.
    static PODS: LazyCell<Laid> = LazyCell::new(|| Laid::tree(POD.0));
    static OLDS: LazyCell<Laid> = LazyCell::new(|| Laid::tree(OLD.0));
}

pub(crate) fn check(data: &[u8]) {
    let Some((which, bytes)) = data.split_first() else { return };
    let (machine, text) = TEXTS[usize::from(*which) % TEXTS.len()];
    let tree = if machine == POD { &PODS } else { &OLDS };
    tree.with(|tree| {
        let path = tree.path().join(text);
        let before = fs::read(&path).ok();
        fs::write(&path, bytes).expect("a text");
        look(tree, machine, FIXED_BYTES + BYTES_FOR_ONE * bytes.len());
        match before {
            Some(before) => fs::write(&path, before).expect("a text"),
            None => fs::remove_file(&path).expect("a text"),
        }
    });
}

fn look(tree: &Laid, (_, pid, group): Machine, most: usize) {
    let group = tree.path().join("sys/fs/cgroup").join(group);
    let watch = Watch {
        root: tree.root(),
        processes: vec![("p".to_owned(), pid)],
        cgroups: vec![("g".to_owned(), vec![group])],
        disk_path: Some("/runs".into()),
        taskstats: false,
        sensor: None,
    };
    match Sampler::new(watch) {
        Ok(mut sampler) => {
            // Twice: counters that wrap are added up from one round to the next.
            for _ in 0..2 {
                let sample = sampler.sample(0);
                let kept = serde_json::to_vec(&sample).expect("a sample can be written");
                assert!(kept.len() <= most, "a sample of {} bytes", kept.len());
                assert_eq!(serde_json::from_slice::<Sample>(&kept).expect("and be read"), sample);
            }
        }
        Err(error) => assert!(error.to_string().starts_with("cannot "), "{error}"),
    }
    let card = host(tree.path(), Path::new("/runs"));
    let kept = serde_json::to_vec(&card).expect("a card can be written");
    assert!(kept.len() <= most, "a card of {} bytes", kept.len());
    assert_eq!(serde_json::from_slice::<Host>(&kept).expect("and be read"), card);
}
