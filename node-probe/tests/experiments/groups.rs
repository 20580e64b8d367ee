//! Cgroups that go away, and those around a watched one.

use std::fs;
use std::path::PathBuf;

use node_probe::{Sampler, Watch};

use crate::busy::Shell;

/// A tree of cgroups that this program may make groups in; none, and why, where there is none.
pub(crate) fn tree_of_version_2() -> Result<PathBuf, String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").map_err(|e| e.to_string())?;
    let tree = mounts.lines().find_map(|line| {
        let (place, what) = line.split_once(" - ")?;
        what.starts_with("cgroup2 ").then(|| PathBuf::from(place.split(' ').nth(4).unwrap_or_default()))
    });
    let tree = tree.ok_or("no version 2 tree of cgroups is mounted")?;
    if tree.join("cpu.pressure").exists() { Ok(tree) } else { Err("its groups have no pressure".to_owned()) }
}

/// A group that is removed when dropped, with the groups inside it.
pub(crate) struct Group(pub(crate) PathBuf);

impl Group {
    pub(crate) fn make(path: PathBuf) -> Result<Self, String> {
        fs::create_dir(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(Self(path))
    }

    /// Puts a process into it.
    pub(crate) fn take(&self, pid: u32) {
        fs::write(self.0.join("cgroup.procs"), pid.to_string()).unwrap();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Its processes have been killed and waited for; the kernel may still be busy with them.
        for _ in 0..100 {
            if fs::remove_dir(&self.0).is_ok() || !self.0.exists() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        eprintln!("{} could not be removed", self.0.display());
    }
}

/// Whether a skipped test should fail; says so when it should not.
pub(crate) fn skip(why: &str) {
    eprintln!("skipped: {why} (set REQUIRE_ROOT=1 to fail)");
    assert!(std::env::var_os("REQUIRE_ROOT").is_none_or(|v| v != "1"), "REQUIRE_ROOT=1, but {why}");
}

#[test]
fn a_cgroup_that_is_removed_is_absent_with_the_reason_and_its_process_stays() {
    let made = tree_of_version_2()
        .and_then(|tree| Group::make(tree.join(format!("node-probe-test-removed-{}", std::process::id()))));
    let group = match made {
        Ok(group) => group,
        Err(why) => return skip(&why),
    };
    let shell = Shell::spin();
    group.take(shell.0.id());
    let watch = Watch {
        processes: vec![("it".into(), shell.0.id())],
        cgroups: vec![("named".into(), vec![group.0.clone()])],
        ..Watch::default()
    };
    let mut sampler = Sampler::new(watch).unwrap();
    let first = sampler.sample(record::monotonic_ns());
    assert!(first.cgroups["named"].usage_ns.seen().is_some());
    assert_eq!(first.processes["it"].cgroup.as_deref(), Some("named"), "found under the name it was given");
    fs::write(group.0.parent().unwrap().join("cgroup.procs"), shell.0.id().to_string()).unwrap();
    fs::remove_dir(&group.0).unwrap();
    let second = sampler.sample(record::monotonic_ns());
    assert_eq!(second.cgroups["named"].usage_ns.reason(), Some("the cgroup was removed"));
    assert!(second.processes["it"].run_ns.seen().is_some(), "{second:?}");
}
