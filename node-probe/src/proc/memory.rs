//! /proc/meminfo, by the parser of `procfs`.

use procfs::{FromBufRead, Meminfo};
use record::MemorySample;

/// Reads the file.
pub(crate) fn parse(text: &str) -> Result<MemorySample, String> {
    let memory = Meminfo::from_buf_read(text.as_bytes()).map_err(|e| e.to_string())?;
    Ok(MemorySample {
        total_bytes: memory.mem_total,
        free_bytes: memory.mem_free,
        available_bytes: memory.mem_available,
        cached_bytes: memory.cached,
        dirty_bytes: memory.dirty,
        writeback_bytes: memory.writeback,
        swap_total_bytes: memory.swap_total,
        swap_free_bytes: memory.swap_free,
    })
}
