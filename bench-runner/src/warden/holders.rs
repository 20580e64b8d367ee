//! Processes that have a file of a directory open.

use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

/// Ends every process that has a file in the directory open. The workers of a proxy are no children of the runner and get
/// no signal with its death; where there are no cgroups to be emptied, this finds them.
pub(super) fn end(directory: &Path) {
    let Ok(processes) = std::fs::read_dir("/proc") else { return };
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_string_lossy().parse::<i32>().ok());
    for pid in pids.filter(|pid| holds(*pid, directory)) {
        if let Some(pid) = Pid::from_raw(pid).filter(|pid| *pid != rustix::process::getpid()) {
            // One that has ended meanwhile is what was wanted.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// Those of other users cannot be looked into, and are none of ours.
fn holds(pid: i32, directory: &Path) -> bool {
    let Ok(open) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    let targets = open.flatten().filter_map(|entry| std::fs::read_link(entry.path()).ok());
    targets.into_iter().any(|target| target.starts_with(directory))
}
