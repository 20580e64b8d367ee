//! The sampler: every source opened once, every round stamped, a [`Sample`] each.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use record::{LoadAverage, NodeSample, PressureSample, Reading, Sample};

use crate::cgroup::Cgroup;
use crate::disk::Disk;
use crate::own_cost::Own;
use crate::proc::load;
use crate::proc::pressure::{self, Gate};
use crate::proc::process::Process;
use crate::proc::stat::{self, KernelStat};
use crate::source::{Page, Source};
use crate::{Error, Result, absence};

/// What to watch, besides the machine itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Where /proc and /sys are: "/", or a directory with the text of another machine.
    pub root: PathBuf,
    /// Processes by the name their counters get, and their ids.
    pub processes: Vec<(String, u32)>,
    /// Cgroups by the name their counters get, and their directories: one on version 2; on version 1 those of
    /// the cpu and cpuacct hierarchies, and one in the version 2 tree where there is one beside them.
    pub cgroups: Vec<(String, Vec<PathBuf>)>,
    /// A path on the disk to watch; none watches no disk.
    pub disk_path: Option<PathBuf>,
}

impl Default for Watch {
    /// The machine alone.
    fn default() -> Self {
        Self { root: PathBuf::from("/"), processes: Vec::new(), cgroups: Vec::new(), disk_path: None }
    }
}

/// Reads what is watched, round by round.
#[derive(Debug)]
pub struct Sampler {
    page: Page,
    stat: Feed,
    load: Feed,
    pressure: Pressures,
    gate: Gate,
    disk: Reading<Disk>,
    cgroups: Vec<(String, Cgroup)>,
    processes: Vec<(String, Process)>,
    own: Own,
    round: u64,
}

impl Sampler {
    /// Opens every source.
    ///
    /// # Errors
    /// When a process or cgroup to watch is not there or hidden, two have one name, or descriptors are used up.
    /// What the kernel lacks is no error: its readings are absent.
    pub fn new(watch: Watch) -> Result<Self> {
        let Watch { root, processes, cgroups, disk_path } = watch;
        one_of_each("processes", processes.iter().map(|(name, _)| name))?;
        one_of_each("cgroups", cgroups.iter().map(|(name, _)| name))?;
        let disk = match disk_path {
            Some(path) => Disk::open(&root, &path)?,
            None => Reading::absent("no disk was asked for"),
        };
        let cgroups = cgroups.into_iter().map(|(name, directories)| {
            let cgroup = Cgroup::open(&name, &directories)?;
            Ok((name, cgroup))
        });
        let processes = processes.into_iter().map(|(name, pid)| {
            let process = Process::open(&root, &name, pid)?;
            Ok((name, process))
        });
        Ok(Self {
            page: Page::new(),
            stat: Feed::open(root.join("proc/stat"))?,
            load: Feed::open(root.join("proc/loadavg"))?,
            pressure: Pressures::open(&root)?,
            gate: Gate::default(),
            disk,
            cgroups: cgroups.collect::<Result<_>>()?,
            processes: processes.collect::<Result<_>>()?,
            own: Own::open()?,
            round: 0,
        })
    }

    /// Reads everything now, in the round that was due then (CLOCK_MONOTONIC).
    ///
    /// The probe's own CPU time is that of the whole process: a sampler inside another program counts its
    /// host's time as well.
    pub fn sample(&mut self, due_ns: u64) -> Sample {
        let before_ns = record::monotonic_ns();
        let may_read_pressure = self.gate.opens(due_ns, before_ns);
        let Self { page, cgroups, processes, own, .. } = self;
        let cgroups =
            cgroups.iter().map(|(name, group)| (name.clone(), group.sample(may_read_pressure, page))).collect();
        let processes = processes.iter_mut().map(|(name, process)| (name.clone(), process.sample(page))).collect();
        let own = own.sample(before_ns.saturating_sub(due_ns), page);
        let node = self.node(may_read_pressure);
        let round = self.round;
        self.round += 1;
        Sample { round, due_ns, before_ns, after_ns: record::monotonic_ns(), node, cgroups, processes, own }
    }

    /// Skips rounds that could not be made in time.
    pub(crate) fn miss(&mut self, rounds: u64) {
        self.round += rounds;
        self.own.miss(rounds);
    }

    fn node(&mut self, may_read_pressure: bool) -> NodeSample {
        let page = &mut self.page;
        let disk = match &self.disk {
            Reading::Seen(disk) => disk.sample(page),
            Reading::Absent { absent } => Reading::absent(absent),
        };
        let [psi_cpu, psi_io, psi_memory, psi_irq] = self.pressure.sample(may_read_pressure, page);
        let load = self.load.read(page, |text| load::parse(text).ok_or_else(|| "it is not as it should be".to_owned()));
        let load: Reading<LoadAverage> = Reading::from_result(load);
        let stat = self.stat.read(page, stat::parse);
        let seen = |pick: fn(&KernelStat) -> Option<u64>, line: &str| match &stat {
            Ok(stat) => pick(stat).map_or_else(|| without(line), Reading::Seen),
            Err(reason) => Reading::absent(reason),
        };
        let context_switches = seen(|s| s.context_switches, "ctxt");
        let forks = seen(|s| s.forks, "processes");
        let procs_running = seen(|s| s.procs_running, "procs_running");
        let procs_blocked = seen(|s| s.procs_blocked, "procs_blocked");
        let (cpu, cpus) = match stat {
            Ok(KernelStat { all, cpus, .. }) => (
                all.map_or_else(|| without("cpu"), Reading::Seen),
                if cpus.is_empty() { without("cpuN") } else { Reading::Seen(cpus) },
            ),
            Err(reason) => (Reading::absent(&reason), Reading::absent(reason)),
        };
        NodeSample {
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
        }
    }
}

fn without<T>(line: &str) -> Reading<T> {
    Reading::absent(format!("/proc/stat has no line '{line}'"))
}

fn one_of_each<'n>(kind: &'static str, names: impl Iterator<Item = &'n String>) -> Result<()> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(Error::SameName { kind, name: name.clone() });
        }
    }
    Ok(())
}

/// A file of the machine with its path, for what to say when it cannot be read.
#[derive(Debug)]
struct Feed {
    path: PathBuf,
    source: Reading<Source>,
}

impl Feed {
    fn open(path: PathBuf) -> Result<Self> {
        let source = Source::open_or_absent(&path, absence::reason)?;
        Ok(Self { path, source })
    }

    fn read<T>(
        &self,
        page: &mut Page,
        parse: impl FnOnce(&str) -> std::result::Result<T, String>,
    ) -> std::result::Result<T, String> {
        match &self.source {
            Reading::Absent { absent } => Err(absent.clone()),
            Reading::Seen(source) => {
                let text = source.read(page).map_err(|errno| absence::reason(&self.path, errno))?;
                parse(text).map_err(|e| format!("{}: {e}", self.path.display()))
            }
        }
    }
}

/// The pressure files of the machine: cpu, io, memory, irq.
#[derive(Debug)]
struct Pressures([(PathBuf, Reading<Source>); 4]);

impl Pressures {
    fn open(root: &Path) -> Result<Self> {
        let open = |name: &str| {
            let path = root.join("proc/pressure").join(name);
            let source = Source::open_or_absent(&path, absence::no_pressure)?;
            Ok::<_, Error>((path, source))
        };
        Ok(Self([open("cpu")?, open("io")?, open("memory")?, open("irq")?]))
    }

    fn sample(&self, may_read: bool, page: &mut Page) -> [Reading<PressureSample>; 4] {
        self.0.each_ref().map(|(path, source)| match source {
            // What the kernel lacks is said in every round; what it has, only when it is read.
            Reading::Seen(_) if !may_read => Reading::absent(pressure::BETWEEN),
            source => pressure::read(source, path, page),
        })
    }
}
