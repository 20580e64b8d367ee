//! /proc/schedstat: run time and run delay of all tasks by CPU (kernel document scheduler/sched-stats).
//!
//! Fields 7 to 9 of a CPU's line. That document says jiffies for older versions; they are nanoseconds since 2.6.23.

use record::RunQueueCounters;

/// Reads the file: the sum over the CPUs.
pub(crate) fn parse(text: &str) -> Result<RunQueueCounters, String> {
    let mut sum = RunQueueCounters::default();
    let mut any = false;
    for line in text.lines() {
        let Some((word, values)) = line.split_once(' ') else { continue };
        if !word.strip_prefix("cpu").is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit())) {
            continue;
        }
        let mut fields = values.split_ascii_whitespace().skip(6).map(|field| field.parse::<u64>().ok());
        let mut next = || fields.next().flatten().ok_or_else(|| format!("a line is not as it should be: '{line}'"));
        for counter in [&mut sum.run_ns, &mut sum.run_delay_ns, &mut sum.timeslices] {
            *counter = counter.saturating_add(next()?);
        }
        any = true;
    }
    if any { Ok(sum) } else { Err("it has no line of a CPU".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_three_fields_of_each_cpu_are_summed() {
        let text = "version 15
timestamp 4295892291
cpu0 0 0 0 0 0 0 25138934823 1903742214 172311
domain0 00000003 13 13 0 0 0 0 0 0 12 12 0 0 0 0 0 0 5 5 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
cpu1 0 0 0 0 0 0 24000000000 2000000000 160000
";
        let want = RunQueueCounters { run_ns: 49_138_934_823, run_delay_ns: 3_903_742_214, timeslices: 332_311 };
        assert_eq!(parse(text), Ok(want));
    }

    #[test]
    fn a_file_without_cpus_and_a_short_line_are_errors() {
        assert!(parse("version 15\n").unwrap_err().contains("no line of a CPU"));
        let most = format!("cpu0 0 0 0 0 0 0 {0} 1 1\ncpu1 0 0 0 0 0 0 {0} 1 1\n", u64::MAX);
        assert_eq!(parse(&most).unwrap().run_ns, u64::MAX, "what no kernel counts stays the largest number");
        assert!(parse("cpu0 0 0 0 0 0 0 1 2\n").unwrap_err().contains("cpu0 0 0"));
    }
}
