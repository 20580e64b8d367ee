use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::time::Duration;

/// How often it is tried for, and how long apart: for half a second, since who only asks may be held up meanwhile.
const TRIES: u32 = 250;
const WAIT: Duration = Duration::from_millis(2);

/// A file or folder held by this process alone, for as long as this lives (flock(2), which ends with a killed process too).
///
/// It is given back in so many words: it belongs to the open file and not to the number for it, and a process that is being
/// started at the moment has all of them until it is another program. Closing alone would leave it held until then.
#[derive(Debug)]
pub struct Lock(File);

impl Lock {
    /// Takes it; none when another process has it, and has kept it for half a second.
    ///
    /// # Errors
    /// When there is no such file, or it cannot be locked where it lies.
    pub fn take(path: &Path) -> io::Result<Option<Self>> {
        let file = File::open(path)?;
        for tried in 1..=TRIES {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Self(file))),
                Err(TryLockError::Error(error)) => return Err(error),
                // Who only asks whether it is held has it for a moment.
                Err(TryLockError::WouldBlock) if tried < TRIES => std::thread::sleep(WAIT),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        Ok(None)
    }

    /// Whether a process has it now; no where that cannot be asked.
    pub fn is_held(path: &Path) -> bool {
        let Ok(file) = File::open(path) else { return false };
        match file.try_lock_shared() {
            Ok(()) => {
                drop(Self(file));
                false
            }
            Err(error) => matches!(error, TryLockError::WouldBlock),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // It cannot fail for what is held; and were it to, closing is next.
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_has_it_and_gives_it_back_whoever_else_has_the_open_file() {
        let folder = tempfile::tempdir().unwrap();
        let held = Lock::take(folder.path()).unwrap().unwrap();
        assert!(Lock::is_held(folder.path()));
        assert!(Lock::take(folder.path()).unwrap().is_none());
        // What a process that is being started has.
        let inherited = held.0.try_clone().unwrap();
        drop(held);
        assert!(!Lock::is_held(folder.path()));
        let again = Lock::take(folder.path()).unwrap();
        assert!(again.is_some());
        drop((again, inherited));
        assert!(!Lock::is_held(folder.path()));
        let nothing = folder.path().join("none");
        assert!(!Lock::is_held(&nothing));
        assert_eq!(Lock::take(&nothing).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
