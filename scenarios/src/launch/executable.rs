//! A program that is opened before its way may be closed to us.
//!
//! Root's programs may lie where nobody else can go, such as /root/.cargo/bin. Whoever was let in once and holds the file
//! needs the way no more: /proc/self/fd leads to it, and asks for nothing but that the file itself may be executed.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::IntoRawFd as _;
use std::path::{Path, PathBuf};

use rustix::fs::Access;
use rustix::io::FdFlags;

/// A program whose file is held, if it could be opened.
pub(super) struct Executable {
    path: PathBuf,
    file: Option<File>,
}

impl Executable {
    pub(super) fn open(path: &Path) -> Self {
        Self { path: path.to_owned(), file: File::open(path).ok() }
    }

    /// The path by which it is to be executed now: its own where we can go there, so that the process has its name, else
    /// that of the held file, which stays open for as long as this process is what it is.
    pub(super) fn way(self) -> PathBuf {
        if rustix::fs::access(&self.path, Access::EXEC_OK).is_ok() {
            return self.path;
        }
        let Some(mut file) = self.file else { return self.path };
        let mut begin = [0; 2];
        if file.read_exact(&mut begin).is_ok() && begin == *b"#!" {
            // Its interpreter opens it again, by the path that it was executed by.
            let _ = rustix::io::fcntl_setfd(&file, FdFlags::empty());
        }
        PathBuf::from(format!("/proc/self/fd/{}", file.into_raw_fd()))
    }
}
