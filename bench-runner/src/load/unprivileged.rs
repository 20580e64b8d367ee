//! A load that root has made by a user who owns nothing: what that user could not open is opened before.

use std::io::Write as _;
use std::os::fd::IntoRawFd as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use load_gen::{Kept, Plan};

/// Opens the files of a plan and becomes the user; returns those that the load is kept in.
///
/// # Errors
/// When a file cannot be opened, or the user not be become.
pub(super) fn become_user(user: u32, plan: &mut Plan) -> anyhow::Result<Option<Kept>> {
    let kept = plan.record_to.as_deref().map(Kept::open).transpose()?;
    if let Some(roots) = &mut plan.trust.roots {
        *roots = in_memory(roots)?;
    }
    scenarios::launch::become_user(user)?;
    Ok(kept)
}

/// The path of a copy that this process alone has, under which it may be read whoever we are then.
fn in_memory(path: &Path) -> anyhow::Result<PathBuf> {
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let copy = || -> std::io::Result<PathBuf> {
        let file = rustix::fs::memfd_create("roots", rustix::fs::MemfdFlags::CLOEXEC)?;
        let mut file = std::fs::File::from(file);
        file.write_all(&text)?;
        // Open for as long as we run.
        Ok(PathBuf::from(format!("/proc/self/fd/{}", file.into_raw_fd())))
    };
    copy().with_context(|| format!("cannot keep {} in memory", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_read_like_the_file_and_stays_when_that_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("roots.pem");
        std::fs::write(&file, "roots").unwrap();
        let copy = in_memory(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(std::fs::read(&copy).unwrap(), b"roots");
        let said = in_memory(&file).unwrap_err().to_string();
        assert_eq!(said, format!("cannot read {}", file.display()));
    }
}
