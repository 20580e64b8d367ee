//! As whom parts run: users who own nothing, wherever we are root.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustix::fs::FileType;
use rustix::process::{Gid, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::refuse;
use crate::Result;

/// The user of services, generators and neighbours that are started by root. Debian's policy and systemd leave 65520 to
/// 65533 to nobody, so that it is no one's on the machine, and a container of 65536 users has it.
pub const SERVICE_USER: u32 = 65_521;

/// The user of proxies on loopback, who alone reads their keys. In pods it is that of Istio's rules.
pub const LOOPBACK_PROXY_USER: u32 = 65_522;

/// As whom the parts of a chain run that need nothing of root; none stands for who we are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Users {
    /// Of services, generators and neighbours.
    pub service: Option<u32>,
    /// Of proxies on loopback.
    pub proxy: Option<u32>,
}

impl Users {
    /// Who is to be become here: nobody else where we are not root, who may become nobody else anyway.
    ///
    /// # Errors
    /// Why root may become nobody else here: a container without these users, or without the right.
    pub fn here() -> std::result::Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::default());
        }
        let own = rustix::thread::capabilities(None).map_err(|e| format!("its rights cannot be read: {e}"))?;
        let needed = CapabilitySet::SETUID | CapabilitySet::SETGID | CapabilitySet::CHOWN;
        if !own.effective.contains(needed) {
            return Err("root has not the rights to (CAP_SETUID, CAP_SETGID, CAP_CHOWN)".to_owned());
        }
        let read = |file: &str| std::fs::read_to_string(format!("/proc/self/{file}")).unwrap_or_default();
        if read("setgroups").trim() == "deny" {
            return Err("groups may not be given up in this user namespace".to_owned());
        }
        for (file, id) in [("uid_map", SERVICE_USER), ("uid_map", LOOPBACK_PROXY_USER), ("gid_map", SERVICE_USER)] {
            if !maps(&read(file), id) {
                return Err(format!("this user namespace has no {id} (/proc/self/{file})"));
            }
        }
        Ok(Self { service: Some(SERVICE_USER), proxy: Some(LOOPBACK_PROXY_USER) })
    }
}

/// Whether every user may execute a file, or go through a directory: a program that its owner alone may execute has to be
/// executed by its owner.
pub fn all_may_execute(program: &Path) -> bool {
    program.metadata().is_ok_and(|found| found.permissions().mode() & 0o001 != 0)
}

/// Whether a map of ids has one of them: lines of the first inside, the first outside, and how many
/// (user_namespaces(7)).
fn maps(map: &str, id: u32) -> bool {
    map.lines().any(|line| {
        let mut numbers = line.split_whitespace().map(|n| n.parse::<u64>().unwrap_or(0));
        let (Some(first), Some(_), Some(count)) = (numbers.next(), numbers.next(), numbers.next()) else {
            return false;
        };
        (first..first.saturating_add(count)).contains(&u64::from(id))
    })
}

/// Takes a user's credentials and those of the group of the same number, without any other group, and keeps of root's
/// rights these.
///
/// Must come before the first thread is started: it is about the calling thread and those that it starts later. The
/// kernel then forgets whose death it was to die of (PR_SET_PDEATHSIG).
pub(crate) fn take_credentials(id: u32, kept: CapabilitySet) -> rustix::io::Result<()> {
    let (user, group) = (Uid::from_raw(id), Gid::from_raw(id));
    // With root's id the kernel would take all rights but the inheritable ones; what is not kept is given up below.
    rustix::thread::set_keep_capabilities(true)?;
    // The order matters: a user other than root may change neither its groups nor its group.
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_res_gid(group, group, group)?;
    rustix::thread::set_thread_res_uid(user, user, user)?;
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets)
}

/// Becomes a user and the group of the same number, without any other group, without any right of root's, and with no
/// way to get one back by executing a file.
///
/// Must come before the first thread is started: it is about the calling thread and those that it starts later. Whose
/// death it was to die of stays so.
///
/// # Errors
/// [`crate::Error::Launch`] with what was refused, or when the parent ended meanwhile.
pub fn become_user(id: u32) -> Result<()> {
    let (user, group) = (Uid::from_raw(id), Gid::from_raw(id));
    let may_not = |e: rustix::io::Errno| refuse(format!("it may not become user and group {id}: {e}"));
    let parent = rustix::process::getppid();
    let death = rustix::process::parent_process_death_signal().map_err(may_not)?;
    // A file or a pipe that is its stdout may be opened again by its name, /dev/stdout, which asks whose it is.
    for output in [rustix::stdio::stdout(), rustix::stdio::stderr()] {
        // A terminal or /dev/null is everybody's and stays whose it is.
        let kind = rustix::fs::fstat(output).map(|found| FileType::from_raw_mode(found.st_mode)).map_err(may_not)?;
        if !matches!(kind, FileType::RegularFile | FileType::Fifo) {
            continue;
        }
        let given = rustix::fs::fchown(output, Some(user), Some(group));
        given.map_err(|e| refuse(format!("its output cannot be given to user {id}: {e}")))?;
    }
    take_credentials(id, CapabilitySet::empty())
        .and_then(|()| rustix::thread::set_no_new_privs(true))
        .and_then(|()| rustix::process::set_parent_process_death_signal(death))
        .map_err(may_not)?;
    if death.is_some() && rustix::process::getppid() != parent {
        return Err(refuse("the parent ended meanwhile".to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_of_ids_has_what_is_within_its_ranges() {
        let map = "         0       1000          1\n         1     100000      65536\n";
        for (id, has) in [(0, true), (1, true), (65_521, true), (65_536, true), (65_537, false)] {
            assert_eq!(maps(map, id), has, "{id}");
        }
        assert!(maps("0 0 4294967295", SERVICE_USER));
        assert!(!maps("0 1000 1", SERVICE_USER) && !maps("", 0) && !maps("0 0", 0));
    }

    #[test]
    fn a_file_that_its_owner_alone_may_execute_is_told_from_others() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("program");
        std::fs::write(&file, "").unwrap();
        for (mode, all) in [(0o755, true), (0o711, true), (0o700, false), (0o750, false), (0o644, false)] {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(all_may_execute(&file), all, "{mode:o}");
        }
        assert!(!all_may_execute(&directory.path().join("missing")));
    }
}
