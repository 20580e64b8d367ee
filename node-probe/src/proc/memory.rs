//! /proc/meminfo (proc(5)).
//!
//! `procfs` wants some twenty lines, of which containers with a /proc of their own making (lxcfs, gVisor) leave out some,
//! and then gives none; so those that are wanted are read here.

use record::MemorySample;

/// Reads the file. A line without which memory cannot be told is the error.
pub(crate) fn parse(text: &str) -> Result<MemorySample, String> {
    let find = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix(" kB")?.trim_end().parse::<u64>().ok()?.checked_mul(1024)
    };
    let bytes = |name: &str| find(name).ok_or_else(|| format!("it has no line '{name}' in kB"));
    Ok(MemorySample {
        total_bytes: bytes("MemTotal")?,
        free_bytes: bytes("MemFree")?,
        available_bytes: find("MemAvailable"),
        cached_bytes: bytes("Cached")?,
        dirty_bytes: bytes("Dirty")?,
        writeback_bytes: bytes("Writeback")?,
        swap_total_bytes: bytes("SwapTotal")?,
        swap_free_bytes: bytes("SwapFree")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "MemTotal:        2097152 kB
MemFree:         1812300 kB
SwapCached:            7 kB
Cached:           138904 kB
SwapTotal:        524288 kB
SwapFree:         524200 kB
Dirty:               100 kB
Writeback:             4 kB
WritebackTmp:          9 kB
";

    #[test]
    fn lines_go_by_their_whole_name_and_an_old_kernel_has_no_available() {
        let memory = parse(TEXT).unwrap();
        assert_eq!((memory.total_bytes, memory.cached_bytes), (2_097_152 * 1024, 138_904 * 1024));
        assert_eq!((memory.writeback_bytes, memory.swap_free_bytes), (4096, 524_200 * 1024));
        assert_eq!(memory.available_bytes, None);
        assert_eq!(parse(&format!("{TEXT}MemAvailable: 5 kB\n")).unwrap().available_bytes, Some(5120));
    }

    #[test]
    fn a_missing_line_is_named() {
        assert!(parse(&TEXT.replace("Dirty", "Dusty")).unwrap_err().contains("'Dirty'"));
        assert!(parse("").unwrap_err().contains("'MemTotal'"));
    }
}
