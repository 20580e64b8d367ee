//! One trial in pods: tried, held, watched, loaded, fetched, proven; then it is sealed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use record::{
    Cell, Edges, Entry, Factors, Interval, LoadSummary, METHOD, Phase, PhaseSpan, PlannedTrial, Proof, Role, Run,
    SCHEMA, Sample, Sidecars, SlowRequest, Timing, Trial, TrialDirectory,
};
use scenarios::Shape;

use super::clocks::Clocks;
use super::fleet::{self, Fleet, ended, proxy_name, role_of, sidecar_of};
use super::generators::{self, Recorded};
use super::pods::Seat;
use super::proofs::{self, Callee};
use super::reach::Reach;
use super::tending::{TellWeights, Tending};
use super::trouble::Trouble;
use crate::interrupt::Interrupt;
use crate::one_clock::{on_clock, together};
use crate::plan::arrival_seed;
use crate::pod::words::{self, Found, FoundPart, Held};
use crate::progress::Progress;
use crate::trial::steadiness;

/// How often it is asked how the load goes: each time is a request to the API server.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// How long the load may take beyond its plan.
const LOAD_GRACE: Duration = Duration::from_secs(60);

/// What a trial is of.
pub(super) struct Asked<'a> {
    pub(super) run: &'a Run,
    pub(super) planned: &'a PlannedTrial,
    pub(super) cell: &'a Cell,
    pub(super) shape: &'a Shape,
    pub(super) interrupt: &'a Interrupt,
}

/// Looks whether all pods are still what they were.
pub(super) type Check<'a> = &'a dyn Fn() -> anyhow::Result<()>;

/// Makes one trial and seals it.
pub(super) fn make(
    asked: &Asked<'_>,
    fleet: &Fleet<'_>,
    directory: TrialDirectory,
    progress: &mut Progress,
    check: Check<'_>,
    tell: TellWeights<'_>,
) -> anyhow::Result<()> {
    let Asked { run, planned, cell, shape, interrupt } = asked;
    let timing = run.timing;
    progress.phase("start");
    let loads = fleet.of(Role::Load);
    fleet.answers(shape, interrupt)?;
    let seed = arrival_seed(run.seed, planned.block);
    for load in &loads {
        fleet.reach.order::<serde_json::Value>(load, words::HOLD, &Held { seed })?;
    }
    let clocks = fleet.clocks()?;
    let found = fleet.watch()?;
    let before = fleet.edges(&clocks)?;
    let mut tending = Tending::prepare(fleet, &clocks, &cell.factors, tell)?;

    progress.phase(Phase::Settle.word());
    let settled = clocks.now();
    interrupt.sleep(Duration::from_nanos(timing.settle_ns), || Ok(()))?;
    let released = clocks.now();
    for load in &loads {
        fleet.reach.order::<serde_json::Value>(load, words::GO, &())?;
    }
    tending.begin(&cell.factors)?;
    fleet.follow(asked, &mut tending, (&clocks, released), progress, check)?;
    let tended = tending.end()?;

    progress.phase(Phase::CoolDown.word());
    let cooling = clocks.now();
    interrupt.sleep(Duration::from_nanos(timing.cool_down_ns), || Ok(()))?;
    let cooled = clocks.now();
    let edges = Some(Edges { before, after: fleet.edges(&clocks)? });
    for probe in fleet.probes.values() {
        fleet.reach.order::<serde_json::Value>(probe, words::END, &())?;
    }
    progress.phase("fetch");
    let summary = fleet.fetch(&loads, &clocks, &directory)?;
    let mut proofs = fleet.prove(asked, &directory)?;
    proofs.extend(tended.proofs);
    let steps = fleet.clock_steps(&clocks)?;
    check()?;
    for load in loads.iter().filter(|_| !fleet.stays) {
        // Done: whether it hears that is no matter of the trial.
        let _ = fleet.reach.order::<serde_json::Value>(load, words::LEAVE, &());
    }
    let late = steadiness::begun_late(released, summary.start_ns.saturating_sub(timing.warm_up_ns));
    let doubts = clocks.doubt().into_iter().chain(steps).chain(late).chain(tended.late);
    let trial = Trial {
        schema: SCHEMA,
        method: METHOD,
        id: planned.id.clone(),
        cell: cell.id.clone(),
        block: planned.block,
        position: position(run, planned),
        phases: phases(&timing, &summary, (settled, released), (cooling, cooled)),
        anchor: clocks.anchor,
        warnings: summary.warnings.iter().cloned().chain(doubts).collect(),
        load: summary,
        parts: fleet.parts(&found),
        proofs,
        events: tended.events,
        lacks: Vec::new(),
        edges,
        cpus: None,
        sums: None,
    };
    directory.seal(&trial)?;
    Ok(())
}

/// Its place in the run, from 1.
fn position(run: &Run, planned: &PlannedTrial) -> u32 {
    let at = run.trials.iter().position(|trial| trial.id == planned.id);
    at.map_or(0, |at| u32::try_from(at + 1).unwrap_or(u32::MAX))
}

/// The phases in order; settling and cooling down are given with their ends.
fn phases(timing: &Timing, load: &LoadSummary, settle: (u64, u64), cool_down: (u64, u64)) -> Vec<PhaseSpan> {
    let span = |phase, (start_ns, end_ns)| PhaseSpan { phase, start_ns, end_ns };
    vec![
        span(Phase::Settle, settle),
        span(Phase::WarmUp, (load.start_ns.saturating_sub(timing.warm_up_ns), load.start_ns)),
        span(Phase::Measure, (load.start_ns, load.start_ns + load.duration_ns)),
        span(Phase::CoolDown, cool_down),
    ]
}

impl Fleet<'_> {
    /// Waits for the load to end, while every pod must stay what it was; does what falls due meanwhile.
    fn follow(
        &self,
        asked: &Asked<'_>,
        tending: &mut Tending<'_>,
        (clocks, released): (&Clocks, u64),
        progress: &mut Progress,
        check: Check<'_>,
    ) -> anyhow::Result<()> {
        let timing = asked.run.timing;
        let begun = Instant::now();
        let deadline = begun + Duration::from_nanos(timing.warm_up_ns + timing.measure_ns) + LOAD_GRACE;
        let mut asked_at = begun;
        loop {
            let since = clocks.now().saturating_sub(released);
            progress.phase(if since < timing.warm_up_ns { Phase::WarmUp.word() } else { Phase::Measure.word() });
            tending.tend(i128::from(since) - i128::from(timing.warm_up_ns))?;
            asked.interrupt.sleep(Duration::from_millis(20), || Ok(()))?;
            if asked_at.elapsed() < ASK_EVERY {
                continue;
            }
            asked_at = Instant::now();
            check()?;
            let mut running = 0;
            for load in self.of(Role::Load) {
                match self.reach.says(load)?.phase {
                    words::Phase::Failed { problem } => return Err(ended(load, problem)),
                    words::Phase::Done => {}
                    _ => running += 1,
                }
            }
            if running == 0 {
                return Ok(());
            }
            if Instant::now() > deadline {
                let last = format!("{running} generators are still at work");
                let (what, seconds) = ("the end of the load".to_owned(), begun.elapsed().as_secs_f64());
                return Err(Trouble::Late { what, namespace: self.namespace.clone(), seconds, last }.into());
            }
        }
    }

    /// Takes what was recorded into the trial's directory.
    fn fetch(&self, loads: &[&Seat], clocks: &Clocks, directory: &TrialDirectory) -> anyhow::Result<LoadSummary> {
        let logs = directory.path().join("logs");
        std::fs::create_dir_all(&logs)?;
        let file = |seat: &Seat, name: &str| self.reach.get(seat, &format!("{}{name}", words::FILES));
        let mut recorded = Vec::new();
        let mut slow = Vec::new();
        for load in loads {
            recorded.push(Recorded {
                summary: serde_json::from_slice(&file(load, "load.json")?)?,
                intervals: lines::<Interval>(&file(load, "intervals.jsonl")?)?,
            });
            // Slow requests of other generators are on clocks of their own.
            if slow.is_empty() {
                slow = lines::<SlowRequest>(&file(load, "slow.jsonl")?)?;
            }
        }
        let whole = generators::together(&recorded)?;
        if clocks.are_several() {
            slow.iter_mut().for_each(|request| request.hops.clear());
        }
        let mut streams: BTreeMap<&str, Vec<Sample>> = BTreeMap::new();
        for (node, probe) in &self.probes {
            streams.insert(node, lines(&file(probe, "samples.jsonl")?)?);
        }
        let main = fleet::main_node(self.seats.iter().map(|seat| seat.node.as_str())).unwrap_or_default().to_owned();
        let main_offset = clocks.of(&main);
        let first = streams.remove(main.as_str()).unwrap_or_default();
        let others =
            streams.into_iter().map(|(node, samples)| (clocks.of(node).beside(main_offset), samples)).collect();
        // All on the clock of the load's node.
        let samples = on_clock(together(first, others), main_offset);
        write_lines(&directory.intervals_path(), &whole.intervals)?;
        write_lines(&directory.slow_path(), &slow)?;
        write_lines(&directory.samples_path(), &samples)?;
        directory.write_load(&whole.summary)?;
        for seat in self.seats.iter().chain(self.probes.values()) {
            if let Ok(log) = file(seat, "part.log") {
                std::fs::write(logs.join(format!("{}.log", seat.part)), log)?;
            }
        }
        Ok(whole.summary)
    }

    fn prove(&self, asked: &Asked<'_>, directory: &TrialDirectory) -> anyhow::Result<Vec<Proof>> {
        let factors = &asked.cell.factors;
        let mut found: BTreeMap<String, FoundPart> = BTreeMap::new();
        for (node, probe) in &self.probes {
            let read: Found = self.reach.order(probe, words::READ, &self.watched(node))?;
            found.extend(read.parts);
        }
        let mut proofs = Vec::new();
        for seat in &self.seats {
            proofs.extend(proofs::of_seat(seat, self.pins.get(&seat.part).map(String::as_str))?);
            let role = role_of(seat);
            if let (Role::Service, Some(part)) = (role, found.get(&seat.part)) {
                proofs.extend(proofs::of_service(&seat.part, self.service_cpu, part)?);
            }
            let Some(sidecar) = seat.containers.iter().find(|container| sidecar_of(&container.name)) else { continue };
            let name = proxy_name(seat);
            let part = found.get(&name).ok_or_else(|| proofs::missing(seat, &sidecar.name))?;
            proofs.extend(proofs::of_sidecar(&name, sidecar.native_sidecar, factors, part)?);
            let callee = Callee { role, meshed_callers: meshed_callers(seat, factors, asked.shape) };
            let (said, kept) = proofs::of_proxy(self.reach, (&name, seat), factors, callee)?;
            proofs.extend(said);
            for (file, text) in kept {
                std::fs::write(directory.path().join(file), text)?;
            }
        }
        for seat in &self.shared {
            proofs.extend(proofs::of_seat(seat, None)?);
        }
        if let Reach::ByApiServer(cluster) = self.reach {
            let mut carried = None;
            for ztunnel in &self.shared {
                let at = (ztunnel.namespace.as_str(), ztunnel.pod.as_str(), words::ISTIO_AGENT);
                let metrics = cluster.ask_pod(at, "/metrics", None)?;
                let proof = proofs::of_ztunnel(&ztunnel.part, &String::from_utf8_lossy(&metrics), &self.namespace);
                carried = Some(match (carried, proof) {
                    // A ztunnel counts what is carried to its own node; one with the chain is enough.
                    (Some(Ok(known)), Err(_)) => Ok(known),
                    (_, proof) => proof,
                });
            }
            proofs.extend(carried.transpose()?);
        }
        Ok(proofs)
    }
}

/// Whether those who call a service have a proxy: the load, or the gateway, where it is the first one; other services
/// elsewhere.
fn meshed_callers(seat: &Seat, factors: &Factors, shape: &Shape) -> bool {
    let of_service = |name: &str| {
        let subsets = factors.canary.iter().filter(|c| c.service == name).flat_map(|c| c.weights.subsets());
        seat.part == name || subsets.into_iter().any(|(subset, _)| seat.part == format!("{name}-{subset}"))
    };
    match shape.services.first() {
        Some(first) if of_service(&first.name) => factors.entry != Entry::Plain,
        _ => factors.sidecars == Sidecars::Both,
    }
}

fn lines<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> anyhow::Result<Vec<T>> {
    let whole = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    whole.map(|line| Ok(serde_json::from_slice(line)?)).collect()
}

fn write_lines<T: serde::Serialize>(path: &std::path::Path, all: &[T]) -> anyhow::Result<()> {
    let mut text = Vec::new();
    for one in all {
        serde_json::to_writer(&mut text, one)?;
        text.push(b'\n');
    }
    crate::report::write_file(path, &String::from_utf8(text)?)
}
