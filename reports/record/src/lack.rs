//! What a dataplane does not do of what was to be compared.

use serde::{Deserialize, Serialize};

/// Something that is on the path of the real thing and not on this one's, so that its cost is not in the figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Lack {
    /// What: "istio.stats".
    pub what: String,
    /// Why, and what that means for the figures.
    pub reason: String,
}

/// A combination of factors that was asked for and cannot be: it has no cell, and this in its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// Which: "nginx, permissive".
    pub what: String,
    /// Why it cannot be.
    pub reason: String,
}
