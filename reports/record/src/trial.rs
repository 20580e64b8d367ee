//! One cell, one repeat: when its phases were, who took part, what was proven and what is doubted.

use serde::{Deserialize, Serialize};

use crate::{Edges, Event, Lack, LoadSummary, Reading, Sums, Warning};

/// A part of a trial's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Everything is up, nothing is asked of it.
    Settle,
    /// Load that is not counted.
    WarmUp,
    /// Load that is counted.
    Measure,
    /// No new load; late answers and late counters arrive.
    CoolDown,
}

impl Phase {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Settle => "settle",
            Self::WarmUp => "warm-up",
            Self::Measure => "measure",
            Self::CoolDown => "cool-down",
        }
    }
}

/// When a phase was, CLOCK_MONOTONIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PhaseSpan {
    /// Which.
    pub phase: Phase,
    /// Its start.
    pub start_ns: u64,
    /// Its end.
    pub end_ns: u64,
}

/// The two clocks read at one moment, so that monotonic stamps can be shown as time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ClockAnchor {
    /// CLOCK_MONOTONIC.
    pub monotonic_ns: u64,
    /// CLOCK_REALTIME, since 1970.
    pub realtime_ns: u64,
}

impl ClockAnchor {
    /// Reads both clocks now.
    pub fn now() -> Self {
        Self { monotonic_ns: crate::monotonic_ns(), realtime_ns: crate::realtime_ns() }
    }
}

/// What a process did in a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Answered requests.
    Service,
    /// Stood beside a service, or beside the load generator at the entry.
    Sidecar,
    /// Stood in front of the chain.
    Gateway,
    /// Stood between all services of the node.
    NodeProxy,
    /// Was at work on the same host, to be in the way.
    Neighbour,
    /// Made the load.
    Load,
    /// Watched.
    Probe,
}

impl Role {
    /// Whether it stood between services, or in front of them.
    pub fn is_proxy(self) -> bool {
        match self {
            Self::Sidecar | Self::Gateway | Self::NodeProxy => true,
            Self::Service | Self::Neighbour | Self::Load | Self::Probe => false,
        }
    }
}

/// A process that took part. Its counters stand in the samples under the same name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Unique in the trial: "s2", "s2-sidecar", "entry-sidecar", "load", "probe".
    pub name: String,
    /// What it did.
    pub role: Role,
    /// Its process id.
    pub pid: u32,
    /// Its program and version: "envoy 1.40.0", "meshtax 0.1.0".
    pub program: String,
    /// Its cgroup, or why it has none of its own.
    pub cgroup: Reading<String>,
}

/// A point of the configuration read back from the running thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// The part it was read from.
    pub part: String,
    /// What is proven: "worker threads", "CPU limit", "mTLS".
    pub claim: String,
    /// What it should be.
    pub expected: String,
    /// What was found.
    pub found: String,
    /// Where it was read: "/proc/4711/task", "listener.inbound.ssl.handshake".
    pub source: String,
}

/// A sealed trial; `trial.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Trial {
    /// The file format.
    pub schema: u32,
    /// The way figures are made.
    pub method: u32,
    /// "0007-chain3-envoy-500m-r2".
    pub id: String,
    /// The cell's id.
    pub cell: String,
    /// The block it belongs to, from 1: its baseline is in the same block.
    pub block: u32,
    /// Its place in the run, from 1.
    pub position: u32,
    /// Its phases in order.
    pub phases: Vec<PhaseSpan>,
    /// The two clocks at its start.
    pub anchor: ClockAnchor,
    /// What the load generator says of the measured phase.
    pub load: LoadSummary,
    /// Who took part.
    pub parts: Vec<Part>,
    /// What was proven of the configuration.
    pub proofs: Vec<Proof>,
    /// What is doubted.
    pub warnings: Vec<Warning>,
    /// What was done to the chain under load, in the order of time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Event>,
    /// What this dataplane does not do of what the real thing does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<Lack>,
    /// What was read before and after the load only; none in files of before there was such a reading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edges: Option<Edges>,
    /// The CPUs to which all of its parts were held, where another trial was made on the others meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<Vec<u32>>,
    /// The sums of its files and of this one, by which a change after the seal is told; written by the seal, none in files of
    /// before there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sums: Option<Sums>,
}

impl Trial {
    /// When a phase was.
    pub fn phase(&self, phase: Phase) -> Option<PhaseSpan> {
        self.phases.iter().copied().find(|p| p.phase == phase)
    }
}
