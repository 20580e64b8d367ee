//! An io_uring that reads and writes blocks of one file: the one place where memory is lent to the kernel.
#![expect(unsafe_code, reason = "an operation names memory that the kernel reads or writes later, on its own")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use io_uring::{IoUring, opcode, types};
use record::DISK_BLOCK_BYTES;
use rustix::io::Errno;

use super::buffer::Buffer;

const BLOCK: usize = DISK_BLOCK_BYTES as usize;

/// A queue of so many slots, each with a block of memory, for one file.
pub(super) struct Ring {
    ring: IoUring,
    /// A block for each slot.
    memory: Vec<Buffer>,
    /// Whether the kernel has the block of a slot.
    lent: Vec<bool>,
}

impl Ring {
    /// Makes it. The file is kept open by the kernel for as long as it lives.
    ///
    /// # Errors
    /// What the kernel says; EPERM and ENOSYS where io_uring is not for us.
    pub(super) fn new(file: BorrowedFd<'_>, depth: u32) -> io::Result<Self> {
        // Since 5.19 and 6.0: completions wait until we come for them instead of interrupting us, and only one
        // thread will ever come. Older kernels know neither.
        let ring = match IoUring::builder().setup_coop_taskrun().setup_single_issuer().build(depth) {
            Err(e) if e.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => IoUring::new(depth)?,
            other => other?,
        };
        ring.submitter().register_files(&[file.as_raw_fd()])?;
        let depth = depth as usize;
        Ok(Self { ring, memory: (0..depth).map(|_| Buffer::new(BLOCK)).collect(), lent: vec![false; depth] })
    }

    /// The slots.
    pub(super) fn depth(&self) -> usize {
        self.lent.len()
    }

    /// The block of a slot, unless the kernel has it.
    pub(super) fn block(&mut self, slot: usize) -> Option<&mut [u8]> {
        if *self.lent.get(slot)? {
            return None;
        }
        self.memory.get_mut(slot).map(Buffer::bytes_mut)
    }

    /// Queues a read into or a write from the block of a slot; it is handed over with the next [`Self::enter`].
    ///
    /// # Errors
    /// When the slot is in use already.
    pub(super) fn queue(&mut self, slot: usize, write: bool, offset: u64) -> io::Result<()> {
        let block = self.block(slot).ok_or_else(|| io::Error::from(io::ErrorKind::ResourceBusy))?;
        let (memory, length) = (block.as_mut_ptr(), BLOCK as u32);
        let file = types::Fixed(0);
        let entry = if write {
            opcode::Write::new(file, memory, length).offset(offset).build()
        } else {
            opcode::Read::new(file, memory, length).offset(offset).build()
        };
        // SAFETY: the memory is that of a `Buffer` in `self.memory`, which neither moves nor is freed before `drop` has
        // seen the last operation end; and `lent` keeps everyone from it until this one has.
        unsafe { self.ring.submission().push(&entry.user_data(slot as u64)) }
            .map_err(|_| io::Error::from(io::ErrorKind::ResourceBusy))?;
        self.lent[slot] = true;
        Ok(())
    }

    /// Hands over what is queued, and waits until so many operations have ended.
    ///
    /// # Errors
    /// What the kernel says; a signal is none.
    pub(super) fn enter(&self, wait_for: usize) -> io::Result<()> {
        match self.ring.submit_and_wait(wait_for) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(()),
            other => other.map(drop),
        }
    }

    /// Whether there is nothing to reap.
    pub(super) fn nothing_ended(&mut self) -> bool {
        self.ring.completion().is_empty()
    }

    /// Tells each operation that has ended: its slot, and the bytes it moved or what went wrong.
    pub(super) fn reap(&mut self, mut each: impl FnMut(usize, Result<usize, Errno>)) {
        let Self { ring, lent, .. } = self;
        for ended in ring.completion() {
            let slot = ended.user_data() as usize;
            lent[slot] = false;
            let result = usize::try_from(ended.result());
            each(slot, result.map_err(|_| Errno::from_raw_os_error(-ended.result())));
        }
    }

    /// How many operations have not ended.
    pub(super) fn in_flight(&self) -> usize {
        self.lent.iter().filter(|lent| **lent).count()
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // The kernel would go on writing into memory that is somebody else's by then.
        while self.in_flight() > 0 {
            if self.enter(1).is_err() {
                // What cannot be waited for keeps its memory for good.
                std::mem::forget(std::mem::take(&mut self.memory));
                return;
            }
            self.reap(|_, _| ());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::fs::FileExt as _;

    use super::*;

    /// None, and a word, where io_uring is blocked.
    fn ring(file: &std::fs::File, depth: u32) -> Option<Ring> {
        match Ring::new(file.as_fd(), depth) {
            Ok(ring) => Some(ring),
            Err(e) => {
                eprintln!("skipped: no io_uring here ({e}) (set REQUIRE_IO_URING=1 to fail)");
                assert!(std::env::var_os("REQUIRE_IO_URING").is_none_or(|v| v != "1"), "REQUIRE_IO_URING=1, but {e}");
                None
            }
        }
    }

    #[test]
    fn blocks_are_written_where_they_should_be_and_read_from_there() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(8 * BLOCK as u64).unwrap();
        let Some(mut ring) = ring(&file, 4) else { return };
        for slot in 0..4 {
            ring.block(slot).unwrap().fill(slot as u8 + 1);
            ring.queue(slot, true, (7 - slot as u64) * DISK_BLOCK_BYTES).unwrap();
        }
        assert!(ring.block(2).is_none(), "it is lent");
        assert!(ring.queue(2, true, 0).is_err(), "twice at once");
        let mut ended = Vec::new();
        while ring.in_flight() > 0 {
            ring.enter(1).unwrap();
            ring.reap(|slot, result| ended.push((slot, result)));
        }
        ended.sort_unstable_by_key(|(slot, _)| *slot);
        assert_eq!(ended, [(0, Ok(BLOCK)), (1, Ok(BLOCK)), (2, Ok(BLOCK)), (3, Ok(BLOCK))]);
        let mut bytes = [0; BLOCK];
        for slot in 0..4 {
            file.read_exact_at(&mut bytes, (7 - slot as u64) * DISK_BLOCK_BYTES).unwrap();
            assert_eq!(bytes, [slot as u8 + 1; BLOCK]);
        }
        ring.queue(0, false, 4 * DISK_BLOCK_BYTES).unwrap();
        ring.enter(1).unwrap();
        ring.reap(|_, _| ());
        assert_eq!(ring.block(0).unwrap(), [4; BLOCK]);
        ring.queue(1, false, 8 * DISK_BLOCK_BYTES).unwrap();
        ring.enter(1).unwrap();
        ring.reap(|_, result| assert_eq!(result, Ok(0), "nothing is behind the end"));
    }

    #[test]
    fn an_operation_that_fails_says_why() {
        let path = tempfile::NamedTempFile::new().unwrap();
        let read_only = std::fs::File::open(path.path()).unwrap();
        let Some(mut ring) = ring(&read_only, 1) else { return };
        ring.queue(0, true, 0).unwrap();
        ring.enter(1).unwrap();
        let mut said = None;
        ring.reap(|_, result| said = Some(result));
        assert_eq!(said, Some(Err(Errno::BADF)));
    }
}
