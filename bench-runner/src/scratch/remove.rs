//! Taking scratch directories away, with the keys that are in them.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;

use super::{PREFIX, holders};

/// Removes a scratch directory of ours and nothing else.
pub(crate) fn remove(scratch: &Path) -> anyhow::Result<()> {
    tail(scratch)?;
    wipe(scratch);
    match std::fs::remove_dir_all(scratch) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(e).with_context(|| format!("cannot remove {}", scratch.display()))
        }
        _ => Ok(()),
    }
}

/// Removes the scratch directory of a runner that is gone, and ends whoever still writes into it. What is gone already is fine.
///
/// Its warden and runners that start meanwhile may all be at it, and who wipes a file has it open for writing too. So it gets
/// a name of this process first: one of them alone can give it, and is then no writer to the others.
///
/// # Errors
/// A directory that is none of ours, or one that could not be removed.
pub(crate) fn remove_left(scratch: &Path) -> anyhow::Result<()> {
    let taken = scratch.with_file_name(format!("{PREFIX}{}-{}", std::process::id(), tail(scratch)?));
    let at = match std::fs::rename(scratch, &taken) {
        Ok(()) => taken.as_path(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        // As on a disk without room for a name: better where it is than not at all.
        Err(_) => scratch,
    };
    holders::end(at);
    remove(at)
}

/// What follows the prefix in its name.
fn tail(scratch: &Path) -> anyhow::Result<&str> {
    let tail = scratch.file_name().and_then(|name| name.to_str()?.strip_prefix(PREFIX));
    tail.with_context(|| format!("{} is no scratch directory of meshtax; it was not removed", scratch.display()))
}

/// Writes zeros over the files below, as far as it goes: where a directory in memory was not to be had, keys would stay on the
/// disk otherwise. A link is not followed.
fn wipe(directory: &Path) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => wipe(&path),
            Ok(kind) if kind.is_file() => {
                let zeros = entry.metadata().map(|m| vec![0; usize::try_from(m.len()).unwrap_or(0)]);
                let file = std::fs::OpenOptions::new().write(true).open(&path);
                if let (Ok(zeros), Ok(mut file)) = (zeros, file) {
                    let _ = file.write_all(&zeros).and_then(|()| file.sync_data());
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_zeros_before_they_are_gone_and_what_is_linked_to_stays() {
        let tmp = tempfile::tempdir().unwrap();
        let scratch = tmp.path().join(format!("{PREFIX}1-x"));
        std::fs::create_dir_all(scratch.join("deployment")).unwrap();
        let (key, mine) = (scratch.join("deployment/a.key"), tmp.path().join("mine"));
        std::fs::write(&key, "secret").unwrap();
        std::fs::write(&mine, "mine").unwrap();
        std::os::unix::fs::symlink(&mine, scratch.join("link")).unwrap();
        // The same file by another name shows what was in it last.
        let other_name = tmp.path().join("seen");
        std::fs::hard_link(&key, &other_name).unwrap();
        remove(&scratch).unwrap();
        assert!(!scratch.exists());
        assert_eq!(std::fs::read(&other_name).unwrap(), [0; 6]);
        assert_eq!(std::fs::read(&mine).unwrap(), b"mine");
        assert!(remove(tmp.path()).is_err(), "no scratch directory");
    }
}
