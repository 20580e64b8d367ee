//! /sys/block/X/stat: the counters of one whole disk (kernel document block/stat).
//!
//! 11 fields, 15 since 4.18 (discards), 17 since 5.5 (flushes). Sectors are 512 bytes whatever the disk says.

use std::path::{Path, PathBuf};

use record::{DiskCounters, Reading};

use super::device::nvme_paths;
use super::place;
use crate::source::{Page, Source};
use crate::{Result, absence};

/// The counters of the disk under a path.
#[derive(Debug)]
pub(crate) struct Disk {
    name: String,
    path: PathBuf,
    source: Source,
}

impl Disk {
    /// Finds the disk under a path and keeps its counters open; absent if there is none.
    ///
    /// # Errors
    /// When descriptors are used up.
    pub(crate) fn open(root: &Path, path: &Path) -> Result<Reading<Self>> {
        let place = match place::of(root, path) {
            Ok(place) => place,
            Err(reason) => return Ok(Reading::absent(reason)),
        };
        let path = counted(&place.directory).join("stat");
        let source = Source::open_or_absent(&path, absence::reason)?;
        Ok(source.map(|source| Self { name: place.name, path, source }))
    }

    /// Its counters now.
    pub(crate) fn sample(&self, page: &mut Page) -> Reading<DiskCounters> {
        match self.source.read(page) {
            Err(errno) => Reading::absent(absence::reason(&self.path, errno)),
            Ok(text) => parse(&self.name, text).map_or_else(
                || Reading::absent(format!("{} is not as it should be", self.path.display())),
                Reading::Seen,
            ),
        }
    }
}

/// Where a disk is counted. Older kernels count nothing for an NVMe disk that has several ways to it, but only
/// for each way; where one way alone has carried anything, its counters are the disk's.
fn counted(directory: &Path) -> PathBuf {
    let moved = |directory: &Path| {
        let text = std::fs::read_to_string(directory.join("stat")).unwrap_or_default();
        text.split_ascii_whitespace().any(|field| field != "0")
    };
    if moved(directory) {
        return directory.to_owned();
    }
    let mut used = nvme_paths(directory).into_iter().filter(|path| moved(path));
    match (used.next(), used.next()) {
        (Some(only), None) => only,
        _ => directory.to_owned(),
    }
}

fn parse(device: &str, text: &str) -> Option<DiskCounters> {
    let fields: Vec<u64> = text.split_ascii_whitespace().map(|f| f.parse().ok()).collect::<Option<_>>()?;
    // Merges and discards are not kept, and the busy time misleads on disks that do many things at once.
    let &[reads, _, read_sectors, read_ms, writes, _, write_sectors, write_ms, in_flight, _, weighted_ms] =
        fields.first_chunk::<11>()?;
    Some(DiskCounters {
        device: device.to_owned(),
        reads,
        read_sectors,
        read_ms,
        writes,
        write_sectors,
        write_ms,
        in_flight,
        weighted_ms,
        flushes: fields.get(15).copied(),
        flush_ms: fields.get(16).copied(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF_17: &str = "   97988    27171  5384882    56995    29163    38455  6321608    15919        2    11672    73764     9125       46   990016      738     3375      111\n";

    #[test]
    fn seventeen_fields_have_flushes() {
        let want = DiskCounters {
            device: "vda".into(),
            reads: 97988,
            read_sectors: 5_384_882,
            read_ms: 56995,
            writes: 29163,
            write_sectors: 6_321_608,
            write_ms: 15919,
            in_flight: 2,
            weighted_ms: 73764,
            flushes: Some(3375),
            flush_ms: Some(111),
        };
        assert_eq!(parse("vda", OF_17), Some(want));
    }

    #[test]
    fn older_forms_have_no_flushes_and_not_zero_of_them() {
        let seventeen = parse("vda", OF_17).unwrap();
        for count in [11, 15] {
            let text: Vec<&str> = OF_17.split_ascii_whitespace().take(count).collect();
            let want = DiskCounters { flushes: None, flush_ms: None, ..seventeen.clone() };
            assert_eq!(parse("vda", &text.join(" ")), Some(want), "{count} fields");
        }
    }

    #[test]
    fn a_short_or_broken_line_is_none() {
        assert_eq!(parse("vda", "1 2 3 4 5 6 7 8 9 10"), None);
        assert_eq!(parse("vda", "1 2 3 4 5 6 7 8 9 10 x"), None);
        assert_eq!(parse("vda", ""), None);
    }
}
