//! All watched processes, read together: one question to the kernel where that is permitted, a file a thread elsewhere.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use record::{ProcessSample, Reading};
use rustix::io::Errno;

use crate::cgroup::groups::Groups;
use crate::exits::Exits;
use crate::one_part;
use crate::proc::process::{EXITED, Found, Process};
use crate::proc::taskstats::{Taskstats, Totals};
use crate::proc::threads::RunTimes;
use crate::source::Page;
use crate::{Error, Result, absence};

/// The watched processes; those of one name are one part.
#[derive(Debug)]
pub(crate) struct Processes {
    watched: Vec<Watched>,
    taskstats: Option<Taskstats>,
    /// None where the kernel has no pidfd, and in a tree of text.
    exits: Option<Exits>,
    delay_accounting: bool,
}

#[derive(Debug)]
struct Watched {
    name: String,
    process: Process,
    cgroup: Option<String>,
}

impl Processes {
    /// Opens what is watched of each, and follows it to its cgroup.
    ///
    /// # Errors
    /// When one is not there or hidden, or descriptors are used up.
    pub(crate) fn open(root: &Path, named: Vec<(String, u32)>, taskstats: bool, groups: &mut Groups) -> Result<Self> {
        // What is asked of the kernel is of the running one, whatever text lies under the root.
        let live = root == Path::new("/");
        let taskstats = (taskstats && live).then(|| Taskstats::open().ok()).flatten();
        // Before their files, which then are of the same processes or of none.
        let exits = if live && !named.is_empty() { watch_for_exits(root, &named)? } else { None };
        let mut page = Page::new();
        let mut watched = Vec::with_capacity(named.len());
        for (name, pid) in named {
            let mut process = Process::open(root, &name, pid)?;
            if taskstats.is_none() {
                process.open_threads(&mut page)?;
            }
            watched.push(Watched { cgroup: groups.follow(pid)?, name, process });
        }
        let switch = fs::read_to_string(root.join("proc/sys/kernel/task_delayacct"));
        Ok(Self { watched, taskstats, exits, delay_accounting: switch.is_ok_and(|text| text.trim() == "1") })
    }

    /// The counters of all of them now.
    pub(crate) fn sample(&mut self, slow: bool, page: &mut Page) -> BTreeMap<String, ProcessSample> {
        let alive = self.look(page);
        let Self { watched, taskstats, delay_accounting, .. } = self;
        let found = match taskstats {
            Some(taskstats) => ask(taskstats, watched, alive),
            None => watched.iter_mut().zip(alive).map(|(w, alive)| sum(&mut w.process, alive, page)).collect(),
        };
        let mut samples: BTreeMap<String, ProcessSample> = BTreeMap::new();
        for (w, found) in watched.iter_mut().zip(found) {
            let mut sample = w.process.sample(found, slow, *delay_accounting, page);
            sample.cgroup.clone_from(&w.cgroup);
            let sample = match samples.remove(&w.name) {
                Some(before) => one_part::samples(before, sample),
                None => sample,
            };
            samples.insert(w.name.clone(), sample);
        }
        samples
    }

    /// Which live, and the number of their threads where that had to be looked at; the reason for one that does not.
    fn look(&mut self, page: &mut Page) -> Vec<Alive> {
        let looked = self.exits.as_mut().is_some_and(|exits| exits.look().is_ok());
        let alive = |(place, w): (usize, &Watched)| match &self.exits {
            Some(exits) if looked && exits.has_ended(place) => Err(EXITED.to_owned()),
            Some(_) if looked && self.taskstats.is_some() => Ok(None),
            _ => w.process.count(page).map(Some),
        };
        self.watched.iter().enumerate().map(alive).collect()
    }
}

type Alive = std::result::Result<Option<u64>, String>;

/// None where the kernel has no pidfd.
fn watch_for_exits(root: &Path, named: &[(String, u32)]) -> Result<Option<Exits>> {
    let pids: Vec<u32> = named.iter().map(|(_, pid)| *pid).collect();
    match Exits::of(&pids) {
        Ok(exits) => Ok(Some(exits)),
        Err(errno @ (Errno::MFILE | Errno::NFILE)) => {
            Err(Error::Descriptors { path: root.join("proc"), limit: absence::descriptor_limit(errno) })
        }
        Err(_) => Ok(None),
    }
}

fn sum(process: &mut Process, alive: Alive, page: &mut Page) -> Found {
    let count = match alive {
        Ok(Some(count)) => Ok(count),
        Ok(None) => process.count(page),
        Err(reason) => Err(reason),
    };
    match count {
        Ok(count) => process.sum_threads(count, page),
        Err(reason) => unfound(reason),
    }
}

/// Asks for all of them at once; they share one window.
fn ask(taskstats: &mut Taskstats, watched: &[Watched], alive: Vec<Alive>) -> Vec<Found> {
    let pids: Vec<u32> =
        watched.iter().zip(&alive).filter(|(_, alive)| alive.is_ok()).map(|(w, _)| w.process.pid()).collect();
    let read_ns = record::monotonic_ns();
    let answers = taskstats.ask(&pids);
    let took_ns = record::monotonic_ns().saturating_sub(read_ns);
    let mut answers = answers.map(Vec::into_iter);
    alive
        .into_iter()
        .map(|alive| {
            let count = match alive {
                Ok(count) => count,
                Err(reason) => return unfound(reason),
            };
            let totals = match &mut answers {
                Ok(answers) => answers.next().unwrap_or(Err(Errno::NOMSG)),
                Err(errno) => Err(*errno),
            };
            let times = match &totals {
                Ok(Totals { run_ns, run_delay_ns, timeslices, .. }) => {
                    Ok(RunTimes { run_ns: *run_ns, run_delay_ns: *run_delay_ns, timeslices: *timeslices })
                }
                Err(Errno::SRCH) => Err(EXITED.to_owned()),
                Err(errno) => Err(format!("taskstats gave no answer: {}", std::io::Error::from(*errno))),
            };
            Found { read_ns, took_ns, count, times, totals: totals.ok() }
        })
        .collect()
}

fn unfound(reason: String) -> Found {
    Found { read_ns: record::monotonic_ns(), took_ns: 0, count: None, times: Err(reason), totals: None }
}

/// Whether a process has ended, by its sample.
pub(crate) fn has_exited(sample: &ProcessSample) -> bool {
    matches!(&sample.run_ns, Reading::Absent { absent } if absent == EXITED)
}
