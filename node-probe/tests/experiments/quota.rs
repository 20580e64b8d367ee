//! A cgroup with a quota: what is throttled is what was neither run nor, for once, waited for.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use node_probe::{Sampler, Watch};
use record::Reading;

use crate::busy::Shell;
use crate::groups::skip;

/// A group of 20 ms in each 100 ms, in every tree that this machine has; removed when dropped. It goes before
/// all others with the largest weight, so that it hardly ever waits for another reason than its quota.
pub(crate) struct Group {
    directories: Vec<PathBuf>,
}

impl Group {
    /// None, and why, where such a group cannot be made.
    pub(crate) fn make(purpose: &str) -> Result<Self, String> {
        let base = Path::new("/sys/fs/cgroup");
        let name = format!("node-probe-test-{purpose}-{}", std::process::id());
        let mut group = Self { directories: Vec::new() };
        let mut add = |tree: &Path| {
            let directory = tree.join(&name);
            fs::create_dir(&directory).map_err(|e| format!("{}: {e}", directory.display()))?;
            group.directories.push(directory.clone());
            Ok::<_, String>(directory)
        };
        let put = |path: PathBuf, text: &str| fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()));
        if base.join("cpu/cpu.cfs_quota_us").exists() || base.join("cpu/tasks").exists() {
            let cpu = add(&base.join("cpu"))?;
            put(cpu.join("cpu.cfs_period_us"), "100000")?;
            put(cpu.join("cpu.cfs_quota_us"), "20000")?;
            put(cpu.join("cpu.shares"), "262144")?;
            // Where both are one tree, the second is there already.
            if !cpu.join("cpuacct.usage").exists() {
                add(&base.join("cpuacct"))?;
            }
            if base.join("unified/cgroup.procs").exists() {
                add(&base.join("unified"))?;
            }
        } else {
            let granted = fs::read_to_string(base.join("cgroup.subtree_control")).unwrap_or_default();
            if !granted.split_whitespace().any(|controller| controller == "cpu") {
                return Err("the cpu controller is not enabled below the root of the cgroups".to_owned());
            }
            let directory = add(base)?;
            put(directory.join("cpu.max"), "20000 100000")?;
            put(directory.join("cpu.weight"), "10000")?;
        }
        Ok(group)
    }

    /// Puts a process into it.
    pub(crate) fn take_in(&self, pid: u32) {
        for directory in &self.directories {
            fs::write(directory.join("cgroup.procs"), pid.to_string()).unwrap();
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for directory in &self.directories {
            if let Err(e) = fs::remove_dir(directory) {
                eprintln!("{} could not be removed: {e}", directory.display());
            }
        }
    }
}

/// What the host took from all CPUs of this machine so far, by /proc/stat, in ticks of 10 ms.
fn stolen_ns() -> u64 {
    let stat = fs::read_to_string("/proc/stat").unwrap();
    stat.lines().next().unwrap().split_whitespace().nth(8).unwrap().parse::<u64>().unwrap() * 10_000_000
}

#[test]
fn throttled_time_is_what_the_quota_took() {
    let group = match Group::make("quota") {
        Ok(group) => group,
        Err(why) => return skip(&format!("no cgroup with a quota ({why})")),
    };
    // Declared after the group, so that it is gone when the group is removed.
    let shell = Shell::spin();
    group.take_in(shell.0.id());
    let mut sampler = Sampler::new(Watch {
        cgroups: vec![("it".into(), group.directories.clone())],
        processes: vec![("it".into(), shell.0.id())],
        ..Watch::default()
    })
    .unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let stolen_before = stolen_ns();
    let first = sampler.sample(record::monotonic_ns());
    std::thread::sleep(Duration::from_millis(3000));
    let second = sampler.sample(record::monotonic_ns());
    let stolen = stolen_ns() - stolen_before;

    let (a, b) = (&first.cgroups["it"], &second.cgroups["it"]);
    let grown = |old: &Reading<u64>, new: &Reading<u64>| new.seen().unwrap() - old.seen().unwrap();
    let wall = b.read_ns - a.read_ns;
    let (usage, throttled) = (grown(&a.usage_ns, &b.usage_ns), grown(&a.throttled_ns, &b.throttled_ns));
    let (periods, hit) = (grown(&a.periods, &b.periods), grown(&a.throttled_periods, &b.throttled_periods));
    let said = format!("wall {wall} usage {usage} throttled {throttled} periods {hit} of {periods} stolen {stolen}");
    eprintln!("{said}");
    // As many as there were in what the sleep became.
    let whole = wall / 100_000_000;
    assert!((whole - 2..=whole + 3).contains(&periods) && hit >= periods / 2, "{said}");
    assert!(usage * 100 <= wall * 25, "a fifth of one CPU, and half a period at the edges: {said}");
    // It always wants to run: what it did not run, it was throttled or waited, or the host took the CPU from under it. The
    // waiting is small, since it goes first; and a period may begin in one window and be credited in the other.
    let lost = wall - usage;
    assert!((throttled + stolen) * 100 >= lost * 85 && throttled * 100 <= lost * 105, "{said}");
    let (p, q) = (&first.processes["it"], &second.processes["it"]);
    let delay = grown(&p.run_delay_ns, &q.run_delay_ns);
    let said = format!("throttling is in the run delay ({delay}): {said}");
    assert!((delay + stolen) * 100 >= lost * 90 && delay * 100 <= lost * 110, "{said}");
    if group.directories.iter().any(|d| d.join("cpu.pressure").exists()) {
        assert!(grown(&a.psi_cpu_some_us, &b.psi_cpu_some_us) > 0, "{:?}", b.psi_cpu_some_us);
    }
}
