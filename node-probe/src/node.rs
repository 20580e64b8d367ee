//! The machine's own counters, each file of them in its tier.

use std::path::Path;

use record::{NodeSample, PressureSample, ReadWindow, ReadWindows, Reading, SlowSample};

use crate::disk::Disk;
use crate::feed::Feed;
use crate::proc::softnet::Softnet;
use crate::proc::stat::{self, KernelStat};
use crate::proc::{interrupts, load, memory, pressure, run_queue, softirqs, vm};
use crate::source::Page;
use crate::tiers::Due;
use crate::{Result, absence};

/// Every source of the machine.
#[derive(Debug)]
pub(crate) struct Node {
    disk: Reading<Disk>,
    softirqs: Feed,
    softnet: (Feed, Softnet),
    stat: Feed,
    run_queue: Feed,
    load: Feed,
    /// cpu, io, memory, irq.
    pressures: [Feed; 4],
    memory: Feed,
    vm: Feed,
    interrupts: Feed,
}

impl Node {
    /// Opens them.
    ///
    /// # Errors
    /// When descriptors are used up.
    pub(crate) fn open(root: &Path, disk: Reading<Disk>) -> Result<Self> {
        let proc = root.join("proc");
        let open = |name: &str| Feed::open(proc.join(name));
        let pressure = |kind: &str| Feed::open_or(proc.join("pressure").join(kind), absence::no_pressure);
        Ok(Self {
            disk,
            softirqs: open("softirqs")?,
            softnet: (open("net/softnet_stat")?, Softnet::default()),
            stat: open("stat")?,
            run_queue: Feed::open_or(proc.join("schedstat"), no_run_queue)?,
            load: open("loadavg")?,
            pressures: [pressure("cpu")?, pressure("io")?, pressure("memory")?, pressure("irq")?],
            memory: open("meminfo")?,
            vm: open("vmstat")?,
            interrupts: open("interrupts")?,
        })
    }

    /// What is due now, and when each was read, counted from `since_ns`.
    pub(crate) fn sample(
        &mut self,
        since_ns: u64,
        due: Due,
        page: &mut Page,
    ) -> (NodeSample, Option<SlowSample>, ReadWindows) {
        let (mut node, mut reads) = self.fast(since_ns, page);
        if due.medium {
            self.medium(since_ns, page, &mut node, &mut reads);
        }
        let slow = due.slow.then(|| self.slow(since_ns, page, &mut reads));
        (node, slow, reads)
    }

    fn fast(&mut self, since_ns: u64, page: &mut Page) -> (NodeSample, ReadWindows) {
        let (mut node, mut reads) = (NodeSample::default(), ReadWindows::default());
        (node.disk, reads.disk) = match &self.disk {
            Reading::Absent { absent } => (Reading::absent(absent), None),
            Reading::Seen(disk) => {
                let before = record::monotonic_ns();
                let sample = disk.sample(page);
                (sample, Some(ReadWindow(before - since_ns, record::monotonic_ns() - since_ns)))
            }
        };
        (node.softirqs, reads.softirqs) = self.softirqs.read(since_ns, page, softirqs::parse);
        let (softnet, totals) = &mut self.softnet;
        (node.softnet, reads.softnet) = softnet.read(since_ns, page, |text| totals.take(text));
        (node, reads)
    }

    fn medium(&self, since_ns: u64, page: &mut Page, node: &mut NodeSample, reads: &mut ReadWindows) {
        let (stat, window) = self.stat.read(since_ns, page, stat::parse);
        reads.stat = window;
        put_stat(node, stat);
        (node.run_queue, reads.run_queue) = self.run_queue.read(since_ns, page, run_queue::parse);
        (node.load, reads.load) = self
            .load
            .read(since_ns, page, |text| load::parse(text).ok_or_else(|| "it is not as it should be".to_owned()));
        let read = |feed: &Feed, page: &mut Page| {
            feed.read(since_ns, page, |text| {
                pressure::parse(text).ok_or_else(|| "it is not as it should be".to_owned())
            })
        };
        let [cpu, io, memory, irq] = &self.pressures;
        let all: [(Reading<PressureSample>, Option<ReadWindow>); 4] =
            [cpu, io, memory, irq].map(|feed| read(feed, page));
        let windows: Vec<ReadWindow> = all.iter().filter_map(|(_, window)| *window).collect();
        // The four are read one behind the other: from before the first to after the last.
        reads.pressure = windows.first().zip(windows.last()).map(|(first, last)| ReadWindow(first.0, last.1));
        [node.psi_cpu, node.psi_io, node.psi_memory, node.psi_irq] = all.map(|(pressure, _)| pressure);
    }

    fn slow(&self, since_ns: u64, page: &mut Page, reads: &mut ReadWindows) -> SlowSample {
        let mut slow = SlowSample::default();
        (slow.memory, reads.memory) = self.memory.read(since_ns, page, memory::parse);
        (slow.vm, reads.vm) = self.vm.read(since_ns, page, vm::parse);
        (slow.interrupts, reads.interrupts) = self.interrupts.read(since_ns, page, interrupts::parse);
        slow
    }
}

fn no_run_queue(path: &Path, errno: rustix::io::Errno) -> String {
    match errno {
        rustix::io::Errno::NOENT => {
            format!("{} is missing: this kernel is built without CONFIG_SCHEDSTATS", path.display())
        }
        other => absence::reason(path, other),
    }
}

fn put_stat(node: &mut NodeSample, stat: Reading<KernelStat>) {
    let seen = |pick: fn(&KernelStat) -> Option<u64>, line: &str| match &stat {
        Reading::Seen(stat) => pick(stat).map_or_else(|| without(line), Reading::Seen),
        Reading::Absent { absent } => Reading::absent(absent),
    };
    node.context_switches = seen(|s| s.context_switches, "ctxt");
    node.forks = seen(|s| s.forks, "processes");
    node.procs_running = seen(|s| s.procs_running, "procs_running");
    node.procs_blocked = seen(|s| s.procs_blocked, "procs_blocked");
    (node.cpu, node.cpus) = match stat {
        Reading::Seen(KernelStat { all, cpus, .. }) => (
            all.map_or_else(|| without("cpu"), Reading::Seen),
            if cpus.is_empty() { without("cpuN") } else { Reading::Seen(cpus) },
        ),
        Reading::Absent { absent } => (Reading::absent(&absent), Reading::absent(absent)),
    };
}

fn without<T>(line: &str) -> Reading<T> {
    Reading::absent(format!("/proc/stat has no line '{line}'"))
}
