//! Connections that are open, and the loads made over them one after another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use record::{Balance, Histogram, LoadSummary, NoiseFloor, Observed, Pacing, Setup, TrialDirectory, monotonic_ns};
use rustix::time::{ClockId, clock_gettime};

use crate::arrivals::Arrivals;
use crate::error::kernel;
use crate::fleet::{Endpoint, Fleet};
use crate::horizon::Horizon;
use crate::kept::Kept;
use crate::mix::Mix;
use crate::naps::Naps;
use crate::own::{self, Usage};
use crate::pacer::Pacer;
use crate::plan::ns;
use crate::recorder::Recorder;
use crate::schedule::Schedule;
use crate::summary::summarise;
use crate::tally::Tally;
use crate::target::Place;
use crate::transport::Secure;
use crate::verdict::judge;
use crate::worker::{Finish, Lane, Worker};
use crate::writer::{Outbox, Sink, Watch, outboxes};
use crate::{Error, Plan, Portion, Result, floor};

/// Between the last connection opened and the first request due: the memory is made ready in it.
const LEAD_NS: u64 = 10_000_000;

/// So much less urgent than the load is the writing: where both want the same CPU, the load has it.
const NICER: i32 = 10;

/// A generator whose connections are open.
#[derive(Debug)]
pub struct Generator {
    plan: Plan,
    mix: Arc<Mix>,
    /// One for each thread.
    fleets: Vec<Fleet>,
    dns: Histogram,
    floor: Option<NoiseFloor>,
    cpu_before: f64,
    /// The open files of its next load.
    kept: Option<Kept>,
}

/// What the threads of a load give back.
struct Worked {
    finish: Finish,
    fleet: Fleet,
    usage: record::ThreadUse,
}

impl Generator {
    /// Opens all connections of a plan.
    ///
    /// # Errors
    /// When the plan makes no load, or the target cannot be reached or does not speak as it should.
    pub fn open(plan: &Plan) -> Result<Self> {
        plan.check()?;
        let mix = Arc::new(Mix::new(&plan.requests, plan.protocol, plan.keep_alive, plan.seed)?);
        let cpu_before = cpu_seconds();
        let floor = match plan.noise_floor {
            Some(length) => Some(floor::measure(length, &mut Pacer::new(plan.pace, ns(plan.batch))?)?),
            None => None,
        };
        let mut dns = Histogram::new();
        let mut candidates = Vec::new();
        for target in &mix.targets {
            let secure = target.tls.then(|| plan.trust.secure(target, plan.protocol.alpn())).transpose()?;
            let (places, took_ns) = target.places(plan.unix.as_deref())?;
            dns.record(took_ns);
            candidates.push((places, secure));
        }
        let each = candidates.len() as u32;
        if plan.connections < each * plan.threads {
            return Err(Error::Plan {
                what: "the number of connections",
                found: plan.connections.to_string(),
                remedy: "it must be enough for one from each thread to each target",
            });
        }
        let mut fleets = Vec::new();
        for thread in 0..plan.threads {
            // The first take one more where they do not come out even.
            let connections = plan.connections / plan.threads + u32::from(thread < plan.connections % plan.threads);
            fleets.push(open_any(plan, &mix, &candidates, connections)?);
        }
        Ok(Self { plan: plan.clone(), mix, fleets, dns, floor, cpu_before, kept: None })
    }

    /// Has the next load written into files that are open, in place of the directory that the plan names.
    pub fn keep(&mut self, kept: Kept) {
        self.kept = Some(kept);
    }

    /// Makes a load with these arrivals over the open connections, and says how it went.
    ///
    /// # Errors
    /// When the record cannot be written, or the kernel refuses something no load can be made without.
    pub fn load(
        &mut self,
        arrivals: &Arrivals,
        warm_up: Duration,
        duration: Duration,
        seed: u64,
        stop: &AtomicBool,
        watch: Option<Watch<'_>>,
    ) -> Result<LoadSummary> {
        let plan = Plan { arrivals: arrivals.clone(), warm_up, duration, seed, ..self.plan.clone() };
        plan.check()?;
        let (lines, kept) = self.kept.take().map(|Kept { lines, summary }| (lines, summary)).unzip();
        let trial = plan.record_to.as_deref().filter(|_| kept.is_none()).map(TrialDirectory::at);
        let steal = own::steal_ticks();
        let start_ns = start(plan.start_at_ns, monotonic_ns() + LEAD_NS)?;
        let measure_from_ns = start_ns + ns(warm_up);
        let (outs, inbox) = outboxes(plan.threads, plan.keep_slow);
        let broken = AtomicBool::new(false);
        let mut fleets = std::mem::take(&mut self.fleets);
        fleets.iter_mut().for_each(Fleet::begin_load);
        let mix = &self.mix;
        let sink = Sink::new(trial.as_ref()).kept(lines).measured(measure_from_ns, ns(duration), watch);
        let (worked, written) = std::thread::scope(|scope| {
            let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
            let write = || {
                // Of this thread alone, on Linux; where it is refused, the writer is only as urgent as the load.
                let _ = rustix::process::nice(NICER);
                inbox.run(sink, &broken)
            };
            let writer = thread("writer").spawn_scoped(scope, write).map_err(kernel("start a thread"))?;
            let mut loads = Vec::new();
            for (number, (fleet, out)) in fleets.into_iter().zip(outs).enumerate() {
                let (plan, signals) = (&plan, [stop, &broken]);
                let work = move || work(plan, mix, fleet, out, number as u32, start_ns, signals);
                loads.push(thread("load").spawn_scoped(scope, work).map_err(kernel("start a thread"))?);
            }
            let mut worked = Vec::new();
            for load in loads {
                worked.push(load.join().map_err(|_| Error::Thread("load"))?);
            }
            let written = writer.join().map_err(|_| Error::Thread("writer"))?;
            Ok::<_, Error>((worked, written))
        })?;
        // A writer's error first: it is why the load was cut short.
        let (total, stationarity) = written?;
        let worked = worked.into_iter().collect::<Result<Vec<Worked>>>()?;
        let threads = worked.iter().map(|w| w.usage.clone()).collect();
        let (finish, fleets) = together(worked)?;
        self.fleets = fleets;
        let observed = Observed {
            threads,
            steal_ticks: own::since(&steal, own::steal_ticks()),
            first_byte_ns: (&total.first_byte).into(),
            stationarity,
            ..self.observe(&plan, &finish)?
        };
        let cpu = cpu_seconds() - std::mem::replace(&mut self.cpu_before, cpu_seconds());
        let stopped = finish.stopped && stop.load(Ordering::Relaxed);
        let mut summary = summarise(&plan, measure_from_ns, &total, &finish, cpu, observed)?;
        judge(&mut summary, stopped);
        if let Some(trial) = &trial {
            trial.write_load(&summary)?;
        }
        if let Some(kept) = kept {
            kept.write(&summary)?;
        }
        Ok(summary)
    }

    fn observe(&self, plan: &Plan, finish: &Finish) -> Result<Observed> {
        let tally = &finish.tally;
        let (mut connect, mut tls, mut opened) = (Histogram::new(), Histogram::new(), 0);
        for fleet in &self.fleets {
            connect.add(&fleet.setup.connect)?;
            tls.add(&fleet.setup.tls)?;
            opened += fleet.setup.opened;
        }
        let answers: Vec<u64> = self.fleets.iter().flat_map(Fleet::answers).collect();
        let used = answers.iter().filter(|n| **n > 0).count() as u32;
        let balance = (used > 0).then(|| Balance {
            used,
            fewest: answers.iter().copied().min().unwrap_or(0),
            most: answers.iter().copied().max().unwrap_or(0),
        });
        let batch_ns = if plan.pace == record::Pace::Economy { ns(plan.batch) } else { 0 };
        Ok(Observed {
            protocol: self.protocol(),
            plan: plan.arrivals.to_string(),
            pacing: tally.gaps().map(|(planned, sent)| Pacing { batch_ns, planned, sent }),
            kept_back: (tally.kept_back.requests > 0).then_some(tally.kept_back),
            naps_ns: tally.naps.as_ref().filter(|naps| naps.count() > 0).map(Into::into),
            setup_ns: Setup { opened, dns: (&self.dns).into(), connect: (&connect).into(), tls: (&tls).into() },
            bytes_read: tally.bytes_read,
            split: tally.shares(),
            requests: tally.kinds(),
            retried: tally.retried,
            extra_attempts: tally.extra_attempts,
            overloaded: tally.overloaded,
            grpc_statuses: tally.grpc_statuses.clone(),
            grpc_messages: tally.grpc_messages,
            balance,
            noise_floor: self.floor,
            ..Observed::default()
        })
    }

    /// What is spoken, in words.
    fn protocol(&self) -> String {
        let mut said = self.plan.protocol.word().to_owned();
        if let Some(version) = self.fleets.iter().find_map(Fleet::tls_version) {
            said.push_str(" over ");
            said.push_str(version);
        }
        if !self.plan.keep_alive {
            said.push_str(", a connection a request");
        }
        said
    }
}

/// When the plan begins: as soon as it can, or at the moment that was agreed on with other generators, which none may
/// miss, since all are to be due on one schedule.
fn start(agreed_ns: Option<u64>, soonest_ns: u64) -> Result<u64> {
    match agreed_ns {
        Some(agreed_ns) if agreed_ns < soonest_ns => Err(Error::LateStart { late_ns: soonest_ns - agreed_ns }),
        Some(agreed_ns) => Ok(agreed_ns),
        None => Ok(soonest_ns),
    }
}

/// The places an endpoint may be at, and how TLS is spoken with it.
type Candidate = (Vec<Place>, Option<Secure>);

/// Opens connections to the first of the places of each endpoint that lets itself be connected to.
fn open_any(plan: &Plan, mix: &Arc<Mix>, candidates: &[Candidate], connections: u32) -> Result<Fleet> {
    let most = candidates.iter().map(|(places, _)| places.len()).max().unwrap_or(0);
    let mut refused = None;
    for attempt in 0..most {
        let endpoint = |(places, secure): &Candidate| {
            places.get(attempt).or(places.last()).map(|place| Endpoint { place: place.clone(), secure: secure.clone() })
        };
        let endpoints: Vec<Endpoint> = candidates.iter().filter_map(endpoint).collect();
        match Fleet::open(plan, Arc::clone(mix), endpoints, connections) {
            Ok(fleet) => return Ok(fleet),
            Err(e) => refused = Some(e),
        }
    }
    Err(refused.unwrap_or_else(|| kernel("find an address")(rustix::io::Errno::ADDRNOTAVAIL)))
}

/// The part of one thread, on the thread that calls it.
fn work(
    plan: &Plan,
    mix: &Arc<Mix>,
    fleet: Fleet,
    out: Outbox,
    number: u32,
    start_ns: u64,
    signals: [&AtomicBool; 2],
) -> Result<Worked> {
    let usage = Usage::begin(plan.cpus.get(number as usize).copied())?;
    let measure_from_ns = start_ns + ns(plan.warm_up);
    let think_ns = match plan.arrivals {
        Arrivals::Closed { think } => Some(ns(think)),
        _ => None,
    };
    let gap_ns = plan.own_rate().map(|rate| f64::from(plan.threads) * 1e9 / rate);
    let Portion { at, of } = plan.portion;
    let worker = Worker {
        fleet,
        mix: Arc::clone(mix),
        schedule: Schedule::new(&plan.arrivals, ns(plan.warm_up), ns(plan.duration), plan.seed),
        think_ns,
        horizon: Horizon::new(measure_from_ns, ns(plan.duration), ns(plan.drain), signals),
        recorder: Recorder::new(start_ns, measure_from_ns, out),
        tally: Tally::new(measure_from_ns, gap_ns, plan.split_by.is_some(), &plan.kinds()),
        pacer: Pacer::new(plan.pace, ns(plan.batch))?,
        naps: (think_ns == Some(0) && plan.pace == record::Pace::Economy).then(Naps::new),
        start_ns,
        lanes: mix.targets.iter().map(|_| Lane::new(plan.backlog)).collect(),
        stride: u64::from(plan.threads) * u64::from(of),
        next_index: u64::from(number) * u64::from(of) + u64::from(at),
        next_due_ns: start_ns,
    };
    let (finish, fleet) = worker.run()?;
    Ok(Worked { finish, fleet, usage: usage.end() })
}

/// The parts of all threads as one.
fn together(worked: Vec<Worked>) -> Result<(Finish, Vec<Fleet>)> {
    let mut all =
        Finish { measured_ns: 0, last_done_ns: 0, answered_in_time: 0, stopped: false, tally: Tally::default() };
    let mut fleets = Vec::new();
    for (number, Worked { finish, fleet, usage: _ }) in worked.into_iter().enumerate() {
        let Finish { measured_ns, last_done_ns, answered_in_time, stopped, tally } = finish;
        all.measured_ns = all.measured_ns.max(measured_ns);
        all.last_done_ns = all.last_done_ns.max(last_done_ns);
        all.answered_in_time += answered_in_time;
        all.stopped |= stopped;
        if number == 0 {
            all.tally = tally;
        } else {
            all.tally.add(tally)?;
        }
        fleets.push(fleet);
    }
    Ok((all, fleets))
}

/// CPU time of this process.
fn cpu_seconds() -> f64 {
    let t = clock_gettime(ClockId::ProcessCPUTime);
    t.tv_sec as f64 + t.tv_nsec as f64 / 1e9
}
