//! /proc/PID/smaps_rollup: the memory of a process by whose it is (kernel document filesystems/proc).

use std::io;
use std::path::Path;

use record::{ProcessMemory, Reading};
use rustix::io::Errno;

use crate::absence;
use crate::proc::process::EXITED;

/// The memory of a process now, or why it is not told.
pub(super) fn of(root: &Path, pid: u32) -> Reading<ProcessMemory> {
    let directory = root.join(format!("proc/{pid}"));
    let path = directory.join("smaps_rollup");
    match std::fs::read_to_string(&path) {
        // One that ended and was not waited for still has the file, with nothing in it.
        Ok(text) if text.is_empty() => Reading::absent(EXITED),
        Ok(text) => parse(pid, &text)
            .map_or_else(|| Reading::absent(format!("{} is not as it should be", path.display())), Reading::Seen),
        Err(error) => Reading::absent(why_not(&directory, &path, &error)),
    }
}

fn why_not(directory: &Path, path: &Path, error: &io::Error) -> String {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::SRCH) => EXITED.to_owned(),
        Some(Errno::NOENT) if !directory.is_dir() => EXITED.to_owned(),
        Some(Errno::NOENT) => format!("no {}: kernel older than 4.14", path.display()),
        Some(errno) => absence::reason(path, errno),
        None => error.to_string(),
    }
}

fn parse(pid: u32, text: &str) -> Option<ProcessMemory> {
    let bytes = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        value.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    };
    Some(ProcessMemory {
        pid,
        rss_bytes: bytes("Rss")?,
        pss_bytes: bytes("Pss")?,
        pss_anon_bytes: bytes("Pss_Anon"),
        pss_file_bytes: bytes("Pss_File"),
        pss_shmem_bytes: bytes("Pss_Shmem"),
        private_bytes: bytes("Private_Clean")?.checked_add(bytes("Private_Dirty")?)?,
        swap_bytes: bytes("Swap")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &str = "\
56119b0b2000-7ffdcd20f000 ---p 00000000 00:00 0                          [rollup]
Rss:                1736 kB
Pss:                 413 kB
Pss_Dirty:           108 kB
Pss_Anon:            108 kB
Pss_File:            305 kB
Pss_Shmem:             0 kB
Shared_Clean:       1584 kB
Shared_Dirty:          0 kB
Private_Clean:        44 kB
Private_Dirty:       108 kB
Swap:                  0 kB
SwapPss:               0 kB
Locked:                0 kB
";

    #[test]
    fn each_kind_is_in_bytes_and_older_kernels_have_fewer() {
        let memory = parse(7, NEW).unwrap();
        let want = ProcessMemory {
            pid: 7,
            rss_bytes: 1736 << 10,
            pss_bytes: 413 << 10,
            pss_anon_bytes: Some(108 << 10),
            pss_file_bytes: Some(305 << 10),
            pss_shmem_bytes: Some(0),
            private_bytes: 152 << 10,
            swap_bytes: 0,
        };
        assert_eq!(memory, want);
        let old: String = NEW.lines().filter(|l| !l.starts_with("Pss_")).map(|l| format!("{l}\n")).collect();
        let want = ProcessMemory { pss_anon_bytes: None, pss_file_bytes: None, pss_shmem_bytes: None, ..want };
        assert_eq!(parse(7, &old), Some(want));
        assert_eq!(parse(7, "Rss: 1 kB\n"), None);
    }

    #[test]
    fn our_own_memory_adds_up() {
        let memory = of(Path::new("/"), std::process::id()).seen().cloned().unwrap();
        assert!(memory.private_bytes <= memory.pss_bytes && memory.pss_bytes <= memory.rss_bytes, "{memory:?}");
        assert!(memory.private_bytes > 100_000, "{memory:?}");
    }

    #[test]
    fn one_that_ended_says_so_waited_for_or_not() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        // WNOWAIT: it has ended, and its entry stays.
        let ended = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
        let id = rustix::process::Pid::from_child(&child);
        rustix::process::waitid(rustix::process::WaitId::Pid(id), ended).unwrap();
        assert_eq!(of(Path::new("/"), pid).reason(), Some(EXITED), "not waited for yet");
        child.wait().unwrap();
        let tree = tempfile::tempdir().unwrap();
        assert_eq!(of(tree.path(), 4711).reason(), Some(EXITED));
        std::fs::create_dir_all(tree.path().join("proc/4711")).unwrap();
        assert!(of(tree.path(), 4711).reason().unwrap().contains("4.14"));
    }
}
