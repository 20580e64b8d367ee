//! Building one chain over several hosts: its services at once, its proxies in turns, and then a first answer.

use std::collections::BTreeMap;

use anyhow::Context as _;
use record::Cell;
use scenarios::certs::Authority;
use scenarios::{Reached, Scenario, turns};

use super::ensemble::{Ensemble, PATIENCE};
use super::trial::Stage;
use crate::agent::words::{Done, Order, SliceOrder};

/// Builds it; where it takes the load, and what is to be trusted there.
///
/// # Errors
/// [`super::link::HostLost`] where a host was; what one of them cannot do.
pub(super) fn build(
    stage: &Stage<'_>,
    ensemble: &mut Ensemble,
    cell: &Cell,
    attempt: &str,
) -> anyhow::Result<(String, Option<(String, String)>)> {
    let interrupt = stage.interrupt;
    let shape = Scenario::parse(&stage.run.scenario_toml, "the scenario of the run")?.shape(&cell.factors)?;
    let hands = ensemble.of_side("services");
    let mut stands_on = BTreeMap::new();
    // One for this try. Its key goes over connections that are secured on both sides, and is on no disk.
    let authority = Authority::of_chain(&cell.factors)?.map(|authority| authority.hand_over());
    let entry_at = ensemble.entry_at()?;
    for at in &hands {
        let station = ensemble.hands.get(*at).and_then(|h| ensemble.stations.get(h.station));
        let station = station.context("there is no such host")?;
        let services = station.line.services.clone().unwrap_or_default();
        stands_on.extend(services.iter().map(|service| (service.clone(), *at)));
        let order = SliceOrder {
            attempt: attempt.to_owned(),
            cell: cell.clone(),
            scenario_toml: stage.run.scenario_toml.clone(),
            services,
            reached_at: station.reached_at()?,
            entry_at,
            authority: authority.clone(),
        };
        ensemble.order(*at, Order::Slice(Box::new(order)))?;
    }
    for (_, done) in ensemble.gathered(&hands, PATIENCE, interrupt)? {
        anyhow::ensure!(matches!(done, Done::Well), "a part of the chain began with {done:?}");
    }
    let mut reached: Vec<Reached> = Vec::new();
    for (at, services) in turns(&shape, |service| stands_on.get(service).copied())? {
        let elsewhere = reached.iter().filter(|r| stands_on.get(&r.service) != Some(&at));
        let order = Order::Stand { services, elsewhere: elsewhere.cloned().collect() };
        let Done::Reached(stand) = ensemble.call(at, order, interrupt)? else {
            anyhow::bail!("a part of the chain did not say where it is reached");
        };
        reached.extend(stand);
    }
    // The load enters the first, which asks the whole chain; the others stand by then.
    let mut way_in = None;
    for at in hands.iter().rev() {
        let Done::Standing { url, tls } = ensemble.call(*at, Order::Complete, interrupt)? else {
            anyhow::bail!("a part of the chain did not say that it stands");
        };
        way_in = Some((url, tls));
    }
    way_in.context("no host has services")
}
