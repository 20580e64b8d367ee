//! The part of a chain that stands on this host, as a hand keeps it between orders.

use std::net::IpAddr;
use std::path::Path;

use record::Cell;
use scenarios::certs::AuthorityKey;
use scenarios::{DeploymentSpec, Scenario, Shape, Slice};

use super::words::SliceOrder;
use crate::lab::Lab;

/// What was ordered, with its shape.
pub(crate) struct SliceHere {
    cell: Cell,
    shape: Shape,
    services: Vec<String>,
    reached_at: IpAddr,
    entry_at: IpAddr,
    authority: Option<AuthorityKey>,
}

impl SliceHere {
    /// Of an order.
    ///
    /// # Errors
    /// A scenario that is none.
    pub(crate) fn of(order: SliceOrder) -> anyhow::Result<Self> {
        let SliceOrder { attempt: _, cell, scenario_toml, services, reached_at, entry_at, authority } = order;
        let shape = Scenario::parse(&scenario_toml, "the scenario of the run")?.shape(&cell.factors)?;
        Ok(Self { cell, shape, services, reached_at, entry_at, authority })
    }

    /// What is deployed of it, with its files in a directory.
    pub(crate) fn spec<'a>(&'a self, lab: &'a Lab, directory: &'a Path) -> DeploymentSpec<'a> {
        let Self { cell, shape, services, reached_at, entry_at, authority } = self;
        let slice = Slice { services, reached_at: *reached_at, authority: authority.as_ref() };
        let whole = lab.chain(&cell.factors, shape, directory);
        DeploymentSpec { entry_at: *entry_at, slice: Some(slice), ..whole }
    }
}
