//! The machine's own counters, as far as they are read often.

use record::{
    CpuTimes, DiskCounters, LoadAverage, NodeSample, PressureLine, PressureSample, Reading, RunQueueCounters,
    SoftirqCounters, SoftnetCounters,
};

use super::Facts;
use super::part::{Exposition, Labels, Part, count, from_ms, from_ns, from_sectors, from_us};
use crate::open_metrics::number;

const CPU: &str = "cpu_seconds";
const CPU_HELP: &str = "Time of each CPU by what it did, from /proc/stat in ticks; guest is inside user already, \
                        guest_nice inside nice, and iowait is unreliable by design.";
const CPUS: &str = "cpus_seconds";
const CPUS_HELP: &str = "The same of all CPUs together, as the kernel adds it up.";

pub(super) fn node(out: &mut Exposition, node: &NodeSample, facts: &Facts) {
    let NodeSample {
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
        softirqs,
        softnet,
        run_queue,
    } = node;
    let mut part = out.part("node", &[]);
    // Only a hypervisor that tells of steal can have moved its counter.
    let moved = cpu.seen().is_some_and(|all| all.steal_ticks.is_some_and(|ticks| ticks > 0));
    let no_steal = if moved { None } else { no_steal(&facts.steal_known) };
    if let Some(all) = part.open(CPUS, &[], cpu) {
        cpu_times(&mut part, (CPUS, CPUS_HELP), None, all, facts, no_steal);
    }
    if let Some(cpus) = part.open(CPU, &[], cpus) {
        for (number, times) in cpus {
            cpu_times(&mut part, (CPU, CPU_HELP), Some(&number.to_string()), times, facts, no_steal);
        }
    }
    part.counter("context_switches", "Context switches since boot.", &[], context_switches, count);
    part.counter("forks", "Processes and threads created since boot.", &[], forks, count);
    part.gauge("procs_running", "Tasks runnable now.", &[], procs_running, count);
    part.gauge("procs_blocked", "Tasks blocked on I/O now.", &[], procs_blocked, count);
    for (resource, reading) in [("cpu", psi_cpu), ("io", psi_io), ("memory", psi_memory), ("irq", psi_irq)] {
        pressure(&mut part, ["pressure_seconds", "pressure_avg10_ratio"], resource, reading);
    }
    if let Some(LoadAverage { one, five, fifteen }) = part.open("load_average", &[], load) {
        for (minutes, value) in [("1", one), ("5", five), ("15", fifteen)] {
            let help = "Tasks runnable or in uninterruptible sleep, averaged by the kernel.";
            part.gauged("load_average", help, &[("minutes", minutes)], number(*value));
        }
    }
    if let Some(counters) = part.open("softirqs", &[], softirqs) {
        let SoftirqCounters { timer, net_tx, net_rx, block, sched, rcu, other } = counters;
        let kinds = [
            ("timer", timer),
            ("net_tx", net_tx),
            ("net_rx", net_rx),
            ("block", block),
            ("sched", sched),
            ("rcu", rcu),
            ("other", other),
        ];
        for (kind, n) in kinds {
            part.counted("softirqs", "Soft interrupts handled, all CPUs together.", &[("kind", kind)], count(n));
        }
    }
    if let Some(counters) = part.open("softnet", &[], softnet) {
        softnet_counters(&mut part, counters);
    }
    if let Some(RunQueueCounters { run_ns, run_delay_ns, timeslices }) = part.open("run_queue", &[], run_queue) {
        part.counted("run_queue_run_seconds", "Time tasks ran, all of them on all CPUs.", &[], from_ns(run_ns));
        let help = "Time tasks were runnable and waited for a CPU; credited when they get one.";
        part.counted("run_queue_delay_seconds", help, &[], from_ns(run_delay_ns));
        part.counted("run_queue_timeslices", "Times a task was put on a CPU.", &[], count(timeslices));
    }
    if let Some(counters) = part.open("disk", &[], disk) {
        disk_counters(&mut part, counters);
    }
    part.end();
}

/// Why a steal of zero means nothing here, if so.
fn no_steal(known: &Reading<bool>) -> Option<&str> {
    match known {
        Reading::Seen(true) => None,
        Reading::Seen(false) => Some("this guest's kernel is not told of steal: the counter stays at zero"),
        Reading::Absent { absent } => Some(absent),
    }
}

fn cpu_times(
    part: &mut Part<'_>,
    (family, help): (&'static str, &str),
    cpu: Option<&str>,
    times: &CpuTimes,
    facts: &Facts,
    no_steal: Option<&str>,
) {
    let CpuTimes {
        user_ticks,
        nice_ticks,
        system_ticks,
        idle_ticks,
        iowait_ticks,
        irq_ticks,
        softirq_ticks,
        steal_ticks,
        guest_ticks,
        guest_nice_ticks,
    } = *times;
    let modes = [
        ("user", Some(user_ticks)),
        ("nice", Some(nice_ticks)),
        ("system", Some(system_ticks)),
        ("idle", Some(idle_ticks)),
        ("iowait", iowait_ticks),
        ("irq", irq_ticks),
        ("softirq", softirq_ticks),
        ("steal", steal_ticks),
        ("guest", guest_ticks),
        ("guest_nice", guest_nice_ticks),
    ];
    for (mode, ticks) in modes {
        // A mode is absent on every CPU alike.
        match no_steal {
            Some(reason) if mode == "steal" && ticks.is_some() => part.miss(family, &[("mode", mode)], reason),
            _ if ticks.is_none() => part.counted_if(family, help, &[("mode", mode)], None),
            _ => {
                let labels = [("cpu", cpu.unwrap_or_default()), ("mode", mode)];
                let labels = if cpu.is_some() { &labels[..] } else { &labels[1..] };
                part.counted_if(family, help, labels, ticks.map(|ticks| facts.seconds(ticks)));
            }
        }
    }
}

/// Both lines of a pressure file; the names are those of the time and of the average.
pub(super) fn pressure(
    part: &mut Part<'_>,
    names: [&'static str; 2],
    resource: &str,
    reading: &Reading<PressureSample>,
) {
    let [time, average] = names;
    let Some(PressureSample { some, full }) = part.open(time, &[("resource", resource)], reading) else { return };
    for (severity, line) in [("some", some), ("full", full)] {
        let labels: Labels<'_> = &[("resource", resource), ("severity", severity)];
        let Some(PressureLine { avg10, total_us }) = line else {
            part.miss(time, labels, "this kernel's file has no such line");
            continue;
        };
        let help = "Time some task waited for it, or all did (full).";
        part.counted(time, help, labels, from_us(total_us));
        let help = "Share of the last ten seconds, as the kernel averages it.";
        part.gauged(average, help, labels, number(avg10 / 100.0));
    }
}

fn softnet_counters(part: &mut Part<'_>, counters: &SoftnetCounters) {
    let SoftnetCounters { processed, dropped, time_squeeze, received_rps, flow_limit, backlog } = counters;
    for (name, help, n) in [
        ("softnet_processed_packets", "Packets through the network's backlog, all CPUs together.", processed),
        ("softnet_dropped_packets", "Packets dropped since the backlog was full.", dropped),
        ("softnet_time_squeezes", "Times a soft interrupt had to stop with packets left.", time_squeeze),
        ("softnet_rps_packets", "Packets that came from another CPU (RPS).", received_rps),
        ("softnet_flow_limited_packets", "Packets dropped by the flow limit.", flow_limit),
    ] {
        part.counted(name, help, &[], count(n));
    }
    part.gauged_if("softnet_backlog_packets", "Packets in the backlog now.", &[], backlog.as_ref().map(count));
}

fn disk_counters(part: &mut Part<'_>, counters: &DiskCounters) {
    let DiskCounters {
        device,
        reads,
        read_sectors,
        read_ms,
        writes,
        write_sectors,
        write_ms,
        in_flight,
        weighted_ms,
        flushes,
        flush_ms,
    } = counters;
    let device: Labels<'_> = &[("device", device)];
    part.counted("disk_reads", "Reads completed.", device, count(reads));
    part.counted("disk_read_bytes", "Bytes read.", device, from_sectors(read_sectors));
    part.counted("disk_read_time_seconds", "Time all reads took together.", device, from_ms(read_ms));
    part.counted("disk_writes", "Writes completed.", device, count(writes));
    part.counted("disk_written_bytes", "Bytes written.", device, from_sectors(write_sectors));
    part.counted("disk_write_time_seconds", "Time all writes took together.", device, from_ms(write_ms));
    part.gauged("disk_in_flight", "I/Os in the queue now.", device, count(in_flight));
    let help = "Length of the queue integrated over time: its rate is how many were in it.";
    part.counted("disk_queue_time_seconds", help, device, from_ms(weighted_ms));
    part.counted_if("disk_flushes", "Flushes completed.", device, flushes.as_ref().map(count));
    let help = "Time all flushes took together.";
    part.counted_if("disk_flush_time_seconds", help, device, flush_ms.as_ref().map(from_ms));
}
