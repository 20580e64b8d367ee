//! How a user's own Istio configuration was read: `istio.json`, with a verdict for each field of it.

use serde::{Deserialize, Serialize};

/// What a directory of Istio configuration came to, for one workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct IstioReading {
    /// The file format.
    pub schema: u32,
    /// The directory, as it was named.
    pub directory: String,
    /// The workload that the settings are of: "Deployment reviews-v1 in default".
    pub workload: String,
    /// Others that come to the same settings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alike: Vec<String>,
    /// The files that were read, below the directory.
    pub files: Vec<String>,
    /// What the user accepted to have ignored, as it was given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted: Vec<String>,
    /// Each field, in the order of the files.
    pub fields: Vec<IstioField>,
    /// Settings that no field makes, and what Istio makes of that.
    pub defaults: Vec<IstioDefault>,
}

/// A field of a resource, with all that is below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct IstioField {
    /// Below the directory.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1.
    pub column: u32,
    /// The resource it is in: "PeerAuthentication reviews in default".
    pub resource: String,
    /// Its path, which begins with the kind: "PeerAuthentication.spec.mtls.mode".
    pub path: String,
    /// What it says, where something was made of it; a table or a list in short. Elsewhere it is "REDACTED".
    pub value: String,
    /// What became of it.
    pub verdict: IstioVerdict,
}

/// What became of a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(tag = "is", rename_all = "snake_case", deny_unknown_fields)]
pub enum IstioVerdict {
    /// Factors of the run are from it.
    Used {
        /// Which, and what they are by it.
        factors: Vec<IstioSetting>,
    },
    /// Factors would be from it, and a flag of the run says otherwise.
    Overridden {
        /// Which, and what they would be.
        factors: Vec<IstioSetting>,
        /// What the run has instead: "mtls = permissive".
        by: String,
    },
    /// It changes nothing of what is measured.
    NoEffect {
        /// Why.
        reason: String,
    },
    /// It would change something that meshtax cannot do, and the user accepted that it is ignored.
    Accepted {
        /// What is not done.
        reason: String,
    },
}

/// A factor and its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct IstioSetting {
    /// The factor: "mtls".
    pub factor: String,
    /// Its value.
    pub value: String,
}

/// A factor that no field sets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct IstioDefault {
    /// The factor: "mtls".
    pub factor: String,
    /// What it is then.
    pub value: String,
    /// Why.
    pub reason: String,
}
