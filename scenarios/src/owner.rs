//! Whose something outside the process is: cgroups and namespaces carry their owner's id and start time.

use std::path::Path;

/// What the name of every tree of cgroups and of every namespace begins with; nothing else is ever removed.
pub(crate) const PREFIX: &str = "meshtax-";

/// Who made it, from its name `meshtax-PID-STARTTIME-TAG`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) pid: u32,
    /// In clock ticks since boot.
    pub(crate) start_ticks: u64,
}

impl Owner {
    /// This process.
    pub(crate) fn ourselves() -> Option<Self> {
        let pid = std::process::id();
        Some(Self { pid, start_ticks: start_ticks(pid)? })
    }

    /// From the last part of a path; none when that is no name of ours.
    pub(crate) fn of(root: &Path) -> Option<Self> {
        let name = root.file_name()?.to_str()?.strip_prefix(PREFIX)?;
        let mut parts = name.splitn(3, '-');
        let owner = Self { pid: parts.next()?.parse().ok()?, start_ticks: parts.next()?.parse().ok()? };
        parts.next().map(|_tag| owner)
    }

    /// What the names of all it owns begin with, before "-TAG".
    pub(crate) fn prefix(self) -> String {
        format!("{PREFIX}{}-{}", self.pid, self.start_ticks)
    }

    /// Whether that very process still runs; the start time tells it from a later one with the same id.
    pub(crate) fn lives(self) -> bool {
        start_ticks(self.pid) == Some(self.start_ticks)
    }
}

/// Field 22 of /proc/PID/stat: when it started, in clock ticks since boot.
fn start_ticks(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, spaces and parentheses too.
    let (_, after_name) = stat.rsplit_once(") ")?;
    after_name.split(' ').nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_read_from_the_name_and_from_no_other() {
        let owner = |name: &str| Owner::of(&Path::new("/sys/fs/cgroup/cpu").join(name));
        assert_eq!(owner("meshtax-12-345-run-7"), Some(Owner { pid: 12, start_ticks: 345 }));
        for name in ["meshtax", "meshtax-", "meshtax-12", "meshtax-12-345", "meshtax-x-1-t", "user.slice", "12-345-t"] {
            assert_eq!(owner(name), None, "{name}");
        }
    }

    #[test]
    fn we_live_and_one_that_started_at_another_time_does_not() {
        let ourselves = Owner::ourselves().unwrap();
        assert!(ourselves.lives());
        assert!(!Owner { start_ticks: ourselves.start_ticks + 1, ..ourselves }.lives());
        assert_eq!(Owner::of(Path::new(&format!("{}-x", ourselves.prefix()))), Some(ourselves));
    }
}
