//! How the services of a scenario call one another, where no topology says it.

use std::fmt;
use std::str::FromStr;

use crate::Shape;

/// The form of a shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Each calls the next.
    Chain,
    /// The first calls all others at once.
    FanOut,
    /// Each calls two others at once, as far as there are others.
    Tree,
}

impl Form {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Chain, Self::FanOut, Self::Tree];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Chain => "chain",
            Self::FanOut => "fan-out",
            Self::Tree => "tree",
        }
    }

    /// The shape of so many services.
    pub fn shape(self, services: u32) -> Shape {
        match self {
            Self::Chain => Shape::chain(services),
            Self::FanOut => Shape::fan_out(services),
            Self::Tree => Shape::tree(services),
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl FromStr for Form {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::word).join(", ");
        Self::ALL.into_iter().find(|f| f.word() == text).ok_or_else(|| format!("'{text}' is none of {}", known()))
    }
}
