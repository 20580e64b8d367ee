//! /proc/stat: CPU time by what it went to, in ticks, each CPU by its kernel number.
//!
//! `procfs::KernelStats` keeps CPUs by their place in the file, which is another number as soon as one is
//! offline, so this is read here. Fields: proc(5); older kernels end the line earlier.

use std::collections::BTreeMap;

use record::CpuTimes;

/// What /proc/stat holds, as far as it is kept.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct KernelStat {
    /// The first line: all CPUs together.
    pub(crate) all: Option<CpuTimes>,
    /// Each CPU that is online.
    pub(crate) cpus: BTreeMap<u32, CpuTimes>,
    pub(crate) context_switches: Option<u64>,
    pub(crate) forks: Option<u64>,
    pub(crate) procs_running: Option<u64>,
    pub(crate) procs_blocked: Option<u64>,
}

/// Reads the file; a line that is not as it should be is the error.
pub(crate) fn parse(text: &str) -> Result<KernelStat, String> {
    let mut stat = KernelStat::default();
    for line in text.lines() {
        let (word, values) = line.split_once(' ').unwrap_or((line, ""));
        let number = || values.trim().parse::<u64>().map(Some).map_err(|_| bad(line));
        match word {
            "cpu" => stat.all = Some(times(values).ok_or_else(|| bad(line))?),
            "ctxt" => stat.context_switches = number()?,
            "processes" => stat.forks = number()?,
            "procs_running" => stat.procs_running = number()?,
            "procs_blocked" => stat.procs_blocked = number()?,
            _ => {
                if let Some(cpu) = word.strip_prefix("cpu") {
                    let cpu = cpu.parse().map_err(|_| bad(line))?;
                    stat.cpus.insert(cpu, times(values).ok_or_else(|| bad(line))?);
                }
            }
        }
    }
    Ok(stat)
}

fn bad(line: &str) -> String {
    format!("a line of /proc/stat is not as it should be: '{}'", line.chars().take(80).collect::<String>())
}

/// The first four fields are as old as the file; each later one came with some kernel.
fn times(values: &str) -> Option<CpuTimes> {
    let mut fields = values.split_ascii_whitespace().map(|field| field.parse::<u64>());
    let mut next = || fields.next().transpose().ok();
    Some(CpuTimes {
        user_ticks: next()??,
        nice_ticks: next()??,
        system_ticks: next()??,
        idle_ticks: next()??,
        iowait_ticks: next()?,
        irq_ticks: next()?,
        softirq_ticks: next()?,
        steal_ticks: next()?,
        guest_ticks: next()?,
        guest_nice_ticks: next()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_go_by_their_kernel_number_when_some_are_offline() {
        let stat = parse(include_str!("../../tests/fixtures/offline/proc/stat")).unwrap();
        assert_eq!(stat.cpus.keys().copied().collect::<Vec<_>>(), [0, 1, 8]);
        assert_eq!(stat.cpus[&8].user_ticks, 9301);
        assert_eq!(
            stat.all.unwrap(),
            CpuTimes {
                user_ticks: 71304,
                nice_ticks: 20,
                system_ticks: 8378,
                idle_ticks: 255065,
                iowait_ticks: Some(791),
                irq_ticks: Some(3),
                softirq_ticks: Some(86),
                steal_ticks: Some(30),
                guest_ticks: Some(7),
                guest_nice_ticks: Some(2),
            }
        );
        assert_eq!(
            (stat.context_switches, stat.forks, stat.procs_running, stat.procs_blocked),
            (Some(605_733), Some(14463), Some(3), Some(1))
        );
    }

    #[test]
    fn a_field_that_the_kernel_does_not_have_is_none_and_not_zero() {
        let stat = parse("cpu  1 2 3 4 5 6 7\nctxt 9\n").unwrap();
        let all = stat.all.unwrap();
        assert_eq!((all.softirq_ticks, all.steal_ticks), (Some(7), None));
        assert_eq!(stat.forks, None);
    }

    #[test]
    fn a_broken_line_is_named() {
        for text in ["cpu  1 2 3\n", "cpu0 1 2 x 4\n", "cpux 1 2 3 4\n", "ctxt many\n", "cpu0 1 2 3 4 5 -6\n"] {
            let said = parse(text).unwrap_err();
            assert!(said.contains(text.trim_end()), "{said}");
        }
    }
}
