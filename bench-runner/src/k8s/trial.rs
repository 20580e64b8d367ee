//! One trial in pods: tried, held, watched, loaded, fetched, proven; then it is sealed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use record::{
    Cell, ClockAnchor, EdgeReadings, Edges, Entry, Factors, Interval, LoadSummary, METHOD, Part, Phase, PhaseSpan,
    PlannedTrial, Proof, Reading, Role, Run, SCHEMA, Sample, Sidecars, SlowRequest, Timing, Trial, TrialDirectory,
    Warning, WarningKind, monotonic_ns,
};
use scenarios::Shape;
use scenarios::cluster::{self, Mesh};

use super::generators::{self, Recorded};
use super::nodes::{self, Exchange, Offset};
use super::pods::Seat;
use super::proofs::{self, Callee};
use super::reach::Reach;
use super::tending::{TellWeights, Tending};
use super::trouble::Trouble;
use crate::interrupt::Interrupt;
use crate::plan::arrival_seed;
use crate::pod::words::{self, Found, FoundPart, Held, Says, Tried, Watched};
use crate::progress::Progress;

/// How long pods may take to be usable once they are there, and the chain to answer through its mesh.
const ANSWER_PATIENCE: Duration = Duration::from_secs(90);

/// How often it is asked how the load goes: each time is a request to the API server.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// How long the load may take beyond its plan.
const LOAD_GRACE: Duration = Duration::from_secs(60);

/// Exchanges by which a node's clock is found.
const EXCHANGES: usize = 8;

/// Pods that are ready, and how they are reached.
pub(super) struct Fleet<'a> {
    pub(super) reach: &'a Reach<'a>,
    /// The pods of the cell.
    pub(super) seats: Vec<Seat>,
    /// The probe of each node that one of them is on.
    pub(super) probes: BTreeMap<String, Seat>,
    /// Pods of the mesh itself that are a part: the ztunnel of each node.
    pub(super) shared: Vec<Seat>,
    /// The namespace, as a mesh's counters name it.
    pub(super) namespace: String,
    /// Where each part is to be.
    pub(super) pins: BTreeMap<String, String>,
    /// Whether the pods are of use after the trial, since nobody makes others.
    pub(super) stays: bool,
    /// The CPU limit of each service.
    pub(super) service_cpu: Option<record::CpuQuantity>,
}

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
    let (events, tended) = tending.end()?;

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
    proofs.extend(tended);
    check()?;
    for load in loads.iter().filter(|_| !fleet.stays) {
        // Done: whether it hears that is no matter of the trial.
        let _ = fleet.reach.order::<serde_json::Value>(load, words::LEAVE, &());
    }
    let trial = Trial {
        schema: SCHEMA,
        method: METHOD,
        id: planned.id.clone(),
        cell: cell.id.clone(),
        block: planned.block,
        position: position(run, planned),
        phases: phases(&timing, &summary, (settled, released), (cooling, cooled)),
        anchor: clocks.anchor,
        warnings: summary.warnings.iter().cloned().chain(clocks.doubt()).collect(),
        load: summary,
        parts: fleet.parts(&found),
        proofs,
        events,
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

/// The clocks of all nodes, beside that of the first load generator's node: a trial's stamps are on it.
pub(super) struct Clocks {
    anchor: ClockAnchor,
    /// From our own clock.
    ours: Offset,
    /// From each node's.
    nodes: BTreeMap<String, Offset>,
}

impl Clocks {
    /// What time it is there.
    pub(super) fn now(&self) -> u64 {
        self.ours.moved(monotonic_ns())
    }

    pub(super) fn of(&self, node: &str) -> Offset {
        self.nodes.get(node).copied().unwrap_or_default()
    }

    /// What clocks of several nodes leave open.
    fn doubt(&self) -> Option<Warning> {
        if self.nodes.len() < 2 {
            return None;
        }
        let bound_ns = self.nodes.values().map(|offset| offset.bound_ns).max().unwrap_or_default();
        Some(Warning::new(
            WarningKind::Unproven,
            format!(
                "its parts were on {} nodes, whose clocks are known to {:.1} ms: what is shorter cannot be ordered, and hops have no stamps",
                self.nodes.len(),
                bound_ns as f64 / 1e6
            ),
            "--placement together has one clock",
        ))
    }
}

impl Fleet<'_> {
    fn of(&self, role: Role) -> Vec<&Seat> {
        self.seats.iter().filter(|seat| role_of(seat) == role).collect()
    }

    /// Waits until every pod can be used, and a request has gone all the way and come back.
    fn answers(&self, shape: &Shape, interrupt: &Interrupt) -> anyhow::Result<()> {
        let begun = Instant::now();
        let Some(load) = self.of(Role::Load).into_iter().next() else { anyhow::bail!("there is no load generator") };
        let expected = shape.visits().len();
        let mut calls = shape.services.iter().flat_map(|service| &service.steps).flat_map(|step| &step.calls);
        let certain = calls.all(|call| call.probability >= 1.0);
        loop {
            let last = match self.unready()? {
                Some(why) => why,
                None => {
                    let tried: Tried = self.reach.order(load, words::TRY, &())?;
                    let whole = if certain { tried.hops.len() == expected } else { !tried.hops.is_empty() };
                    if tried.status == 200 && whole {
                        return Ok(());
                    }
                    let said = tried.said.lines().next().unwrap_or_default();
                    let hops = tried.hops.len();
                    format!(
                        "a request to {} was answered with {} by {hops} of {expected} hops {said}",
                        tried.address, tried.status
                    )
                }
            };
            if begun.elapsed() > ANSWER_PATIENCE {
                let (what, namespace) = ("an answer of the chain through its mesh".to_owned(), load.namespace.clone());
                return Err(Trouble::Late { what, namespace, seconds: ANSWER_PATIENCE.as_secs_f64(), last }.into());
            }
            interrupt.sleep(Duration::from_millis(300), || Ok(()))?;
        }
    }

    /// What is not ready yet, if anything.
    fn unready(&self) -> anyhow::Result<Option<String>> {
        for seat in &self.seats {
            match self.reach.says(seat)?.phase {
                words::Phase::Failed { problem } => return Err(ended(seat, problem)),
                words::Phase::Waiting { waits_for } => return Ok(Some(format!("{} waits for {waits_for}", seat.part))),
                words::Phase::Starting => return Ok(Some(format!("{} starts", seat.part))),
                // A load that was fetched can be held anew.
                words::Phase::Ready | words::Phase::Done => {}
                words::Phase::Running => return Ok(Some(format!("{} is at work", seat.part))),
            }
        }
        Ok(None)
    }

    fn clocks(&self) -> anyhow::Result<Clocks> {
        let Some(load) = self.of(Role::Load).into_iter().next() else { anyhow::bail!("there is no load generator") };
        let mut beside_us: BTreeMap<String, Offset> = BTreeMap::new();
        let mut last: Option<Says> = None;
        // The load's node last, so that its anchor is of now.
        for (node, seat) in self.probes.iter().filter(|(node, _)| **node != load.node).chain([(&load.node, load)]) {
            let mut exchanges = Vec::with_capacity(EXCHANGES);
            for _ in 0..EXCHANGES {
                let before_ns = monotonic_ns();
                let says = self.reach.says(seat)?;
                exchanges.push(Exchange { before_ns, after_ns: monotonic_ns(), there_ns: says.monotonic_ns });
                last = Some(says);
            }
            beside_us.insert(node.clone(), nodes::offset(&exchanges));
        }
        let there = beside_us.get(&load.node).copied().unwrap_or_default();
        let nodes = beside_us
            .iter()
            .map(|(node, offset)| {
                let same = *node == load.node;
                (node.clone(), if same { Offset::default() } else { offset.beside(there) })
            })
            .collect();
        let anchor = last.map_or_else(ClockAnchor::now, |says| ClockAnchor {
            monotonic_ns: says.monotonic_ns,
            realtime_ns: says.realtime_ns,
        });
        let ours = Offset { add_ns: -there.add_ns, bound_ns: there.bound_ns };
        Ok(Clocks { anchor, ours, nodes })
    }

    /// The mesh's proxies, by the names of their parts: sidecars, a gateway, and those of whole nodes.
    pub(super) fn proxies(&self) -> Vec<(String, &Seat)> {
        let of_mesh = |seat: &&Seat| seat.containers.iter().any(|container| sidecar_of(&container.name));
        self.seats.iter().chain(&self.shared).filter(of_mesh).map(|seat| (proxy_name(seat), seat)).collect()
    }

    /// What the probe of a node is to watch: each part of it by its own container, each sidecar by the mesh's.
    fn watched(&self, node: &str) -> Watched {
        let mut parts = BTreeMap::new();
        for seat in self.seats.iter().chain(&self.shared).filter(|seat| seat.node == node) {
            for container in &seat.containers {
                let name = match (sidecar_of(&container.name), role_of(seat)) {
                    (true, _) => proxy_name(seat),
                    // Who answers the runner beside a gateway is no part.
                    (false, Role::Gateway) => continue,
                    (false, _) => seat.part.clone(),
                };
                let ids: &mut Vec<String> = parts.entry(name).or_default();
                ids.push(container.id.clone());
            }
        }
        Watched { parts }
    }

    fn watch(&self) -> anyhow::Result<BTreeMap<String, FoundPart>> {
        let mut all = BTreeMap::new();
        for (node, probe) in &self.probes {
            let found: Found = self.reach.order(probe, words::WATCH, &self.watched(node))?;
            all.extend(found.parts);
        }
        Ok(all)
    }

    fn edges(&self, clocks: &Clocks) -> anyhow::Result<EdgeReadings> {
        let mut whole: Option<EdgeReadings> = None;
        for (node, probe) in &self.probes {
            let mut read: EdgeReadings = self.reach.order(probe, words::EDGES, &self.watched(node))?;
            let offset = clocks.of(node);
            (read.before_ns, read.after_ns) = (offset.moved(read.before_ns), offset.moved(read.after_ns));
            match &mut whole {
                None => whole = Some(read),
                Some(whole) => {
                    whole.before_ns = whole.before_ns.min(read.before_ns);
                    whole.after_ns = whole.after_ns.max(read.after_ns);
                    whole.processes.extend(read.processes);
                }
            }
        }
        whole.ok_or_else(|| anyhow::anyhow!("there is no probe"))
    }

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
        if clocks.nodes.len() > 1 {
            slow.iter_mut().for_each(|request| request.hops.clear());
        }
        let mut streams: BTreeMap<&str, Vec<Sample>> = BTreeMap::new();
        for (node, probe) in &self.probes {
            streams.insert(node, lines(&file(probe, "samples.jsonl")?)?);
        }
        let main = nodes::main_node(self.seats.iter().map(|seat| seat.node.as_str())).unwrap_or_default().to_owned();
        let main_offset = clocks.of(&main);
        let first = streams.remove(main.as_str()).unwrap_or_default();
        let others =
            streams.into_iter().map(|(node, samples)| (clocks.of(node).beside(main_offset), samples)).collect();
        // All on the clock of the load's node.
        let samples = on_clock(nodes::together(first, others), main_offset);
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

    /// Who took part, as reports know them.
    fn parts(&self, found: &BTreeMap<String, FoundPart>) -> Vec<Part> {
        let program = |name: &str, seat: &Seat| {
            let sidecar = seat.containers.iter().find(|c| sidecar_of(&c.name));
            let of_mesh = name.ends_with("-sidecar") || matches!(role_of(seat), Role::NodeProxy | Role::Gateway);
            match (of_mesh, sidecar) {
                (true, Some(container)) => container.image.clone(),
                _ => crate::run::PROGRAM.to_owned(),
            }
        };
        let mut parts = Vec::new();
        for (name, part) in found {
            let Some(seat) = self
                .seats
                .iter()
                .chain(&self.shared)
                .find(|seat| *name == seat.part || *name == format!("{}-sidecar", seat.part))
            else {
                continue;
            };
            let role = if name.ends_with("-sidecar") { Role::Sidecar } else { role_of(seat) };
            let cgroup = part
                .cgroups
                .first()
                .map_or_else(|| Reading::absent("it has none that counts"), |c| Reading::Seen(c.clone()));
            let pid = part.pids.first().copied().unwrap_or_default();
            parts.push(Part { name: name.clone(), role, pid, program: program(name, seat), cgroup });
        }
        parts
    }
}

/// Samples on the clock of another node.
fn on_clock(mut samples: Vec<Sample>, offset: Offset) -> Vec<Sample> {
    if offset == Offset::default() {
        return samples;
    }
    for sample in &mut samples {
        for stamp in [&mut sample.due_ns, &mut sample.before_ns, &mut sample.after_ns] {
            *stamp = offset.moved(*stamp);
        }
        sample.cgroups.values_mut().for_each(|cgroup| cgroup.read_ns = offset.moved(cgroup.read_ns));
        sample.processes.values_mut().for_each(|process| process.read_ns = offset.moved(process.read_ns));
        sample.networks.values_mut().for_each(|network| network.read_ns = offset.moved(network.read_ns));
    }
    samples
}

/// What a pod does, by the part it is.
fn role_of(seat: &Seat) -> Role {
    match seat.part.as_str() {
        "neighbour" => Role::Neighbour,
        "probe" => Role::Probe,
        cluster::GATEWAY => Role::Gateway,
        part if part == "load" || part.starts_with("load-") => Role::Load,
        part if part.starts_with("node-proxy") => Role::NodeProxy,
        _ => Role::Service,
    }
}

/// The part that the mesh's proxy in a pod is: a ztunnel's container, and a gateway's, has the name that a sidecar's has, and
/// is beside no service.
fn proxy_name(seat: &Seat) -> String {
    match role_of(seat) {
        Role::NodeProxy | Role::Gateway => seat.part.clone(),
        _ => format!("{}-sidecar", seat.part),
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

/// Whether a container is a mesh's.
fn sidecar_of(container: &str) -> bool {
    Mesh::ALL.iter().any(|mesh| mesh.sidecar() == Some(container))
}

fn ended(seat: &Seat, why: String) -> anyhow::Error {
    Trouble::Ended { pod: seat.named(), why, log: seat.log() }.into()
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
