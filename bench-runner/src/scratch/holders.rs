//! Processes that write into a directory.

use std::path::Path;

use rustix::fs::OFlags;
use rustix::process::{Pid, Signal, kill_process};

/// Ends every process that has a file in the directory open for writing. The workers of a proxy are no children of the runner
/// and get no signal with its death; where there are no cgroups to be emptied, this finds them by their logs. Who only reads
/// there, as a search through all files does, is none of ours.
pub(super) fn end(directory: &Path) {
    let Ok(processes) = std::fs::read_dir("/proc") else { return };
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_string_lossy().parse::<i32>().ok());
    for pid in pids.filter(|pid| writes(*pid, directory)) {
        if let Some(pid) = Pid::from_raw(pid).filter(|pid| *pid != rustix::process::getpid()) {
            // One that has ended meanwhile is what was wanted.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// Those of other users cannot be looked into, and are none of ours.
fn writes(pid: i32, directory: &Path) -> bool {
    let Ok(open) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    open.flatten().any(|entry| {
        let inside = std::fs::read_link(entry.path()).is_ok_and(|target| target.starts_with(directory));
        inside && for_writing(pid, &entry.file_name().to_string_lossy())
    })
}

/// From the flags, in octal, that the kernel shows of an open file.
fn for_writing(pid: i32, descriptor: &str) -> bool {
    let Ok(text) = std::fs::read_to_string(format!("/proc/{pid}/fdinfo/{descriptor}")) else { return false };
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|octal| u32::from_str_radix(octal.trim(), 8).ok()).unwrap_or(0);
    OFlags::from_bits_retain(flags).intersects(OFlags::WRONLY | OFlags::RDWR)
}
