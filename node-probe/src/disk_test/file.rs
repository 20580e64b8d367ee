//! The files of a test: they have no name, so that nothing is left of them however the test ends.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use record::DISK_BLOCK_BYTES;
use rustix::fs::{FallocateFlags, Mode, OFlags};
use rustix::io::{Errno, pwrite, retry_on_intr};

use super::buffer::Buffer;
use super::ground::{Ground, errno_text, refused};
use crate::Result;

/// The file is written in pieces of this size.
const PIECE_BYTES: u64 = 1 << 20;

/// A new file in a directory without a name in it.
///
/// Where the file system has no O_TMPFILE it has a name between two calls, in which it is empty.
fn unnamed(ground: &Ground, flags: OFlags) -> Result<OwnedFd> {
    let flags = flags | OFlags::CLOEXEC | OFlags::LARGEFILE;
    let mode = Mode::RUSR | Mode::WUSR;
    let directory = ground.directory.as_fd();
    let temporary = flags | OFlags::TMPFILE | OFlags::EXCL;
    let made = match retry_on_intr(|| rustix::fs::openat(directory, ".", temporary, mode)) {
        // What a file system says that knows nothing of it, and what a kernel says that does not.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT) => named_and_removed(directory, flags, mode),
        other => other,
    };
    made.map_err(|errno| {
        let problem = format!("no file can be made in it: {}", errno_text(errno));
        refused(&ground.path, problem, "a directory that you may write to, on a file system that is not read-only")
    })
}

fn named_and_removed(directory: BorrowedFd<'_>, flags: OFlags, mode: Mode) -> std::result::Result<OwnedFd, Errno> {
    let name = format!(".meshtax-disk-{}-{:016x}", std::process::id(), rand::random::<u64>());
    let new = flags | OFlags::CREATE | OFlags::EXCL;
    let file = retry_on_intr(|| rustix::fs::openat(directory, name.as_str(), new, mode))?;
    rustix::fs::unlinkat(directory, name.as_str(), rustix::fs::AtFlags::empty())?;
    Ok(file)
}

/// The file that is read and written past the page cache.
#[derive(Debug)]
pub(super) struct TestFile {
    file: OwnedFd,
    bytes: u64,
}

impl TestFile {
    /// Makes it, with room for all of it.
    ///
    /// # Errors
    /// When the directory, the file system or the space do not permit it.
    pub(super) fn create(ground: &Ground, bytes: u64) -> Result<Self> {
        let file = unnamed(ground, OFlags::RDWR)?;
        let direct = rustix::fs::fcntl_getfl(&file).and_then(|f| rustix::fs::fcntl_setfl(&file, f | OFlags::DIRECT));
        direct.map_err(|errno| not_direct(ground, errno))?;
        match retry_on_intr(|| rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, bytes)) {
            // Then the writing takes the room.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(Self { file, bytes }),
            Err(errno) => Err(no_room(ground, errno)),
        }
    }

    /// Writes all of it with bytes that no disk can make smaller, and flushes it. False when it was told to stop.
    ///
    /// # Errors
    /// When the disk refuses, or the file system does not take O_DIRECT.
    pub(super) fn fill(
        &self,
        ground: &Ground,
        seed: u64,
        stop: &AtomicBool,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<bool> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut piece = Buffer::new(PIECE_BYTES as usize);
        let mut at = 0;
        while at < self.bytes {
            if stop.load(Ordering::Relaxed) {
                return Ok(false);
            }
            progress(at, self.bytes);
            random.fill_bytes(piece.bytes_mut());
            let left = PIECE_BYTES.min(self.bytes - at) as usize;
            let written = retry_on_intr(|| pwrite(&self.file, &piece.bytes()[..left], at));
            match written {
                Ok(n) if (n as u64).is_multiple_of(DISK_BLOCK_BYTES) && n > 0 => at += n as u64,
                Ok(_) => return Err(no_room(ground, Errno::NOSPC)),
                Err(Errno::INVAL) => return Err(not_direct(ground, Errno::INVAL)),
                Err(errno) => return Err(no_room(ground, errno)),
            }
        }
        retry_on_intr(|| rustix::fs::fsync(&self.file)).map_err(|errno| no_room(ground, errno))?;
        progress(self.bytes, self.bytes);
        Ok(true)
    }

    /// Blocks of 4 KiB in it.
    pub(super) fn blocks(&self) -> u64 {
        self.bytes / DISK_BLOCK_BYTES
    }

    /// Waits until what was written is on the disk, so that one arm does not pay for another.
    pub(super) fn settle(&self) -> std::result::Result<(), Errno> {
        retry_on_intr(|| rustix::fs::fdatasync(&self.file))
    }
}

impl AsFd for TestFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn not_direct(ground: &Ground, errno: Errno) -> crate::Error {
    let filesystem = ground.filesystem.seen().map_or("its file system", String::as_str);
    let problem = match errno {
        Errno::INVAL => format!(
            "{filesystem} does not take O_DIRECT in blocks of 4 KiB, so the test would measure the page cache (EINVAL)"
        ),
        other => format!("O_DIRECT on {filesystem}: {}", errno_text(other)),
    };
    refused(&ground.path, problem, "a directory on a local file system, such as ext4 or xfs")
}

fn no_room(ground: &Ground, errno: Errno) -> crate::Error {
    let problem = format!("its file could not be written: {}", errno_text(errno));
    refused(&ground.path, problem, "a smaller --size, or look at what the kernel says of the disk (dmesg)")
}

/// The bytes of a record of an access log, as proxies write them in JSON.
pub(super) const RECORD_BYTES: usize = 2300;

/// The records differ from one another in more than their number.
const RECORDS: usize = 64;

/// A log that is appended to through the page cache. When it is as long as it may be, another takes its place.
#[derive(Debug)]
pub(super) struct Log<'g> {
    ground: &'g Ground,
    file: OwnedFd,
    length: u64,
    most_bytes: u64,
    count: u64,
    records: Vec<Vec<u8>>,
}

impl<'g> Log<'g> {
    /// An empty one.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn create(ground: &'g Ground, most_bytes: u64, seed: u64) -> Result<Self> {
        const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut record = || {
            let mut text = vec![0; RECORD_BYTES];
            random.fill_bytes(&mut text);
            text.iter_mut().for_each(|byte| *byte = LETTERS[usize::from(*byte % 64)]);
            text[RECORD_BYTES - 1] = b'\n';
            text
        };
        let records = (0..RECORDS).map(|_| record()).collect();
        let file = unnamed(ground, OFlags::WRONLY | OFlags::APPEND)?;
        Ok(Self { ground, file, length: 0, most_bytes, count: 0, records })
    }

    /// Makes the next record, and room for it.
    ///
    /// # Errors
    /// When another file is needed and cannot be made.
    pub(super) fn prepare(&mut self) -> Result<()> {
        if self.length + RECORD_BYTES as u64 > self.most_bytes {
            self.file = unnamed(self.ground, OFlags::WRONLY | OFlags::APPEND)?;
            self.length = 0;
        }
        self.count += 1;
        let at = self.count as usize % RECORDS;
        self.records[at][..20].copy_from_slice(format!("{:020}", self.count).as_bytes());
        Ok(())
    }

    /// Appends the record.
    pub(super) fn append(&mut self) -> std::result::Result<(), Errno> {
        let record = &self.records[self.count as usize % RECORDS];
        let written = retry_on_intr(|| rustix::io::write(&self.file, record))?;
        self.length += written as u64;
        // A disk that is full takes a part.
        if written == record.len() { Ok(()) } else { Err(Errno::NOSPC) }
    }

    /// Waits until it is on the disk.
    pub(super) fn flush(&self) -> std::result::Result<(), Errno> {
        retry_on_intr(|| rustix::fs::fdatasync(&self.file))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rustix::fs::fstat;

    use super::*;

    fn here() -> (tempfile::TempDir, Ground) {
        let tree = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let ground = Ground::look(tree.path()).unwrap();
        (tree, ground)
    }

    fn names(path: &Path) -> usize {
        std::fs::read_dir(path).unwrap().count()
    }

    #[test]
    fn files_have_no_name_either_way() {
        let (tree, ground) = here();
        let file = unnamed(&ground, OFlags::RDWR).unwrap();
        let other = named_and_removed(ground.directory.as_fd(), OFlags::RDWR, Mode::RUSR).unwrap();
        assert_eq!((fstat(&file).unwrap().st_nlink, fstat(&other).unwrap().st_nlink), (0, 0));
        assert_eq!(names(tree.path()), 0);
    }

    #[test]
    fn the_file_is_full_of_bytes_that_a_seed_makes_again() {
        let (tree, ground) = here();
        let bytes = 3 << 20;
        let read = |seed| {
            let file = TestFile::create(&ground, bytes).unwrap();
            assert!(file.fill(&ground, seed, &AtomicBool::new(false), |_, _| ()).unwrap());
            let mut read = Buffer::new(bytes as usize);
            let mut at = 0;
            while at < bytes as usize {
                at += rustix::io::pread(&file, &mut read.bytes_mut()[at..], at as u64).unwrap();
            }
            (read.bytes().to_vec(), fstat(&file).unwrap().st_blocks as u64 * 512)
        };
        let (first, taken) = read(7);
        assert!(taken >= bytes, "every block is written: {taken}");
        assert_eq!(first.len() as u64, bytes);
        assert!(first == read(7).0 && first != read(8).0);
        let packed = first.windows(8).filter(|w| w.iter().all(|b| *b == w[0])).count();
        assert_eq!(packed, 0, "random bytes have no runs");
        assert_eq!(names(tree.path()), 0);
    }

    #[test]
    fn the_writing_stops_when_told() {
        let (_tree, ground) = here();
        let file = TestFile::create(&ground, 1 << 20).unwrap();
        let said = file.fill(&ground, 1, &AtomicBool::new(true), |_, _| panic!("nothing is written")).unwrap();
        assert!(!said);
    }

    #[test]
    fn a_log_grows_by_its_records_and_begins_anew_when_it_is_full() {
        let (tree, ground) = here();
        let mut log = Log::create(&ground, 3 * RECORD_BYTES as u64, 1).unwrap();
        let sizes: Vec<i64> = (0..5)
            .map(|_| {
                log.prepare().unwrap();
                log.append().unwrap();
                log.flush().unwrap();
                fstat(&log.file).unwrap().st_size
            })
            .collect();
        assert_eq!(sizes, [2300, 4600, 6900, 2300, 4600]);
        assert_eq!(names(tree.path()), 0);
    }

    #[test]
    fn a_read_only_or_missing_permission_is_told_with_the_way_out() {
        let (_tree, ground) = here();
        let said = no_room(&ground, Errno::IO).to_string();
        assert!(said.contains("Input/output error") && said.contains("try:"), "{said}");
        let said = not_direct(&ground, Errno::INVAL).to_string();
        assert!(said.contains("O_DIRECT") && said.contains("EINVAL") && said.contains("page cache"), "{said}");
        let proc = Ground { path: "/proc".into(), directory: std::fs::File::open("/proc").unwrap().into(), ..ground };
        let said = unnamed(&proc, OFlags::RDWR).unwrap_err().to_string();
        assert!(said.contains("/proc") && said.contains("no file can be made"), "{said}");
    }
}
