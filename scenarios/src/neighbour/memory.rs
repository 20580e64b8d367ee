//! A thread that takes memory bandwidth: it reads and writes back more memory than caches hold, from end to end.

use std::hint::black_box;
use std::path::Path;

use super::threads::Work;
use super::{Result, refused};

const MIB: u64 = 1 << 20;

/// A thread's memory in units of the last cache: with twice as much, nothing of it is still there when it comes round.
const CACHES: u64 = 2;

/// Where the size of the last cache is not known.
const USUAL_CACHE: u64 = 32 * MIB;

/// Caches of a gigabyte exist; so much for each thread would only take memory.
const MOST: u64 = 512 * MIB;

/// Read and written between two looks at whether to go on.
const STRIDE_WORDS: usize = 1 << 16;

/// How much memory each thread goes over, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size(u64);

impl Size {
    /// That for so many threads here.
    ///
    /// # Errors
    /// [`crate::Error::Neighbour`] when all together would take more than half of the memory that is free.
    pub(super) fn find(threads: u32) -> Result<Self> {
        let cache = last_cache(Path::new("/sys/devices/system/cpu/cpu0/cache")).unwrap_or(USUAL_CACHE);
        let available = available(&std::fs::read_to_string("/proc/meminfo").unwrap_or_default());
        Self::of(threads, cache, available)
    }

    fn of(threads: u32, cache: u64, available: Option<u64>) -> Result<Self> {
        let each = (cache * CACHES).min(MOST);
        let all = each * u64::from(threads);
        match available {
            Some(available) if all > available / 2 => Err(refused(
                format!(
                    "{threads} memory threads would take {} MiB, more than half of the {} MiB that are free",
                    all / MIB,
                    available / MIB
                ),
                &format!("memory:{} or less", available / 2 / each.max(1)),
            )),
            _ => Ok(Self(each)),
        }
    }
}

/// The size of the largest cache of a CPU, from its directory in sysfs.
fn last_cache(directory: &Path) -> Option<u64> {
    let entries = std::fs::read_dir(directory).ok()?;
    let size = |entry: std::fs::DirEntry| bytes(std::fs::read_to_string(entry.path().join("size")).ok()?.trim());
    entries.flatten().filter_map(size).max()
}

/// "32768K" or "32M", as the kernel has it.
fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = match (text.strip_suffix('K'), text.strip_suffix('M')) {
        (Some(number), _) => (number, 1 << 10),
        (_, Some(number)) => (number, MIB),
        _ => (text, 1),
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

/// Memory that may be had without swapping, of /proc/meminfo.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1 << 10)
}

/// Streams until it is to end. What it counts is read and written back, so twice its strides.
pub(super) fn stream(work: &Work, size: Size) -> Result<()> {
    let words = usize::try_from(size.0 / 8).unwrap_or(usize::MAX).max(STRIDE_WORDS);
    // Not zero: the kernel shows one page of zeroes for all that nobody wrote.
    let mut memory: Vec<u64> = (0..words as u64).collect();
    loop {
        for stride in memory.chunks_mut(STRIDE_WORDS) {
            for word in stride.iter_mut() {
                *word = word.wrapping_add(1);
            }
            black_box(&mut *stride);
            if !work.count(16 * stride.len() as u64) {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_cache_is_the_last() {
        let directory = tempfile::tempdir().unwrap();
        for (index, size) in [("index0", "32K\n"), ("index2", "512K\n"), ("index3", "32768K\n")] {
            std::fs::create_dir(directory.path().join(index)).unwrap();
            std::fs::write(directory.path().join(index).join("size"), size).unwrap();
        }
        std::fs::write(directory.path().join("uevent"), "").unwrap();
        assert_eq!(last_cache(directory.path()), Some(32 * MIB));
        assert_eq!(last_cache(&directory.path().join("none")), None);
        assert_eq!((bytes("8M"), bytes("4096"), bytes(""), bytes("x")), (Some(8 * MIB), Some(4096), None, None));
    }

    #[test]
    fn a_thread_goes_over_more_than_the_cache_and_all_over_less_than_the_machine_has() {
        assert_eq!(Size::of(2, 32 * MIB, Some(1024 * MIB)).unwrap(), Size(64 * MIB));
        assert_eq!(Size::of(1, 1024 * MIB, None).unwrap(), Size(MOST));
        assert_eq!(Size::of(0, 32 * MIB, Some(0)).unwrap(), Size(64 * MIB));
        let said = Size::of(9, 32 * MIB, Some(1024 * MIB)).unwrap_err().to_string();
        assert!(
            said.contains("9 memory threads would take 576 MiB") && said.contains("try: memory:8 or less"),
            "{said}"
        );
    }

    #[test]
    fn what_is_free_is_read_from_meminfo() {
        assert_eq!(available("MemTotal: 24 kB\nMemFree: 2 kB\nMemAvailable:   20 kB\n"), Some(20 << 10));
        assert_eq!(available("MemTotal: 24 kB\n"), None);
    }
}
