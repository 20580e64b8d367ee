//! What is watched by name: network namespaces, cgroups, processes.

use record::{Accounts, CgroupSample, CpuBandwidth, InterfaceCounters, NetworkSample, ProcessSample, TcpCounters};

use super::Facts;
use super::machine::pressure;
use super::part::{Exposition, Labels, Part, count, from_ns, from_us};

pub(super) fn network(out: &mut Exposition, name: &str, network: &NetworkSample) {
    // The ages tell when it was read.
    let NetworkSample { read_ns: _, took_ns: _, interfaces, tcp } = network;
    let labels = [("namespace", name)];
    let mut part = out.part("network", &labels);
    if let Some(interfaces) = part.open("network_interfaces", &[], interfaces) {
        for (interface, counters) in interfaces {
            interface_counters(&mut part, &[("interface", interface)], counters);
        }
    }
    if let Some(tcp) = part.open("tcp", &[], tcp) {
        tcp_counters(&mut part, tcp);
    }
    part.end();
}

fn interface_counters(part: &mut Part<'_>, interface: Labels<'_>, counters: &InterfaceCounters) {
    let InterfaceCounters {
        received_bytes,
        received_packets,
        receive_errors,
        receive_drops,
        sent_bytes,
        sent_packets,
        send_errors,
        send_drops,
    } = counters;
    for (name, help, n) in [
        ("network_received_bytes", "Bytes received.", received_bytes),
        ("network_received_packets", "Packets received.", received_packets),
        ("network_receive_errors", "Receive errors.", receive_errors),
        ("network_receive_drops", "Packets the interface dropped on receive.", receive_drops),
        ("network_sent_bytes", "Bytes sent.", sent_bytes),
        ("network_sent_packets", "Packets sent.", sent_packets),
        ("network_send_errors", "Send errors.", send_errors),
        ("network_send_drops", "Packets the interface dropped on send.", send_drops),
    ] {
        part.counted(name, help, interface, count(n));
    }
}

fn tcp_counters(part: &mut Part<'_>, tcp: &TcpCounters) {
    let TcpCounters {
        sent_segments,
        received_segments,
        retransmitted_segments,
        receive_errors,
        resets,
        lost_retransmits,
        timeouts,
        syn_retransmits,
        listen_overflows,
        listen_drops,
        backlog_drops,
        receive_queue_drops,
        delayed_acks,
    } = tcp;
    for (name, help, n) in [
        ("tcp_sent_segments", "Segments sent, retransmitted ones not counted.", sent_segments),
        ("tcp_received_segments", "Segments received.", received_segments),
        ("tcp_retransmitted_segments", "Segments sent again.", retransmitted_segments),
        ("tcp_receive_errors", "Segments received with errors.", receive_errors),
        ("tcp_resets", "Connections reset.", resets),
        ("tcp_lost_retransmits", "Retransmits that were lost too.", lost_retransmits),
        ("tcp_timeouts", "Retransmission timers that ran out.", timeouts),
        ("tcp_syn_retransmits", "SYNs sent again.", syn_retransmits),
        ("tcp_listen_overflows", "Connections dropped since the accept queue was full.", listen_overflows),
        ("tcp_listen_drops", "Connections dropped while listening, for any reason.", listen_drops),
        ("tcp_backlog_drops", "Packets dropped since a socket's backlog was full.", backlog_drops),
        ("tcp_receive_queue_drops", "Packets dropped since a receive queue was full.", receive_queue_drops),
        ("tcp_delayed_acks", "Acknowledgements that were held back.", delayed_acks),
    ] {
        part.counted_if(name, help, &[], n.as_ref().map(count));
    }
}

pub(super) fn cgroup(out: &mut Exposition, name: &str, cgroup: &CgroupSample) {
    let CgroupSample {
        read_ns: _,
        usage_ns,
        periods,
        throttled_periods,
        throttled_ns,
        psi_cpu_some_us,
        took_ns: _,
        parent,
        limit,
        psi_io,
        psi_memory,
    } = cgroup;
    let labels = [("cgroup", name)];
    if let Some(parent) = parent {
        let mut about = out.part("cgroup", &labels);
        about.info("cgroup", "The group around each.", &[("parent", parent)]);
        about.end();
    }
    let mut part = out.part("cgroup", &labels);
    part.counter("cgroup_usage_seconds", "CPU time used.", &[], usage_ns, from_ns);
    part.counter("cgroup_periods", "Bandwidth periods in which it ran.", &[], periods, count);
    let help = "Periods in which it was throttled.";
    part.counter("cgroup_throttled_periods", help, &[], throttled_periods, count);
    let help = "Time throttled, summed over CPUs; credited when throttling ends.";
    part.counter("cgroup_throttled_seconds", help, &[], throttled_ns, from_ns);
    if let Some(CpuBandwidth { quota_ns, period_ns }) = part.open("cgroup_limit", &[], limit) {
        let help = "CPU time it may use in a period, over all CPUs; +Inf where it is not limited.";
        let quota = quota_ns.as_ref().map_or_else(|| "+Inf".to_owned(), from_ns);
        part.gauged("cgroup_quota_seconds", help, &[], quota);
        part.gauged("cgroup_period_seconds", "The bandwidth period.", &[], from_ns(period_ns));
    }
    let names = ["cgroup_pressure_seconds", "cgroup_pressure_avg10_ratio"];
    let help = "Time some task waited for it, or all did (full).";
    let labels = [("resource", "cpu"), ("severity", "some")];
    part.counter(names[0], help, &labels, psi_cpu_some_us, from_us);
    pressure(&mut part, names, "io", psi_io);
    pressure(&mut part, names, "memory", psi_memory);
    part.end();
}

pub(super) fn process(out: &mut Exposition, name: &str, process: &ProcessSample, facts: &Facts) {
    let ProcessSample {
        pid,
        read_ns: _,
        user_ticks,
        system_ticks,
        rss_bytes,
        run_ns,
        run_delay_ns,
        threads,
        took_ns: _,
        timeslices,
        accounts,
        cgroup,
        voluntary_switches,
        involuntary_switches,
        block_io_delay_ns,
        // Of a moment, and read only where nothing ran: no series.
        state: _,
    } = process;
    let labels = [("process", name)];
    if threads.seen().is_some() {
        let mut about = out.part("process", &labels);
        let accounts = match accounts {
            Some(Accounts::Taskstats) => "taskstats",
            Some(Accounts::Threads) => "threads",
            None => "",
        };
        let help = "Who it is, its cgroup, and where its run times come from.";
        let pid = pid.to_string();
        let all = [("pid", pid.as_str()), ("cgroup", cgroup.as_deref().unwrap_or_default()), ("accounts", accounts)];
        about.info("process", help, &all);
        about.end();
    }
    let mut part = out.part("process", &labels);
    for (mode, ticks) in [("user", user_ticks), ("system", system_ticks)] {
        let help = "CPU time in the kernel's ticks, all threads.";
        part.counter("process_cpu_seconds", help, &[("mode", mode)], ticks, |ticks| facts.seconds(*ticks));
    }
    part.counter("process_run_seconds", "CPU time to the nanosecond, all threads.", &[], run_ns, from_ns);
    let help = "Time its threads were runnable and waited for a CPU; throttling by a quota is in it.";
    part.counter("process_run_delay_seconds", help, &[], run_delay_ns, from_ns);
    part.counter("process_timeslices", "Times a thread was put on a CPU.", &[], timeslices, count);
    part.gauge("process_threads", "Threads now.", &[], threads, count);
    part.gauge("process_resident_bytes", "Resident memory, shared pages counted.", &[], rss_bytes, count);
    for (kind, n) in [("voluntary", voluntary_switches), ("involuntary", involuntary_switches)] {
        let help = "Times a thread gave up its CPU to wait, or was taken off it.";
        part.counter("process_context_switches", help, &[("kind", kind)], n, count);
    }
    let help = "Time its threads waited for block I/O.";
    part.counter("process_block_io_delay_seconds", help, &[], block_io_delay_ns, from_ns);
    part.end();
}
