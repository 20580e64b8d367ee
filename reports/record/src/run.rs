//! One execution of a plan; `run.json`, written before the first trial and never changed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Cell, Host, LeftOut, Source, Until, Warning};

/// How long the phases of each trial are, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Timing {
    /// Nothing is asked.
    pub settle_ns: u64,
    /// Load that is not counted.
    pub warm_up_ns: u64,
    /// Load that is counted.
    pub measure_ns: u64,
    /// No new load.
    pub cool_down_ns: u64,
}

impl Timing {
    /// How long a trial is by its phases, in nanoseconds; starting and stopping it comes on top.
    pub fn trial_ns(&self) -> u64 {
        let Self { settle_ns, warm_up_ns, measure_ns, cool_down_ns } = *self;
        settle_ns + warm_up_ns + measure_ns + cool_down_ns
    }
}

/// A trial that is to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PlannedTrial {
    /// "0007-chain3-envoy-500m-r2".
    pub id: String,
    /// The cell's id.
    pub cell: String,
    /// The block it belongs to, from 1.
    pub block: u32,
}

/// A run: what it is of, where, and in which order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Run {
    /// The file format.
    pub schema: u32,
    /// The way figures are made.
    pub method: u32,
    /// The run's name, that of its directory: "2026-11-23T0510-a1b2".
    pub id: String,
    /// When it began, RFC 3339, UTC.
    pub started: String,
    /// The program and its version: "meshtax 0.1.0".
    pub program: String,
    /// The scenario's name.
    pub scenario: String,
    /// The whole scenario as it was run, in TOML: enough to run it again.
    pub scenario_toml: String,
    /// The seed of the order and of the arrivals.
    pub seed: u64,
    /// Blocks: each holds each cell once.
    pub repeats: u32,
    /// How long the phases are.
    pub timing: Timing,
    /// The level asked for of intervals: 0.95.
    pub level: f64,
    /// When it may end before all its trials are made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Until>,
    /// The cells.
    pub cells: Vec<Cell>,
    /// What was asked for and cannot be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// The trials in the order they are made.
    pub trials: Vec<PlannedTrial>,
    /// The machine.
    pub host: Host,
    /// Programs used and their versions: "envoy" -> "1.40.0".
    pub versions: BTreeMap<String, String>,
    /// What was measured, as version control knows it; absent where it knows nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// Doubts about the run as a whole.
    pub warnings: Vec<Warning>,
    /// The hexadecimal CRC-32 of `run.json`, taken with eight zeros in this place; written with the file, none in files of before
    /// there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sum: Option<String>,
}

impl Run {
    /// A cell by its id.
    pub fn cell(&self, id: &str) -> Option<&Cell> {
        self.cells.iter().find(|c| c.id == id)
    }

    /// The cell that a cell's tax is taken against: the unmeshed one with the same load, if the run has it.
    /// The twin of an A/A pair is compared with the first of the pair.
    pub fn baseline_of(&self, cell: &Cell) -> Option<&Cell> {
        let wanted = cell.factors.baseline();
        self.cells.iter().find(|c| c.factors == wanted && c.id != cell.id)
    }
}
