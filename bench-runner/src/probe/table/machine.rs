//! The machine's lines of the table.

use std::fmt::Write as _;

use record::{
    CpuTimes, DiskCounters, GapLosses, NetworkSample, PressureLine, PressureSample, ReadWindow, ReadWindows, Reading,
    Sample, SoftnetCounters, TcpCounters, VmCounters, quantum,
};
use reports::rates::{Doubted, rate, share};

use super::{Facts, cell, ms_per_s, pair, per_second, percent};

/// Both samples, and the moments that a source was read in them.
struct Two<'s> {
    before: &'s Sample,
    after: &'s Sample,
}

impl Two<'_> {
    fn windows(&self, pick: fn(&ReadWindows) -> Option<ReadWindow>) -> [(u64, u64); 2] {
        [self.before, self.after].map(|sample| match pick(&sample.reads) {
            Some(ReadWindow(from, to)) => (sample.before_ns + from, sample.before_ns + to),
            None => (sample.before_ns, sample.after_ns),
        })
    }
}

pub(super) fn lines(out: &mut String, before: &Sample, after: &Sample, facts: &Facts) {
    let two = Two { before, after };
    cpu_line(out, &two, facts);
    run_queue_line(out, &two);
    for (name, pick) in [
        ("cpu", (|s| &s.node.psi_cpu) as fn(&Sample) -> &Reading<PressureSample>),
        ("io", |s| &s.node.psi_io),
        ("mem", |s| &s.node.psi_memory),
        ("irq", |s| &s.node.psi_irq),
    ] {
        pressure_line(out, name, &two, pick);
    }
    disk_line(out, &two);
    backlog_line(out, &two);
    for (name, network) in &after.networks {
        if let Some(earlier) = before.networks.get(name) {
            network_line(out, name, earlier, network);
        }
    }
    memory_line(out, &two);
    sensor_line(out, &two);
    if let Some(load) = after.node.load.seen() {
        let _ = writeln!(out, "load      {:.2} {:.2} {:.2}", load.one, load.five, load.fifteen);
    }
}

fn cpu_line(out: &mut String, two: &Two<'_>, facts: &Facts) {
    let (before, after) = match (&two.before.node.cpu, &two.after.node.cpu) {
        (Reading::Seen(before), Reading::Seen(after)) => (before, after),
        (_, Reading::Absent { absent }) | (Reading::Absent { absent }, _) => {
            let _ = writeln!(out, "cpu       n/a ({absent})");
            return;
        }
    };
    // The line counts all CPUs in ticks; each of them can be a tick off.
    let (tick_ns, cpus, windows) = (facts.tick_ns(), facts.cpus.max(1), two.windows(|r| r.stat));
    let of_all = |old: Option<u64>, new: Option<u64>| {
        let ns = |ticks: Option<u64>| {
            ticks.map_or_else(|| Reading::absent("not in this kernel"), |t| Reading::Seen(t * tick_ns / cpus))
        };
        pair(&ns(old), &ns(new), windows, |a, b| share(a, b, tick_ns))
    };
    let both = |pick: fn(&CpuTimes) -> Option<u64>| of_all(pick(before), pick(after));
    let steal = match &facts.steal_known {
        // Once it moves, it is told, whatever was thought of it at the start.
        Reading::Absent { absent } if after.steal_ticks == Some(0) => format!("n/a ({absent})"),
        Reading::Seen(false) => "n/a (this hypervisor does not tell)".to_owned(),
        _ => percent(&both(|t| t.steal_ticks)),
    };
    let _ = writeln!(
        out,
        "cpu       user {}, sys {}, steal {steal}, idle with I/O pending {}",
        percent(&both(|t| Some(t.user_ticks + t.nice_ticks))),
        percent(&both(|t| Some(t.system_ticks + t.irq_ticks.unwrap_or(0) + t.softirq_ticks.unwrap_or(0)))),
        percent(&both(|t| t.iowait_ticks)),
    );
}

fn run_queue_line(out: &mut String, two: &Two<'_>) {
    let delay = |sample: &Sample| sample.node.run_queue.clone().map(|counters| counters.run_delay_ns);
    let waited = pair(&delay(two.before), &delay(two.after), two.windows(|r| r.run_queue), |a, b| {
        rate(a, b, quantum::RUN_DELAY_NS).map(|per_second| per_second.of(1e9))
    });
    if !waited.is_unread() {
        let _ = writeln!(out, "run queue all tasks waited {}", ms_per_s(&waited));
    }
}

fn pressure_line(out: &mut String, name: &str, two: &Two<'_>, pick: fn(&Sample) -> &Reading<PressureSample>) {
    let line = |of: fn(&PressureSample) -> Option<PressureLine>| {
        let total_ns = |sample: &Sample| match pick(sample) {
            Reading::Seen(pressure) => of(pressure)
                .map_or_else(|| Reading::absent("not in this kernel"), |line| Reading::Seen(line.total_us * 1000)),
            Reading::Absent { absent } => Reading::absent(absent),
        };
        pair(&total_ns(two.before), &total_ns(two.after), two.windows(|r| r.pressure), |a, b| {
            share(a, b, quantum::PRESSURE_NS)
        })
    };
    let (some, full) = (line(|p| p.some), line(|p| p.full));
    let text = match (&some, &full) {
        // The same reason for both, or for the only line there is.
        (Reading::Absent { absent }, Reading::Absent { .. }) => format!("n/a ({absent})"),
        _ => format!("some {}, full {}", percent(&some), percent(&full)),
    };
    let _ = writeln!(out, "psi {name:<6}{text}");
}

fn disk_line(out: &mut String, two: &Two<'_>) {
    let disk = match &two.after.node.disk {
        Reading::Seen(disk) => disk,
        Reading::Absent { absent } => {
            let _ = writeln!(out, "disk      n/a ({absent})");
            return;
        }
    };
    let rate_of = |pick: fn(&DiskCounters) -> Option<u64>| {
        let value = |sample: &Sample| match &sample.node.disk {
            Reading::Seen(disk) => pick(disk).map_or_else(|| Reading::absent("not in this kernel"), Reading::Seen),
            Reading::Absent { absent } => Reading::absent(absent),
        };
        pair(&value(two.before), &value(two.after), two.windows(|r| r.disk), |a, b| rate(a, b, quantum::DISK_TIME_MS))
    };
    // The time of one: what all took together over their number, the time being cut to whole milliseconds.
    let side = |count: Reading<Doubted>, ms: Reading<Doubted>| {
        let each = match (&count, &ms) {
            (Reading::Seen(count), Reading::Seen(ms)) if count.value > 0.0 => {
                format!(" of {:.2} ms ±{:.2}", ms.value / count.value, ms.error / count.value)
            }
            _ => String::new(),
        };
        format!("{}{each}", per_second(&count))
    };
    let _ = writeln!(
        out,
        "disk      {}: reads {}, writes {}, flushes {}, {} in flight",
        disk.device,
        side(rate_of(|d| Some(d.reads)), rate_of(|d| Some(d.read_ms))),
        side(rate_of(|d| Some(d.writes)), rate_of(|d| Some(d.write_ms))),
        side(rate_of(|d| d.flushes), rate_of(|d| d.flush_ms)),
        disk.in_flight,
    );
}

fn backlog_line(out: &mut String, two: &Two<'_>) {
    let rate_of = |pick: fn(&SoftnetCounters) -> u64| {
        let value = |sample: &Sample| sample.node.softnet.clone().map(|counters| pick(&counters));
        pair(&value(two.before), &value(two.after), two.windows(|r| r.softnet), |a, b| rate(a, b, 0))
    };
    let packets = rate_of(|c| c.processed);
    if packets.is_unread() {
        return;
    }
    let text = match &packets {
        Reading::Absent { absent } => format!("n/a ({absent})"),
        Reading::Seen(_) => format!(
            "packets {}, dropped {}, cut short {}",
            per_second(&packets),
            per_second(&rate_of(|c| c.dropped)),
            per_second(&rate_of(|c| c.time_squeeze))
        ),
    };
    let _ = writeln!(out, "backlog   {text}");
}

fn network_line(out: &mut String, name: &str, before: &NetworkSample, after: &NetworkSample) {
    let windows = [before, after].map(|n| (n.read_ns, n.read_ns + n.took_ns));
    let rate_of = |pick: fn(&TcpCounters) -> Option<u64>| {
        let value = |network: &NetworkSample| match &network.tcp {
            Reading::Seen(tcp) => pick(tcp).map_or_else(|| Reading::absent("not in this kernel"), Reading::Seen),
            Reading::Absent { absent } => Reading::absent(absent),
        };
        pair(&value(before), &value(after), windows, |a, b| rate(a, b, 0))
    };
    let sent = rate_of(|t| t.sent_segments);
    let text = match &sent {
        Reading::Absent { absent } => format!("n/a ({absent})"),
        Reading::Seen(_) => format!(
            "segments {}, sent again {}, timeouts {}, listen drops {}",
            per_second(&sent),
            per_second(&rate_of(|t| t.retransmitted_segments)),
            per_second(&rate_of(|t| t.timeouts)),
            per_second(&rate_of(|t| t.listen_drops))
        ),
    };
    let _ = writeln!(out, "tcp       {name}: {text}");
}

/// What short bursts of work lost, and how much slower than its best the work was.
fn sensor_line(out: &mut String, two: &Two<'_>) {
    let (Some(before), Some(after)) = (&two.before.sensor, &two.after.sensor) else { return };
    let (watched, bursts) = (after.burst_ns - before.burst_ns, after.bursts - before.bursts);
    if watched == 0 || bursts == 0 {
        let _ = writeln!(out, "sensor    n/a (no burst was made)");
        return;
    }
    let lost = |pick: fn(&GapLosses) -> u64| {
        format!("{:.1} %", (pick(&after.lost) - pick(&before.lost)) as f64 / watched as f64 * 100.0)
    };
    let chunk_ns = (after.chunk_median_sum_ns - before.chunk_median_sum_ns) as f64 / bursts as f64;
    let _ = writeln!(
        out,
        "sensor    lost to others {}, quota {}, steal {}, interrupts {}, unexplained {}; work took {:.2} of its best",
        lost(|l| l.own_run_delay_ns),
        lost(|l| l.quota_ns),
        lost(|l| l.known_steal_ns),
        lost(|l| l.interrupt_ns),
        lost(|l| l.unexplained_ns),
        chunk_ns / after.chunk_best_ns.max(1) as f64,
    );
    let _ = writeln!(out, "          in {:.0} ms of bursts; {}", watched as f64 / 1e6, node_probe::SENSOR_BIAS);
}

fn memory_line(out: &mut String, two: &Two<'_>) {
    let Some(slow) = &two.after.slow else { return };
    let memory = cell(&slow.memory, |m| {
        let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
        let available = m.available_bytes.map_or_else(|| "n/a".to_owned(), |bytes| format!("{:.1}", gib(bytes)));
        format!("{available} of {:.1} GiB available", gib(m.total_bytes))
    });
    let rate_of = |pick: fn(&VmCounters) -> Option<u64>| {
        let value = |sample: &Sample| match sample.slow.as_ref().map(|slow| &slow.vm) {
            Some(Reading::Seen(vm)) => pick(vm).map_or_else(|| Reading::absent("not in this kernel"), Reading::Seen),
            Some(Reading::Absent { absent }) => Reading::absent(absent),
            None => Reading::default(),
        };
        pair(&value(two.before), &value(two.after), two.windows(|r| r.vm), |a, b| rate(a, b, 0))
    };
    let _ = writeln!(
        out,
        "memory    {memory}, major faults {}, allocation stalls {}",
        per_second(&rate_of(|v| v.major_page_faults)),
        per_second(&rate_of(|v| v.allocation_stalls))
    );
}
