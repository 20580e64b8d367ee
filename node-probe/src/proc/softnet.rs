//! /proc/net/softnet_stat: packets through each CPU's backlog (net/core/net-procfs.c, softnet_seq_show).
//!
//! Columns are 32-bit numbers in hexadecimal and go by their place: 0 processed, 1 dropped, 2 time_squeeze,
//! 9 received_rps, 10 flow_limit, 11 backlog (5.10), 12 the CPU's number (5.10). Rows are of online CPUs only, so
//! that a row's place is no CPU's number.

use std::collections::BTreeMap;

use record::SoftnetCounters;

/// Adds up what the counters grow by, so that their wrapping at 32 bits is not seen.
#[derive(Debug, Default)]
pub(crate) struct Softnet {
    last: BTreeMap<u32, [u32; 5]>,
    total: SoftnetCounters,
}

impl Softnet {
    /// The totals now. A CPU seen for the first time counts whole.
    pub(crate) fn take(&mut self, text: &str) -> Result<SoftnetCounters, String> {
        let mut backlog = None;
        for (place, line) in text.lines().enumerate() {
            let row = Row::parse(line).ok_or_else(|| format!("a row is not as it should be: '{line}'"))?;
            let cpu = row.cpu.unwrap_or(place as u32);
            let before = self.last.insert(cpu, row.counters).unwrap_or_default();
            let SoftnetCounters { processed, dropped, time_squeeze, received_rps, flow_limit, backlog: _ } =
                &mut self.total;
            let totals = [processed, dropped, time_squeeze, received_rps, flow_limit];
            for ((total, now), before) in totals.into_iter().zip(row.counters).zip(before) {
                *total += u64::from(now.wrapping_sub(before));
            }
            if let Some(waiting) = row.backlog {
                *backlog.get_or_insert(0) += u64::from(waiting);
            }
        }
        if self.last.is_empty() {
            return Err("it has no rows".to_owned());
        }
        self.total.backlog = backlog;
        Ok(self.total)
    }
}

struct Row {
    counters: [u32; 5],
    backlog: Option<u32>,
    cpu: Option<u32>,
}

impl Row {
    fn parse(line: &str) -> Option<Self> {
        let mut columns = [None; 15];
        for (column, text) in columns.iter_mut().zip(line.split_ascii_whitespace()) {
            *column = Some(u32::from_str_radix(text, 16).ok()?);
        }
        // Before 2.6.35 there is no received_rps, and before 3.11 no flow_limit.
        let counters =
            [columns[0]?, columns[1]?, columns[2]?, columns[9].unwrap_or_default(), columns[10].unwrap_or_default()];
        Some(Self { counters, backlog: columns[11], cpu: columns[12] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_go_by_place_and_rows_by_the_cpu_they_name() {
        let text = "0001a2b3 00000001 00000002 00000000 00000000 00000000 00000000 00000000 00000000 00000010 00000003 00000004 00000000 00000000 00000000
00000100 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000001 00000008 00000000 00000000
";
        let mut softnet = Softnet::default();
        let want = SoftnetCounters {
            processed: 0x1a2b3 + 0x100,
            dropped: 1,
            time_squeeze: 2,
            received_rps: 16,
            flow_limit: 3,
            backlog: Some(5),
        };
        assert_eq!(softnet.take(text), Ok(want));
        assert_eq!(softnet.last.keys().copied().collect::<Vec<_>>(), [0, 8]);
    }

    #[test]
    fn wrapping_at_32_bits_is_growth() {
        let mut softnet = Softnet::default();
        let row = |n: u32| format!("{n:08x} 00000000 00000000\n");
        assert_eq!(softnet.take(&row(u32::MAX - 1)).unwrap().processed, u64::from(u32::MAX) - 1);
        let after = softnet.take(&row(3)).unwrap();
        assert_eq!((after.processed, after.backlog), (u64::from(u32::MAX) + 4, None));
    }

    #[test]
    fn what_is_no_such_table_is_an_error() {
        assert!(Softnet::default().take("").unwrap_err().contains("no rows"));
        assert!(Softnet::default().take("00000001 0000000g 0\n").unwrap_err().contains("0000000g"));
        assert!(Softnet::default().take("00000001 00000002\n").is_err());
    }
}
