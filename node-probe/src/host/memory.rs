//! Memory besides how much there is: what is free, swap, and huge pages.

use std::fs;
use std::path::Path;

use record::{MemoryTraits, Reading};

use crate::disk::device::line;

pub(super) fn of(root: &Path) -> MemoryTraits {
    let path = root.join("proc/meminfo");
    let text = fs::read_to_string(&path).map_err(|e| format!("cannot read {}: {e}", path.display()));
    let field = |name: &str| match &text {
        Ok(text) => bytes(text, name)
            .map_or_else(|| Reading::absent(format!("{} has no {name}", path.display())), Reading::Seen),
        Err(reason) => Reading::absent(reason),
    };
    let (swap, free) = (field("SwapTotal"), field("SwapFree"));
    MemoryTraits {
        available_bytes: field("MemAvailable"),
        swap_used_bytes: match (&swap, free) {
            (Reading::Seen(all), Reading::Seen(free)) => Reading::Seen(all.saturating_sub(free)),
            (Reading::Absent { absent }, _) => Reading::absent(absent),
            (_, Reading::Absent { absent }) => Reading::absent(absent),
        },
        swap_bytes: swap,
        transparent_huge_pages: huge_pages(root),
    }
}

/// A field of /proc/meminfo, in bytes.
pub(super) fn bytes(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    value.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// When huge pages are used unasked: the file has all the words, and the one in force in square brackets.
fn huge_pages(root: &Path) -> Reading<String> {
    let path = root.join("sys/kernel/mm/transparent_hugepage/enabled");
    line(&path).as_deref().and_then(chosen).map_or_else(
        || Reading::absent(format!("{} does not say (built without them, or no /sys here)", path.display())),
        |word| Reading::Seen(word.to_owned()),
    )
}

/// The word in square brackets.
pub(crate) fn chosen(text: &str) -> Option<&str> {
    text.split_once('[')?.1.split_once(']').map(|(word, _)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_whole_and_in_bytes() {
        let text = "MemTotal:       1000 kB\nSwapCached:        3 kB\nSwapTotal:      8 kB\nHugePages_Total:   2\n";
        assert_eq!((bytes(text, "MemTotal"), bytes(text, "SwapTotal")), (Some(1_024_000), Some(8192)));
        assert_eq!((bytes(text, "Swap"), bytes(text, "HugePages_Total")), (None, None));
    }

    #[test]
    fn the_word_in_brackets_is_in_force() {
        assert_eq!(chosen("always [madvise] never"), Some("madvise"));
        assert_eq!(chosen("none"), None);
    }
}
