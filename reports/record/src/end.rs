//! Why a run ended before all planned trials were made; `end.json`, written when it does, since `run.json` never changes.

use serde::{Deserialize, Serialize};

/// How tight the tax must be for a run to end. Trials planned are the most that are made.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Until {
    /// The quantile of the response times: 0.99.
    pub quantile: f64,
    /// Half the width of the ratio's interval at most, as a part of the ratio: 0.05 is 5 %; none where only time ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio_within: Option<f64>,
    /// After how long no further block is begun, in nanoseconds; none where only trials are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_ns: Option<u64>,
}

/// Why it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The intervals are as tight as was asked for.
    Tight,
    /// What was to be decided is.
    Decided,
    /// The trials that were left would hardly have decided it.
    Futile,
    /// Its time was spent.
    Budget,
    /// The gate that it is a side of was stopped: its trials to come would have no partners.
    Stopped,
}

impl EndReason {
    /// Whether what was measured made it end: its intervals must then allow for having been looked at several times.
    pub fn is_of_figures(self) -> bool {
        match self {
            Self::Tight | Self::Decided | Self::Futile => true,
            Self::Budget | Self::Stopped => false,
        }
    }
}

/// The end of a run that was not cut off, with trials of its plan left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct End {
    /// The file format.
    pub schema: u32,
    /// Why.
    pub reason: EndReason,
    /// Trials made by then.
    pub trials: usize,
    /// The same for a person, with its figures: "the ratio at p99 is known to 4.1 %".
    pub evidence: String,
}
