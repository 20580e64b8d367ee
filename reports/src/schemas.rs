//! The JSON Schema of findings.json, generated from the type; `reports/schemas` keeps it for other programs.

use schemars::{Schema, schema_for};

use crate::Findings;

/// Each file that reports write as JSON, by name, with its schema.
pub fn all() -> Vec<(&'static str, Schema)> {
    vec![("findings", schema_for!(Findings))]
}
