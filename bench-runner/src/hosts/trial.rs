//! One trial on several hosts: its sides are started, let go at one moment, stopped, fetched, and made one trial.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use record::{Cell, Factors, HostRole, Phase, PlannedTrial, Run, RunDirectory, RunHosts, monotonic_ns};

use super::assemble::{self, Sides};
use super::ensemble::{Ensemble, PATIENCE};
use super::link::LateStart;
use super::{fetch, spread};
use crate::agent::words::{Ask, Done, LoadOrder, Order, Tell};
use crate::interrupt::Interrupt;
use crate::plan::arrival_seed;
use crate::progress::Progress;
use crate::trial::LOAD_GRACE;

/// From the order to begin to the first request due, but for the order's way: the opening of all connections. It is twice as
/// long after each try that came too late.
const LEAD: Duration = Duration::from_millis(1500);

/// A question, its answer and an order are on their way before a load begins, and the way may take twice as long as it did.
const WAYS: u32 = 4;

/// How often the services are asked whether all is well.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What a trial is made with.
pub(crate) struct Stage<'a> {
    pub(crate) directory: &'a RunDirectory,
    pub(crate) run: &'a Run,
    pub(crate) hosts: &'a RunHosts,
    pub(crate) interrupt: &'a Interrupt,
    /// Why tries of this trial before came too late.
    pub(crate) late: &'a [LateStart],
}

/// Makes a trial and seals it; `phase` tells how far it came.
///
/// # Errors
/// [`super::link::HostLost`] where a host was, [`LateStart`] where a generator was not there in time; what a part cannot do.
pub(crate) fn make(
    stage: &Stage<'_>,
    ensemble: &mut Ensemble,
    planned: &PlannedTrial,
    cell: &Cell,
    attempt: u32,
    progress: &mut Progress,
    phase: &mut Phase,
) -> anyhow::Result<()> {
    let Stage { directory, run, hosts, interrupt, late } = stage;
    let name = attempt_name(&planned.id, attempt);
    *phase = Phase::Settle;
    progress.phase("start");
    start(stage, ensemble, planned, cell, &name)?;
    progress.phase(Phase::Settle.word());
    rest(ensemble, Duration::from_nanos(run.timing.settle_ns), interrupt)?;
    *phase = Phase::WarmUp;
    load(stage, ensemble, progress, phase)?;
    *phase = Phase::CoolDown;
    progress.phase(Phase::CoolDown.word());
    finish(ensemble, run.timing.cool_down_ns, interrupt)?;
    // From here on nothing is lost: all that is missing is on the disks of the hosts.
    let trial = directory.begin_trial(&planned.id)?;
    let folder = trial.path().join("hosts");
    fetch_all(ensemble, &run.id, &name, &folder)?;
    let clocks = directory.clocks()?;
    let sides = Sides { folder: &folder, run, planned, hosts, clocks: &clocks, attempt, fetched: None, late };
    assemble::seal(&sides, trial)?;
    forget(ensemble, &run.id, &name);
    Ok(())
}

/// Has all hands cool down, take proofs and seal. Parts of one chain go step by step: all read their counters before any of
/// them makes a request of its own, which would go on to the others, and all have had their answers before any of them stops.
fn finish(ensemble: &mut Ensemble, cool_down_ns: u64, interrupt: &Interrupt) -> anyhow::Result<()> {
    let all: Vec<usize> = (0..ensemble.hands.len()).collect();
    let parts = ensemble.of_side("services");
    let parts = if parts.len() > 1 { parts } else { Vec::new() };
    let first = |at| if parts.contains(&at) { Order::Count { cool_down_ns } } else { Order::Finish { cool_down_ns } };
    carried_out(ensemble, &all, first, PATIENCE + Duration::from_nanos(cool_down_ns), interrupt)?;
    carried_out(ensemble, &parts, |_| Order::ProveRefusals, PATIENCE, interrupt)?;
    carried_out(ensemble, &parts, |_| Order::Finish { cool_down_ns: 0 }, PATIENCE, interrupt)
}

/// Gives each of these hands its order and waits until all have carried it out: who is told to finish has sealed then.
fn carried_out(
    ensemble: &mut Ensemble,
    hands: &[usize],
    order: impl Fn(usize) -> Order,
    patience: Duration,
    interrupt: &Interrupt,
) -> anyhow::Result<()> {
    let mut sealing = Vec::new();
    for &at in hands {
        let order = order(at);
        if matches!(order, Order::Finish { .. }) {
            sealing.push(at);
        }
        ensemble.order(at, order)?;
    }
    for (at, done) in ensemble.gathered(hands, patience, interrupt)? {
        let fine = if sealing.contains(&at) { matches!(done, Done::Sealed(_)) } else { matches!(done, Done::Well) };
        anyhow::ensure!(fine, "a hand finished with {done:?}");
    }
    Ok(())
}

/// What a try is called on the disks of the hosts.
pub(crate) fn attempt_name(trial: &str, attempt: u32) -> String {
    format!("{trial}~{attempt}")
}

/// Starts the chain, then the generators, held, then the probes.
fn start(
    stage: &Stage<'_>,
    ensemble: &mut Ensemble,
    planned: &PlannedTrial,
    cell: &Cell,
    attempt: &str,
) -> anyhow::Result<()> {
    let Stage { run, interrupt, .. } = stage;
    let (url, tls) = if ensemble.of_side("services").len() > 1 {
        spread::build(stage, ensemble, cell, attempt)?
    } else {
        whole(stage, ensemble, cell, attempt)?
    };
    let loads = ensemble.of_side("load");
    let of = u32::try_from(loads.len()).unwrap_or(u32::MAX);
    let mut made = Vec::new();
    for (number, at) in (0..).zip(&loads) {
        let order = LoadOrder {
            attempt: attempt.to_owned(),
            cell: cell.clone(),
            timing: run.timing,
            seed: arrival_seed(run.seed, planned.block),
            url: url.clone(),
            tls: tls.clone(),
            portion: format!("{}/{of}", number + 1),
            connections: share_of(&cell.factors, number, of),
        };
        let Done::Held { pid } = ensemble.call(*at, Order::Load(Box::new(order)), interrupt)? else {
            anyhow::bail!("a generator did not say who it is");
        };
        made.push((ensemble.hands.get(*at).map(|h| h.station), ("load".to_owned(), pid)));
    }
    // Last, so that the probe sees nothing of the starting.
    for at in 0..ensemble.hands.len() {
        if !is_watched(ensemble, at) {
            continue;
        }
        // A generator's own hand watches it anyway; that of services has to be told who makes the load beside them.
        let hand = ensemble.hands.get(at).filter(|hand| hand.side == "services");
        let beside = made.iter().filter(|(station, _)| hand.is_some_and(|hand| *station == Some(hand.station)));
        let also = beside.map(|(_, load)| load.clone()).collect();
        let done = ensemble.call(at, Order::Watch { attempt: attempt.to_owned(), also }, interrupt)?;
        anyhow::ensure!(matches!(done, Done::Watching), "a probe began with {done:?}");
    }
    Ok(())
}

/// Starts a chain of which all stands on one host.
fn whole(
    stage: &Stage<'_>,
    ensemble: &mut Ensemble,
    cell: &Cell,
    attempt: &str,
) -> anyhow::Result<(String, Option<(String, String)>)> {
    let order = Order::Chain {
        attempt: attempt.to_owned(),
        cell: Box::new(cell.clone()),
        scenario_toml: stage.run.scenario_toml.clone(),
        entry_at: ensemble.entry_at()?,
    };
    let Done::Standing { url, tls } = ensemble.call(0, order, stage.interrupt)? else {
        anyhow::bail!("the chain's host did not say where it takes the load");
    };
    Ok((url, tls))
}

/// Whether a hand has a probe: that of the services always, another one if its host has the role and no probe yet.
fn is_watched(ensemble: &Ensemble, at: usize) -> bool {
    let Some(hand) = ensemble.hands.get(at) else { return false };
    let Some(station) = ensemble.stations.get(hand.station) else { return false };
    hand.side == "services" || (station.line.has(HostRole::Probe) && !station.line.has(HostRole::Services))
}

/// The connections of a generator: the first have one more where they do not come out even, and none has none.
fn share_of(factors: &Factors, number: u32, of: u32) -> u32 {
    (factors.connections / of + u32::from(number < factors.connections % of)).max(1)
}

/// Lets time pass in which nothing is asked of the chain.
fn rest(ensemble: &Ensemble, length: Duration, interrupt: &Interrupt) -> anyhow::Result<()> {
    interrupt.sleep(length, || Ok(ensemble.expect()?))
}

/// The lead after so many tries that came too late.
fn lead(late: usize) -> Duration {
    LEAD * 2_u32.pow(late as u32)
}

/// Lets all generators go at one moment, and waits until all have ended.
fn load(stage: &Stage<'_>, ensemble: &mut Ensemble, progress: &mut Progress, phase: &mut Phase) -> anyhow::Result<()> {
    let Stage { run, interrupt, .. } = stage;
    let timing = run.timing;
    let slowest = ensemble.stations.iter().map(|station| station.watch.delay()).max().unwrap_or_default();
    let lead = lead(stage.late.len()) + slowest * WAYS;
    let start_ns = monotonic_ns() + u64::try_from(lead.as_nanos()).unwrap_or(u64::MAX);
    let on_host = |ensemble: &Ensemble, at: usize, ns: u64| -> anyhow::Result<u64> {
        let station = ensemble.hands.get(at).and_then(|h| ensemble.stations.get(h.station));
        let ahead = station.context("there is no such host")?.watch.ahead_ns(start_ns)?;
        Ok(ns.saturating_add_signed(ahead.value.round() as i64))
    };
    let measured = start_ns + timing.warm_up_ns;
    let services = ensemble.of_side("services");
    for at in &services {
        let order = Order::Tend {
            measure_from_ns: on_host(ensemble, *at, measured)?,
            ends_ns: on_host(ensemble, *at, measured + timing.measure_ns)?,
            cool_down_ns: timing.cool_down_ns,
        };
        ensemble.order(*at, order)?;
    }
    ensemble.gathered(&services, PATIENCE, interrupt)?;
    let loads = ensemble.of_side("load");
    for at in &loads {
        let start_ns = on_host(ensemble, *at, start_ns)?;
        ensemble.order(*at, Order::Go { start_ns })?;
    }
    let planned = lead + Duration::from_nanos(timing.warm_up_ns + timing.measure_ns) + LOAD_GRACE;
    let mut open = loads;
    let mut looked = std::time::Instant::now();
    while !open.is_empty() {
        let since = monotonic_ns().saturating_sub(start_ns);
        *phase = if since < timing.warm_up_ns { Phase::WarmUp } else { Phase::Measure };
        progress.phase(phase.word());
        interrupt.sleep(Duration::from_millis(20), || Ok(()))?;
        ensemble.expect()?;
        if looked.elapsed() >= LOOK_EVERY {
            looked = std::time::Instant::now();
            for at in &services {
                ensemble.order(*at, Order::Look)?;
            }
            ensemble.gathered(&services, PATIENCE, interrupt)?;
        }
        let mut still = Vec::new();
        for at in open {
            let hand = ensemble.hands.get_mut(at).context("there is no such hand")?;
            match hand.link.done(Duration::from_millis(5))? {
                Some(Done::Loaded) => {}
                Some(other) => anyhow::bail!("a generator ended with {other:?}"),
                None => {
                    let late = hand.link.awaited().is_some_and(|since| since > planned + LOAD_GRACE);
                    anyhow::ensure!(!late, "the generator on {} does not end", hand.link.host());
                    still.push(at);
                }
            }
        }
        open = still;
    }
    Ok(())
}

/// Fetches what all hosts have of a try.
fn fetch_all(ensemble: &mut Ensemble, run: &str, attempt: &str, folder: &Path) -> anyhow::Result<()> {
    let mut met = Vec::new();
    for hand in &mut ensemble.hands {
        // Two hands of a host have one disk.
        if !met.contains(&hand.station) {
            met.push(hand.station);
            let host = hand.link.host().to_owned();
            fetch::files(&mut hand.link, run, Some(attempt), folder, |_| host.clone().into())?;
        }
    }
    Ok(())
}

/// What is here is thrown away there; an agent that cannot be told keeps it.
pub(crate) fn forget(ensemble: &mut Ensemble, run: &str, attempt: &str) {
    for hand in &mut ensemble.hands {
        let ask = Ask::Forget { run: run.to_owned(), attempt: Some(attempt.to_owned()) };
        let forgotten = hand.link.call(&ask, Duration::from_secs(20));
        if !matches!(forgotten, Ok(Tell::Forgotten)) {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_try_that_came_too_late_doubles_the_time_before_the_load() {
        assert_eq!([0, 1, 2].map(|late| lead(late).as_millis()), [1500, 3000, 6000]);
    }

    #[test]
    fn connections_are_shared_out_to_the_last() {
        let factors = |connections| Factors { connections, ..Factors::unmeshed() };
        let shared = |connections, of| (0..of).map(|k| share_of(&factors(connections), k, of)).collect::<Vec<_>>();
        assert_eq!(shared(16, 1), [16]);
        assert_eq!(shared(10, 4), [3, 3, 2, 2]);
        assert_eq!(shared(2, 3), [1, 1, 1], "each needs one");
    }
}
