//! A run as it is written down before its first trial.

use std::collections::BTreeMap;

use record::{Cell, Host, LeftOut, METHOD, Run, SCHEMA, Source, Until, Warning};
use scenarios::Scenario;

use crate::plan;
use crate::run::PROGRAM;

/// What a run is of, and where.
pub(crate) struct Beginning<'a> {
    pub(crate) id: String,
    /// RFC 3339, UTC.
    pub(crate) started: String,
    pub(crate) scenario: &'a Scenario,
    pub(crate) cells: Vec<Cell>,
    pub(crate) left_out: Vec<LeftOut>,
    pub(crate) host: Host,
    pub(crate) versions: BTreeMap<String, String>,
    pub(crate) source: Option<Source>,
    pub(crate) until: Option<Until>,
    pub(crate) warnings: Vec<Warning>,
}

impl Beginning<'_> {
    /// The run, with its trials in the order of its seed.
    pub(crate) fn run(self) -> Run {
        let Self { id, started, scenario, cells, left_out, host, versions, source, until, warnings } = self;
        let plan = &scenario.plan;
        Run {
            schema: SCHEMA,
            method: METHOD,
            id,
            started,
            program: PROGRAM.to_owned(),
            scenario: scenario.name.clone(),
            scenario_toml: scenario.to_toml(),
            seed: plan.seed,
            repeats: plan.repeats,
            timing: scenario.timing,
            level: plan.level,
            until,
            trials: plan::trials(&cells, plan.repeats, plan.seed),
            cells,
            left_out,
            host,
            versions,
            source,
            warnings,
            sum: None,
        }
    }
}
