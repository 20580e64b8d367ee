//! The trials of a run in a cluster, one after another, from the first that is not sealed; nothing of them stays there.

use std::cell::Cell as Kept;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use record::{Cell, Lock, PlannedTrial, Run, RunDirectory};
use scenarios::{Scenario, Shape};

use super::cluster::Cluster;
use super::fleet::Fleet;
use super::images::Images;
use super::lease;
use super::stage::{Of, Stage};
use super::trial::{self, Asked};
use crate::campaign::what_is_left;
use crate::exit::{self, Exit};
use crate::interrupt::Interrupt;
use crate::progress::{Progress, say};
use crate::report;

/// How often a run says that it is alive.
const RENEW_EVERY: Duration = Duration::from_secs(30);

/// What is to be made, and for whom.
#[derive(Clone, Copy)]
pub(super) struct Campaign<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) interrupt: &'a Interrupt,
    pub(super) cells: &'a [Cell],
    pub(super) shapes: &'a BTreeMap<String, Shape>,
    pub(super) order: &'a [PlannedTrial],
}

/// The run directory of a campaign, which nobody else writes to.
pub(super) struct Open {
    pub(super) directory: RunDirectory,
    pub(super) run: Run,
    /// What sealed trials were made of.
    pub(super) images: Images,
    pub(super) _lock: Lock,
}

/// What is done with the first pods that stand, by which is known which machine it is about.
pub(super) type First<'a> = &'a dyn Fn(&Fleet<'_>, Option<Open>) -> anyhow::Result<Open>;

impl Campaign<'_> {
    /// Makes what is missing. `open` is the run directory where there is one already; without it, `first` makes it.
    pub(super) fn execute(
        &self,
        mut stage: Stage<'_>,
        mut open: Option<Open>,
        first: First<'_>,
    ) -> anyhow::Result<RunDirectory> {
        let run = stage.kept.run.clone();
        let made = self.trials(&mut stage, &mut open, first);
        // Whatever it was that ended it, nothing stays.
        self.cluster.be_heedless();
        clean(self.cluster, &run);
        let left = open.as_ref().map(|open| (open.directory.clone(), open.run.clone()));
        match (made, left) {
            (Ok(()), Some((directory, _))) => Ok(directory),
            (Ok(()), None) => anyhow::bail!("the plan has no trial"),
            (Err(error), Some((directory, run))) => Err(kept(error, &directory, &run)?),
            (Err(error), None) => Err(error),
        }
    }

    fn trials(&self, stage: &mut Stage<'_>, open: &mut Option<Open>, first: First<'_>) -> anyhow::Result<()> {
        say("waiting for the probe of each node\n");
        stage.raise_probe()?;
        let alive = Alive::new(self.cluster, stage.namespace())?;
        let mut progress: Option<Progress> = None;
        for (at, planned) in self.order.iter().enumerate() {
            if open.as_ref().is_some_and(|open| open.directory.is_sealed(&planned.id)) {
                continue;
            }
            let (cell, name) = self.cell(planned)?;
            let shape = self.shapes.get(&cell.factors.chain);
            let shape = shape.ok_or_else(|| anyhow::anyhow!("the scenario has no shape '{}'", cell.factors.chain))?;
            let of = Of { cell, name: &name, shape };
            if let Some(progress) = &mut progress {
                progress.begin(at + 1, &cell.label);
            }
            let fleet = stage.raise(of)?;
            alive.say()?;
            if progress.is_none() {
                *open = Some(first(&fleet, open.take())?);
            }
            let Some(Open { directory, run, images, .. }) = open.as_mut() else { continue };
            directory.write_cluster(&stage.kept)?;
            images.expect(cell.factors.dataplane, fleet.seats.iter().chain(&fleet.shared))?;
            let progress = progress.get_or_insert_with(|| {
                let mut begun = progress_of(run);
                begun.begin(at + 1, &cell.label);
                begun
            });
            let asked = Asked { run, planned, cell, shape, interrupt: self.interrupt };
            let check = || {
                alive.say()?;
                stage.check(of, &fleet.seats)
            };
            let shift = |weights: &record::Weights| stage.shift(of, weights);
            trial::make(&asked, &fleet, directory.begin_trial(&planned.id)?, progress, &check, &shift)?;
            stage.lower(of)?;
            progress.end();
        }
        Ok(())
    }

    /// The cell of a trial, with its short name, which is that of its place in the plan.
    fn cell(&self, planned: &PlannedTrial) -> anyhow::Result<(&Cell, String)> {
        let at = self.cells.iter().position(|cell| cell.id == planned.cell);
        let at = at.ok_or_else(|| anyhow::anyhow!("the plan has a trial of '{}', which is no cell", planned.cell))?;
        Ok((&self.cells[at], format!("c{}", at + 1)))
    }
}

/// The shape of each chain of the cells.
pub(super) fn shapes(scenario: &Scenario, cells: &[Cell]) -> anyhow::Result<BTreeMap<String, Shape>> {
    cells.iter().map(|cell| Ok((cell.factors.chain.clone(), scenario.shape(&cell.factors)?))).collect()
}

pub(super) fn progress_of(run: &Run) -> Progress {
    Progress::new(run.trials.len(), Duration::from_nanos(run.timing.trial_ns()))
}

/// Removes what this run has in a cluster.
fn clean(cluster: &Cluster, run: &str) {
    let cleaned = lease::all(cluster).and_then(|runs| match runs.get(run) {
        Some(left) => lease::remove(cluster, &left.namespaces),
        None => Ok(()),
    });
    if let Err(error) = cleaned {
        say(&format!(
            "what is left in the cluster could not be removed: {}\n  later: meshtax k8s clean --run {run}\n",
            exit::say(&error)
        ));
    }
}

/// What was sealed before a run ended early gets its report, and it is said how it goes on.
fn kept(error: anyhow::Error, directory: &RunDirectory, run: &Run) -> anyhow::Result<anyhow::Error> {
    let sealed = run.trials.iter().filter(|t| directory.is_sealed(&t.id)).count();
    if sealed > 0 {
        let written = reports::explain(directory).map_err(Into::into).and_then(|e| report::write_all(&e, directory));
        if let Err(why) = written {
            say(&format!("the report could not be written: {}\n", exit::say(&why)));
        }
    }
    say(&format!("{}\n", what_is_left(directory, run, sealed)));
    report::print(&directory.path().display().to_string())?;
    Ok(error)
}

/// The report, where there is a run; its path is the last line on stdout.
pub(super) fn conclude(
    made: anyhow::Result<RunDirectory>,
    strict: bool,
    interrupt: &Interrupt,
) -> anyhow::Result<ExitCode> {
    let directory = match made {
        Ok(directory) => directory,
        Err(error) if interrupt.asked() => {
            say(&format!("stopped: {}\n", exit::say(&error)));
            return Ok(Exit::Cut.into());
        }
        Err(error) => return Err(error),
    };
    let explained = reports::explain(&directory)?;
    report::write_all(&explained, &directory)?;
    report::print(&report::text(&explained.findings))?;
    say(&format!("report: {}\n", directory.path().join("report.html").display()));
    report::print(&directory.path().display().to_string())?;
    Ok(report::judge(&explained.findings, strict).into())
}

/// Says now and then that a run is alive.
struct Alive<'a> {
    cluster: &'a Cluster,
    namespace: String,
    said: Kept<Instant>,
}

impl<'a> Alive<'a> {
    fn new(cluster: &'a Cluster, namespace: String) -> anyhow::Result<Self> {
        lease::renew(cluster, &namespace)?;
        Ok(Self { cluster, namespace, said: Kept::new(Instant::now()) })
    }

    fn say(&self) -> anyhow::Result<()> {
        if self.said.get().elapsed() >= RENEW_EVERY {
            lease::renew(self.cluster, &self.namespace)?;
            self.said.set(Instant::now());
        }
        Ok(())
    }
}
