//! /proc/softirqs: soft interrupts by kind, all CPUs together.

use record::SoftirqCounters;

/// Reads the file; a line that is not as it should be is the error.
pub(crate) fn parse(text: &str) -> Result<SoftirqCounters, String> {
    let mut counters = SoftirqCounters::default();
    // The first line names the CPUs.
    for line in text.lines().skip(1) {
        let (kind, counts) = line.split_once(':').ok_or_else(|| bad(line))?;
        let mut sum = 0u64;
        for count in counts.split_ascii_whitespace() {
            sum = sum.saturating_add(count.parse::<u64>().map_err(|_| bad(line))?);
        }
        let counter = match kind.trim_start() {
            "TIMER" => &mut counters.timer,
            "NET_TX" => &mut counters.net_tx,
            "NET_RX" => &mut counters.net_rx,
            "BLOCK" => &mut counters.block,
            "SCHED" => &mut counters.sched,
            "RCU" => &mut counters.rcu,
            _ => &mut counters.other,
        };
        *counter = counter.saturating_add(sum);
    }
    if counters == SoftirqCounters::default() { Err("it names no soft interrupt".to_owned()) } else { Ok(counters) }
}

fn bad(line: &str) -> String {
    format!("a line is not as it should be: '{}'", line.chars().take(80).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "                    CPU0       CPU1       
          HI:          1          2
       TIMER:    1186206    1139893
      NET_TX:         11         13
      NET_RX:     171022     150008
       BLOCK:      33000         12
    IRQ_POLL:          0          0
     TASKLET:       3904         96
       SCHED:    1766610    1500000
     HRTIMER:          4          0
         RCU:    1005300    1000001
";

    #[test]
    fn each_kind_is_summed_over_the_cpus() {
        let want = SoftirqCounters {
            timer: 2_326_099,
            net_tx: 24,
            net_rx: 321_030,
            block: 33_012,
            sched: 3_266_610,
            rcu: 2_005_301,
            other: 4007,
        };
        assert_eq!(parse(TEXT), Ok(want));
    }

    #[test]
    fn what_is_no_such_table_is_an_error() {
        assert!(parse("").unwrap_err().contains("no soft interrupt"));
        assert_eq!(parse(&format!("CPU0\nHI: {0} {0}\nRCU: 1\nHI: 1\n", u64::MAX)).unwrap().other, u64::MAX);
        assert!(parse("CPU0\nTIMER: x\n").unwrap_err().contains("TIMER: x"));
        assert!(parse("CPU0\nTIMER 4\n").unwrap_err().contains("TIMER 4"));
    }
}
