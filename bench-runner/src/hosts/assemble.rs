//! The sides of a trial, as they were fetched from its hosts, made one sealed trial on one clock.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use load_gen::Generated;
use record::{
    ClockExchange, HostRole, Loss, METHOD, Phase, PhaseSpan, PlannedTrial, Run, RunHosts, SCHEMA, Trial,
    TrialDirectory, TrialHost, TrialHosts, Verdict, Warning, WarningKind,
};
use reports::clocks::{HostClock, apart_ns};

use super::join::{Serving, join};
use super::link::LateStart;
use crate::agent::side::SEAL;
use crate::agent::words::SideSeal;
use crate::trial::steadiness;

/// A clock that is known worse than this makes a doubt of the trial: a tenth of a window, by which what the load saw is set
/// beside what the probe read.
const TOO_SLOW_NS: u64 = record::INTERVAL_NS / 10;

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
    /// Why tries before this one came too late.
    pub(crate) late: &'a [LateStart],
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
    let Sides { folder, run, planned, hosts, clocks: _, attempt, fetched, late } = sides;
    let mut serving = Vec::new();
    for (host, side) in folders(folder, hosts, HostRole::Services) {
        serving.push(Serving { seal: read(&side)?, host, side });
    }
    let loads = folders(folder, hosts, HostRole::Load);
    let entered = serving.first().context("no host had the services")?;
    let (mut of_load, mut unsteady) = (Vec::new(), Vec::new());
    for one in &serving {
        anyhow::ensure!(one.seal.method == METHOD, "{} measured by another method", one.host);
        doubted(&one.host, &one.seal.warnings, &mut unsteady);
    }
    for (host, load) in &loads {
        let load = read(load)?;
        anyhow::ensure!(load.method == METHOD, "{host} measured by another method");
        doubted(host, &load.warnings, &mut unsteady);
        if *host == entered.host {
            of_load.extend(load.parts);
        }
    }
    raise(&entered.side, directory.path())?;
    let of = trial_hosts(sides, &serving, &loads)?;
    let moved_ns = |host: &str| -of.iter().find(|h| h.name == host).map_or(0, |h| h.ahead_ns);
    let generated: Vec<Generated> = loads
        .iter()
        .map(|(host, load)| Generated { directory: TrialDirectory::at(load), move_ns: moved_ns(host) })
        .collect();
    let hops_ns = of.iter().flat_map(|h| h.services.iter().map(|service| (service.clone(), -h.ahead_ns))).collect();
    let load = load_gen::merge(&generated, &hops_ns, &directory)?;
    for one in &generated {
        // All that is in them is in the merged ones.
        for path in [one.directory.intervals_path(), one.directory.slow_path()] {
            std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    let mut seal = join(serving, &moved_ns, &directory)?;
    seal.parts.extend(of_load);
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
    warnings.extend(late.iter().map(made_again));
    warnings.extend(unsteady.into_iter().map(|(_, warning)| warning));
    warnings.extend(slow_links(&of));
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
    directory.write_hosts(&TrialHosts { schema: SCHEMA, attempt: *attempt, hosts: of })?;
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
        parts: seal.parts,
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

/// What is said of a try that came too late: a trial that was made again is one that was chosen, if only by a machine.
fn made_again(late: &LateStart) -> Warning {
    Warning::new(
        WarningKind::RunnerLate,
        format!(
            "{}; that try is in no figure, and the trial was made again with more time before its load",
            late.brief()
        ),
        "do not stop the runner, an agent or the generator, and leave them some CPU",
    )
}

/// Adds what a side doubts of its host to what is known of it; two sides of one host doubt its clock once.
fn doubted(host: &str, doubts: &[Warning], known: &mut Vec<(String, Warning)>) {
    for doubt in doubts {
        if !known.iter().any(|(of, known)| of == host && known.kind == doubt.kind) {
            known.push((host.to_owned(), steadiness::on(host, doubt.clone())));
        }
    }
}

/// What links that are too slow leave open.
fn slow_links(hosts: &[TrialHost]) -> Option<Warning> {
    let slow = hosts.iter().filter(|h| h.error_ns > TOO_SLOW_NS);
    let known: Vec<String> = slow.map(|h| format!("that of {} to {:.0} ms", h.name, h.error_ns as f64 / 1e6)).collect();
    if known.is_empty() {
        return None;
    }
    let entered = hosts.iter().find(|h| h.roles.contains(&HostRole::Services)).map_or("", |h| h.name.as_str());
    Some(Warning::new(
        WarningKind::SlowLink,
        format!(
            "over slow links to the agents, beside the clock of {entered} {} only is known: what the load saw is set beside what the probe read of another moment",
            known.join(", ")
        ),
        "a runner nearer to its hosts, or one of them as the runner; response times are each by one clock, and hold",
    ))
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

/// Each host with how far its clock was ahead of that of the host that the load enters, while it was measured.
fn trial_hosts(sides: &Sides<'_>, serving: &[Serving], loads: &[(String, PathBuf)]) -> anyhow::Result<Vec<TrialHost>> {
    let Sides { hosts, clocks, .. } = sides;
    let known = HostClock::of(clocks);
    let entered = serving.first().context("no host had the services")?.host.as_str();
    let mut of = Vec::new();
    for host in &hosts.hosts {
        let load = loads.iter().find(|(name, _)| *name == host.name);
        let services = serving.iter().find(|one| one.host == host.name);
        let span = match (load, services) {
            _ if host.name == entered => None,
            (Some((_, folder)), _) => {
                let load = TrialDirectory::at(folder).load()?;
                Some((load.start_ns.saturating_sub(sides.run.timing.warm_up_ns), load.end_ns))
            }
            (None, Some(one)) => {
                let settled = one.seal.phases.iter().find(|(phase, ..)| *phase == Phase::Settle);
                settled.map(|(_, start_ns, end_ns)| (*start_ns, *end_ns))
            }
            (None, None) => None,
        };
        let (ahead_ns, error_ns) = match span {
            None => (0, 0),
            Some(span) => {
                let apart = apart_ns(&known, &host.name, entered, span).with_context(|| {
                    format!("the clocks of {} and {entered} are not known while this was measured\n  try: the trial again; clocks.jsonl has what is known", host.name)
                })?;
                (apart.value.round() as i64, apart.error.ceil() as u64)
            }
        };
        let (name, roles, services) = (host.name.clone(), host.roles.clone(), host.services.clone());
        of.push(TrialHost { name, roles, services, ahead_ns, error_ns });
    }
    Ok(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_sides_of_a_host_doubt_is_told_once_with_its_name() {
        let stepped = |evidence: &str| Warning::new(WarningKind::ClockStepped, evidence, "see who sets the clock");
        let late = Warning::new(WarningKind::RunnerLate, "the agent's hand was late", "leave it some CPU");
        let mut known = Vec::new();
        doubted("chain", &[stepped("the time of day was set back by 2.0 s"), late.clone()], &mut known);
        doubted("chain", &[stepped("the time of day was set back by 2.1 s")], &mut known);
        doubted("driver", &[late], &mut known);
        let said: Vec<&str> = known.iter().map(|(_, warning)| warning.evidence.as_str()).collect();
        assert_eq!(
            said,
            [
                "on chain the time of day was set back by 2.0 s",
                "on chain the agent's hand was late",
                "on driver the agent's hand was late"
            ]
        );
    }

    #[test]
    fn a_try_that_came_too_late_marks_the_one_that_did_not() {
        let late = std::time::Duration::from_micros(1_012_346);
        let said = made_again(&LateStart { host: "driver".into(), what: "exit status: 2".into(), late });
        assert_eq!(said.kind, WarningKind::RunnerLate);
        assert!(said.evidence.starts_with("the load on driver was to begin 1012.3 ms before it could; "), "{said}");
    }

    #[test]
    fn links_are_slow_from_a_tenth_of_a_window_on_and_named() {
        let host = |name: &str, roles: &[HostRole], error_ns| TrialHost {
            name: name.into(),
            roles: roles.to_vec(),
            services: Vec::new(),
            ahead_ns: 0,
            error_ns,
        };
        let of = |error_ns| [host("chain", &[HostRole::Services], 0), host("driver", &[HostRole::Load], error_ns)];
        assert_eq!(slow_links(&of(10_000_000)), None);
        let said = slow_links(&of(151_000_000)).unwrap();
        assert_eq!(said.kind, WarningKind::SlowLink);
        assert!(said.evidence.contains("beside the clock of chain that of driver to 151 ms only is known"), "{said}");
    }
}
