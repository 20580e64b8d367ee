//! The containers of a node as its kernel has them: cgroups by the ids that the container runtime gave.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::words::{Found, FoundPart, Watched};

/// Cgroups within cgroups, at most: a kubelet's are five deep, and one that runs in a container deeper.
const DEEPEST: usize = 16;

/// Files of a cgroup that say what limits it, in both versions.
const LIMITS: [&str; 8] = [
    "cpu.max",
    "cpu.weight",
    "cpu.cfs_quota_us",
    "cpu.cfs_period_us",
    "cpu.shares",
    "memory.max",
    "memory.limit_in_bytes",
    "cpuset.cpus.effective",
];

/// Finds containers below `cgroups`, and their processes and threads in `proc`; all of them must have processes, or none
/// need: a generator has none any more when its load has ended.
///
/// # Errors
/// For a part of which there is no cgroup, or no process in it where it must have one.
pub(super) fn find(cgroups: &Path, proc: &Path, watched: &Watched, all_alive: bool) -> anyhow::Result<Found> {
    let ids: Vec<&str> = watched.parts.values().flatten().map(String::as_str).collect();
    let mut directories: BTreeMap<&str, Vec<PathBuf>> = BTreeMap::new();
    look(cgroups, &ids, DEEPEST, &mut directories);
    let mut found = Found::default();
    for (name, ids) in &watched.parts {
        let mut part = FoundPart::default();
        for id in ids {
            for directory in directories.get(id.as_str()).into_iter().flatten() {
                take(directory, proc, &mut part);
            }
        }
        anyhow::ensure!(
            !part.cgroups.is_empty(),
            "{name}: no cgroup of a container {} below {}\n  try: whether /sys/fs/cgroup of the node is mounted there; a \
             container that was started anew has another id",
            ids.join(", "),
            cgroups.display()
        );
        anyhow::ensure!(
            !part.pids.is_empty() || !all_alive,
            "{name}: its cgroup {} holds no process that is seen from here\n  try: hostPID: true for the probe",
            part.cgroups.join(", ")
        );
        found.parts.insert(name.clone(), part);
    }
    Ok(found)
}

/// Every directory whose name holds one of these ids; what is inside of one belongs to it.
fn look<'i>(at: &Path, ids: &[&'i str], deep: usize, found: &mut BTreeMap<&'i str, Vec<PathBuf>>) {
    let Ok(entries) = fs::read_dir(at) else { return };
    for entry in entries.flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        // The runtime's own helper has a group of its own (libpod-conmon-ID.scope).
        let of = ids.iter().find(|id| !id.is_empty() && name.contains(**id) && !name.contains("conmon"));
        match of {
            Some(id) => found.entry(id).or_default().push(entry.path()),
            None if deep > 0 => look(&entry.path(), ids, deep - 1, found),
            None => {}
        }
    }
}

/// Adds what a cgroup holds.
fn take(directory: &Path, proc: &Path, part: &mut FoundPart) {
    let counts = ["cpu.stat", "cpuacct.usage"].iter().any(|file| directory.join(file).exists());
    if counts {
        part.cgroups.push(directory.display().to_string());
    }
    for file in LIMITS {
        if let Ok(text) = fs::read_to_string(directory.join(file)) {
            part.limits.entry(file.to_owned()).or_insert_with(|| text.trim().to_owned());
        }
    }
    let mut processes: Vec<(usize, u32)> = Vec::new();
    for pid in members(directory, DEEPEST) {
        if part.pids.contains(&pid) || attends(proc, pid) {
            continue;
        }
        let threads = threads(proc, pid);
        processes.push((threads.len(), pid));
        part.threads.extend(threads);
    }
    processes.sort_unstable_by(|a, b| b.cmp(a));
    part.pids.extend(processes.into_iter().map(|(_, pid)| pid));
}

/// The processes of a cgroup and of those inside of it.
fn members(directory: &Path, deep: usize) -> Vec<u32> {
    let text = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    // 0 stands for a process of another process namespace.
    let mut pids: Vec<u32> = text.lines().filter_map(|line| line.trim().parse().ok()).filter(|pid| *pid > 0).collect();
    let below = fs::read_dir(directory).into_iter().flatten().flatten();
    for entry in below.filter(|entry| deep > 0 && entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        pids.extend(members(&entry.path(), deep - 1));
    }
    pids
}

/// Whether it is our own `meshtax pod`, which sleeps while its child works.
fn attends(proc: &Path, pid: u32) -> bool {
    let line = fs::read(proc.join(pid.to_string()).join("cmdline")).unwrap_or_default();
    let mut words = line.split(|byte| *byte == 0);
    let program = words.next().unwrap_or_default();
    program.ends_with(b"meshtax") && words.next() == Some(b"pod")
}

fn threads(proc: &Path, pid: u32) -> Vec<String> {
    let tasks = fs::read_dir(proc.join(pid.to_string()).join("task")).into_iter().flatten().flatten();
    let name = |entry: fs::DirEntry| fs::read_to_string(entry.path().join("comm")).ok();
    let mut names: Vec<String> = tasks.filter_map(name).map(|name| name.trim_end().to_owned()).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn process(root: &Path, pid: u32, line: &str, threads: &[&str]) {
        let at = root.join(format!("proc/{pid}"));
        write(&at.join("cmdline"), line);
        for (n, name) in threads.iter().enumerate() {
            write(&at.join(format!("task/{}/comm", pid + n as u32)), &format!("{name}\n"));
        }
    }

    /// A node as a kubelet with systemd has it: a pod's slice, a scope for each container.
    fn node() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let pod = root.path().join("cgroup/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice");
        for (id, pids, quota) in [("aaa111", "10\n11\n", "max 100000"), ("bbb222", "20\n21\n0\n", "50000 100000")] {
            let scope = pod.join(format!("cri-containerd-{id}.scope"));
            write(&scope.join("cgroup.procs"), pids);
            write(&scope.join("cpu.stat"), "usage_usec 1\n");
            write(&scope.join("cpu.max"), &format!("{quota}\n"));
            write(&scope.join("memory.max"), "max\n");
        }
        write(&pod.join("cri-conmon-aaa111.scope/cgroup.procs"), "9\n");
        process(root.path(), 10, "/meshtax\0pod\0service\0", &["meshtax"]);
        process(root.path(), 11, "/meshtax\0service\0--name\0s1\0", &["meshtax", "wrk:0"]);
        process(root.path(), 20, "/usr/local/bin/pilot-agent\0proxy\0", &["pilot-agent"]);
        process(root.path(), 21, "/usr/local/bin/envoy\0-c\0x\0", &["envoy", "wrk:worker_0", "wrk:worker_1"]);
        root
    }

    fn watched(parts: &[(&str, &str)]) -> Watched {
        Watched { parts: parts.iter().map(|(name, id)| ((*name).to_owned(), vec![(*id).to_owned()])).collect() }
    }

    #[test]
    fn parts_are_found_by_the_ids_of_their_containers() {
        let root = node();
        let at = |name: &str| root.path().join(name);
        let found =
            find(&at("cgroup"), &at("proc"), &watched(&[("s1", "aaa111"), ("s1-sidecar", "bbb222")]), true).unwrap();
        let (service, sidecar) = (&found.parts["s1"], &found.parts["s1-sidecar"]);
        // The attendant is no part of the service, and the runtime's helper none of the container.
        assert_eq!(service.pids, [11]);
        assert_eq!(service.cpu_millicores(), None);
        assert!(service.cgroups[0].ends_with("cri-containerd-aaa111.scope"), "{:?}", service.cgroups);
        // Envoy first: it has the most threads.
        assert_eq!(sidecar.pids, [21, 20]);
        assert_eq!((sidecar.workers(), sidecar.cpu_millicores()), (2, Some(500)));
    }

    #[test]
    fn what_is_not_there_is_told_with_the_way_out() {
        let root = node();
        let at = |name: &str| root.path().join(name);
        let none = find(&at("cgroup"), &at("proc"), &watched(&[("s1", "ccc333")]), false).unwrap_err().to_string();
        assert!(none.starts_with("s1: no cgroup of a container ccc333") && none.contains("try:"), "{none}");
        write(&at("cgroup/cri-containerd-ddd444.scope/cgroup.procs"), "0\n");
        write(&at("cgroup/cri-containerd-ddd444.scope/cpu.stat"), "");
        let ended = watched(&[("s1", "ddd444")]);
        let hidden = find(&at("cgroup"), &at("proc"), &ended, true).unwrap_err().to_string();
        assert!(hidden.contains("hostPID: true"), "{hidden}");
        assert!(find(&at("cgroup"), &at("proc"), &ended, false).unwrap().parts["s1"].pids.is_empty());
    }
}
