//! The sides of a trial, as they were fetched from its hosts, made one sealed trial on one clock.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use load_gen::Generated;
use record::{
    ClockExchange, HostRole, Loss, METHOD, Phase, PhaseSpan, PlannedTrial, Run, RunHosts, SCHEMA, Trial,
    TrialDirectory, TrialHost, TrialHosts, Verdict, Warning, WarningKind,
};
use reports::clocks::{HostClock, apart_ns};

use crate::agent::side::SEAL;
use crate::agent::words::SideSeal;

/// What a trial is made of.
pub(crate) struct Sides<'a> {
    /// `HOST/SIDE/...` of each.
    pub(crate) folder: &'a Path,
    pub(crate) run: &'a Run,
    pub(crate) planned: &'a PlannedTrial,
    pub(crate) hosts: &'a RunHosts,
    pub(crate) clocks: &'a [ClockExchange],
    pub(crate) attempt: u32,
    /// The loss after which it was fetched, if it was.
    pub(crate) fetched: Option<&'a Loss>,
}

/// Where a side is, and whose it is.
fn folders(folder: &Path, hosts: &RunHosts, role: HostRole) -> Vec<(String, PathBuf)> {
    let side = match role {
        HostRole::Services => "services",
        HostRole::Load => "load",
        HostRole::Probe => "probe",
    };
    let with = hosts.hosts.iter().filter(|h| h.roles.contains(&role));
    with.map(|h| (h.name.clone(), folder.join(&h.name).join(side))).collect()
}

/// Whether the services and every generator have sealed what they did.
pub(crate) fn is_whole(folder: &Path, hosts: &RunHosts) -> bool {
    [HostRole::Services, HostRole::Load]
        .into_iter()
        .flat_map(|role| folders(folder, hosts, role))
        .all(|(_, side)| side.join(SEAL).is_file())
}

/// Whether no generator calls its own figures invalid: what a network that was cut did to a load is no figure of the chain.
pub(crate) fn is_sound(folder: &Path, hosts: &RunHosts) -> bool {
    let loads = folders(folder, hosts, HostRole::Load);
    loads.iter().all(|(_, load)| TrialDirectory::at(load).load().is_ok_and(|load| load.verdict != Verdict::Invalid))
}

fn read(side: &Path) -> anyhow::Result<SideSeal> {
    let path = side.join(SEAL);
    let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{} is broken", path.display()))
}

/// Makes the files of the trial of those of its sides, and seals it.
///
/// # Errors
/// When a side is missing, was made by another method, or its counts do not add up.
pub(crate) fn seal(sides: &Sides<'_>, directory: TrialDirectory) -> anyhow::Result<()> {
    let Sides { folder, run, planned, hosts, clocks: _, attempt, fetched } = sides;
    let services = folders(folder, hosts, HostRole::Services).pop().context("no host had the services")?;
    let loads = folders(folder, hosts, HostRole::Load);
    let seal = read(&services.1)?;
    let mut parts = seal.parts.clone();
    for (host, load) in &loads {
        let load = read(load)?;
        anyhow::ensure!(load.method == METHOD && seal.method == METHOD, "{host} measured by another method");
        if *host == services.0 {
            parts.extend(load.parts);
        }
    }
    raise(&services.1, directory.path())?;
    let of = trial_hosts(sides, &services.0, &loads)?;
    let generated: Vec<Generated> = loads
        .iter()
        .map(|(host, load)| Generated {
            directory: TrialDirectory::at(load),
            move_ns: -of.iter().find(|h| h.name == *host).map_or(0, |h| h.ahead_ns),
        })
        .collect();
    let load = load_gen::merge(&generated, &directory)?;
    for one in &generated {
        // All that is in them is in the merged ones.
        for path in [one.directory.intervals_path(), one.directory.slow_path()] {
            std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    directory.write_hosts(&TrialHosts { schema: SCHEMA, attempt: *attempt, hosts: of })?;
    let mut warnings = load.warnings.clone();
    if let Some(loss) = fetched {
        warnings.push(Warning::new(
            WarningKind::HostLost,
            format!(
                "{} was lost in the phase {} ({}); every side had sealed what it measured, and it was fetched later",
                loss.host,
                loss.phase.word(),
                loss.what
            ),
            "look at the network of that host: what it did to this trial is not known",
        ));
    }
    let span = |wanted: Phase| seal.phases.iter().find(|(phase, ..)| *phase == wanted).copied();
    let (_, settled, _) = span(Phase::Settle).context("the services were never settled")?;
    let (_, cooling, cooled) = span(Phase::CoolDown).context("the services never cooled down")?;
    let warmed = load.start_ns.saturating_sub(run.timing.warm_up_ns);
    let phases = vec![
        PhaseSpan { phase: Phase::Settle, start_ns: settled, end_ns: warmed },
        PhaseSpan { phase: Phase::WarmUp, start_ns: warmed, end_ns: load.start_ns },
        PhaseSpan { phase: Phase::Measure, start_ns: load.start_ns, end_ns: load.start_ns + load.duration_ns },
        PhaseSpan { phase: Phase::CoolDown, start_ns: cooling, end_ns: cooled },
    ];
    let position = run.trials.iter().position(|t| t.id == planned.id).map_or(0, |at| at + 1);
    let trial = Trial {
        schema: SCHEMA,
        method: METHOD,
        id: planned.id.clone(),
        cell: planned.cell.clone(),
        block: planned.block,
        position: u32::try_from(position).unwrap_or(u32::MAX),
        phases,
        anchor: seal.anchor,
        load,
        parts,
        proofs: seal.proofs,
        warnings,
        events: seal.events,
        lacks: seal.lacks,
        edges: seal.edges,
        cpus: None,
        sums: None,
    };
    Ok(directory.seal(&trial)?)
}

/// What the services' host wrote is the trial's own: its samples, the configurations as they ran, its logs.
fn raise(side: &Path, to: &Path) -> anyhow::Result<()> {
    let cannot = || format!("cannot move the files of {}", side.display());
    for entry in std::fs::read_dir(side).with_context(cannot)?.flatten() {
        if entry.file_name() != SEAL {
            std::fs::rename(entry.path(), to.join(entry.file_name())).with_context(cannot)?;
        }
    }
    Ok(())
}

/// Each host with how far its clock was ahead of that of the services' host while it was measured.
fn trial_hosts(sides: &Sides<'_>, services: &str, loads: &[(String, PathBuf)]) -> anyhow::Result<Vec<TrialHost>> {
    let Sides { hosts, clocks, .. } = sides;
    let known = HostClock::of(clocks);
    let mut of = Vec::new();
    for host in &hosts.hosts {
        let load = loads.iter().find(|(name, _)| *name == host.name);
        let (ahead_ns, error_ns) = match load {
            Some((_, folder)) if host.name != services => {
                let load = TrialDirectory::at(folder).load()?;
                let warm_up_ns = sides.run.timing.warm_up_ns;
                let span = (load.start_ns.saturating_sub(warm_up_ns), load.end_ns);
                let apart = apart_ns(&known, &host.name, services, span).with_context(|| {
                    format!("the clocks of {} and {services} are not known while this was measured\n  try: the trial again; clocks.jsonl has what is known", host.name)
                })?;
                (apart.value.round() as i64, apart.error.ceil() as u64)
            }
            _ => (0, 0),
        };
        of.push(TrialHost { name: host.name.clone(), roles: host.roles.clone(), ahead_ns, error_ns });
    }
    Ok(of)
}
