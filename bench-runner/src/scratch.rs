//! A private directory for keys: mode 0700, in memory where the system has such a place, gone with the run.

mod holders;
mod remove;

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use scenarios::proxy::envoy::EnvoyProgram;

pub(crate) use remove::remove_left;

/// What the name of every scratch directory begins with.
const PREFIX: &str = "meshtax-scratch-";

/// What the keys and configurations of the longest chain take, and as much again.
const ROOM_BYTES: u64 = 1 << 20;

/// Whether a file system has room for keys; one that does not tell is tried.
fn has_room(place: &Path) -> bool {
    rustix::fs::statvfs(place).map_or(true, |space| {
        // One without a bound says 0 of everything.
        space.f_blocks == 0 || space.f_bavail * space.f_frsize >= ROOM_BYTES
    })
}

/// A scratch directory; removed when dropped, and by the warden should we not get to it.
pub(crate) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes one, where these Envoys can read what is in it.
    pub(crate) fn create<'a>(mut envoys: impl Iterator<Item = &'a EnvoyProgram>) -> anyhow::Result<Self> {
        // /dev/shm is memory: keys that never touch a disk need not be wiped from one.
        let memory = Path::new("/dev/shm");
        let readable = envoys.all(|envoy| envoy.reads(memory));
        let writable = rustix::fs::access(memory, rustix::fs::Access::WRITE_OK).is_ok();
        let parent = if readable && writable && has_room(memory) { memory.to_owned() } else { std::env::temp_dir() };
        let path = parent.join(format!("{PREFIX}{}-{:08x}", std::process::id(), rand::random::<u32>()));
        let made = std::fs::DirBuilder::new().mode(0o700).create(&path);
        let way_out = "try: TMPDIR=DIR with a directory that may be written and has room";
        if let Err(error) = made {
            anyhow::bail!("cannot create the private directory {} for keys: {error}\n  {way_out}", path.display());
        }
        let scratch = Self { path };
        anyhow::ensure!(
            has_room(&parent),
            "no room for keys: less than {} KiB are free in {}\n  {way_out}",
            ROOM_BYTES / 1024,
            parent.display()
        );
        Ok(scratch)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = remove::remove(&self.path);
    }
}

/// Removes scratch directories whose process is gone, and ends whoever still writes into them; returns them.
pub(crate) fn sweep_stale() -> Vec<PathBuf> {
    let mut removed = Vec::new();
    for parent in [PathBuf::from("/dev/shm"), std::env::temp_dir()] {
        let Ok(entries) = std::fs::read_dir(&parent) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(rest) = name.strip_prefix(PREFIX) else { continue };
            let Some(pid) = rest.split('-').next().and_then(|p| p.parse::<i32>().ok()) else { continue };
            let gone = rustix::process::Pid::from_raw(pid)
                .is_some_and(|p| rustix::process::test_kill_process(p) == Err(rustix::io::Errno::SRCH));
            if gone && remove_left(&entry.path()).is_ok() {
                removed.push(entry.path());
            }
        }
    }
    removed
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn it_is_private_and_goes_with_its_owner() {
        let scratch = Scratch::create(std::iter::empty()).unwrap();
        let path = scratch.path().to_owned();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        std::fs::write(path.join("key"), "x").unwrap();
        drop(scratch);
        assert!(!path.exists());
    }

    #[test]
    fn only_what_is_ours_and_stale_is_swept() {
        let mine = Scratch::create(std::iter::empty()).unwrap();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let stale = std::env::temp_dir().join(format!("{PREFIX}{}-test", child.id()));
        std::fs::create_dir(&stale).unwrap();
        let removed = sweep_stale();
        assert!(removed.contains(&stale) && !stale.exists());
        assert!(mine.path().exists());
        let other = tempfile::tempdir().unwrap();
        assert!(remove_left(other.path()).is_err() && other.path().exists());
    }
}
