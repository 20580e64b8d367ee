//! The JSON Schemas of what reports write, generated from the types; `reports/schemas` keeps them for other programs.

use schemars::{Schema, schema_for};

use crate::Findings;
use crate::compare::Comparison;
use crate::exchange::Extension;
use crate::gate::GateReport;
use crate::history::History;
use crate::live::RunNow;
use crate::planning::PlanReport;

/// Each file that reports write as JSON, by name, with its schema.
pub fn all() -> Vec<(&'static str, Schema)> {
    vec![
        ("comparison", schema_for!(Comparison)),
        ("findings", schema_for!(Findings)),
        ("gate", schema_for!(GateReport)),
        ("history", schema_for!(History)),
        ("plan", schema_for!(PlanReport)),
        ("live", schema_for!(RunNow)),
        ("smp-extension", schema_for!(Extension)),
    ]
}
