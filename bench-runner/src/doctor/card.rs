//! The host's card for a person: what this machine is, in groups, each line a fact or why there is none.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};

use record::{BlockLayer, BlockQueue, CgroupLimits, CpuCache, CpuTopology, Host, Reading, SiblingCheck, SpeedCard};

/// The card as text.
pub(super) fn text(host: &Host) -> String {
    let mut card = Card::default();
    machine(&mut card, host);
    processor(&mut card, host);
    kernel(&mut card, host);
    memory(&mut card, host);
    limits(&mut card, host);
    clocks(&mut card, host);
    disk(&mut card, host);
    card.0
}

/// Lines so far.
#[derive(Default)]
struct Card(String);

impl Card {
    fn group(&mut self, title: &str) {
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        self.0.push_str(title);
        self.0.push('\n');
    }

    fn line(&mut self, name: &str, value: impl Display) {
        let text = value.to_string();
        // What is told in several lines stands below itself.
        let text = text.replace('\n', "\n                         ");
        self.0.push_str(&format!("  {name:<23}{text}\n"));
    }

    fn read<T>(&mut self, name: &str, reading: &Reading<T>, say: impl FnOnce(&T) -> String) {
        match reading {
            Reading::Seen(value) => self.line(name, say(value)),
            Reading::Absent { absent } => self.line(name, format!("n/a ({absent})")),
        }
    }
}

fn yes(value: &bool) -> String {
    if *value { "yes" } else { "no" }.to_owned()
}

fn gib(bytes: u64) -> String {
    format!("{:.2} GiB", bytes as f64 / f64::from(1 << 30))
}

/// A list of numbers in ranges: 0-3,8.
fn ranges(numbers: &[u32]) -> String {
    let mut text = String::new();
    let mut rest = numbers;
    while let Some(&first) = rest.first() {
        let length = rest.iter().zip(first..).take_while(|(number, want)| **number == *want).count().max(1);
        let separator = if text.is_empty() { "" } else { "," };
        let last = rest[length - 1];
        text += &if last == first { format!("{separator}{first}") } else { format!("{separator}{first}-{last}") };
        rest = &rest[length..];
    }
    if text.is_empty() { "none".to_owned() } else { text }
}

fn pairs(map: &BTreeMap<String, String>) -> String {
    if map.is_empty() {
        return "none".to_owned();
    }
    let pair = |(name, value): (&String, &String)| {
        if value.is_empty() { name.clone() } else { format!("{name}={value}") }
    };
    map.iter().map(pair).collect::<Vec<_>>().join(", ")
}

fn machine(card: &mut Card, host: &Host) {
    card.group("machine");
    card.read("distribution", &host.distribution, Clone::clone);
    card.line("kernel", format!("Linux {} {}", host.kernel, host.arch));
    card.read("virtual machine", &host.virtual_machine, Clone::clone);
    card.read("container", &host.container, Clone::clone);
    card.read("hidden processes", &host.proc_view.hidepid, |hidden| match hidden {
        Some(value) => format!("yes: /proc is mounted with hidepid={value}, and shows those of this user only"),
        None => "no".to_owned(),
    });
    card.read("not the kernel's own", &host.proc_view.replaced, |files| {
        let made = files.iter().map(|(file, by)| format!("{file} is made by {by}")).collect::<Vec<_>>();
        if made.is_empty() { "nothing in /proc".to_owned() } else { made.join("\n") }
    });
}

/// How much longer work takes on a CPU while another spins: 2 times for threads of one core, as a rule.
pub(super) fn beside(check: &SiblingCheck) -> String {
    let SiblingCheck { cpu, other, ratio, ratio_low, ratio_high, .. } = check;
    format!("CPU {cpu} beside {other}: {ratio:.2} times as long [{ratio_low:.2}, {ratio_high:.2}]")
}

fn processor(card: &mut Card, host: &Host) {
    card.group("processor");
    card.read("model", &host.cpu_model, Clone::clone);
    card.line("CPUs", format!("{} online, {} for this program", ranges(&host.cpus_online), host.cpus_allowed));
    card.read("as the guest is told", &host.topology, |t| {
        let CpuTopology { sockets, cores, threads_per_core, numa_nodes, offline } = t;
        let nodes = numa_nodes.map_or_else(String::new, |n| format!(", memory nodes {n}"));
        let offline = if offline.is_empty() { String::new() } else { format!("; offline: {}", ranges(offline)) };
        format!("sockets {sockets}, cores {cores}, threads per core {threads_per_core}{nodes}{offline}")
    });
    card.read("caches", &host.caches, |caches| {
        let one = |CpuCache { level, kind, size_bytes, shared_by }: &CpuCache| {
            format!("L{level} {} {} KiB for {shared_by}", kind.to_lowercase(), size_bytes / 1024)
        };
        caches.iter().map(one).collect::<Vec<_>>().join(", ")
    });
    card.read("governor", &host.governor, Clone::clone);
    card.read("fixed work", &host.speed, |speed| {
        let us = |ns: u64| ns as f64 / 1e3;
        let SpeedCard { best_ns, median_ns, variation, .. } = *speed;
        format!("{:.2} us, {:.2} at best, varies by {:.1} %", us(median_ns), us(best_ns), variation * 100.0)
    });
    card.read("beside one another", &host.smt_siblings, |checks| {
        checks.iter().map(beside).collect::<Vec<_>>().join("\n")
    });
    card.read("knows of steal", &host.steal_known, yes);
    card.read("  which is known", &host.steal_evidence, Clone::clone);
    card.read("vulnerabilities", &host.kernel_traits.vulnerabilities, |all| {
        let affected = all.iter().filter(|(_, says)| *says != "Not affected");
        let lines: Vec<String> = affected.map(|(name, says)| format!("{name}: {says}")).collect();
        if lines.is_empty() { "not affected by any that this kernel knows".to_owned() } else { lines.join("\n") }
    });
}

fn kernel(card: &mut Card, host: &Host) {
    let traits = &host.kernel_traits;
    card.group("kernel");
    card.read("ticks a second", &traits.tick_hz, |hz| {
        format!("{hz} (HZ), and {} in /proc/stat", host.clock_ticks_per_second)
    });
    card.read("preemption", &traits.preemption, Clone::clone);
    card.read("interrupt time", &traits.irq_time_accounting, |on| {
        if *on { "measured" } else { "as sampled at the tick" }.to_owned()
    });
    card.read("paravirt time", &traits.paravirt_time_accounting, |on| {
        if *on { "steal is taken out of a task's time" } else { "a task's time has steal in it" }.to_owned()
    });
    card.read("PSI", &host.psi, yes);
    card.read("/proc/schedstat", &traits.schedstat_version, |version| format!("version {version}"));
    card.read("schedstats switch", &traits.schedstats, yes);
    card.read("delay accounting", &traits.delay_accounting, yes);
    card.read("io_uring for", &traits.io_uring, Clone::clone);
    card.read("boot options", &traits.boot_options, pairs);
    card.read("cgroups", &host.cgroups, Clone::clone);
}

fn memory(card: &mut Card, host: &Host) {
    let traits = &host.memory_traits;
    card.group("memory");
    card.read("in all", &host.memory_bytes, |bytes| gib(*bytes));
    card.read("available", &traits.available_bytes, |bytes| gib(*bytes));
    card.read("swap", &traits.swap_bytes, |bytes| if *bytes == 0 { "none".to_owned() } else { gib(*bytes) });
    card.read("swap in use", &traits.swap_used_bytes, |bytes| gib(*bytes));
    card.read("huge pages unasked", &traits.transparent_huge_pages, Clone::clone);
}

fn limits(card: &mut Card, host: &Host) {
    let CgroupLimits { cpu, memory, cpus } = &host.cgroup_limits;
    let or_none = |lines: Vec<String>| if lines.is_empty() { "none".to_owned() } else { lines.join("\n") };
    card.group("limits around this program");
    card.read("CPU quota", cpu, |all| {
        let one = |q: &record::CpuQuota| {
            format!("{} ms in each {} ms ({})", q.quota_us as f64 / 1e3, q.period_us as f64 / 1e3, q.cgroup)
        };
        or_none(all.iter().map(one).collect())
    });
    card.read("CPUs of the cgroup", cpus, |all| ranges(all));
    card.read("memory", memory, |all| {
        or_none(all.iter().map(|limit| format!("{} ({})", gib(limit.bytes), limit.cgroup)).collect())
    });
    for (name, value) in &host.limits {
        card.line(name, value);
    }
}

fn clocks(card: &mut Card, host: &Host) {
    card.group("clocks");
    card.read("clock source", &host.clock_source, Clone::clone);
    card.read("kept right by", &host.time_sync.daemons, |all| all.join(", "));
    card.read("has reached its source", &host.time_sync.reached, yes);
    card.read("hardware clocks", &host.time_sync.hardware_clocks, |all| {
        if all.is_empty() { "none".to_owned() } else { all.join(", ") }
    });
}

fn disk(card: &mut Card, host: &Host) {
    card.group("disk under the run directory, from the path down");
    match &host.disk_chain {
        Reading::Absent { absent } => card.line("layers", format!("n/a ({absent})")),
        Reading::Seen(layers) => layers.iter().for_each(|layer| card.0.push_str(&one_layer(layer))),
    }
}

fn one_layer(layer: &BlockLayer) -> String {
    let BlockLayer { depth, kind, name, number, says, queue } = layer;
    let indent = " ".repeat(2 + 2 * *depth as usize);
    let number = number.as_ref().map_or_else(String::new, |number| format!(" ({number})"));
    let says = if says.is_empty() { String::new() } else { format!(": {}", pairs(says)) };
    let mut text = format!("{indent}{kind} {name}{number}{says}\n");
    if let Some(queue) = queue {
        let _ = writeln!(text, "{indent}    queue: {}", one_queue(queue));
    }
    text
}

/// Only what is told: a mapping lacks most of it, and its reasons would bury the rest. JSON has them.
fn one_queue(queue: &BlockQueue) -> String {
    let BlockQueue {
        scheduler,
        requests,
        hardware_queues,
        write_cache,
        rotational,
        logical_block_bytes,
        physical_block_bytes,
        max_request_bytes,
        write_back_throttle_us,
    } = queue;
    let number = |reading: &Reading<u64>| reading.seen().map(u64::to_string);
    let facts = [
        ("scheduler", scheduler.seen().cloned()),
        ("requests", number(requests)),
        ("hardware queues", hardware_queues.seen().map(u32::to_string)),
        ("cache", write_cache.seen().cloned()),
        ("rotates", rotational.seen().map(yes)),
        ("block", number(logical_block_bytes)),
        ("physical block", number(physical_block_bytes)),
        ("largest request", number(max_request_bytes)),
        ("throttle us", number(write_back_throttle_us)),
    ];
    let told = facts.into_iter().filter_map(|(name, value)| Some(format!("{name} {}", value?)));
    told.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use record::LayerKind;

    use super::*;

    #[test]
    fn every_group_is_there_and_what_is_absent_says_why() {
        let mut host = node_probe::host(Path::new("/"), Path::new("."));
        host.governor = Reading::absent("no frequency scaling");
        host.proc_view.hidepid = Reading::Seen(Some("2".into()));
        host.disk_chain =
            Reading::Seen(vec![layer(0, LayerKind::FileSystem, "ext4"), layer(1, LayerKind::Disk, "vda")]);
        let text = text(&host);
        for says in [
            "machine\n",
            "processor\n",
            "\nkernel\n",
            "\nmemory\n",
            "limits around this program\n",
            "\nclocks\n",
            "governor               n/a (no frequency scaling)",
            "hidepid=2",
            "  file system ext4\n    disk vda\n",
        ] {
            assert!(text.contains(says), "{says:?} in\n{text}");
        }
    }

    fn layer(depth: u32, kind: LayerKind, name: &str) -> BlockLayer {
        BlockLayer { depth, kind, name: name.into(), number: None, says: BTreeMap::new(), queue: None }
    }

    #[test]
    fn numbers_in_a_row_are_a_range() {
        assert_eq!(ranges(&[0, 1, 2, 8, 10, 11]), "0-2,8,10-11");
        assert_eq!(ranges(&[]), "none");
    }
}
