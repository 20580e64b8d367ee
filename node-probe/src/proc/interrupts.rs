//! /proc/interrupts: interrupts by line, all CPUs together.

use std::collections::BTreeMap;

/// Reads the file. Lines of devices go by number and name ("24 virtio1-req.0"), since numbers change at boot.
pub(crate) fn parse(text: &str) -> Result<BTreeMap<String, u64>, String> {
    let mut lines = text.lines();
    let cpus = lines.next().unwrap_or_default().split_ascii_whitespace().count();
    if cpus == 0 {
        return Err("its first line names no CPU".to_owned());
    }
    let mut interrupts = BTreeMap::new();
    for line in lines {
        let Some((word, rest)) = line.split_once(':') else { continue };
        let (mut sum, mut name) = (0u64, "");
        for (place, field) in rest.split_ascii_whitespace().enumerate() {
            match field.parse::<u64>() {
                // Some lines have one number in all (ERR, MIS).
                Ok(count) if place < cpus => sum = sum.saturating_add(count),
                _ => name = field,
            }
        }
        let word = word.trim_start();
        let device = !name.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
        interrupts.insert(if device { format!("{word} {name}") } else { word.to_owned() }, sum);
    }
    Ok(interrupts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_their_names_and_words_stay_alone() {
        let text = "           CPU0       CPU1       
  4:          0        420   IO-APIC   4-edge      ttyS0
 24:       7000        811  PCI-MSIX-0000:00:02.0   0-edge      virtio1-req.0
NMI:          0          0   Non-maskable interrupts
LOC:    1000000    2000000   Local timer interrupts
ERR:          3
MIS:          0
";
        let interrupts = parse(text).unwrap();
        let want =
            [("24 virtio1-req.0", 7811), ("4 ttyS0", 420), ("ERR", 3), ("LOC", 3_000_000), ("MIS", 0), ("NMI", 0)];
        assert_eq!(interrupts, want.map(|(name, n)| (name.to_owned(), n)).into());
        assert!(parse("").unwrap_err().contains("names no CPU"));
        // What no kernel counts stays the largest number.
        let most = format!("CPU0 CPU1\nLOC: {} 2\n", u64::MAX);
        assert_eq!(parse(&most).unwrap()["LOC"], u64::MAX);
    }
}
