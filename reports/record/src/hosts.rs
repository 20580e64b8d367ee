//! The hosts of a run that were more than one, what stands where, and what was lost of it.

use serde::{Deserialize, Serialize};

use crate::{Host, Phase};

/// What a host does in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum HostRole {
    /// It makes the load, or a portion of it.
    Load,
    /// The chain runs on it, or a part of the chain, and the probe beside it.
    Services,
    /// It is watched by a probe, whatever else it does.
    Probe,
}

/// What a host costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct HostPrice {
    /// So much a month.
    pub per_month: f64,
    /// Of this currency: "EUR".
    pub currency: String,
}

/// One of the hosts of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RunHost {
    /// The name it was paired under.
    pub name: String,
    /// Where its agent listens.
    pub address: String,
    /// What it does.
    pub roles: Vec<HostRole>,
    /// The services of the chain that stand on it, where others stand on other hosts; empty for all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// Where other hosts reach the chain on it, if not at the agent's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serve_at: Option<std::net::IpAddr>,
    /// What it costs, where that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<HostPrice>,
    /// The start of it with which the run began.
    pub boot: String,
    /// The agent's program and its version.
    pub program: String,
    /// The machine.
    pub host: Host,
}

/// The hosts of a run; `hosts.json`, written with `run.json` and never changed. The host of `run.json` is the one on which the
/// load enters the chain, on whose clock all stamps of the run are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct RunHosts {
    /// The file format.
    pub schema: u32,
    /// All of them. Of those with services the one that the load enters is the first.
    pub hosts: Vec<RunHost>,
}

impl RunHosts {
    /// The one with the services; of several the one that the load enters.
    pub fn services(&self) -> Option<&RunHost> {
        self.serving().next()
    }

    /// All with services, the one that the load enters first.
    pub fn serving(&self) -> impl Iterator<Item = &RunHost> {
        self.hosts.iter().filter(|h| h.roles.contains(&HostRole::Services))
    }

    /// Those that make the load, in the order of their portions.
    pub fn loads(&self) -> impl Iterator<Item = &RunHost> {
        self.hosts.iter().filter(|h| h.roles.contains(&HostRole::Load))
    }

    /// Whether load and services are on different hosts.
    pub fn apart(&self) -> bool {
        self.loads().any(|h| !h.roles.contains(&HostRole::Services))
    }
}

/// What one host had of a trial; `hosts.json` of a trial has one for each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TrialHost {
    /// Its name.
    pub name: String,
    /// What it did.
    pub roles: Vec<HostRole>,
    /// The services that stood on it, where others stood on other hosts; empty for all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// How far its clock was ahead of that of the host that the load enters when the trial was measured, in nanoseconds; its
    /// stamps were moved by so much.
    pub ahead_ns: i64,
    /// By how much that may be wrong, either way, from the first request of the trial to its last.
    pub error_ns: u64,
}

/// The hosts of a trial; `hosts.json` of a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct TrialHosts {
    /// The file format.
    pub schema: u32,
    /// Which try of the trial was sealed, from 1.
    pub attempt: u32,
    /// Each of them.
    pub hosts: Vec<TrialHost>,
}

/// A trial that was not finished since a host was lost; a line of `losses.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Loss {
    /// The trial's id.
    pub trial: String,
    /// Which try of it this was, from 1.
    pub attempt: u32,
    /// The host that was lost.
    pub host: String,
    /// In which phase.
    pub phase: Phase,
    /// When, RFC 3339, UTC.
    pub when: String,
    /// What was seen: "no answer for 5 s".
    pub what: String,
}
