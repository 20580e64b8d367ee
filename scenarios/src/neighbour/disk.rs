//! A thread that writes to a disk past the page cache, as fast as the disk takes it, over and over the same file.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::{FallocateFlags, OFlags};

use super::threads::Work;
use super::{Result, refused};

const MIB: u64 = 1 << 20;

/// The size of each thread's file: it is written over and over, so that a trial's length does not fill a disk.
const FILE_BYTES: u64 = 32 * MIB;

/// Bytes of each write.
const BLOCK: usize = 64 << 10;

/// What the address and the length of a direct write are a multiple of: no disk asks for more.
const ALIGNMENT: usize = 4096;

/// All files take at most one part in so many of the free space.
const PARTS_OF_FREE: u64 = 4;

/// File systems that keep their files in memory (statfs.f_type, include/uapi/linux/magic.h). Since Linux 6.6 tmpfs
/// takes O_DIRECT without a word, so that alone would not tell.
const IN_MEMORY: [(u32, &str); 2] = [(0x0102_1994, "tmpfs"), (0x8584_58f6, "ramfs")];

/// Whether so many threads can write there.
///
/// # Errors
/// [`crate::Error::Neighbour`] with the reason.
pub(super) fn possible(directory: &Path, threads: u32) -> Result<()> {
    open(directory, u32::MAX)?;
    let space = rustix::fs::statvfs(directory).map_err(|e| cannot(directory, &e.to_string()))?;
    let (free, all) = (space.f_bavail.saturating_mul(space.f_frsize), FILE_BYTES * u64::from(threads));
    if all > free / PARTS_OF_FREE {
        let problem = format!("its files would take {} of the {} MiB that are free", all / MIB, free / MIB);
        return Err(cannot(directory, &problem));
    }
    Ok(())
}

/// Writes until it is to end.
pub(super) fn write(work: &Work, directory: &Path, number: u32) -> Result<()> {
    let file = open(directory, number)?;
    // Room now, so that a full disk is an error at the start. Where the file system has no such call, writing takes it.
    match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, FILE_BYTES) {
        Ok(()) | Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {}
        Err(e) => return Err(cannot(directory, &e.to_string())),
    }
    let mut memory = vec![0_u8; BLOCK + ALIGNMENT];
    // A vector does not move its bytes while it does not grow.
    let start = memory.as_ptr().align_offset(ALIGNMENT);
    let mut count = u64::from(number) << 40;
    let mut at = 0;
    loop {
        let block = memory.get_mut(start..start + BLOCK).unwrap_or_default();
        count += 1;
        mark(block, count);
        file.write_all_at(block, at).map_err(|e| cannot(directory, &e.to_string()))?;
        at = (at + BLOCK as u64) % FILE_BYTES;
        if !work.count(BLOCK as u64) {
            return Ok(());
        }
    }
}

/// Makes every sector unlike what it was: a disk that stores equal blocks once would have little to do.
fn mark(block: &mut [u8], count: u64) {
    for (at, sector) in block.chunks_exact_mut(512).enumerate() {
        let unlike = (count << 8 | at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
        for (byte, unlike) in sector.iter_mut().zip(unlike.iter().cycle()) {
            *byte = *unlike;
        }
    }
}

/// Opens a file that has no name from then on, and so is gone with us.
fn open(directory: &Path, number: u32) -> Result<File> {
    let magic = rustix::fs::statfs(directory).map_err(|e| cannot(directory, &e.to_string()))?.f_type as u32;
    if let Some((_, name)) = IN_MEMORY.iter().find(|(known, _)| *known == magic) {
        return Err(cannot(directory, &format!("it is on {name}, which keeps its files in memory")));
    }
    let path = directory.join(format!(".meshtax-neighbour-{}-{number}", std::process::id()));
    let flags = i32::try_from(OFlags::DIRECT.bits()).unwrap_or_default();
    let opened = File::options().write(true).create_new(true).custom_flags(flags).open(&path);
    // Also where opening failed: the file may have been made before O_DIRECT was refused.
    let ours = !matches!(&opened, Err(e) if e.kind() == io::ErrorKind::AlreadyExists);
    if ours {
        let _ = std::fs::remove_file(&path);
    }
    opened.map_err(|e| match e.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
        Some(rustix::io::Errno::INVAL) => cannot(directory, "its file system knows no direct I/O (O_DIRECT)"),
        _ => cannot(directory, &e.to_string()),
    })
}

fn cannot(directory: &Path, problem: &str) -> crate::Error {
    refused(
        format!("it cannot write to {} past the page cache: {problem}", directory.display()),
        "--out with a directory on a disk that has room, or a neighbour without disk threads",
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_directory_in_memory_is_refused_with_its_file_system() {
        let memory = Path::new("/dev/shm");
        if !memory.is_dir() {
            return;
        }
        let directory = tempfile::tempdir_in(memory).unwrap();
        let said = possible(directory.path(), 1).unwrap_err().to_string();
        assert!(said.contains("it is on tmpfs") && said.contains("try: --out"), "{said}");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_directory_that_is_not_there_or_too_small_is_refused() {
        let said = possible(Path::new("/no/such/directory"), 1).unwrap_err().to_string();
        assert!(said.contains("cannot write to /no/such/directory past the page cache"), "{said}");
        let directory = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        possible(directory.path(), 1).unwrap();
        let said = possible(directory.path(), u32::MAX).unwrap_err().to_string();
        assert!(said.contains("its files would take "), "{said}");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn no_two_writes_have_a_sector_in_common() {
        let (mut block, mut seen) = (vec![0; BLOCK], BTreeSet::new());
        for count in 1..20 {
            mark(&mut block, count);
            seen.extend(block.chunks(512).map(<[u8]>::to_vec));
        }
        assert_eq!(seen.len(), 19 * BLOCK / 512);
    }
}
