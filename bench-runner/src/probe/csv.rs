//! Samples as CSV: raw counters in flat columns, with the unit in each name; empty where absent.

use std::fmt::Write as _;

use record::{CgroupSample, CpuTimes, DiskCounters, OwnCost, PressureSample, ProcessSample, Reading, Sample};

/// The columns, which the first sample decides: later rows have the same in the same order.
pub(super) struct Columns {
    names: Vec<String>,
}

impl Columns {
    pub(super) fn of(sample: &Sample) -> Self {
        Self { names: cells(sample).into_iter().map(|(name, _)| name).collect() }
    }

    pub(super) fn header(&self) -> String {
        let names: Vec<String> = self.names.iter().map(|name| quoted(name)).collect();
        names.join(",") + "\n"
    }

    /// The values of a sample under the columns; a CPU that came online later has none.
    pub(super) fn row(&self, sample: &Sample) -> String {
        let cells = cells(sample);
        let mut row = String::new();
        let mut at = 0;
        for (place, name) in self.names.iter().enumerate() {
            if place > 0 {
                row.push(',');
            }
            // The order is the same, so the wanted cell is the next one or the sample lacks it.
            if let Some(skip) = cells[at..].iter().position(|(n, _)| n == name) {
                row += &cells[at + skip].1;
                at += skip + 1;
            }
        }
        row.push('\n');
        row
    }
}

/// A name may hold anything that a user gave.
fn quoted(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

/// Cells under construction.
#[derive(Default)]
struct Cells(Vec<(String, String)>);

impl Cells {
    fn put(&mut self, name: impl Into<String>, value: Option<impl std::fmt::Display>) {
        let mut text = String::new();
        if let Some(value) = value {
            let _ = write!(text, "{value}");
        }
        self.0.push((name.into(), text));
    }
}

fn cells(sample: &Sample) -> Vec<(String, String)> {
    // Destructured, so that a new field does not compile until it has its column.
    let Sample { round, due_ns, before_ns, after_ns, node, cgroups, processes, own } = sample;
    let mut cells = Cells::default();
    cells.put("round", Some(round));
    cells.put("due_ns", Some(due_ns));
    cells.put("before_ns", Some(before_ns));
    cells.put("after_ns", Some(after_ns));
    node_cells(&mut cells, node);
    for (name, cgroup) in cgroups {
        cgroup_cells(&mut cells, &format!("cgroup.{name}"), cgroup);
    }
    for (name, process) in processes {
        process_cells(&mut cells, &format!("process.{name}"), process);
    }
    let OwnCost { cpu_ns, late_ns, missed_rounds, rss_bytes } = own;
    cells.put("probe.cpu_ns", Some(cpu_ns));
    cells.put("probe.late_ns", Some(late_ns));
    cells.put("probe.missed_rounds", Some(missed_rounds));
    cells.put("probe.rss_bytes", Some(rss_bytes));
    cells.0
}

fn node_cells(cells: &mut Cells, node: &record::NodeSample) {
    let record::NodeSample {
        cpu,
        cpus,
        context_switches,
        forks,
        procs_running,
        procs_blocked,
        disk,
        psi_cpu,
        psi_io,
        psi_memory,
        psi_irq,
        load,
    } = node;
    cpu_cells(cells, "cpu", cpu.seen());
    for (number, times) in cpus.seen().into_iter().flatten() {
        cpu_cells(cells, &format!("cpu{number}"), Some(times));
    }
    cells.put("context_switches", context_switches.seen());
    cells.put("forks", forks.seen());
    cells.put("procs_running", procs_running.seen());
    cells.put("procs_blocked", procs_blocked.seen());
    disk_cells(cells, disk);
    for (name, pressure) in [("cpu", psi_cpu), ("io", psi_io), ("memory", psi_memory), ("irq", psi_irq)] {
        pressure_cells(cells, &format!("psi_{name}"), pressure);
    }
    cells.put("load_1min", load.seen().map(|l| l.one));
    cells.put("load_5min", load.seen().map(|l| l.five));
    cells.put("load_15min", load.seen().map(|l| l.fifteen));
}

fn cpu_cells(cells: &mut Cells, name: &str, times: Option<&CpuTimes>) {
    let mut put = |field: &str, value: Option<u64>| cells.put(format!("{name}.{field}"), value);
    put("user_ticks", times.map(|t| t.user_ticks));
    put("nice_ticks", times.map(|t| t.nice_ticks));
    put("system_ticks", times.map(|t| t.system_ticks));
    put("idle_ticks", times.map(|t| t.idle_ticks));
    put("iowait_ticks", times.and_then(|t| t.iowait_ticks));
    put("irq_ticks", times.and_then(|t| t.irq_ticks));
    put("softirq_ticks", times.and_then(|t| t.softirq_ticks));
    put("steal_ticks", times.and_then(|t| t.steal_ticks));
    put("guest_ticks", times.and_then(|t| t.guest_ticks));
    put("guest_nice_ticks", times.and_then(|t| t.guest_nice_ticks));
}

fn disk_cells(cells: &mut Cells, disk: &Reading<DiskCounters>) {
    let disk = disk.seen();
    cells.put("disk.device", disk.map(|d| quoted(&d.device)));
    cells.put("disk.reads", disk.map(|d| d.reads));
    cells.put("disk.read_sectors", disk.map(|d| d.read_sectors));
    cells.put("disk.read_ms", disk.map(|d| d.read_ms));
    cells.put("disk.writes", disk.map(|d| d.writes));
    cells.put("disk.write_sectors", disk.map(|d| d.write_sectors));
    cells.put("disk.write_ms", disk.map(|d| d.write_ms));
    cells.put("disk.in_flight", disk.map(|d| d.in_flight));
    cells.put("disk.weighted_ms", disk.map(|d| d.weighted_ms));
    cells.put("disk.flushes", disk.and_then(|d| d.flushes));
    cells.put("disk.flush_ms", disk.and_then(|d| d.flush_ms));
}

fn pressure_cells(cells: &mut Cells, name: &str, pressure: &Reading<PressureSample>) {
    let some = pressure.seen().and_then(|p| p.some);
    let full = pressure.seen().and_then(|p| p.full);
    for (word, line) in [("some", some), ("full", full)] {
        cells.put(format!("{name}.{word}_avg10_percent"), line.map(|l| l.avg10));
        cells.put(format!("{name}.{word}_us"), line.map(|l| l.total_us));
    }
}

fn cgroup_cells(cells: &mut Cells, name: &str, cgroup: &CgroupSample) {
    let CgroupSample { read_ns, usage_ns, periods, throttled_periods, throttled_ns, psi_cpu_some_us } = cgroup;
    let mut put = |field: &str, value: Option<&u64>| cells.put(format!("{name}.{field}"), value);
    put("read_ns", Some(read_ns));
    put("usage_ns", usage_ns.seen());
    put("periods", periods.seen());
    put("throttled_periods", throttled_periods.seen());
    put("throttled_ns", throttled_ns.seen());
    put("psi_cpu_some_us", psi_cpu_some_us.seen());
}

fn process_cells(cells: &mut Cells, name: &str, process: &ProcessSample) {
    let ProcessSample { pid, read_ns, user_ticks, system_ticks, rss_bytes, run_ns, run_delay_ns, threads } = process;
    cells.put(format!("{name}.pid"), Some(pid));
    let mut put = |field: &str, value: Option<&u64>| cells.put(format!("{name}.{field}"), value);
    put("read_ns", Some(read_ns));
    put("user_ticks", user_ticks.seen());
    put("system_ticks", system_ticks.seen());
    put("rss_bytes", rss_bytes.seen());
    put("run_ns", run_ns.seen());
    put("run_delay_ns", run_delay_ns.seen());
    put("threads", threads.seen());
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn sample() -> Sample {
        let times = CpuTimes { user_ticks: 7, steal_ticks: Some(0), ..CpuTimes::default() };
        let node = record::NodeSample {
            cpu: Reading::Seen(times),
            cpus: Reading::Seen(BTreeMap::from([(0, times), (8, times)])),
            context_switches: Reading::Seen(1),
            forks: Reading::Seen(2),
            procs_running: Reading::Seen(3),
            procs_blocked: Reading::Seen(4),
            disk: Reading::absent("none"),
            psi_cpu: Reading::absent("no PSI"),
            psi_io: Reading::absent("no PSI"),
            psi_memory: Reading::absent("no PSI"),
            psi_irq: Reading::absent("no PSI"),
            load: Reading::Seen(record::LoadAverage { one: 0.64, five: 0.5, fifteen: 0.25 }),
        };
        let process = ProcessSample {
            pid: 4711,
            read_ns: 5,
            user_ticks: Reading::Seen(1),
            system_ticks: Reading::Seen(2),
            rss_bytes: Reading::Seen(4096),
            run_ns: Reading::Seen(30),
            run_delay_ns: Reading::absent("no schedstat"),
            threads: Reading::Seen(1),
        };
        Sample {
            round: 0,
            due_ns: 10,
            before_ns: 11,
            after_ns: 12,
            node,
            cgroups: BTreeMap::new(),
            processes: BTreeMap::from([("a,\"b\"".to_owned(), process)]),
            own: OwnCost::default(),
        }
    }

    /// The value under a column.
    fn under<'r>(header: &str, row: &'r str, name: &str) -> &'r str {
        let place =
            header.trim_end().split(',').position(|n| n == name).unwrap_or_else(|| panic!("no {name}: {header}"));
        row.trim_end_matches('\n').split(',').nth(place).unwrap()
    }

    #[test]
    fn absent_is_empty_and_zero_is_zero() {
        let mut sample = sample();
        let process = sample.processes.pop_first().unwrap().1;
        sample.processes.insert("s1".to_owned(), process);
        let columns = Columns::of(&sample);
        let (header, row) = (columns.header(), columns.row(&sample));
        for (name, want) in [
            ("cpu.steal_ticks", "0"),
            ("cpu.iowait_ticks", ""),
            ("cpu8.user_ticks", "7"),
            ("psi_cpu.some_us", ""),
            ("disk.device", ""),
            ("load_1min", "0.64"),
            ("process.s1.rss_bytes", "4096"),
            ("process.s1.run_delay_ns", ""),
            ("process.s1.threads", "1"),
            ("probe.missed_rounds", "0"),
        ] {
            assert_eq!(under(&header, &row, name), want, "{name}");
        }
    }

    #[test]
    fn names_are_quoted_where_they_must_be() {
        assert!(Columns::of(&sample()).header().contains("\"process.a,\"\"b\"\".rss_bytes\""));
    }

    #[test]
    fn columns_stay_in_place_when_a_cpu_goes_and_another_comes() {
        let mut sample = sample();
        sample.processes.clear();
        let columns = Columns::of(&sample);
        let mut cpus = sample.node.cpus.seen().unwrap().clone();
        let times = cpus.remove(&0).unwrap();
        cpus.insert(9, times);
        sample.node.cpus = Reading::Seen(cpus);
        let (header, row) = (columns.header(), columns.row(&sample));
        assert_eq!(under(&header, &row, "cpu0.user_ticks"), "");
        assert_eq!(under(&header, &row, "cpu8.user_ticks"), "7");
        assert_eq!(under(&header, &row, "context_switches"), "1");
        assert_eq!(row.matches(',').count(), header.matches(',').count());
    }
}
