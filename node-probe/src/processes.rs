//! All watched processes, read together: one question to the kernel where that is permitted, a file a thread elsewhere.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use record::{ProcessSample, Reading};
use rustix::io::Errno;

use crate::Result;
use crate::cgroup::groups::Groups;
use crate::proc::process::{EXITED, Found, Process};
use crate::proc::taskstats::{Taskstats, Totals};
use crate::proc::threads::RunTimes;
use crate::source::Page;

/// The watched processes.
#[derive(Debug)]
pub(crate) struct Processes {
    watched: Vec<Watched>,
    taskstats: Option<Taskstats>,
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
        // What is asked over the socket is of the running kernel, whatever text lies under the root.
        let taskstats = (taskstats && root == Path::new("/")).then(|| Taskstats::open().ok()).flatten();
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
        Ok(Self { watched, taskstats, delay_accounting: switch.is_ok_and(|text| text.trim() == "1") })
    }

    /// The counters of all of them now.
    pub(crate) fn sample(&mut self, slow: bool, page: &mut Page) -> BTreeMap<String, ProcessSample> {
        let Self { watched, taskstats, delay_accounting } = self;
        let counts: Vec<_> = watched.iter().map(|w| w.process.count(page)).collect();
        let found = match taskstats {
            Some(taskstats) => ask(taskstats, watched, counts),
            None => watched
                .iter_mut()
                .zip(counts)
                .map(|(w, count)| match count {
                    Ok(count) => w.process.sum_threads(count, page),
                    Err(reason) => unfound(reason),
                })
                .collect(),
        };
        let samples = watched.iter_mut().zip(found).map(|(w, found)| {
            let mut sample = w.process.sample(found, slow, *delay_accounting, page);
            sample.cgroup.clone_from(&w.cgroup);
            (w.name.clone(), sample)
        });
        samples.collect()
    }
}

/// Asks for all of them at once; they share one window.
fn ask(taskstats: &mut Taskstats, watched: &[Watched], counts: Vec<std::result::Result<u64, String>>) -> Vec<Found> {
    let pids: Vec<u32> =
        watched.iter().zip(&counts).filter(|(_, count)| count.is_ok()).map(|(w, _)| w.process.pid()).collect();
    let read_ns = record::monotonic_ns();
    let answers = taskstats.ask(&pids);
    let took_ns = record::monotonic_ns().saturating_sub(read_ns);
    let mut answers = answers.map(Vec::into_iter);
    counts
        .into_iter()
        .map(|count| {
            let count = match count {
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
    Found { read_ns: record::monotonic_ns(), took_ns: 0, count: 0, times: Err(reason), totals: None }
}

/// Whether a process has ended, by its sample.
pub(crate) fn has_exited(sample: &ProcessSample) -> bool {
    matches!(&sample.threads, Reading::Absent { absent } if absent == EXITED)
}
