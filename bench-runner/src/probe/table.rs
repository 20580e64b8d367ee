//! Two samples as a table of rates for a person; a rate that cannot be made says why.

use std::fmt::Write as _;

use record::{CgroupSample, CpuTimes, DiskCounters, PressureSample, ProcessSample, Reading, Sample};

/// The last sample, and what is needed to make rates from it and the next.
pub(super) struct Table {
    previous: Option<Sample>,
    ticks_per_second: u64,
    steal_known: Reading<bool>,
}

impl Table {
    pub(super) fn new(ticks_per_second: u64, steal_known: Reading<bool>) -> Self {
        Self { previous: None, ticks_per_second, steal_known }
    }

    /// The table of what went on since the sample before; none for the first.
    pub(super) fn next(&mut self, sample: &Sample) -> Option<String> {
        let before = self.previous.replace(sample.clone())?;
        Some(render(&before, sample, self.ticks_per_second, &self.steal_known))
    }
}

fn render(before: &Sample, after: &Sample, ticks_per_second: u64, steal_known: &Reading<bool>) -> String {
    let seconds = after.before_ns.saturating_sub(before.before_ns) as f64 / 1e9;
    let mut out = String::new();
    let _ = writeln!(out, "over the last {seconds:.1} s");
    cpu_lines(&mut out, &before.node.cpu, &after.node.cpu, steal_known);
    for (name, old, new) in [
        ("cpu", &before.node.psi_cpu, &after.node.psi_cpu),
        ("io", &before.node.psi_io, &after.node.psi_io),
        ("mem", &before.node.psi_memory, &after.node.psi_memory),
        ("irq", &before.node.psi_irq, &after.node.psi_irq),
    ] {
        pressure_line(&mut out, name, old, new, seconds);
    }
    disk_line(&mut out, &before.node.disk, &after.node.disk, seconds);
    if let Some(load) = after.node.load.seen() {
        let _ = writeln!(out, "load      {:.2} {:.2} {:.2}", load.one, load.five, load.fifteen);
    }
    process_lines(&mut out, before, after, ticks_per_second);
    cgroup_lines(&mut out, before, after);
    let own = after.own.cpu_ns.saturating_sub(before.own.cpu_ns) as f64 / 1e9 / seconds;
    let (late, missed) = (after.own.late_ns as f64 / 1e6, after.own.missed_rounds);
    let _ = writeln!(out, "probe     {:.2} % of one CPU, {late:.1} ms late, {missed} rounds missed", own * 100.0);
    out
}

/// What a counter grew by, or why that cannot be said.
fn growth(before: &Reading<u64>, after: &Reading<u64>) -> Result<u64, String> {
    match (before, after) {
        (Reading::Seen(before), Reading::Seen(after)) => {
            after.checked_sub(*before).ok_or_else(|| "the counter went backwards".to_owned())
        }
        (_, Reading::Absent { absent }) | (Reading::Absent { absent }, _) => Err(absent.clone()),
    }
}

/// A figure, or "n/a (reason)".
fn cell<T>(value: Result<T, String>, show: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|reason| format!("n/a ({reason})"), show)
}

fn cpu_lines(out: &mut String, before: &Reading<CpuTimes>, after: &Reading<CpuTimes>, steal_known: &Reading<bool>) {
    let (before, after) = match (before, after) {
        (Reading::Seen(before), Reading::Seen(after)) => (before, after),
        (_, Reading::Absent { absent }) | (Reading::Absent { absent }, _) => {
            let _ = writeln!(out, "cpu       n/a ({absent})");
            return;
        }
    };
    let whole = total(after).saturating_sub(total(before));
    let share = |old: Option<u64>, new: Option<u64>| match (old, new) {
        (Some(old), Some(new)) if whole > 0 => match new.checked_sub(old) {
            Some(grown) => format!("{:.1} %", grown as f64 / whole as f64 * 100.0),
            None => "n/a (the counter went backwards)".to_owned(),
        },
        (Some(_), Some(_)) => "n/a (no tick has passed)".to_owned(),
        _ => "n/a (not in this kernel)".to_owned(),
    };
    let _ = writeln!(
        out,
        "cpu       user {}, sys {}, iowait {}, steal {}",
        share(Some(before.user_ticks + before.nice_ticks), Some(after.user_ticks + after.nice_ticks)),
        share(Some(system(before)), Some(system(after))),
        share(before.iowait_ticks, after.iowait_ticks),
        match steal_known {
            // Once it moves, it is told, whatever was thought of it at the start.
            Reading::Absent { absent } if after.steal_ticks == Some(0) => format!("n/a ({absent})"),
            Reading::Seen(false) => "n/a (this hypervisor does not tell)".to_owned(),
            _ => share(before.steal_ticks, after.steal_ticks),
        },
    );
}

/// Kernel and interrupts.
fn system(times: &CpuTimes) -> u64 {
    times.system_ticks + times.irq_ticks.unwrap_or(0) + times.softirq_ticks.unwrap_or(0)
}

/// All ticks there were. Guests are inside user and nice already.
fn total(times: &CpuTimes) -> u64 {
    let CpuTimes {
        user_ticks,
        nice_ticks,
        system_ticks,
        idle_ticks,
        iowait_ticks,
        irq_ticks,
        softirq_ticks,
        steal_ticks,
        guest_ticks: _,
        guest_nice_ticks: _,
    } = *times;
    let later = [iowait_ticks, irq_ticks, softirq_ticks, steal_ticks];
    user_ticks + nice_ticks + system_ticks + idle_ticks + later.into_iter().flatten().sum::<u64>()
}

fn pressure_line(
    out: &mut String,
    name: &str,
    before: &Reading<PressureSample>,
    after: &Reading<PressureSample>,
    seconds: f64,
) {
    let line = |pick: fn(&PressureSample) -> Option<record::PressureLine>| {
        let total = |reading: &Reading<PressureSample>| match reading {
            Reading::Seen(sample) => {
                pick(sample).map_or_else(|| Reading::absent("not in this kernel"), |line| Reading::Seen(line.total_us))
            }
            Reading::Absent { absent } => Reading::absent(absent),
        };
        growth(&total(before), &total(after))
    };
    let percent = |us: u64| format!("{:.1} %", us as f64 / 1e6 / seconds * 100.0);
    let (some, full) = (line(|p| p.some), line(|p| p.full));
    let text = match (some, full) {
        // The same reason for both, or for the only line there is.
        (Err(reason), Err(_)) => format!("n/a ({reason})"),
        (some, full) => format!("some {}, full {}", cell(some, percent), cell(full, percent)),
    };
    let _ = writeln!(out, "psi {name:<6}{text}");
}

fn disk_line(out: &mut String, before: &Reading<DiskCounters>, after: &Reading<DiskCounters>, seconds: f64) {
    let (before, after) = match (before, after) {
        (Reading::Seen(before), Reading::Seen(after)) => (before, after),
        (_, Reading::Absent { absent }) | (Reading::Absent { absent }, _) => {
            let _ = writeln!(out, "disk      n/a ({absent})");
            return;
        }
    };
    let side = |count: (u64, u64), ms: (u64, u64)| {
        let (Some(count), Some(ms)) = (count.1.checked_sub(count.0), ms.1.checked_sub(ms.0)) else {
            return "n/a (the counter went backwards)".to_owned();
        };
        let each = if count == 0 { String::new() } else { format!(" of {:.2} ms", ms as f64 / count as f64) };
        format!("{:.0}/s{each}", count as f64 / seconds)
    };
    let reads = side((before.reads, after.reads), (before.read_ms, after.read_ms));
    let writes = side((before.writes, after.writes), (before.write_ms, after.write_ms));
    let _ = writeln!(out, "disk      {}: reads {reads}, writes {writes}, {} in flight", after.device, after.in_flight);
}

fn process_lines(out: &mut String, before: &Sample, after: &Sample, ticks_per_second: u64) {
    let pairs = after.processes.iter().filter_map(|(name, new)| Some((name, before.processes.get(name)?, new)));
    for (name, old, new) in pairs {
        let seconds = new.read_ns.saturating_sub(old.read_ns) as f64 / 1e9;
        let delay = growth(&old.run_delay_ns, &new.run_delay_ns);
        if let Reading::Absent { absent } = &new.user_ticks {
            let _ = writeln!(out, "process   {name}: n/a ({absent})");
            continue;
        }
        let _ = writeln!(
            out,
            "process   {name}: CPU {}, waited for CPU {}, RSS {}, {} threads",
            cell(cpu_seconds(old, new, ticks_per_second), |s| format!("{:.1} %", s / seconds * 100.0)),
            cell(delay, |ns| format!("{:.1} ms/s", ns as f64 / 1e6 / seconds)),
            cell(seen(&new.rss_bytes), |bytes| format!("{:.1} MiB", bytes as f64 / 1_048_576.0)),
            cell(seen(&new.threads), |n| n.to_string()),
        );
    }
}

/// From the scheduler's nanoseconds where there are such, else from ticks.
fn cpu_seconds(before: &ProcessSample, after: &ProcessSample, ticks_per_second: u64) -> Result<f64, String> {
    if let Ok(ns) = growth(&before.run_ns, &after.run_ns) {
        return Ok(ns as f64 / 1e9);
    }
    let user = growth(&before.user_ticks, &after.user_ticks)?;
    let system = growth(&before.system_ticks, &after.system_ticks)?;
    Ok((user + system) as f64 / ticks_per_second as f64)
}

fn seen(reading: &Reading<u64>) -> Result<u64, String> {
    match reading {
        Reading::Seen(value) => Ok(*value),
        Reading::Absent { absent } => Err(absent.clone()),
    }
}

fn cgroup_lines(out: &mut String, before: &Sample, after: &Sample) {
    let pairs = after.cgroups.iter().filter_map(|(name, new)| Some((name, before.cgroups.get(name)?, new)));
    for (name, old, new) in pairs {
        let seconds = new.read_ns.saturating_sub(old.read_ns) as f64 / 1e9;
        let usage = growth(&old.usage_ns, &new.usage_ns);
        let usage = cell(usage, |ns| format!("{:.1} %", ns as f64 / 1e9 / seconds * 100.0));
        let _ = writeln!(out, "cgroup    {name}: CPU {usage}, throttled {}", throttled(old, new, seconds));
    }
}

fn throttled(before: &CgroupSample, after: &CgroupSample, seconds: f64) -> String {
    let all = || {
        let periods = growth(&before.periods, &after.periods)?;
        let throttled = growth(&before.throttled_periods, &after.throttled_periods)?;
        let ns = growth(&before.throttled_ns, &after.throttled_ns)?;
        Ok(format!("{throttled} of {periods} periods, {:.1} ms/s", ns as f64 / 1e6 / seconds))
    };
    cell(all(), |text| text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use record::{LoadAverage, NodeSample, OwnCost, PressureLine};

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn pressure(us: u64) -> Reading<PressureSample> {
        let line = PressureLine { avg10: 0.0, total_us: us };
        Reading::Seen(PressureSample { some: Some(line), full: None })
    }

    /// A machine that has done `n` times as much since the start.
    fn sample(n: u64) -> Sample {
        let times = CpuTimes {
            user_ticks: 60 * n,
            nice_ticks: 0,
            system_ticks: 20 * n,
            idle_ticks: 100 * n,
            iowait_ticks: Some(10 * n),
            irq_ticks: Some(n),
            softirq_ticks: Some(n),
            steal_ticks: Some(8 * n),
            guest_ticks: Some(50 * n),
            guest_nice_ticks: None,
        };
        let disk = DiskCounters {
            device: "vda".into(),
            reads: 200 * n,
            read_ms: 50 * n,
            in_flight: 3,
            ..DiskCounters::default()
        };
        let node = NodeSample {
            cpu: Reading::Seen(times),
            cpus: Reading::absent("not shown"),
            context_switches: Reading::Seen(n),
            forks: Reading::Seen(n),
            procs_running: Reading::Seen(n),
            procs_blocked: Reading::Seen(n),
            disk: Reading::Seen(disk),
            psi_cpu: pressure(500_000 * n),
            psi_io: pressure(0),
            psi_memory: Reading::absent("no PSI"),
            psi_irq: Reading::absent("no interrupt pressure"),
            load: Reading::Seen(LoadAverage { one: 1.5, five: 1.0, fifteen: 0.5 }),
        };
        let process = ProcessSample {
            pid: 7,
            read_ns: 2 * SECOND * n,
            user_ticks: Reading::Seen(10 * n),
            system_ticks: Reading::Seen(10 * n),
            rss_bytes: Reading::Seen(3 << 20),
            run_ns: Reading::Seen(SECOND * n),
            run_delay_ns: Reading::Seen(SECOND / 2 * n),
            threads: Reading::Seen(4),
        };
        let gone = ProcessSample { user_ticks: Reading::absent("exited"), ..process.clone() };
        let ticks = ProcessSample { run_ns: Reading::absent("no schedstat"), ..process.clone() };
        let cgroup = CgroupSample {
            read_ns: 2 * SECOND * n,
            usage_ns: Reading::Seen(SECOND / 2 * n),
            periods: Reading::Seen(20 * n),
            throttled_periods: Reading::Seen(18 * n),
            throttled_ns: Reading::Seen(SECOND * n),
            psi_cpu_some_us: Reading::absent("not here"),
        };
        Sample {
            round: n,
            due_ns: 2 * SECOND * n,
            before_ns: 2 * SECOND * n,
            after_ns: 2 * SECOND * n,
            node,
            cgroups: BTreeMap::from([("s1".to_owned(), cgroup)]),
            processes: BTreeMap::from([("gone".into(), gone), ("p".into(), process), ("t".into(), ticks)]),
            own: OwnCost { cpu_ns: SECOND / 50 * n, late_ns: 300_000, missed_rounds: 1, rss_bytes: 1 << 20 },
        }
    }

    #[test]
    fn rates_are_what_the_counters_grew_by_over_the_time_between() {
        let want = "\
over the last 2.0 s
cpu       user 30.0 %, sys 11.0 %, iowait 5.0 %, steal 4.0 %
psi cpu   some 25.0 %, full n/a (not in this kernel)
psi io    some 0.0 %, full n/a (not in this kernel)
psi mem   n/a (no PSI)
psi irq   n/a (no interrupt pressure)
disk      vda: reads 100/s of 0.25 ms, writes 0/s, 3 in flight
load      1.50 1.00 0.50
process   gone: n/a (exited)
process   p: CPU 50.0 %, waited for CPU 250.0 ms/s, RSS 3.0 MiB, 4 threads
process   t: CPU 10.0 %, waited for CPU 250.0 ms/s, RSS 3.0 MiB, 4 threads
cgroup    s1: CPU 25.0 %, throttled 18 of 20 periods, 500.0 ms/s
probe     1.00 % of one CPU, 0.3 ms late, 1 rounds missed
";
        let mut table = Table::new(100, Reading::Seen(true));
        assert_eq!(table.next(&sample(1)), None, "one sample has no rate");
        assert_eq!(table.next(&sample(2)).unwrap(), want);
    }

    #[test]
    fn a_steal_counter_that_means_nothing_is_not_shown_as_zero() {
        let still = |n: u64| {
            let mut still = sample(n);
            still.node.cpu = still.node.cpu.map(|times| CpuTimes { steal_ticks: Some(0), ..times });
            still
        };
        let text = render(&still(1), &still(2), 100, &Reading::absent("cannot be read here"));
        assert!(text.contains("steal n/a (cannot be read here)"), "{text}");
        let text = render(&still(1), &still(2), 100, &Reading::Seen(false));
        assert!(text.contains("steal n/a (this hypervisor does not tell)"), "{text}");
        let text = render(&sample(1), &sample(2), 100, &Reading::absent("cannot be read here"));
        assert!(text.contains("steal 4.0 %"), "{text}");
    }

    #[test]
    fn a_counter_that_went_backwards_is_not_a_rate() {
        let text = render(&sample(2), &Sample { before_ns: 9 * SECOND, ..sample(1) }, 100, &Reading::Seen(true));
        assert!(text.contains("throttled n/a (the counter went backwards)"), "{text}");
        assert!(text.contains("reads n/a (the counter went backwards)"), "{text}");
    }
}
