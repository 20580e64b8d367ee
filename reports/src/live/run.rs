//! Follows a run trial by trial: how many are made, which is being made, and how long still.

use std::path::Path;
use std::time::{Duration, SystemTime};

use record::{Run, RunDirectory, SCHEMA};
use serde::Serialize;

use super::{Follower, Now, Tenth};
use crate::Result;
use crate::findings::person_name;

/// How a run stands; what `meshtax serve` answers to who follows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct RunNow {
    /// The file format.
    pub schema: u32,
    /// The run's name.
    pub run: String,
    /// Whether somebody is making its trials.
    pub being_made: bool,
    /// Trials sealed.
    pub sealed: usize,
    /// Trials planned. A run may end before all of them are made.
    pub planned: usize,
    /// How long the trials to come should take, judged by those that were made.
    pub left_ns: u64,
    /// The trial that is being made; absent between two.
    pub trial: Option<TrialNow>,
    /// How it goes.
    pub now: Now,
    /// Its course, a point for each tenth of a second.
    pub course: Vec<Tenth>,
}

/// The trial that is being made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct TrialNow {
    /// Its id.
    pub id: String,
    /// Its place in the plan, from 1.
    pub number: usize,
    /// Its cell in words.
    pub label: String,
    /// The block it belongs to, from 1.
    pub block: u32,
}

/// A run that is followed.
#[derive(Debug)]
pub struct RunFollower {
    dir: RunDirectory,
    run: Run,
    current: Option<(usize, Follower)>,
}

impl RunFollower {
    /// Of a run directory.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(path: &Path) -> Result<Self> {
        let dir = RunDirectory::open(path)?;
        let run = dir.run()?;
        Ok(Self { dir, run, current: None })
    }

    /// Reads what is new.
    pub fn look(&mut self) -> RunNow {
        let sealed: Vec<bool> = self.run.trials.iter().map(|t| self.dir.is_sealed(&t.id)).collect();
        let made = sealed.iter().filter(|sealed| **sealed).count();
        let being_made = self.dir.is_locked();
        // Trials are made in the order of the plan: the one at work is the first that is not sealed and is there.
        let at = sealed.iter().position(|sealed| !sealed);
        let at = at.filter(|at| being_made && self.dir.trial_path(&self.run.trials[*at].id).is_dir());
        if self.current.as_ref().map(|(current, _)| *current) != at {
            let host = &self.run.host;
            let of = |at: usize| {
                let trial = self.dir.trial_path(&self.run.trials[at].id);
                (at, Follower::of(&trial, host.cpus_online.len(), host.steal_known.clone()))
            };
            self.current = at.map(of);
        }
        let now = self.current.as_mut().map(|(_, follower)| follower.look()).unwrap_or_default();
        let course = self.current.iter().flat_map(|(_, follower)| follower.course().copied()).collect();
        RunNow {
            schema: SCHEMA,
            run: self.run.id.clone(),
            being_made,
            sealed: made,
            planned: sealed.len(),
            left_ns: u64::try_from(self.left(&sealed).as_nanos()).unwrap_or(u64::MAX),
            trial: at.map(|at| self.trial(at)),
            now,
            course,
        }
    }

    fn trial(&self, at: usize) -> TrialNow {
        let planned = &self.run.trials[at];
        let label = self.run.cell(&planned.cell).map_or_else(|| planned.cell.clone(), |cell| person_name(&cell.label));
        TrialNow { id: planned.id.clone(), number: at + 1, label, block: planned.block }
    }

    /// The trials to come take as long as those made took, from seal to seal, or what their phases last and a second.
    fn left(&self, sealed: &[bool]) -> Duration {
        let made = sealed.iter().filter(|sealed| **sealed).count();
        let planned = Duration::from_nanos(self.run.timing.trial_ns()) + Duration::from_secs(1);
        let mut times: Vec<SystemTime> = self
            .run
            .trials
            .iter()
            .zip(sealed)
            .filter(|(_, sealed)| **sealed)
            .filter_map(|(trial, _)| seal_time(&self.dir.trial_path(&trial.id)))
            .collect();
        times.sort();
        let mut steps: Vec<Duration> =
            times.windows(2).filter_map(|pair| pair[1].duration_since(pair[0]).ok()).collect();
        steps.sort();
        // The median: a run that was cut off and resumed has a step of any length.
        let each = steps.get(steps.len() / 2).copied().unwrap_or(planned);
        let to_come = u32::try_from(sealed.len() - made).unwrap_or(u32::MAX);
        let since = times.last().and_then(|last| last.elapsed().ok()).unwrap_or_default();
        each.saturating_mul(to_come).saturating_sub(since.min(each))
    }
}

fn seal_time(trial: &Path) -> Option<SystemTime> {
    trial.join("trial.json").metadata().ok()?.modified().ok()
}
