//! A process that may open no more files, or have no more memory, than it has.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use super::parts;
use crate::live::Live;
use crate::program::cgroups;

/// Below what any process has open: from now on the part opens no file and takes no connection, whatever it closes.
const FEWEST: u64 = 3;

pub(crate) fn descriptors(live: &Live, target: &str) {
    limit(parts::of(live, target), "nofile", FEWEST);
}

/// From now on the part gets no page that it does not have.
pub(crate) fn memory(live: &Live, target: &str) {
    if target == "a proxy" {
        return fill_cgroup(live);
    }
    let pid = parts::of(live, target);
    let pages = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap();
    let pages: u64 = pages.split(' ').next().unwrap().parse().unwrap();
    limit(pid, "as", pages * rustix::param::page_size() as u64);
}

/// Has somebody else use up the memory of a proxy's cgroup. The kernel then kills whom it thinks most of, which is the proxy.
fn fill_cgroup(live: &Live) {
    let own = format!("-{}-", live.pid());
    let roots = cgroups().into_iter().filter(|root| root.to_string_lossy().contains(&own));
    let leaves = roots.flat_map(|root| std::fs::read_dir(root).unwrap().flatten().map(|entry| entry.path()));
    let limits = ["memory.limit_in_bytes", "memory.max"];
    let is = |leaf: &PathBuf| {
        leaf.file_name().unwrap().to_string_lossy().ends_with("-sidecar")
            && limits.iter().any(|f| leaf.join(f).exists())
    };
    let leaf = leaves.into_iter().find(is).expect("a sidecar with a memory limit");
    let limit = limits.iter().find_map(|file| std::fs::read_to_string(leaf.join(file)).ok()).unwrap();
    let most = limit.trim().parse::<u64>().unwrap() - (2 << 20);
    let script =
        format!("echo 0 > '{}/cgroup.procs' && head -c {most} /dev/zero | tail -c {most} | wc -c", leaf.display());
    for pid in std::fs::read_to_string(leaf.join("cgroup.procs")).unwrap().lines() {
        std::fs::write(format!("/proc/{pid}/oom_score_adj"), "1000").unwrap();
    }
    let filled = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert!(filled.status.success(), "{}", String::from_utf8_lossy(&filled.stderr));
}

/// By whom the process is: without CAP_SYS_RESOURCE, as in a container, not even root may limit another user's.
fn limit(pid: u32, resource: &str, most: u64) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let id = |field: &str| {
        let line = status.lines().find(|line| line.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u32>().unwrap()
    };
    let mut command = Command::new("prlimit");
    command.uid(id("Uid:")).gid(id("Gid:"));
    let said = command.args(["--pid", &pid.to_string(), &format!("--{resource}={most}:{most}")]).output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
}

/// The same command under a limit of the shell.
pub(crate) fn limited(ulimit: &str, command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("{ulimit}; exec \"$0\" \"$@\"")).arg(command.get_program()).args(command.get_args());
    shell
}
