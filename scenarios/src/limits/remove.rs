//! Taking cgroup trees of ours away again, with whatever is still inside.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use super::{layout, own_hierarchies};
use crate::owner::{Owner, PREFIX};
use crate::{Error, Result};

/// How long killed processes may take to be gone.
const PATIENCE: Duration = Duration::from_secs(2);

/// Removes trees by their roots: kills what is still inside, waits until they are empty (at most two seconds),
/// and removes the directories, the innermost first. What is gone already is fine.
///
/// Neither the caller nor the process a tree belongs to is killed; should they be inside, they are moved out.
///
/// # Errors
/// A directory that isn't ours, or one that could not be emptied or removed; the others are removed all the same.
pub fn remove(roots: &[PathBuf]) -> Result<()> {
    let mut result = Ok(());
    for root in roots {
        let one = remove_one(root);
        if result.is_ok() {
            result = one;
        }
    }
    result
}

/// Removes the trees whose owner is gone; returns what was removed.
pub fn sweep_stale() -> Vec<PathBuf> {
    let mut removed = Vec::new();
    for hierarchy in own_hierarchies() {
        for place in layout::upward(&hierarchy.own, &hierarchy.mount) {
            for root in children(place).into_iter().filter(|c| is_stale(c)) {
                if remove_one(&root).is_ok() {
                    removed.push(root);
                }
            }
        }
    }
    removed
}

fn is_stale(root: &Path) -> bool {
    // A process of another pid namespace shows as 0: whether its owner lives cannot be seen from here.
    Owner::of(root).is_some_and(|owner| !owner.lives()) && !tree(root).iter().any(|d| pids(d).contains(&0))
}

/// The cgroups directly below one.
pub(super) fn children(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()).collect()
}

/// A cgroup and all below it, the innermost first.
fn tree(root: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = children(root).iter().flat_map(|c| tree(c)).collect();
    all.push(root.to_owned());
    all
}

/// The processes in a cgroup itself; one that is gone has none.
pub(super) fn pids(directory: &Path) -> Vec<u32> {
    let text = std::fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.trim().parse().ok()).collect()
}

fn remove_one(root: &Path) -> Result<()> {
    let Some(owner) = Owner::of(root) else {
        let source = std::io::Error::other(format!("its name is not of the form {PREFIX}PID-STARTTIME-TAG"));
        return Err(Error::Cgroup { action: "remove".to_owned(), path: root.to_owned(), source });
    };
    let mut spared = vec![std::process::id()];
    if owner.lives() {
        spared.push(owner.pid);
    }
    let until = Instant::now() + PATIENCE;
    loop {
        match try_remove(root, &spared) {
            Ok(()) => return Ok(()),
            Err(e) if Instant::now() >= until => return Err(e),
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// One round: whoever is inside is killed or moved out, then the directories go, which fails until all are gone.
fn try_remove(root: &Path, spared: &[u32]) -> Result<()> {
    let all = tree(root);
    for directory in &all {
        for pid in pids(directory) {
            if spared.contains(&pid) {
                move_out(root, pid);
            } else if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
        }
    }
    for directory in all {
        match std::fs::remove_dir(&directory) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::Cgroup { action: "remove".to_owned(), path: directory, source });
            }
            _ => {}
        }
    }
    Ok(())
}

/// Moves a process to where the tree was made; in v2 only after the tree's controllers were given back, since a
/// cgroup that hands controllers down may hold no processes.
fn move_out(root: &Path, pid: u32) {
    let Some(parent) = root.parent() else { return };
    for directory in [root, parent] {
        let handed_down = std::fs::read_to_string(directory.join("cgroup.subtree_control")).unwrap_or_default();
        for controller in handed_down.split_whitespace() {
            let _ = std::fs::write(directory.join("cgroup.subtree_control"), format!("-{controller}"));
        }
    }
    let _ = std::fs::write(parent.join("cgroup.procs"), pid.to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_ours_is_not_removed() {
        let directory = tempfile::tempdir().unwrap();
        let other = directory.path().join("other");
        std::fs::create_dir(&other).unwrap();
        let said = remove(std::slice::from_ref(&other)).unwrap_err().to_string();
        assert!(said.starts_with(&format!("cannot remove the cgroup {}: its name", other.display())), "{said}");
        assert!(other.is_dir());
    }

    #[test]
    fn what_is_gone_already_is_fine() {
        let owner = Owner::ourselves().unwrap();
        let name = format!("{PREFIX}{}-{}-gone", owner.pid, owner.start_ticks);
        remove(&[std::env::temp_dir().join(name)]).unwrap();
    }
}
