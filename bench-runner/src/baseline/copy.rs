//! A directory copied file by file, and put in its place when all of it is on the disk.

use std::fs::{self, File};
use std::path::Path;

use anyhow::Context as _;

use crate::interrupt::{Interrupt, Stopped};

/// Copies a directory with all files and directories in it. What is neither (a link, a socket) is no part of a run
/// that can be read elsewhere, and is refused.
///
/// # Errors
/// When something cannot be read or written, or the user stopped it; a part is then there.
pub(super) fn whole(from: &Path, to: &Path, interrupt: &Interrupt) -> anyhow::Result<()> {
    fs::create_dir(to).with_context(|| format!("cannot create {}", to.display()))?;
    let entries = fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))?;
    for entry in entries {
        if interrupt.asked() {
            return Err(Stopped.into());
        }
        let entry = entry.with_context(|| format!("cannot read {}", from.display()))?;
        let (path, copy) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().with_context(|| format!("cannot look at {}", path.display()))?;
        if kind.is_dir() {
            whole(&path, &copy, interrupt)?;
        } else if kind.is_file() {
            fs::copy(&path, &copy).with_context(|| format!("cannot copy {}", path.display()))?;
        } else {
            anyhow::bail!(
                "{} is neither a file nor a directory, and a run has nothing else\n  try: remove it, and add the run again",
                path.display()
            );
        }
    }
    Ok(())
}

/// Waits until what was copied is on the disk, and gives it its name.
///
/// # Errors
/// When the disk refuses.
pub(super) fn settle(unfinished: &Path, name: &Path) -> anyhow::Result<()> {
    let opened = File::open(unfinished).with_context(|| format!("cannot open {}", unfinished.display()))?;
    rustix::fs::syncfs(&opened)
        .map_err(std::io::Error::from)
        .with_context(|| format!("cannot write {} to its disk", name.display()))?;
    fs::rename(unfinished, name).with_context(|| format!("cannot give the copy its name {}", name.display()))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn all_of_it_is_copied_and_has_its_name_only_then() {
        let tmp = tempfile::tempdir().unwrap();
        let (from, to, name) = (tmp.path().join("a"), tmp.path().join("b"), tmp.path().join("c"));
        fs::create_dir_all(from.join("trials/1")).unwrap();
        fs::write(from.join("run.json"), "{}").unwrap();
        fs::write(from.join("trials/1/trial.json"), "[1]").unwrap();
        let interrupt = Interrupt::listen().unwrap();
        whole(&from, &to, &interrupt).unwrap();
        settle(&to, &name).unwrap();
        assert_eq!(fs::read_to_string(name.join("trials/1/trial.json")).unwrap(), "[1]");
        assert!(name.join("run.json").exists() && !to.exists());
    }

    #[test]
    fn a_copy_that_the_user_stops_is_stopped() {
        let tmp = tempfile::tempdir().unwrap();
        let from = tmp.path().join("a");
        fs::create_dir(&from).unwrap();
        fs::write(from.join("run.json"), "{}").unwrap();
        let interrupt = Interrupt::listen().unwrap();
        interrupt.flag().store(true, Ordering::Relaxed);
        assert!(whole(&from, &tmp.path().join("b"), &interrupt).unwrap_err().is::<Stopped>());
    }
}
