//! /proc/vmstat: paging.

use record::VmCounters;

/// Reads the file. A name that this kernel lacks is none. Of some 170 names 10 are wanted, so they are picked out of
/// the text here: the map that `procfs` makes of all of them costs more than the reading.
pub(crate) fn parse(text: &str) -> Result<VmCounters, String> {
    let mut vm = VmCounters::default();
    for line in text.lines() {
        let Some((name, value)) = line.split_once(' ') else { continue };
        let counter = match name {
            "pgfault" => &mut vm.page_faults,
            "pgmajfault" => &mut vm.major_page_faults,
            "pswpin" => &mut vm.swapped_in_pages,
            "pswpout" => &mut vm.swapped_out_pages,
            "pgscan_direct" => &mut vm.direct_scan_pages,
            "compact_stall" => &mut vm.compaction_stalls,
            "oom_kill" => &mut vm.oom_kills,
            // One for all zones before 4.10, one for each since; and pgscan_direct likewise before 4.8.
            name if name.starts_with("allocstall") => &mut vm.allocation_stalls,
            name if name.starts_with("pgscan_direct_") && name != "pgscan_direct_throttle" => &mut vm.direct_scan_pages,
            _ => continue,
        };
        let value: u64 = value.trim().parse().map_err(|_| format!("a line is not as it should be: '{line}'"))?;
        *counter = Some(counter.unwrap_or(0).saturating_add(value));
    }
    if vm == VmCounters::default() { Err("it has none of the names that are looked for".to_owned()) } else { Ok(vm) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_summed_and_what_is_missing_is_none() {
        let text = "nr_free_pages 5000\npgfault 900\npgmajfault 12\nallocstall_dma 0\nallocstall_normal 3
allocstall_movable 4\npgscan_direct 70\npgscan_direct_throttle 1000\npswpin 5\n";
        let want = VmCounters {
            page_faults: Some(900),
            major_page_faults: Some(12),
            allocation_stalls: Some(7),
            direct_scan_pages: Some(70),
            swapped_in_pages: Some(5),
            ..VmCounters::default()
        };
        assert_eq!(parse(text), Ok(want));
        let most = parse(&format!("allocstall_dma {0}\nallocstall_normal {0}\n", u64::MAX)).unwrap();
        assert_eq!(most.allocation_stalls, Some(u64::MAX), "what no kernel counts stays the largest number");
        let old = parse("pgscan_direct_dma 1\npgscan_direct_normal 2\nallocstall 9\n").unwrap();
        assert_eq!((old.direct_scan_pages, old.allocation_stalls, old.oom_kills), (Some(3), Some(9), None));
    }

    #[test]
    fn what_is_no_such_file_is_an_error() {
        assert!(parse("").is_err());
        assert!(parse("pgfault many\n").unwrap_err().contains("pgfault many"));
    }
}
