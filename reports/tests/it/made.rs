//! Makes run directories from given distributions, taxes and disturbances.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::LazyLock;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use record::{
    Arrival, Canary, Cell, CgroupSample, ClockAnchor, CpuTimes, Dataplane, Event, Factors, GapCounters, GapLosses,
    Histogram, Host, INTERVAL_NS, Interval, Lack, Lag, LineWriter, LoadAverage, LoadSummary, METHOD, Mtls, NodeSample,
    Outcome, OwnCost, Pace, Part, Phase, PhaseSpan, PlannedTrial, PressureLine, PressureSample, ProcessSample,
    ProcessState, Proof, Quantiles, Reading, Role, Run, RunDirectory, SCHEMA, Sample, SlowRequest, Timing, Trial,
    Verdict, WorkerRule,
};

pub(crate) const SECOND: u64 = 1_000_000_000;
/// Where the first measured phase begins: any value but zero.
const BEGIN: u64 = 1_000 * SECOND;
const SETTLE: u64 = SECOND / 2;
const TICK_NS: u64 = 10_000_000;

/// What one cell is like.
#[derive(Clone)]
pub(crate) struct Made {
    pub(crate) cell: Cell,
    /// Median response time.
    pub(crate) median_ns: f64,
    /// Scatter of the logarithm within a trial.
    pub(crate) scatter: f64,
    /// CPU of each sidecar, in cores, and its memory.
    pub(crate) proxy_cores: f64,
    pub(crate) proxy_rss_bytes: u64,
    /// The tenths of the measured phase in which every sidecar is throttled for 60 ms, and requests with it.
    pub(crate) throttled: Vec<usize>,
    /// The tenths of the measured phase in which the hypervisor takes 50 ms, and requests wait for it.
    pub(crate) stolen: Vec<usize>,
    /// The tenths of the measured phase in which the generator is late by 40 ms.
    pub(crate) lagged: Vec<usize>,
    /// The tenths of the measured phase that begin with s2's sidecar stopped for 60 ms, and requests with it.
    pub(crate) stopped: Vec<usize>,
    /// The tenths in which requests are slow for no reason that is recorded.
    pub(crate) slow: Vec<usize>,
    /// Whether requests wait for throttling and steal at all.
    pub(crate) harmless: bool,
    /// Requests that fail in each trial, and in which tenth.
    pub(crate) failed: u64,
    pub(crate) failed_at: usize,
    /// How long after a shift the split changes; never, if it does not.
    pub(crate) follows_after_ns: Option<u64>,
    /// What subsets other than the stable one add to each request.
    pub(crate) canary_adds_ns: u64,
    /// What is done to the chain under load.
    pub(crate) events: Vec<Event>,
    pub(crate) lacks: Vec<Lack>,
    /// Worker threads found in each proxy.
    pub(crate) workers_found: u32,
    /// Whether iowait goes down in mid-trial, as proc(5) says that it may.
    pub(crate) iowait_falls: bool,
}

/// What the whole run is like.
pub(crate) struct MadeRun {
    pub(crate) scenario: String,
    pub(crate) cells: Vec<Made>,
    pub(crate) repeats: u32,
    pub(crate) tenths: usize,
    pub(crate) per_tenth: usize,
    /// A factor on each block's times, which pairs must take out.
    pub(crate) drift: f64,
    /// The logarithm of one more factor, by block.
    pub(crate) trend: fn(u32) -> f64,
    /// How many times as long fixed work takes, by block.
    pub(crate) work: fn(u32) -> f64,
    /// Trials to leave out, as if cut off.
    pub(crate) missing: Vec<(String, u32)>,
    pub(crate) steal_known: bool,
    pub(crate) psi: bool,
    pub(crate) seed: u64,
    pub(crate) left_out: Vec<record::LeftOut>,
    /// Whether services leave stamps on kept requests.
    pub(crate) stamped: bool,
}

pub(crate) fn factors(dataplane: Dataplane, limit: Option<&str>) -> Factors {
    let meshed = dataplane != Dataplane::None;
    Factors {
        chain: "chain3".into(),
        services: 3,
        hops: 3,
        dataplane,
        mtls: if meshed { Mtls::Strict } else { Mtls::Disable },
        cpu_limit: limit.map(|l| l.parse().unwrap()),
        workers: if meshed { 2 } else { 0 },
        work_us: 0,
        response_bytes: 1024,
        rate_per_second: 500.0,
        connections: 16,
        arrival: Arrival::Constant,
        pace: Pace::Hybrid,
        worker_rule: WorkerRule::Fixed(if meshed { 2 } else { 0 }),
        retries: if meshed { 2 } else { 0 },
        ..Factors::unmeshed()
    }
}

pub(crate) fn made(id: &str, label: &str, factors: Factors, median_ms: f64) -> Made {
    Made {
        cell: Cell { id: id.into(), label: label.into(), factors },
        median_ns: median_ms * 1e6,
        scatter: 0.15,
        proxy_cores: 0.1,
        proxy_rss_bytes: 40 << 20,
        throttled: vec![],
        stolen: vec![],
        lagged: vec![],
        stopped: vec![],
        slow: vec![],
        harmless: false,
        failed: 0,
        failed_at: 0,
        follows_after_ns: Some(0),
        canary_adds_ns: 0,
        events: vec![],
        lacks: vec![],
        workers_found: 2,
        iowait_falls: false,
    }
}

/// No mesh, its twin, embedded and Envoy: medians 0.40, 0.40, 1.00 and 1.60 ms.
pub(crate) fn first_look() -> MadeRun {
    let twin = Factors { twin: 1, ..factors(Dataplane::None, None) };
    MadeRun {
        scenario: "first-look".into(),
        cells: vec![
            made("chain3-none", "none", factors(Dataplane::None, None), 0.4),
            made("chain3-none-again", "none, again", twin, 0.4),
            made("chain3-embedded", "embedded", factors(Dataplane::Embedded, None), 1.0),
            made("chain3-envoy", "envoy", factors(Dataplane::Envoy, None), 1.6),
        ],
        repeats: 8,
        tenths: 50,
        per_tenth: 50,
        drift: 0.3,
        trend: |_| 0.0,
        work: |_| 1.0,
        missing: vec![],
        steal_known: true,
        psi: true,
        seed: 7,
        left_out: vec![],
        stamped: false,
    }
}

pub(crate) fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

fn host(steal_known: bool, psi: bool) -> Host {
    Host {
        kernel: "6.1.0-21-cloud-amd64".into(),
        arch: "x86_64".into(),
        distribution: Reading::Seen("Debian GNU/Linux 12 (bookworm)".into()),
        cpu_model: Reading::Seen("AMD EPYC 7B13".into()),
        cpus_online: vec![0, 1, 2, 3],
        cpus_allowed: 4,
        memory_bytes: Reading::Seen(8 << 30),
        virtual_machine: Reading::Seen("KVM".into()),
        container: Reading::Seen("none".into()),
        steal_known: if steal_known { Reading::Seen(true) } else { Reading::absent("gVisor shows no steal") },
        steal_evidence: Reading::Seen("CPUID says so".into()),
        clock_source: Reading::Seen("kvm-clock".into()),
        clock_ticks_per_second: 100,
        governor: Reading::absent("no cpufreq in this guest"),
        cgroups: Reading::Seen("v2".into()),
        psi: if psi { Reading::Seen(true) } else { Reading::absent("PSI is off in this kernel") },
        disk: Reading::absent("tmpfs has no disk"),
        limits: BTreeMap::new(),
        topology: Reading::default(),
        caches: Reading::default(),
        kernel_traits: Default::default(),
        memory_traits: Default::default(),
        cgroup_limits: Default::default(),
        time_sync: Default::default(),
        proc_view: Default::default(),
        disk_chain: Reading::default(),
        speed: Reading::absent("not measured"),
        smt_siblings: Reading::absent("not measured"),
    }
}

impl MadeRun {
    fn trial_id(&self, position: usize, cell: &str, block: u32) -> String {
        format!("{position:04}-{cell}-r{block}")
    }

    pub(crate) fn run(&self) -> Run {
        let mut trials = Vec::new();
        for block in 1..=self.repeats {
            for made in &self.cells {
                let id = self.trial_id(trials.len() + 1, &made.cell.id, block);
                trials.push(PlannedTrial { id, cell: made.cell.id.clone(), block });
            }
        }
        Run {
            schema: SCHEMA,
            method: METHOD,
            id: "2026-11-23T0510-a1b2".into(),
            started: "2026-11-23T05:10:00Z".into(),
            program: "meshtax 0.1.0".into(),
            scenario: self.scenario.clone(),
            scenario_toml: String::new(),
            seed: self.seed,
            repeats: self.repeats,
            timing: Timing {
                settle_ns: SETTLE,
                warm_up_ns: SECOND,
                measure_ns: self.tenths as u64 * INTERVAL_NS,
                cool_down_ns: SETTLE,
            },
            level: 0.95,
            until: None,
            cells: self.cells.iter().map(|m| m.cell.clone()).collect(),
            left_out: self.left_out.clone(),
            trials,
            host: host(self.steal_known, self.psi),
            versions: BTreeMap::new(),
            source: None,
            warnings: vec![],
            sum: None,
        }
    }

    /// Writes it to a new directory below `parent`.
    pub(crate) fn write(&self, parent: &std::path::Path) -> RunDirectory {
        let run = self.run();
        let path: PathBuf = parent.join(&run.id);
        let dir = RunDirectory::create(&path, &run).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        for (position, planned) in run.trials.iter().enumerate() {
            let made = self.cells.iter().find(|m| m.cell.id == planned.cell).unwrap();
            let block = (self.drift * (f64::from(planned.block) * 1.7).sin() + (self.trend)(planned.block)).exp();
            let own = (0.01 * normal(&mut rng)).exp();
            if self.missing.contains(&(planned.cell.clone(), planned.block)) {
                continue;
            }
            let start = BEGIN + position as u64 * 100 * SECOND;
            let made = made.moved(planned.block as usize % 4);
            self.trial(&dir, &made, planned, position, start, block * own, &mut rng);
        }
        dir
    }

    #[allow(clippy::too_many_arguments)]
    fn trial(
        &self,
        dir: &RunDirectory,
        made: &Made,
        planned: &PlannedTrial,
        position: usize,
        start: u64,
        factor: f64,
        rng: &mut ChaCha8Rng,
    ) {
        let trial_dir = dir.begin_trial(&planned.id).unwrap();
        let mut all = Interval::empty(Phase::Measure, start, 0);
        let mut intervals = LineWriter::open(&trial_dir.intervals_path()).unwrap();
        // Warm-up, ten times as slow: it must not be counted.
        for t in 0..10 {
            let at = start - SECOND + t * INTERVAL_NS;
            let (i, _) = self.interval(made, Phase::WarmUp, at, usize::MAX, factor * 10.0, rng);
            intervals.append(&i).unwrap();
        }
        let mut slow = LineWriter::open(&trial_dir.slow_path()).unwrap();
        for t in 0..self.tenths {
            let (i, mut longest) = self.interval(made, Phase::Measure, start + t as u64 * INTERVAL_NS, t, factor, rng);
            if self.stamped {
                longest.hops = hops(&longest, made.cell.factors.services);
            }
            intervals.append(&i).unwrap();
            slow.append(&longest).unwrap();
            all.add(&i).unwrap();
        }
        let parts = parts(&made.cell.factors);
        let mut samples = LineWriter::open(&trial_dir.samples_path()).unwrap();
        for round in 0..self.tenths as u64 + 25 {
            let mut sample = self.sample(made, &parts, start, round);
            if let Some(sensor) = &mut sample.sensor {
                let work = (self.work)(planned.block);
                sensor.chunk_median_sum_ns = (sensor.chunk_median_sum_ns as f64 * work) as u64;
                sensor.chunk_best_ns = (sensor.chunk_best_ns as f64 * work) as u64;
            }
            samples.append(&sample).unwrap();
        }
        let end = start + self.tenths as u64 * INTERVAL_NS;
        let span = |phase, start_ns, end_ns| PhaseSpan { phase, start_ns, end_ns };
        let trial = Trial {
            schema: SCHEMA,
            method: METHOD,
            id: planned.id.clone(),
            cell: planned.cell.clone(),
            block: planned.block,
            position: position as u32 + 1,
            phases: vec![
                span(Phase::Settle, start - SECOND - SETTLE, start - SECOND),
                span(Phase::WarmUp, start - SECOND, start),
                span(Phase::Measure, start, end),
                span(Phase::CoolDown, end, end + SETTLE),
            ],
            anchor: ClockAnchor { monotonic_ns: start, realtime_ns: 1_764_000_000 * SECOND },
            load: self.summary(&all, start, end),
            proofs: proofs(made, &parts),
            parts,
            warnings: vec![],
            events: events(made, start),
            lacks: made.lacks.clone(),
            edges: None,
            cpus: None,
            sums: None,
        };
        trial_dir.seal(&trial).unwrap();
    }

    /// A window, and the longest of its requests as it is kept.
    fn interval(
        &self,
        made: &Made,
        phase: Phase,
        at: u64,
        t: usize,
        factor: f64,
        rng: &mut ChaCha8Rng,
    ) -> (Interval, SlowRequest) {
        let mut i = Interval::empty(phase, at, INTERVAL_NS);
        let (outcome, hops) = (Outcome::Answered(200), vec![]);
        let mut longest = SlowRequest {
            index: 0,
            phase,
            intended_ns: at,
            sent_ns: None,
            done_ns: at,
            outcome,
            connection: None,
            hops,
        };
        for request in 0..self.per_tenth {
            let mut ns = made.median_ns * factor * (made.scatter * normal(rng)).exp();
            // A stall of 60 ms delays those that come in it by what is left of it.
            let left = |length_ms: f64| (length_ms * (1.0 - request as f64 / self.per_tenth as f64)).max(0.0) * 1e6;
            if made.throttled.contains(&t) && !made.harmless {
                ns += left(60.0);
            }
            if made.stolen.contains(&t) && !made.harmless {
                ns += left(50.0);
            }
            if made.slow.contains(&t) || made.stopped.contains(&t) {
                ns += left(60.0);
            }
            let subset = made.subset(t, request as u64 * INTERVAL_NS / self.per_tenth as u64, rng);
            if subset.as_ref().is_some_and(|(_, stable)| !stable) {
                ns += made.canary_adds_ns as f64;
            }
            let lag = if made.lagged.contains(&t) { left(40.0) } else { 5_000.0 };
            i.due += 1;
            i.sent += 1;
            if (request as u64) < made.failed && t == made.failed_at {
                i.outcomes.count(Outcome::Reset);
            } else {
                i.outcomes.count(Outcome::Answered(200));
                if let Some((subset, _)) = &subset {
                    i.split.count(subset.as_bytes(), false, (ns + lag) as u64, ns as u64);
                }
            }
            i.response.record((ns + lag) as u64);
            if (ns + lag) as u64 > longest.response_ns() {
                let intended_ns = at + request as u64 * INTERVAL_NS / self.per_tenth as u64;
                let (sent_ns, done_ns) = (Some(intended_ns + lag as u64), intended_ns + (ns + lag) as u64);
                longest = SlowRequest { intended_ns, sent_ns, done_ns, ..longest };
            }
            i.service.record(ns as u64);
            i.lag_ours.record(lag as u64);
            i.lag_theirs.record(0);
            i.worst_send_lag_ns = i.worst_send_lag_ns.max(lag as u64);
        }
        (i, longest)
    }

    fn summary(&self, all: &Interval, start_ns: u64, end_ns: u64) -> LoadSummary {
        let seconds = (end_ns - start_ns) as f64 / 1e9;
        let q = |h: &Histogram| Quantiles::from(h);
        LoadSummary {
            schema: SCHEMA,
            method: METHOD,
            verdict: Verdict::Valid,
            reasons: vec![],
            url: "http://127.0.0.1:1/".into(),
            rate_per_second: Some(all.due as f64 / seconds),
            connections: 16,
            arrival: record::Process::Constant,
            pace: Pace::Hybrid,
            seed: 1,
            start_ns,
            duration_ns: end_ns - start_ns,
            end_ns,
            due: all.due,
            sent: all.sent,
            answered: all.outcomes.answered_total(),
            unsent: 0,
            censored: 0,
            outcomes: all.outcomes.clone(),
            achieved_per_second: all.outcomes.answered_total() as f64 / seconds,
            response_ns: q(&all.response),
            service_ns: q(&all.service),
            lag_ns: Lag { ours: q(&all.lag_ours), theirs: q(&all.lag_theirs) },
            cpu_seconds: 0.5,
            observed: record::Observed::default(),
            warnings: vec![],
        }
    }

    /// The sample of a round: ten a second, from 2 s before the measured phase, 3 ms after each tenth began.
    fn sample(&self, made: &Made, parts: &[Part], start: u64, round: u64) -> Sample {
        let at = start - 2 * SECOND + round * INTERVAL_NS + 3_000_000;
        let passed = round * INTERVAL_NS;
        // The tenths that are wholly past when it is read.
        let past = |tenths: &[usize]| tenths.iter().filter(|t| round > 20 + **t as u64).count() as u64;
        let stolen = past(&made.stolen) * 5;
        let all = 4 * passed / TICK_NS;
        let busy = all / 4;
        let iowait = if made.iowait_falls && round == 40 { all / 100 } else { all / 50 };
        let cpu = CpuTimes {
            user_ticks: busy / 2,
            nice_ticks: 0,
            system_ticks: busy - busy / 2,
            idle_ticks: all - busy - iowait - stolen,
            iowait_ticks: Some(iowait),
            irq_ticks: Some(0),
            softirq_ticks: Some(0),
            steal_ticks: Some(stolen),
            guest_ticks: Some(0),
            guest_nice_ticks: Some(0),
        };
        let pressure = |share: f64| {
            if self.psi {
                let total_us = (passed as f64 * share / 1e3) as u64;
                Reading::Seen(PressureSample { some: Some(PressureLine { avg10: 0.0, total_us }), full: None })
            } else {
                Reading::absent("PSI is off in this kernel")
            }
        };
        let throttled = past(&made.throttled);
        let mut cgroups = BTreeMap::new();
        let mut processes = BTreeMap::new();
        for part in parts {
            let cores = if part.role == Role::Sidecar { made.proxy_cores } else { 0.05 };
            // At rest a proxy uses a thousandth of a core.
            let rest = if part.role == Role::Sidecar { 0.001 } else { cores };
            let resting = passed.min(SECOND);
            let cpu_ns = (resting as f64 * rest + (passed - resting) as f64 * cores) as u64;
            // It is stopped when it is looked at, 3 ms after the tenth began; and has not run since the last look.
            let victim = part.name == "s2-sidecar";
            let stops = made.stopped.iter().filter(|t| victim && round >= 20 + **t as u64).count() as u64;
            let stopped = victim && round >= 20 && made.stopped.contains(&(round as usize - 20));
            let rss = if part.role == Role::Sidecar { made.proxy_rss_bytes } else { 9 << 20 };
            processes.insert(
                part.name.clone(),
                ProcessSample {
                    pid: part.pid,
                    read_ns: at,
                    user_ticks: Reading::Seen(cpu_ns / TICK_NS),
                    system_ticks: Reading::Seen(0),
                    rss_bytes: Reading::Seen(rss),
                    run_ns: Reading::Seen(cpu_ns),
                    run_delay_ns: Reading::Seen(passed / 500),
                    threads: Reading::Seen(3),
                    timeslices: Reading::Seen(10 * (round - stops)),
                    state: if stopped { Reading::Seen(ProcessState::Stopped) } else { Reading::default() },
                    ..ProcessSample::default()
                },
            );
            if part.cgroup.seen().is_some() {
                let own = if part.role == Role::Sidecar { throttled } else { 0 };
                cgroups.insert(
                    part.name.clone(),
                    CgroupSample {
                        read_ns: at,
                        usage_ns: Reading::Seen(cpu_ns),
                        periods: Reading::Seen(round),
                        throttled_periods: Reading::Seen(own),
                        throttled_ns: Reading::Seen(own * 60_000_000),
                        ..CgroupSample::default()
                    },
                );
            }
        }
        Sample {
            round,
            due_ns: at,
            before_ns: at,
            after_ns: at + 200_000,
            node: NodeSample {
                cpu: Reading::Seen(cpu),
                cpus: Reading::absent("not made"),
                context_switches: Reading::Seen(passed / 10_000),
                forks: Reading::Seen(7),
                procs_running: Reading::Seen(2),
                procs_blocked: Reading::Seen(0),
                disk: Reading::absent("not made"),
                psi_cpu: pressure(0.05),
                psi_io: pressure(0.01),
                psi_memory: pressure(0.0),
                psi_irq: Reading::absent("not in this kernel"),
                load: Reading::Seen(LoadAverage { one: 1.0, five: 1.0, fifteen: 1.0 }),
                ..NodeSample::default()
            },
            cgroups,
            processes,
            own: OwnCost { cpu_ns: passed / 200, late_ns: 80_000, rss_bytes: 6 << 20, ..OwnCost::default() },
            // A burst of 2 ms in every 100 ms, of which a hundredth is lost; its work takes 2.1 us and 2 us at best.
            sensor: Some(GapCounters {
                bursts: passed / 100_000_000,
                burst_ns: passed / 50,
                lost: GapLosses { unexplained_ns: passed / 5_000, ..GapLosses::default() },
                chunk_median_sum_ns: passed / 100_000_000 * 2_100,
                chunk_best_ns: 2_000,
                ..GapCounters::default()
            }),
            ..Sample::default()
        }
    }
}

impl Made {
    /// The same disturbances so many tenths later: what comes at one time in every trial could be the trial's own course.
    fn moved(&self, by: usize) -> Made {
        let later = |tenths: &[usize]| tenths.iter().map(|t| t + by).collect();
        let always = self.throttled.len() == 50;
        Made {
            throttled: if always { self.throttled.clone() } else { later(&self.throttled) },
            stolen: later(&self.stolen),
            lagged: later(&self.lagged),
            stopped: later(&self.stopped),
            slow: later(&self.slow),
            ..self.clone()
        }
    }

    /// Which subset answers a request so long after a tenth began, and whether it is the stable one; drawn by the weights
    /// of that moment.
    fn subset(&self, t: usize, since_ns: u64, rng: &mut ChaCha8Rng) -> Option<(String, bool)> {
        let Canary { weights, shifts, .. } = self.cell.factors.canary.as_ref()?;
        // The warm-up has no number of its own.
        let at_ns = if t == usize::MAX { 0 } else { t as u64 * INTERVAL_NS + since_ns };
        let mut weights = weights;
        for shift in shifts {
            if self.follows_after_ns.is_some_and(|after| at_ns >= shift.at_ns + after) {
                weights = &shift.weights;
            }
        }
        let mut draw = rng.random_range(0..weights.total());
        let subsets = weights.subsets();
        let (name, _) = subsets.iter().find(|(_, weight)| {
            let here = draw < *weight;
            draw = draw.saturating_sub(*weight);
            here
        })?;
        Some((name.clone(), *name == subsets[0].0))
    }
}

/// A chain's stamps: each service has the request for nine tenths of the time that its caller waits, in the middle of it.
fn hops(request: &SlowRequest, services: u32) -> Vec<record::HopStamps> {
    let (mut from, mut to) = (request.sent_ns.unwrap(), request.done_ns);
    let mut hops = Vec::new();
    for k in 1..=services {
        let way = (to - from) / 20;
        (from, to) = (from + way, to - way);
        let last = k == services;
        let called = (!last).then_some([from + way, to - way]);
        hops.push(record::HopStamps {
            service: format!("s{k}"),
            received_ns: from,
            called_ns: called.map(|c| c[0]),
            returned_ns: called.map(|c| c[1]),
            answered_ns: to,
            calls: vec![],
        });
        (from, to) = (from + way, to - way);
    }
    hops
}

/// The shifts that were made, and what else was done; the moments are counted from the measured phase's start.
fn events(made: &Made, start: u64) -> Vec<Event> {
    let shifts = made.cell.factors.canary.iter().flat_map(|canary| &canary.shifts);
    let shifted = shifts.map(|s| Event::WeightsShifted { at_ns: start + s.at_ns, weights: s.weights.clone() });
    shifted.chain(made.events.iter().cloned()).collect()
}

fn proofs(made: &Made, parts: &[Part]) -> Vec<Proof> {
    let proof = |part: &Part| Proof {
        part: part.name.clone(),
        claim: "worker threads".into(),
        expected: made.workers_found.to_string(),
        found: made.workers_found.to_string(),
        source: format!("/proc/{}/task/*/comm", part.pid),
    };
    parts.iter().filter(|p| p.role.is_proxy()).map(proof).collect()
}

/// A canary of 90 to 10 whose second subset adds 2 ms, shifted twice; followed so long after.
pub(crate) fn with_canary(follows_after_ns: Option<u64>) -> MadeRun {
    let weights = |text: &str| text.parse().unwrap();
    let shift = |at_ns, text| record::Shift { at_ns, weights: weights(text) };
    let canary = Canary {
        service: "s2".into(),
        weights: weights("v1=90,v2=10"),
        work_us: 2000,
        error_rate: 0.0,
        shifts: vec![shift(2 * SECOND, "v1=50,v2=50"), shift(7 * SECOND / 2, "v1=0,v2=100")],
    };
    let factors = Factors { canary: Some(canary), ..factors(Dataplane::Envoy, None) };
    let mut cell = made("chain3-envoy", "envoy", factors, 1.6);
    cell.follows_after_ns = follows_after_ns;
    cell.canary_adds_ns = 2_000_000;
    MadeRun {
        cells: vec![made("chain3-none", "none", self::factors(Dataplane::None, None), 0.4), cell],
        ..first_look()
    }
}

fn parts(factors: &Factors) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut part = |name: String, role| {
        let pid = 4000 + parts.len() as u32;
        let cgroup = match role {
            Role::Load | Role::Probe => Reading::absent("the generator and the probe have none of their own"),
            _ => Reading::Seen(format!("/meshtax/{name}")),
        };
        parts.push(Part { name, role, pid, program: "meshtax 0.1.0".into(), cgroup });
    };
    for k in 1..=factors.services {
        part(format!("s{k}"), Role::Service);
        if factors.meshed() {
            part(format!("s{k}-sidecar"), Role::Sidecar);
        }
    }
    if factors.meshed() {
        part("entry-sidecar".into(), Role::Sidecar);
    }
    part("load".into(), Role::Load);
    part("probe".into(), Role::Probe);
    parts
}

/// A run that was written, explained and removed again.
pub(crate) struct Explained {
    pub(crate) findings: reports::Findings,
    pub(crate) page: String,
}

/// Writes a run, explains it and makes its page; nothing of it is left on the disk.
pub(crate) fn explain(run: &MadeRun) -> Explained {
    let parent = tempfile::tempdir().unwrap();
    let dir = run.write(parent.path());
    let findings = reports::findings(&dir).unwrap();
    let page = reports::html::render(&findings, &dir).unwrap();
    Explained { findings, page }
}

/// The first look, explained once for all tests that only look at it.
pub(crate) static FIRST_LOOK: LazyLock<Explained> = LazyLock::new(|| explain(&first_look()));

/// A seal as someone who also knows of sums would have changed it.
pub(crate) fn change_seal(seal: &std::path::Path, change: impl FnOnce(String) -> String) {
    let mut trial: serde_json::Value = serde_json::from_slice(&std::fs::read(seal).unwrap()).unwrap();
    trial.as_object_mut().unwrap().remove("sums");
    std::fs::write(seal, change(serde_json::to_string_pretty(&trial).unwrap())).unwrap();
}
