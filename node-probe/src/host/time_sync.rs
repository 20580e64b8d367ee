//! Who keeps the time of day right.
//!
//! The kernel would say whether it is steered (adjtimex), but no safe wrapper offers that call. So this is
//! evidence: the programs that are seen at work, the file that one of them leaves, and the clocks on offer.

use std::fs;
use std::path::Path;

use record::{Reading, TimeSync};

use crate::disk::device::line;

/// Names of the programs as /proc/PID/comm has them, cut after 15 bytes.
const DAEMONS: [&str; 7] = ["chronyd", "ntpd", "ntpd-rs", "ntp-daemon", "systemd-timesyn", "ptp4l", "phc2sys"];

pub(super) fn of(root: &Path) -> TimeSync {
    TimeSync { daemons: daemons(root), reached: reached(root), hardware_clocks: clocks(root) }
}

fn daemons(root: &Path) -> Reading<Vec<String>> {
    let Ok(entries) = fs::read_dir(root.join("proc")) else { return Reading::absent("no /proc here to look at") };
    let mut found: Vec<String> = entries
        .flatten()
        .filter(|entry| entry.file_name().as_encoded_bytes().first().is_some_and(u8::is_ascii_digit))
        .filter_map(|entry| line(&entry.path().join("comm")))
        .filter(|name| DAEMONS.contains(&name.as_str()))
        .collect();
    found.sort();
    found.dedup();
    if found.is_empty() {
        return Reading::absent(
            "no program that sets the clock is seen here; one may run outside of this container, or be hidden",
        );
    }
    Reading::Seen(found)
}

/// systemd-timesyncd makes this file when it has set the clock for the first time since boot.
fn reached(root: &Path) -> Reading<bool> {
    if root.join("run/systemd/timesync/synchronized").exists() {
        return Reading::Seen(true);
    }
    if root.join("run/systemd/timesync").is_dir() {
        return Reading::Seen(false);
    }
    Reading::absent("only systemd-timesyncd leaves a file that tells (try: `chronyc tracking` for chronyd)")
}

fn clocks(root: &Path) -> Reading<Vec<String>> {
    let directory = root.join("sys/class/ptp");
    let Ok(entries) = fs::read_dir(&directory) else {
        return Reading::absent(format!("no {}", directory.display()));
    };
    let mut names: Vec<String> = entries.flatten().filter_map(|e| line(&e.path().join("clock_name"))).collect();
    names.sort();
    Reading::Seen(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_is_known_by_its_name_and_others_are_not() {
        let tree = tempfile::tempdir().unwrap();
        for (pid, name) in [("612", "chronyd\n"), ("613", "chronyd\n"), ("700", "ntpdate\n"), ("self", "ntpd\n")] {
            let directory = tree.path().join("proc").join(pid);
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join("comm"), name).unwrap();
        }
        let sync = of(tree.path());
        assert_eq!(sync.daemons, Reading::Seen(vec!["chronyd".into()]));
        assert!(sync.reached.reason().unwrap().contains("chronyc"));
        fs::create_dir_all(tree.path().join("run/systemd/timesync")).unwrap();
        assert_eq!(of(tree.path()).reached, Reading::Seen(false));
        fs::write(tree.path().join("run/systemd/timesync/synchronized"), "").unwrap();
        assert_eq!(of(tree.path()).reached, Reading::Seen(true));
    }
}
