//! Memory that the disk may be read into and written from past the page cache.

/// What the address and the length of such memory are a multiple of: no disk asks for more.
const ALIGNMENT: usize = 4096;

/// Bytes before which one that is given to a disk is told from another: the smallest unit that disks store.
const SECTOR: usize = 512;

/// Memory that begins at a multiple of 4096.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    length: usize,
}

impl Buffer {
    /// So many zero bytes.
    pub(super) fn new(length: usize) -> Self {
        let bytes = vec![0; length + ALIGNMENT];
        // A vector does not move its bytes while it does not grow, and this one never does.
        let start = bytes.as_ptr().align_offset(ALIGNMENT);
        Self { bytes, start, length }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.start + self.length]
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + self.length]
    }
}

/// Makes random bytes differ from what they were in the write before, in every sector: a disk that stores equal
/// blocks once would be measured at not writing.
pub(super) fn mark(bytes: &mut [u8], count: u64) {
    for (at, sector) in bytes.chunks_exact_mut(SECTOR).enumerate() {
        let unlike = (count << 8 | at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        sector[..8].copy_from_slice(&unlike.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn memory_for_the_disk_begins_where_disks_want_it() {
        for length in [4096, 1 << 20] {
            let mut buffer = Buffer::new(length);
            assert_eq!(buffer.bytes().as_ptr() as usize % 4096, 0);
            assert_eq!((buffer.bytes().len(), buffer.bytes_mut().len()), (length, length));
        }
    }

    #[test]
    fn no_two_writes_have_a_sector_in_common() {
        let (mut bytes, mut seen) = (vec![7; 4096], BTreeSet::new());
        for count in 0..100 {
            mark(&mut bytes, count);
            seen.extend(bytes.chunks(512).map(<[u8]>::to_vec));
        }
        assert_eq!(seen.len(), 800);
    }
}
