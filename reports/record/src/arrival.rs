//! How a load comes about: the draw of its arrivals, and how the generator waits for them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::words::words;

/// How arrivals are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Arrival {
    /// Evenly spaced.
    Constant,
    /// Independent of one another, with exponential gaps.
    Poisson,
}

/// How the arrivals of a load come about; [`Arrival`] names those that a cell may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Process {
    /// Evenly spaced.
    Constant,
    /// Independent of one another, with exponential gaps.
    Poisson,
    /// Several at the same moment, the moments evenly spaced.
    Burst,
    /// At given moments.
    Replay,
    /// Each when the one before on its connection was answered: a closed loop.
    Closed,
}

impl From<Arrival> for Process {
    fn from(arrival: Arrival) -> Self {
        match arrival {
            Arrival::Constant => Self::Constant,
            Arrival::Poisson => Self::Poisson,
        }
    }
}

/// How the generator waits for the next due time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Pace {
    /// Always spinning: takes a whole core.
    Precise,
    /// Sleeps, then spins the last microseconds.
    Hybrid,
    /// Sleeps only, and puts together what falls due within a window.
    Economy,
}

words! {
    Arrival { Constant => "constant", Poisson => "poisson" }
    Process {
        Constant => "constant", Poisson => "poisson", Burst => "burst", Replay => "replay", Closed => "closed",
    }
    Pace { Precise => "precise", Hybrid => "hybrid", Economy => "economy" }
}
