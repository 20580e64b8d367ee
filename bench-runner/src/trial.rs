//! One trial: processes are started, settled, warmed, measured, proven, stopped; then it is sealed.

pub(crate) mod steadiness;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use record::{
    Cell, ClockAnchor, Edges, Factors, LoadSummary, METHOD, Part, Phase, PhaseSpan, PlannedTrial, Reading, Role, Run,
    SCHEMA, Timing, Trial, TrialDirectory, monotonic_ns,
};
use scenarios::launch::{Launch, Launched};
use scenarios::{Deployment, DeploymentSpec, Scenario, Tended};

use crate::interrupt::Interrupt;
use crate::lab::Lab;
use crate::meeting::Meeting;
use crate::plan::arrival_seed;
use crate::programs::Programs;
use crate::progress::Progress;
use crate::run::PROGRAM;
use steadiness::Steadiness;

/// How long a part may take until it answers.
pub(crate) const READY_TIMEOUT: Duration = Duration::from_secs(20);

/// How long the load may take beyond its plan: its own drain and start, and some more on a busy machine.
pub(crate) const LOAD_GRACE: Duration = Duration::from_secs(30);

/// Time from one sample to the next. What must be read less often has a pace of its own in the probe.
const PROBE_EVERY: &str = "50ms";

/// How often it is looked whether all parts live, and done what has fallen due.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Everything a trial needs.
pub(crate) struct Conditions<'a> {
    pub(crate) lab: &'a Lab,
    /// The proxies of its cells.
    pub(crate) programs: &'a Programs,
    /// The meshtax whose services and sidecars it is made of; load and probe are always this one's.
    pub(crate) program: &'a Path,
    /// What that one says that it is, where it is not this one.
    pub(crate) program_says: Option<&'a str>,
    pub(crate) run: &'a Run,
    /// Whose shapes the cells are of.
    pub(crate) scenario: &'a Scenario,
    pub(crate) interrupt: &'a Interrupt,
    /// The run directory: the probe watches the disk under it.
    pub(crate) run_path: &'a Path,
    /// Where it is made while another one is.
    pub(crate) beside: Option<Beside<'a>>,
}

/// What holds for a trial that is made while another one is.
#[derive(Clone, Copy)]
pub(crate) struct Beside<'a> {
    /// The CPUs that the calling thread keeps to, and with it all parts.
    pub(crate) cpus: &'a [u32],
    /// Where it waits for the other one before its load begins.
    pub(crate) meeting: &'a Meeting,
}

/// Makes one trial and seals it.
pub(crate) fn make(
    conditions: &Conditions<'_>,
    planned: &PlannedTrial,
    cell: &Cell,
    directory: TrialDirectory,
    progress: &mut Progress,
) -> anyhow::Result<()> {
    let Conditions { lab, programs, program, program_says, run, scenario, interrupt, run_path, beside } = conditions;
    let timing = run.timing;
    let anchor = ClockAnchor::now();
    progress.phase("start");
    let shape = scenario.shape(&cell.factors)?;
    let spec = DeploymentSpec {
        program,
        envoy: programs.envoy.as_ref(),
        haproxy: programs.haproxy.as_ref(),
        nginx: programs.nginx.as_ref(),
        ..lab.chain(&cell.factors, &shape, directory.path())
    };
    let mut deployment = scenarios::deploy(&spec)?;
    let mut parts = deployment.parts();
    if let Some(says) = program_says {
        parts.iter_mut().filter(|part| part.program == PROGRAM).for_each(|part| part.program = (*says).to_owned());
    }

    let seed = arrival_seed(run.seed, planned.block);
    let load = start_load(lab, &deployment, cell, &timing, seed, &directory, &mut parts)?;
    let probe = start_probe(lab, run_path, &directory, &deployment, &mut parts).or_else(|error| {
        // A probe cannot watch who has ended: then that is what went wrong.
        load.expect_alive("waiting for its start")?;
        deployment.check_alive()?;
        Err(error)
    })?;
    let mut processes: Vec<(String, u32)> = parts.iter().map(|part| (part.name.clone(), part.pid)).collect();
    let workers = deployment.children();
    processes.extend(workers.iter().cloned());
    // Dear to read, and it holds up what is read: hence here, and again when the load has ended.
    let edges = || node_probe::edges(Path::new("/"), &processes, Some(run_path));
    let before = edges();
    let mut watched = Watched { deployment: &mut deployment, load, probe, steadiness: Steadiness::begin(anchor) };

    let settled = monotonic_ns();
    progress.phase(Phase::Settle.word());
    interrupt.sleep(Duration::from_nanos(timing.settle_ns), || watched.check())?;
    if let Some(beside) = beside {
        beside.meeting.wait(interrupt, || watched.check())?;
    }

    let released = monotonic_ns();
    watched.load.write_line("go").context("cannot start the load")?;
    watched.deployment.begin_load(released + timing.warm_up_ns)?;
    let summary = follow_load(&mut watched, &timing, released, interrupt, progress, &directory)?;
    let Tended { events, unmade } = watched.deployment.end_load()?;
    watched.deployment.end_neighbour()?;

    progress.phase(Phase::CoolDown.word());
    let cooling = monotonic_ns();
    interrupt.sleep(Duration::from_nanos(timing.cool_down_ns), || watched.check_servers())?;
    let cooled = monotonic_ns();
    let edges = Some(Edges { before, after: edges() });

    let Watched { load, probe, steadiness, .. } = watched;
    let mut doubts = steadiness.doubts("the runner", ClockAnchor::now());
    doubts.extend(steadiness::begun_late(released, summary.start_ns.saturating_sub(timing.warm_up_ns)));
    doubts.extend(steadiness::unmade("the runner", &unmade));
    doubts.extend(steadiness::lost_workers(&workers, &deployment.children()));
    drop(load);
    stop_probe(probe)?;
    let proofs = deployment.prove()?;
    let lacks = deployment.lacks();
    deployment.stop()?;

    let phases = vec![
        PhaseSpan { phase: Phase::Settle, start_ns: settled, end_ns: released },
        PhaseSpan {
            phase: Phase::WarmUp,
            start_ns: summary.start_ns.saturating_sub(timing.warm_up_ns),
            end_ns: summary.start_ns,
        },
        PhaseSpan { phase: Phase::Measure, start_ns: summary.start_ns, end_ns: summary.start_ns + summary.duration_ns },
        PhaseSpan { phase: Phase::CoolDown, start_ns: cooling, end_ns: cooled },
    ];
    let position = run.trials.iter().position(|t| t.id == planned.id).map_or(0, |at| at + 1);
    let warnings = summary.warnings.iter().cloned().chain(doubts).collect();
    let trial = Trial {
        schema: SCHEMA,
        method: METHOD,
        id: planned.id.clone(),
        cell: cell.id.clone(),
        block: planned.block,
        position: u32::try_from(position).unwrap_or(u32::MAX),
        phases,
        anchor,
        load: summary,
        parts,
        proofs,
        warnings,
        events,
        lacks,
        edges,
        cpus: beside.map(|beside| beside.cpus.to_vec()),
        sums: None,
    };
    directory.seal(&trial)?;
    Ok(())
}

/// What must stay alive while the load runs.
struct Watched<'a> {
    deployment: &'a mut Deployment,
    load: Launched,
    probe: Launched,
    steadiness: Steadiness,
}

impl Watched<'_> {
    /// Everything is alive.
    fn check(&mut self) -> anyhow::Result<()> {
        self.load.expect_alive("waiting for its start")?;
        self.check_servers()
    }

    /// All but the load is alive.
    fn check_servers(&mut self) -> anyhow::Result<()> {
        self.steadiness.look();
        self.probe.expect_alive("sampling")?;
        Ok(self.deployment.check_alive()?)
    }
}

/// Starts the load generator, held until it is told to go.
fn start_load(
    lab: &Lab,
    deployment: &Deployment,
    cell: &Cell,
    timing: &Timing,
    seed: u64,
    directory: &TrialDirectory,
    parts: &mut Vec<Part>,
) -> anyhow::Result<Launched> {
    let tls = deployment.entry_tls();
    let args = load_args(&deployment.entry_url(), tls, &cell.factors, timing, seed, directory);
    start_part(lab, "load", Role::Load, args, deployment.client_namespace(), directory, parts)
}

/// How the load generator is told what to do.
pub(crate) fn load_args(
    url: &str,
    tls: Option<(&Path, &str)>,
    factors: &Factors,
    timing: &Timing,
    seed: u64,
    directory: &TrialDirectory,
) -> Vec<String> {
    let ns = |ns: u64| format!("{ns}ns");
    let mut args: Vec<String> = vec!["load".into(), url.to_owned(), "--hold".into(), "--i-am-allowed".into()];
    for (flag, value) in [
        ("--rate", factors.rate_per_second.to_string()),
        ("--connections", factors.connections.to_string()),
        ("--warm-up", ns(timing.warm_up_ns)),
        ("--duration", ns(timing.measure_ns)),
        ("--arrival", factors.arrival.to_string()),
        ("--pace", factors.pace.to_string()),
        ("--seed", seed.to_string()),
        ("--record", directory.path().to_string_lossy().into_owned()),
        ("--noise-floor", "0".to_owned()),
        ("--format", "json".to_owned()),
    ] {
        args.push(flag.to_owned());
        args.push(value);
    }
    if !factors.keepalive {
        args.push("--no-keepalive".to_owned());
    }
    if factors.canary.is_some() {
        args.extend(["--split-by".to_owned(), scenarios::service::SUBSET_HEADER.to_owned()]);
    }
    if let Some((authority, name)) = tls {
        let authority = authority.to_string_lossy().into_owned();
        args.extend(["--cacert".to_owned(), authority, "--sni".to_owned(), name.to_owned()]);
    }
    args
}

/// Starts the probe on every part, and waits for its first sample.
fn start_probe(
    lab: &Lab,
    run_path: &Path,
    directory: &TrialDirectory,
    deployment: &Deployment,
    parts: &mut Vec<Part>,
) -> anyhow::Result<Launched> {
    let started = parts.iter().map(|part| (part.name.clone(), part.pid));
    let watched: Vec<(String, u32)> = started.chain(deployment.children()).collect();
    watch(lab, run_path, directory, &watched, &deployment.cgroups(), parts)
}

/// Starts a probe on these processes and cgroups, and waits for its first sample.
pub(crate) fn watch(
    lab: &Lab,
    run_path: &Path,
    directory: &TrialDirectory,
    processes: &[(String, u32)],
    cgroups: &[(String, Vec<PathBuf>)],
    parts: &mut Vec<Part>,
) -> anyhow::Result<Launched> {
    let mut args: Vec<String> = vec!["probe".into(), "--sensor".into(), "--every".into(), PROBE_EVERY.into()];
    let mut option = |flag: &str, value: String| {
        args.push(flag.to_owned());
        args.push(value);
    };
    for (name, pid) in processes {
        option("--pid", format!("{name}={pid}"));
    }
    for (name, folders) in cgroups {
        for folder in folders {
            option("--cgroup", format!("{name}={}", folder.display()));
        }
    }
    option("--disk-path", run_path.to_string_lossy().into_owned());
    option("--output", directory.samples_path().to_string_lossy().into_owned());
    let mut probe = start_part(lab, "probe", Role::Probe, args, None, directory, parts)?;
    let said = probe.read_line(READY_TIMEOUT, "its first sample")?;
    anyhow::ensure!(said.trim() == "ready", "the probe said '{}' instead of 'ready'", said.trim());
    Ok(probe)
}

/// Starts one of our own parts in a cgroup of its own, where that is permitted.
pub(crate) fn start_part(
    lab: &Lab,
    name: &str,
    role: Role,
    mut args: Vec<String>,
    netns: Option<PathBuf>,
    directory: &TrialDirectory,
    parts: &mut Vec<Part>,
) -> anyhow::Result<Launched> {
    if let Some(user) = lab.users().service.filter(|_| role == Role::Load) {
        // The probe stays who we are: it reads what other users' processes show to root alone.
        args.extend(["--as-user".to_owned(), user.to_string()]);
    }
    // The probe's sensor gives way to every thread of its own group, and its group to none: among the groups of the
    // parts it would take its turn before a service.
    let tree = lab.cgroups().filter(|_| role != Role::Probe);
    let leaf = tree.map(|tree| tree.leaf(name, None)).transpose()?;
    let folders: Vec<PathBuf> = leaf.as_ref().map(|l| l.directories().to_vec()).unwrap_or_default();
    let cgroup = match folders.first() {
        Some(folder) => Reading::Seen(folder.to_string_lossy().into_owned()),
        None if role == Role::Probe => Reading::absent("it stays outside, where its sensor gives way to all parts"),
        None => Reading::absent("not permitted here"),
    };
    let launch = Launch {
        name: name.to_owned(),
        program: lab.program().to_owned(),
        args: args.into_iter().map(Into::into).collect(),
        cgroups: folders,
        netns,
        user: None,
        within: None,
        log: directory.path().join("logs").join(format!("{name}.log")),
        stdout: None,
        pipe_stdin: true,
        pipe_stdout: true,
        env: Vec::new(),
    };
    let launched = launch.spawn(lab.program())?;
    parts.push(Part { name: name.to_owned(), role, pid: launched.pid(), program: PROGRAM.to_owned(), cgroup });
    Ok(launched)
}

/// Waits for the load to end, while everything else must stay alive; returns what it says of itself.
fn follow_load(
    watched: &mut Watched<'_>,
    timing: &Timing,
    released: u64,
    interrupt: &Interrupt,
    progress: &mut Progress,
    directory: &TrialDirectory,
) -> anyhow::Result<LoadSummary> {
    let planned = Duration::from_nanos(timing.warm_up_ns + timing.measure_ns);
    let deadline = Instant::now() + planned + LOAD_GRACE;
    loop {
        let since = monotonic_ns() - released;
        progress.phase(if since < timing.warm_up_ns { Phase::WarmUp.word() } else { Phase::Measure.word() });
        interrupt.sleep(LOOK_EVERY, || Ok(()))?;
        watched.check_servers()?;
        // First: what is done to the chain after its load has ended is in no figure.
        if let Some(status) = watched.load.try_wait()? {
            anyhow::ensure!(
                status.success(),
                "the load generator ended with {status}\n{}",
                indented(&watched.load.log_tail(8))
            );
            return Ok(directory.load()?);
        }
        watched.deployment.tend()?;
        anyhow::ensure!(
            Instant::now() < deadline,
            "the load generator did not end within {:.0} s of its planned end\n{}",
            LOAD_GRACE.as_secs_f64(),
            indented(&watched.load.log_tail(8))
        );
    }
}

pub(crate) fn indented(lines: &[String]) -> String {
    lines.iter().map(|l| format!("    | {l}")).collect::<Vec<_>>().join("\n")
}

/// How long the probe may take to end: its last line may wait for a CPU, or for a disk.
const PROBE_GRACE: Duration = Duration::from_secs(10);

/// Asks the probe to end; its last line is whole then.
pub(crate) fn stop_probe(mut probe: Launched) -> anyhow::Result<()> {
    probe.expect_alive("sampling")?;
    let asked = Instant::now();
    let status = probe.terminate(PROBE_GRACE)?;
    anyhow::ensure!(
        asked.elapsed() < PROBE_GRACE || status.success(),
        "the probe did not end within {} s of being asked to, and was killed: its last samples are not known to be whole\n{}\n  try: `meshtax doctor`, which says whether others are at work here; a probe ends late that gets no CPU, or whose disk takes no lines",
        PROBE_GRACE.as_secs(),
        indented(&probe.log_tail(8))
    );
    anyhow::ensure!(status.success(), "the probe ended with {status}\n{}", indented(&probe.log_tail(8)));
    Ok(())
}
