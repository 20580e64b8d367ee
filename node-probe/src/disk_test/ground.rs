//! Whether a directory can be tested: what it is on, and whether there is room.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use record::{BlockDevice, Reading};
use rustix::fs::{CWD, Mode, OFlags, StatVfs};
use rustix::io::Errno;

use crate::disk::{Disk, identity, place};
use crate::proc::mountinfo;
use crate::{Error, Result};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// The size of the file unless told: more than the cache of most disks, and soon written.
const USUAL_BYTES: u64 = GIB;
/// A smaller one lies in caches; it must be asked for.
const LEAST_USUAL_BYTES: u64 = 256 * MIB;
/// The smallest that may be asked for.
const LEAST_BYTES: u64 = MIB;
/// The largest that may be asked for.
const MOST_BYTES: u64 = 64 * GIB;
/// The test takes at most one part in so many of the free space.
const PARTS_OF_FREE: u64 = 10;

/// A directory that can be tested.
#[derive(Debug)]
pub(super) struct Ground {
    /// The directory, absolute.
    pub(super) path: PathBuf,
    pub(super) directory: OwnedFd,
    pub(super) free_bytes: u64,
    pub(super) filesystem: Reading<String>,
    pub(super) disk: Reading<BlockDevice>,
    pub(super) counters: Reading<Disk>,
}

impl Ground {
    /// Looks at a directory, or at the one a file is in.
    ///
    /// # Errors
    /// When there is none, it keeps its files in memory, or descriptors are used up.
    pub(super) fn look(given: &Path) -> Result<Self> {
        let refuse = |problem: String, remedy: &str| refused(given, problem, remedy);
        let path = std::fs::canonicalize(given).map_err(|e| {
            refuse(e.to_string(), "a directory on the disk to test, that is there and that you may write to")
        })?;
        let path = if path.is_dir() { path } else { path.parent().map_or_else(|| path.clone(), Path::to_owned) };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(CWD, &path, flags, Mode::empty())
            .map_err(|errno| refuse(errno_text(errno), "a directory that you may read and write"))?;
        let mounts = mountinfo::read(Path::new("/")).unwrap_or_default();
        let filesystem = mountinfo::of(&mounts, &path).map_or_else(
            || Reading::absent(format!("no mount holds {} (see /proc/self/mountinfo)", path.display())),
            |mount| Reading::Seen(mount.filesystem.clone()),
        );
        let disk = identity::of(Path::new("/"), &path);
        let magic = rustix::fs::fstatfs(&directory).map(|fs| fs.f_type as u64).unwrap_or_default();
        if let Some(problem) = in_memory(magic, &disk) {
            return Err(refuse(problem, "a directory on a disk, such as the one that runs are written to"));
        }
        let space = rustix::fs::fstatvfs(&directory)
            .map_err(|errno| refuse(errno_text(errno), "a directory on a disk of this machine"))?;
        let counters = Disk::open(Path::new("/"), &path)?;
        Ok(Self { path, directory, free_bytes: free_bytes(&space), filesystem, disk, counters })
    }
}

fn free_bytes(space: &StatVfs) -> u64 {
    space.f_bavail.saturating_mul(space.f_frsize)
}

/// Why files are not on a disk at all, if so. Since Linux 6.6 tmpfs takes O_DIRECT without a word, so that alone
/// would not tell.
fn in_memory(magic: u64, disk: &Reading<BlockDevice>) -> Option<String> {
    let name = match magic & 0xffff_ffff {
        0x0102_1994 => "tmpfs",
        0x8584_58f6 => "ramfs",
        0x9584_58f6 => "hugetlbfs",
        _ => {
            // An overlay is where its upper directory is.
            let reason = disk.reason().filter(|reason| reason.contains(place::IN_MEMORY))?;
            return Some(format!("there is no disk under it ({reason}), so a test would measure memory"));
        }
    };
    Some(format!("it is on {name}, which {}: a test would measure memory and not a disk", place::IN_MEMORY))
}

/// The size of the file, and that of the log beside it, for so much free space.
///
/// # Errors
/// The problem, and the way out.
pub(super) fn sizes(asked: Option<u64>, free_bytes: u64) -> std::result::Result<(u64, u64), (String, String)> {
    let room = free_bytes / PARTS_OF_FREE;
    // The log takes a quarter of the file's size at the most.
    let largest = (room / 5 * 4 / MIB * MIB).min(MOST_BYTES);
    let bytes = match asked {
        None if largest < LEAST_USUAL_BYTES => {
            let problem = format!(
                "{} are free, of which the test takes a tenth at the most: too little for a file of 256 MiB, and a smaller one says more of caches than of the disk",
                human(free_bytes)
            );
            let remedy = if largest >= LEAST_BYTES {
                format!("free some space, or --size {}MiB in full knowledge", largest / MIB)
            } else {
                "free some space".to_owned()
            };
            return Err((problem, remedy));
        }
        None => USUAL_BYTES.min(largest),
        Some(asked) => asked / MIB * MIB,
    };
    if !(LEAST_BYTES..=MOST_BYTES).contains(&bytes) {
        let problem = format!("a file of {} is out of range", human(asked.unwrap_or(bytes)));
        return Err((problem, format!("--size from {} to {}", human(LEAST_BYTES), human(MOST_BYTES))));
    }
    if bytes > largest {
        let problem = format!(
            "{} are free, of which the test takes a tenth at the most: too little for a file of {}",
            human(free_bytes),
            human(bytes)
        );
        return Err((problem, format!("a smaller --size ({} would do), or free some space", human(largest))));
    }
    Ok((bytes, (bytes / 4).min(64 * MIB)))
}

fn human(bytes: u64) -> String {
    match bytes {
        0..MIB => format!("{bytes} bytes"),
        MIB..GIB => format!("{} MiB", bytes / MIB),
        _ => format!("{:.1} GiB", bytes as f64 / GIB as f64),
    }
}

pub(super) fn refused(path: &Path, problem: String, remedy: &str) -> Error {
    Error::DiskTest { path: path.to_owned(), problem, remedy: remedy.to_owned() }
}

pub(super) fn errno_text(errno: Errno) -> String {
    std::io::Error::from(errno).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_takes_a_gibibyte_or_its_share_of_less_space() {
        assert_eq!(sizes(None, 100 * GIB), Ok((GIB, 64 * MIB)));
        let (bytes, log) = sizes(None, 10 * GIB).unwrap();
        assert_eq!(bytes, 819 * MIB);
        assert!((bytes + log) * 10 <= 10 * GIB);
        let (bytes, log) = sizes(None, 3277 * MIB).unwrap();
        assert!(bytes >= LEAST_USUAL_BYTES && (bytes + log) * 10 <= 3277 * MIB, "{bytes}");
        let (problem, remedy) = sizes(None, 3000 * MIB).unwrap_err();
        assert!(problem.contains("2.9 GiB are free") && remedy.contains("--size 240MiB"), "{problem} {remedy}");
        assert_eq!(sizes(None, 5 * MIB).unwrap_err().1, "free some space");
    }

    #[test]
    fn a_size_that_is_asked_for_is_kept_to_if_there_is_room() {
        assert_eq!(sizes(Some(8 * MIB + 1), GIB), Ok((8 * MIB, 2 * MIB)));
        let (problem, remedy) = sizes(Some(GIB), GIB).unwrap_err();
        assert!(problem.contains("1.0 GiB are free") && problem.contains("a tenth"), "{problem}");
        assert!(remedy.contains("81 MiB"), "{remedy}");
        for out in [0, MIB - 1, 65 * GIB] {
            let (problem, remedy) = sizes(Some(out), 10_000 * GIB).unwrap_err();
            assert!(problem.contains("out of range") && remedy.contains("1 MiB to 64.0 GiB"), "{problem} {remedy}");
        }
    }

    #[test]
    fn memory_is_no_disk_whatever_is_in_between() {
        let vda = Reading::absent("nobody looked");
        assert!(in_memory(0x0102_1994, &vda).unwrap().contains("tmpfs"));
        assert!(in_memory(0xffff_ffff_8584_58f6, &vda).unwrap().contains("ramfs"), "a sign of an i32 is no part of it");
        assert_eq!(in_memory(0xef53, &vda), None);
        // The words of the place that an overlay on tmpfs is found to be.
        let overlay = Reading::absent(format!("no block device: tmpfs {}", place::IN_MEMORY));
        assert!(in_memory(0x794c_7630, &overlay).unwrap().contains("measure memory"));
    }

    #[test]
    fn what_is_no_directory_is_refused_with_its_name() {
        let said = Ground::look(Path::new("/no/such/place")).unwrap_err().to_string();
        assert!(said.contains("/no/such/place") && said.contains("No such file") && said.contains("try:"), "{said}");
    }

    #[test]
    fn a_file_stands_for_its_directory() {
        let tree = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        std::fs::write(tree.path().join("x"), "").unwrap();
        let ground = Ground::look(&tree.path().join("x")).unwrap();
        assert_eq!(ground.path, tree.path().canonicalize().unwrap());
        assert!(ground.free_bytes > 0);
    }
}
