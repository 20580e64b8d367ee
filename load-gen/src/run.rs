//! One load from its plan to its summary.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

use record::{LoadSummary, TrialDirectory, monotonic_ns};
use rustix::time::{ClockId, clock_gettime};

use crate::error::kernel;
use crate::fleet::{Fleet, request_bytes};
use crate::horizon::Horizon;
use crate::lag::Starvation;
use crate::pacer::Pacer;
use crate::plan::ns;
use crate::recorder::Recorder;
use crate::schedule::Schedule;
use crate::summary::summarise;
use crate::target::Target;
use crate::verdict::judge;
use crate::worker::{Finish, Worker};
use crate::writer::{Outbox, outbox};
use crate::{Error, Plan, Result};

/// Between the last connection opened and the first request due: the memory is made ready in it.
const LEAD_NS: u64 = 10_000_000;

/// Makes the load and says how it went. Setting `stop` ends it early: nothing more is sent, answers on the
/// way are waited for within the drain, and the summary counts what was due by then.
///
/// # Errors
/// When the plan makes no load, the target cannot be reached at the start, or the record cannot be written.
/// A request that fails is no error.
pub fn run(plan: &Plan, stop: &AtomicBool) -> Result<LoadSummary> {
    plan.check()?;
    let target = Target::parse(&plan.url)?;
    let bytes = request_bytes(plan, &target.path, &target.authority)?;
    let trial = plan.record_to.as_deref().map(TrialDirectory::at);
    if let Some(trial) = &trial {
        prepare(trial)?;
    }
    let cpu_before = cpu_seconds();
    let fleet = Fleet::open(plan, &target.addresses()?, &bytes)?;
    let (out, inbox) = outbox(plan.keep_slow);
    let broken = AtomicBool::new(false);
    let (worked, written) = std::thread::scope(|scope| {
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let writer = thread("writer")
            .spawn_scoped(scope, || inbox.run(trial.as_ref(), &broken))
            .map_err(kernel("start a thread"))?;
        let load = thread("load")
            .spawn_scoped(scope, || work(plan, fleet, out, [stop, &broken]))
            .map_err(kernel("start a thread"))?;
        let worked = load.join().map_err(|_| Error::Thread("load"))?;
        let written = writer.join().map_err(|_| Error::Thread("writer"))?;
        Ok::<_, Error>((worked, written))
    })?;
    // A writer's error first: it is why the load was cut short.
    let total = written?;
    let (finish, start_ns) = worked?;
    let mut summary = summarise(plan, start_ns, &total, finish, cpu_seconds() - cpu_before)?;
    judge(&mut summary, finish.stopped && stop.load(Ordering::Relaxed));
    if let Some(trial) = &trial {
        trial.write_load(&summary)?;
    }
    Ok(summary)
}

/// The load itself, on the thread that calls it; with the start of the measured phase.
fn work(plan: &Plan, fleet: Fleet, out: Outbox, signals: [&AtomicBool; 2]) -> Result<(Finish, u64)> {
    let pacer = Pacer::new(plan.pace)?;
    let start_ns = monotonic_ns() + LEAD_NS;
    let measure_from_ns = start_ns + ns(plan.warm_up);
    let worker = Worker {
        fleet,
        schedule: Schedule::new(plan.arrival, plan.rate_per_second, plan.seed),
        horizon: Horizon::new(measure_from_ns, ns(plan.duration), ns(plan.drain), signals),
        recorder: Recorder::new(start_ns, measure_from_ns, out),
        pacer,
        start_ns,
        waiting: VecDeque::with_capacity(plan.backlog as usize),
        starvation: Starvation::default(),
        next_index: 0,
        next_due_ns: start_ns,
    };
    Ok((worker.run()?, measure_from_ns))
}

/// Makes the directory, and refuses one that holds a load already.
fn prepare(trial: &TrialDirectory) -> Result<()> {
    std::fs::create_dir_all(trial.path()).map_err(|source| {
        Error::Record(record::Error::File { action: "create", path: trial.path().to_owned(), source })
    })?;
    for path in [trial.intervals_path(), trial.slow_path(), trial.load_path()] {
        if path.exists() {
            return Err(Error::AlreadyRecorded { path });
        }
    }
    Ok(())
}

/// CPU time of this process.
fn cpu_seconds() -> f64 {
    let t = clock_gettime(ClockId::ProcessCPUTime);
    t.tv_sec as f64 + t.tv_nsec as f64 / 1e9
}
