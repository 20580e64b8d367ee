//! The newest reading of each source, and when it was read.

use std::collections::BTreeMap;

use record::{
    CgroupSample, NetworkSample, NodeSample, ProcessSample, ReadWindow, ReadWindows, Reading, Sample, SlowSample,
};

/// What the probe read last of every source.
///
/// Sources are read in tiers, so that a sample alone holds only a part. A source that was not due keeps what it said
/// before; one that was due and said nothing is absent from then on, as is all of a process that has ended. A network
/// namespace that is not read any more is gone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Latest {
    pub(super) sample: Option<Sample>,
    /// From before to after the last read of each source, CLOCK_MONOTONIC.
    pub(super) windows: BTreeMap<&'static str, (u64, u64)>,
}

impl Latest {
    /// Takes in what a round read.
    pub fn take(&mut self, next: &Sample) {
        self.stamp(next);
        let Some(known) = &mut self.sample else {
            self.sample = Some(next.clone());
            return;
        };
        let Sample { round, due_ns, before_ns, after_ns, node, cgroups, processes, own, networks, slow, reads, sensor } =
            next;
        (known.round, known.due_ns, known.before_ns, known.after_ns) = (*round, *due_ns, *before_ns, *after_ns);
        (known.own, known.reads, known.sensor) = (*own, *reads, *sensor);
        take_node(&mut known.node, node);
        take_each(&mut known.cgroups, cgroups, take_cgroup);
        take_each(&mut known.processes, processes, take_process);
        // Its own namespace is always there, so that none at all means that none was due.
        if !networks.is_empty() {
            take_each(&mut known.networks, networks, take_network);
        }
        if let Some(slow) = slow {
            let SlowSample { memory, vm, interrupts } = slow;
            let known = known.slow.get_or_insert_default();
            newer(&mut known.memory, memory);
            newer(&mut known.vm, vm);
            newer(&mut known.interrupts, interrupts);
        }
    }

    /// Notes when each source was read that was.
    fn stamp(&mut self, next: &Sample) {
        let ReadWindows { disk, softirqs, softnet, stat, run_queue, pressure, load, memory, vm, interrupts } =
            next.reads;
        let own = [
            ("disk", disk),
            ("softirqs", softirqs),
            ("softnet", softnet),
            ("stat", stat),
            ("schedstat", run_queue),
            ("pressure", pressure),
            ("loadavg", load),
            ("meminfo", memory),
            ("vmstat", vm),
            ("interrupts", interrupts),
        ];
        for (source, window) in own {
            if let Some(ReadWindow(before, after)) = window {
                self.windows.insert(source, (next.before_ns + before, next.before_ns + after));
            }
        }
        let round = (next.before_ns, next.after_ns);
        let processes = next.processes.values();
        let cgroups = next.cgroups.values();
        let networks = next.networks.values();
        let watched = [
            ("processes", around(processes.clone().map(|s| (s.read_ns, s.took_ns)))),
            ("cgroups", around(cgroups.clone().map(|s| (s.read_ns, s.took_ns)))),
            ("network", around(networks.clone().map(|s| (s.read_ns, s.took_ns)))),
            // These have no stamps of their own: they are read somewhere in the round.
            ("process_details", processes.into_iter().any(|s| !s.rss_bytes.is_unread()).then_some(round)),
            ("cgroup_cpu_pressure", cgroups.clone().any(|s| !s.psi_cpu_some_us.is_unread()).then_some(round)),
            ("cgroup_details", cgroups.into_iter().any(|s| !s.limit.is_unread()).then_some(round)),
            ("tcp", networks.into_iter().any(|s| !s.tcp.is_unread()).then_some(round)),
        ];
        self.windows.extend(watched.into_iter().filter_map(|(source, window)| Some((source, window?))));
    }
}

/// From before the first of these reads to after the last; none for none.
fn around(reads: impl Iterator<Item = (u64, u64)>) -> Option<(u64, u64)> {
    reads
        .map(|(read_ns, took_ns)| (read_ns, read_ns.saturating_add(took_ns)))
        .reduce(|(first, last), (before, after)| (first.min(before), last.max(after)))
}

fn newer<T: Clone>(known: &mut Reading<T>, next: &Reading<T>) {
    if !next.is_unread() {
        known.clone_from(next);
    }
}

/// The same for something whose source has just said that it is gone: what was read before is not true any more.
fn newer_or_gone<T: Clone>(known: &mut Reading<T>, next: &Reading<T>, gone: Option<&str>) {
    match gone {
        Some(reason) if next.is_unread() => *known = Reading::absent(reason),
        _ => newer(known, next),
    }
}

/// Those that are not in the next one are gone.
fn take_each<T: Clone>(known: &mut BTreeMap<String, T>, next: &BTreeMap<String, T>, take: fn(&mut T, &T)) {
    known.retain(|name, _| next.contains_key(name));
    for (name, next) in next {
        match known.get_mut(name) {
            Some(known) => take(known, next),
            None => {
                known.insert(name.clone(), next.clone());
            }
        }
    }
}

fn take_node(known: &mut NodeSample, next: &NodeSample) {
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
    } = next;
    newer(&mut known.cpu, cpu);
    newer(&mut known.cpus, cpus);
    newer(&mut known.context_switches, context_switches);
    newer(&mut known.forks, forks);
    newer(&mut known.procs_running, procs_running);
    newer(&mut known.procs_blocked, procs_blocked);
    newer(&mut known.disk, disk);
    newer(&mut known.psi_cpu, psi_cpu);
    newer(&mut known.psi_io, psi_io);
    newer(&mut known.psi_memory, psi_memory);
    newer(&mut known.psi_irq, psi_irq);
    newer(&mut known.load, load);
    newer(&mut known.softirqs, softirqs);
    newer(&mut known.softnet, softnet);
    newer(&mut known.run_queue, run_queue);
}

fn take_cgroup(known: &mut CgroupSample, next: &CgroupSample) {
    let CgroupSample {
        read_ns,
        usage_ns,
        periods,
        throttled_periods,
        throttled_ns,
        psi_cpu_some_us,
        took_ns,
        parent,
        limit,
        psi_io,
        psi_memory,
    } = next;
    // It was removed if the file with all of these has just fallen silent; one that never spoke says nothing of that.
    let silent = |s: &CgroupSample| {
        [&s.usage_ns, &s.periods, &s.throttled_periods, &s.throttled_ns].iter().all(|r| r.seen().is_none())
    };
    let gone = if silent(next) && !silent(known) { throttled_ns.reason() } else { None };
    (known.read_ns, known.took_ns) = (*read_ns, *took_ns);
    known.parent.clone_from(parent);
    newer(&mut known.usage_ns, usage_ns);
    newer(&mut known.periods, periods);
    newer(&mut known.throttled_periods, throttled_periods);
    newer(&mut known.throttled_ns, throttled_ns);
    newer_or_gone(&mut known.psi_cpu_some_us, psi_cpu_some_us, gone);
    newer_or_gone(&mut known.limit, limit, gone);
    newer_or_gone(&mut known.psi_io, psi_io, gone);
    newer_or_gone(&mut known.psi_memory, psi_memory, gone);
}

fn take_process(known: &mut ProcessSample, next: &ProcessSample) {
    let ProcessSample {
        pid,
        read_ns,
        user_ticks,
        system_ticks,
        rss_bytes,
        run_ns,
        run_delay_ns,
        threads,
        took_ns,
        timeslices,
        accounts,
        cgroup,
        voluntary_switches,
        involuntary_switches,
        block_io_delay_ns,
        state,
    } = next;
    // Threads are counted in every round as long as there are any.
    let gone = threads.reason();
    (known.pid, known.read_ns, known.took_ns) = (*pid, *read_ns, *took_ns);
    known.cgroup.clone_from(cgroup);
    known.accounts = if gone.is_some() { None } else { accounts.or(known.accounts) };
    newer(&mut known.run_ns, run_ns);
    newer(&mut known.run_delay_ns, run_delay_ns);
    newer(&mut known.threads, threads);
    newer(&mut known.timeslices, timeslices);
    newer_or_gone(&mut known.user_ticks, user_ticks, gone);
    newer_or_gone(&mut known.system_ticks, system_ticks, gone);
    newer_or_gone(&mut known.rss_bytes, rss_bytes, gone);
    newer_or_gone(&mut known.voluntary_switches, voluntary_switches, gone);
    newer_or_gone(&mut known.involuntary_switches, involuntary_switches, gone);
    newer_or_gone(&mut known.block_io_delay_ns, block_io_delay_ns, gone);
    newer_or_gone(&mut known.state, state, gone);
}

fn take_network(known: &mut NetworkSample, next: &NetworkSample) {
    let NetworkSample { read_ns, took_ns, interfaces, tcp } = next;
    (known.read_ns, known.took_ns) = (*read_ns, *took_ns);
    newer(&mut known.interfaces, interfaces);
    newer(&mut known.tcp, tcp);
}
