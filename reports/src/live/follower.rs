//! Follows one trial: each look reads what its files have grown by, and says how things stand.

use std::path::Path;

use record::{Phase, Reading, TrialDirectory};
use serde::Serialize;

use super::course::{Course, Tenth};
use super::lines::{IntervalLine, SampleLine};
use super::machine::{Machine, MachineNow};
use super::requests::{Requests, RequestsNow};
use super::tail::Tail;

/// How a trial stands that is being made.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Now {
    /// The phase in which the latest requests were due; absent before the load.
    pub phase: Option<Phase>,
    /// The last second of load.
    pub last_second: Option<RequestsNow>,
    /// The measured phase so far.
    pub so_far: Option<RequestsNow>,
    /// The machine in the last second or so.
    pub machine: Option<MachineNow>,
}

/// One trial's files while they grow.
#[derive(Debug)]
pub struct Follower {
    intervals: Tail,
    samples: Tail,
    requests: Requests,
    machine: Machine,
    course: Course,
}

impl Follower {
    /// Of a trial's directory, which need not be there yet, on a machine with so many CPUs; whether a steal of zero means
    /// anything there, is told by [`record::Host::steal_known`].
    pub fn of(trial: &Path, cpus: usize, steal_known: Reading<bool>) -> Self {
        let files = TrialDirectory::at(trial);
        Self {
            intervals: Tail::of(files.intervals_path()),
            samples: Tail::of(files.samples_path()),
            requests: Requests::default(),
            machine: Machine::new(cpus, steal_known),
            course: Course::default(),
        }
    }

    /// Reads what is new. A line that cannot be read is passed over: sealing refuses it, and says which.
    pub fn look(&mut self) -> Now {
        let (requests, course) = (&mut self.requests, &mut self.course);
        self.intervals.lines(|line| {
            if let Ok(line) = serde_json::from_slice::<IntervalLine>(line) {
                course.take(&line);
                requests.take(line);
            }
        });
        let machine = &mut self.machine;
        self.samples.lines(|line| {
            if let Ok(line) = serde_json::from_slice::<SampleLine>(line) {
                machine.take(&line);
            }
        });
        Now {
            phase: self.requests.phase(),
            last_second: self.requests.last_second(),
            so_far: self.requests.so_far(),
            machine: self.machine.now(),
        }
    }

    /// The course of the trial up to the last look, a point for each interval.
    pub fn course(&self) -> impl Iterator<Item = &Tenth> {
        self.course.tenths()
    }
}
