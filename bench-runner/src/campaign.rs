//! The trials of a run, one after another, from the first that is not sealed; then the report.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use record::{Run, RunDirectory};
use scenarios::Scenario;

use crate::disk::beside::{self, Beside};
use crate::exit::{self, Exit};
use crate::interrupt::{Interrupt, Stopped};
use crate::lab::Lab;
use crate::progress::{LiveArgs, Progress, say};
use crate::report;
use crate::run::until::Watch;
use crate::trial::{self, Conditions};

/// What follows the last trial.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending {
    /// A warning that touches the result fails the run.
    pub(crate) strict: bool,
    /// Whether the disk is tested.
    pub(crate) beside: Beside,
}

/// What belongs to a sitting and not to the run.
pub(crate) struct Sitting<'a> {
    pub(crate) lab: Lab,
    pub(crate) interrupt: &'a Interrupt,
    pub(crate) live: LiveArgs,
    pub(crate) ending: Ending,
}

/// Makes what is missing, then reports. The run directory's path is the last line on stdout, however it ends.
pub(crate) fn execute(directory: &RunDirectory, run: &Run, sitting: Sitting<'_>) -> anyhow::Result<ExitCode> {
    let Sitting { lab, interrupt, live, ending } = sitting;
    let _lock = directory.lock()?;
    let made = trials(directory, run, &lab, interrupt, live);
    // Processes and cgroups are gone before anything is said.
    drop(lab);
    let sealed = run.trials.iter().filter(|t| directory.is_sealed(&t.id)).count();
    let result = match made {
        Ok(()) => {
            if ending.beside.disk {
                beside::after(directory, ending.beside, interrupt);
            }
            finish(directory, ending.strict).map_err(|error| told(error, directory, run, sealed))
        }
        // A part that was hit by the same signal, or given up in its start, fails in its own way.
        Err(_) if interrupt.asked() => {
            // A report of what there is; it says itself that it is of a part.
            if sealed > 0
                && let Err(error) =
                    reports::explain(directory).map_err(Into::into).and_then(|e| report::write_all(&e, directory))
            {
                say(&format!("the report could not be written: {}\n", exit::say(&error)));
            }
            say(&format!("stopped: {}\n", what_is_left(directory, run, sealed)));
            Ok(Exit::Cut.into())
        }
        Err(error) => Err(told(error, directory, run, sealed)),
    };
    report::print(&directory.path().display().to_string())?;
    result
}

/// The error with what is left of the run.
fn told(error: anyhow::Error, directory: &RunDirectory, run: &Run, sealed: usize) -> anyhow::Error {
    let error = with_cause(error, directory.path());
    anyhow::anyhow!("{}\n  {}", exit::say(&error), what_is_left(directory, run, sealed))
}

/// A part whose log is on a full disk cannot say why it ended; the disk can.
fn with_cause(error: anyhow::Error, at: &Path) -> anyhow::Error {
    match rustix::fs::statvfs(at) {
        Ok(disk) if disk.f_bavail * disk.f_frsize < LEAST_FREE_BYTES => anyhow::anyhow!(
            "No space left on the disk of {}: {}\n  try: free some, or choose another place with --out DIR",
            at.display(),
            exit::say(&error)
        ),
        _ => error,
    }
}

/// With less than this a log or a line may not have found its place.
const LEAST_FREE_BYTES: u64 = 64 << 10;

/// What is kept of a run that ended early, and how it goes on.
pub(crate) fn what_is_left(directory: &RunDirectory, run: &Run, sealed: usize) -> String {
    format!(
        "{sealed} of {} trials are sealed and kept; go on with: meshtax resume {}",
        run.trials.len(),
        directory.path().display()
    )
}

fn trials(directory: &RunDirectory, run: &Run, lab: &Lab, interrupt: &Interrupt, live: LiveArgs) -> anyhow::Result<()> {
    let planned = Duration::from_nanos(run.timing.trial_ns());
    let mut progress = Progress::new(run.trials.len(), planned);
    if live.shown() {
        progress = progress.live(&run.host);
    }
    let scenario = Scenario::parse(&run.scenario_toml, "the scenario in run.json")?;
    let conditions = Conditions {
        lab,
        programs: lab.programs(),
        program: lab.program(),
        program_says: None,
        run,
        scenario: &scenario,
        interrupt,
        run_path: directory.path(),
        beside: None,
    };
    let watch = Watch::begin(directory, run, planned);
    for (at, planned) in run.trials.iter().enumerate() {
        if directory.is_sealed(&planned.id) {
            continue;
        }
        if let Some(end) = watch.end(planned)? {
            directory.write_end(&end)?;
            progress.clear();
            say(&format!("ended: {}\n", end.evidence));
            break;
        }
        if interrupt.asked() {
            return Err(Stopped.into());
        }
        let cell = run.cell(&planned.cell).ok_or_else(|| {
            anyhow::anyhow!("run.json plans a trial of cell '{}', which it does not have", planned.cell)
        })?;
        progress.begin(at + 1, &cell.label);
        let trial_directory = directory.begin_trial(&planned.id)?;
        progress.follow(trial_directory.path());
        trial::make(&conditions, planned, cell, trial_directory, &mut progress)?;
        progress.end();
    }
    Ok(())
}

fn finish(directory: &RunDirectory, strict: bool) -> anyhow::Result<ExitCode> {
    let explained = reports::explain(directory)?;
    report::write_all(&explained, directory)?;
    let findings = explained.findings;
    report::print(&(report::text(&findings) + &beside::section(directory)?))?;
    say(&format!("report: {}\n", directory.path().join("report.html").display()));
    Ok(report::judge(&findings, strict).into())
}
