//! A kernel file that is opened once and read many times from its beginning.
//!
//! A kept descriptor costs less than half of opening each time, and one to a file of a process says ESRCH
//! once that process has ended, even when another has got its number since.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use record::Reading;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::{Errno, pread, retry_on_intr};

use crate::{Error, Result, absence};

/// A buffer that all sources read into, one after the other.
pub(crate) struct Page(Vec<u8>);

// Without what was read last: thousands of bytes that say nothing.
impl std::fmt::Debug for Page {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Page({} bytes)", self.0.len())
    }
}

impl Page {
    pub(crate) fn new() -> Self {
        Self(vec![0; 4096])
    }
}

/// A kept descriptor.
#[derive(Debug)]
pub(crate) struct Source(OwnedFd);

impl Source {
    /// Opens a file by its path.
    pub(crate) fn open(path: &Path) -> std::result::Result<Self, Errno> {
        Self::open_at(CWD, path)
    }

    /// Opens a file below a directory that is kept open.
    pub(crate) fn open_at(directory: BorrowedFd<'_>, path: &Path) -> std::result::Result<Self, Errno> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY;
        retry_on_intr(|| rustix::fs::openat(directory, path, flags, Mode::empty())).map(Self)
    }

    /// Opens a file, or says with `explain` why there is none.
    ///
    /// # Errors
    /// When descriptors are used up: that is no property of the machine, and must not be taken for one.
    pub(crate) fn open_or_absent(path: &Path, explain: fn(&Path, Errno) -> String) -> Result<Reading<Self>> {
        match Self::open(path) {
            Ok(source) => Ok(Reading::Seen(source)),
            Err(errno @ (Errno::MFILE | Errno::NFILE)) => {
                Err(Error::Descriptors { path: path.to_owned(), limit: absence::descriptor_limit(errno) })
            }
            Err(errno) => Ok(Reading::absent(explain(path, errno))),
        }
    }

    /// The whole text of the file as it is now.
    pub(crate) fn read<'p>(&self, page: &'p mut Page) -> std::result::Result<&'p str, Errno> {
        std::str::from_utf8(self.read_bytes(page)?).map_err(|_| Errno::ILSEQ)
    }

    /// As [`Self::read`], for files that may hold any bytes, such as the name a process gave itself.
    ///
    /// A kernel file is made at offset 0 and whole; one that fills the buffer may go on behind it, and
    /// reading on would join two instants, so the buffer grows and everything is read again.
    pub(crate) fn read_bytes<'p>(&self, page: &'p mut Page) -> std::result::Result<&'p [u8], Errno> {
        loop {
            let length = retry_on_intr(|| pread(self.0.as_fd(), page.0.as_mut_slice(), 0))?;
            if length < page.0.len() {
                return Ok(&page.0[..length]);
            }
            let larger = page.0.len() * 2;
            page.0.resize(larger, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_larger_than_the_buffer_is_read_whole_and_again_as_it_is_then() {
        let tree = tempfile::tempdir().unwrap();
        let path = tree.path().join("stat");
        let long: String = (0..3000).map(|i| format!("{i} ")).collect();
        assert!(long.len() > 8192);
        std::fs::write(&path, &long).unwrap();
        let (source, mut page) = (Source::open(&path).unwrap(), Page::new());
        assert_eq!(source.read(&mut page).unwrap(), long);

        let mut file = std::fs::File::options().write(true).truncate(true).open(&path).unwrap();
        file.write_all(b"short").unwrap();
        assert_eq!(source.read(&mut page).unwrap(), "short");
    }

    #[test]
    fn a_text_exactly_as_long_as_the_buffer_is_whole() {
        let tree = tempfile::tempdir().unwrap();
        let path = tree.path().join("stat");
        std::fs::write(&path, "x".repeat(4096)).unwrap();
        assert_eq!(Source::open(&path).unwrap().read(&mut Page::new()).unwrap().len(), 4096);
    }

    #[test]
    fn a_missing_file_is_absent_with_the_words_given() {
        let tree = tempfile::tempdir().unwrap();
        let path = tree.path().join("none");
        let found = Source::open_or_absent(&path, absence::reason).unwrap();
        assert_eq!(found.reason(), Some(format!("{} does not exist on this machine", path.display()).as_str()));
    }
}
