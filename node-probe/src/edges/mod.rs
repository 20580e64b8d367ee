//! What is read before and after a load and never during it: memory by ownership, and the health of drives.

mod drive;
mod memory;
mod smart;

use std::path::Path;

use record::{EdgeReadings, Reading};

/// Reads the memory of these processes and the health of the drives under a path, once.
///
/// Of a process this takes about 50 ns for each of its pages, during which it cannot map memory. A drive is
/// asked by way of smartctl where that is installed, for at most two seconds. Nothing here fails: what cannot
/// be read is absent with the reason.
pub fn edges(root: &Path, processes: &[(String, u32)], disk_path: Option<&Path>) -> EdgeReadings {
    let before_ns = record::monotonic_ns();
    EdgeReadings {
        before_ns,
        processes: processes.iter().map(|(name, pid)| (name.clone(), memory::of(root, *pid))).collect(),
        drives: match disk_path {
            Some(path) => drive::all(root, path),
            None => Reading::absent("no disk was asked for"),
        },
        after_ns: record::monotonic_ns(),
    }
}
