//! The sampler: every source opened once, every round stamped, a [`Sample`] each.

use std::collections::BTreeSet;
use std::path::PathBuf;

use record::{Reading, Sample};

use crate::cgroup::groups::Groups;
use crate::disk::Disk;
use crate::networks::Networks;
use crate::node::Node;
use crate::own_cost::Own;
use crate::processes::Processes;
use crate::source::Page;
use crate::tiers::Tiers;
use crate::{Error, GapSensor, Result, SensorConfig};

/// What to watch, besides the machine itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Where /proc and /sys are: "/", or a directory with the text of another machine.
    pub root: PathBuf,
    /// Processes by the name their counters get, and their ids; the counters of those of one name are summed.
    pub processes: Vec<(String, u32)>,
    /// Cgroups by the name their counters get, and their directories: one on version 2; on version 1 those of
    /// the cpu and cpuacct hierarchies, and one in the version 2 tree where there is one beside them.
    pub cgroups: Vec<(String, Vec<PathBuf>)>,
    /// A path on the disk to watch; none watches no disk.
    pub disk_path: Option<PathBuf>,
    /// Ask the kernel for the run times of whole processes where that is permitted (taskstats, CAP_NET_ADMIN);
    /// otherwise, and in a tree of text, they are summed over the threads' own files.
    pub taskstats: bool,
    /// Count the gaps and time the work of short bursts as well, in a thread that gives way to every other.
    pub sensor: Option<SensorConfig>,
}

impl Default for Watch {
    /// The machine alone.
    fn default() -> Self {
        Self {
            root: PathBuf::from("/"),
            processes: Vec::new(),
            cgroups: Vec::new(),
            disk_path: None,
            taskstats: true,
            sensor: None,
        }
    }
}

/// Reads what is watched, round by round.
#[derive(Debug)]
pub struct Sampler {
    page: Page,
    tiers: Tiers,
    node: Node,
    groups: Groups,
    processes: Processes,
    networks: Networks,
    own: Own,
    sensor: Option<GapSensor>,
    round: u64,
}

impl Sampler {
    /// Opens every source.
    ///
    /// # Errors
    /// When a process or cgroup to watch is not there or hidden, two have one name, descriptors are used up, or a
    /// sensor that was asked for cannot start.
    /// What the kernel lacks is no error: its readings are absent.
    pub fn new(watch: Watch) -> Result<Self> {
        let Watch { root, processes, cgroups, disk_path, taskstats, sensor } = watch;
        one_of_each("processes", processes.iter().map(|process| (&process.0, process)))?;
        one_of_each("cgroups", cgroups.iter().map(|(name, _)| (name, name)))?;
        let disk = match disk_path {
            Some(path) => Disk::open(&root, &path)?,
            None => Reading::absent("no disk was asked for"),
        };
        let mut groups = Groups::open(&root, cgroups)?;
        let networks = Networks::open(&root, &processes)?;
        Ok(Self {
            page: Page::new(),
            tiers: Tiers::default(),
            node: Node::open(&root, disk)?,
            processes: Processes::open(&root, processes, taskstats, &mut groups)?,
            groups,
            networks,
            own: Own::open()?,
            sensor: sensor.as_ref().map(GapSensor::start).transpose()?,
            round: 0,
        })
    }

    /// Reads what is due now, in the round that was due then (CLOCK_MONOTONIC).
    ///
    /// The probe's own CPU time is that of the whole process: a sampler inside another program counts its
    /// host's time as well.
    pub fn sample(&mut self, due_ns: u64) -> Sample {
        let before_ns = record::monotonic_ns();
        let due = self.tiers.due(due_ns, before_ns);
        let Self { page, node, groups, processes, networks, own, .. } = self;
        // What steps most and matters most comes first, closest to the moment that was due.
        let processes = processes.sample(due.slow, page);
        let cgroups = groups.sample(due, page);
        let (node, slow, reads) = node.sample(before_ns, due, page);
        let networks = networks.sample(due, &processes, page);
        let own = own.sample(before_ns.saturating_sub(due_ns), due.slow, page);
        let round = self.round;
        self.round += 1;
        let sensor = self.sensor.as_ref().map(GapSensor::read);
        let after_ns = record::monotonic_ns();
        Sample { round, due_ns, before_ns, after_ns, node, cgroups, processes, own, networks, slow, reads, sensor }
    }

    /// Skips rounds that could not be made in time.
    pub(crate) fn miss(&mut self, rounds: u64) {
        self.round += rounds;
        self.own.miss(rounds);
    }
}

/// Whether none is watched twice; each comes with its name.
fn one_of_each<'n, T: Ord + 'n>(kind: &'static str, watched: impl Iterator<Item = (&'n String, &'n T)>) -> Result<()> {
    let mut seen = BTreeSet::new();
    for (name, one) in watched {
        if !seen.insert(one) {
            return Err(Error::SameName { kind, name: name.clone() });
        }
    }
    Ok(())
}
