//! What is read before and after a load and never during it: memory by ownership, and the health of drives.

mod drive;
mod memory;
mod smart;

use std::collections::BTreeMap;
use std::path::Path;

use record::{EdgeReadings, Reading};

use crate::one_part;

/// Reads the memory of these processes, summed where several have one name, and the health of the drives under a path, once.
///
/// Of a process this takes about 50 ns for each of its pages, during which it cannot map memory. A drive is
/// asked by way of smartctl where that is installed, for at most two seconds. Nothing here fails: what cannot
/// be read is absent with the reason.
pub fn edges(root: &Path, processes: &[(String, u32)], disk_path: Option<&Path>) -> EdgeReadings {
    let before_ns = record::monotonic_ns();
    let mut memories = BTreeMap::new();
    for (name, pid) in processes {
        let memory = memory::of(root, *pid);
        let memory = match memories.remove(name) {
            Some(before) => one_part::memory(before, memory),
            None => memory,
        };
        memories.insert(name.clone(), memory);
    }
    EdgeReadings {
        before_ns,
        processes: memories,
        drives: match disk_path {
            Some(path) => drive::all(root, path),
            None => Reading::absent("no disk was asked for"),
        },
        after_ns: record::monotonic_ns(),
    }
}
