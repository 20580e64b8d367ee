//! One combination of factors, with its names.

use serde::{Deserialize, Serialize};

use crate::Factors;

/// One cell of the plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// Short and unique in the run: "chain3-envoy-500m".
    pub id: String,
    /// What it is for people: "envoy, 500m", naming only what varies in the run.
    pub label: String,
    /// Its factors.
    pub factors: Factors,
}
