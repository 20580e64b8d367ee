//! The point of a distribution that a comparison is about.

use std::fmt::{self, Display};
use std::str::FromStr;

use record::Quantiles;
use serde::{Deserialize, Serialize};

use crate::findings::PerQuantile;

/// One of the points that are compared. The largest request is none: it scatters by a factor of e from trial to trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Point {
    /// Half are at or below.
    P50,
    /// Nine tenths are at or below.
    P90,
    /// 99 of 100 are at or below.
    P99,
    /// 999 of 1000 are at or below.
    P999,
}

const ALL: [(Point, &str); 4] = [(Point::P50, "p50"), (Point::P90, "p90"), (Point::P99, "p99"), (Point::P999, "p99.9")];

/// A name that no point has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no point that runs are compared at\n  try: p50, p90, p99 or p99.9")]
pub struct NoPoint(String);

impl FromStr for Point {
    type Err = NoPoint;

    fn from_str(text: &str) -> Result<Self, NoPoint> {
        let found = ALL.into_iter().find(|(_, name)| *name == text || name.replace('.', "") == text);
        found.map(|(point, _)| point).ok_or_else(|| NoPoint(text.to_owned()))
    }
}

impl Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ALL.into_iter().find(|(point, _)| point == self).map_or("", |(_, name)| name))
    }
}

impl Point {
    /// The quantile of a trial, in nanoseconds.
    pub(crate) fn ns(self, of: &Quantiles) -> u64 {
        match self {
            Self::P50 => of.p50,
            Self::P90 => of.p90,
            Self::P99 => of.p99,
            Self::P999 => of.p999,
        }
    }

    /// What belongs to it of one thing for each quantile.
    pub fn of<T>(self, all: &PerQuantile<T>) -> &T {
        match self {
            Self::P50 => &all.p50,
            Self::P90 => &all.p90,
            Self::P99 => &all.p99,
            Self::P999 => &all.p999,
        }
    }
}

/// One thing for each point that runs are compared at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PerPoint<T> {
    /// Half are at or below.
    pub p50: T,
    /// Nine tenths are at or below.
    pub p90: T,
    /// 99 of 100 are at or below.
    pub p99: T,
    /// 999 of 1000 are at or below.
    pub p999: T,
}

impl<T> PerPoint<T> {
    /// One thing made for each point.
    pub(crate) fn make(of: impl Fn(Point) -> T) -> Self {
        Self { p50: of(Point::P50), p90: of(Point::P90), p99: of(Point::P99), p999: of(Point::P999) }
    }

    /// What belongs to a point.
    pub fn at(&self, point: Point) -> &T {
        match point {
            Point::P50 => &self.p50,
            Point::P90 => &self.p90,
            Point::P99 => &self.p99,
            Point::P999 => &self.p999,
        }
    }

    /// Each with its point, rising.
    pub fn named(&self) -> [(Point, &T); 4] {
        ALL.map(|(point, _)| (point, self.at(point)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_to_its_point_and_back() {
        for name in ["p50", "p90", "p99", "p99.9"] {
            assert_eq!(name.parse::<Point>().unwrap().to_string(), name);
        }
        assert_eq!("p999".parse::<Point>(), Ok(Point::P999));
        let said = "max".parse::<Point>().unwrap_err().to_string();
        assert!(said.contains("'max'") && said.contains("p99.9"), "{said}");
    }
}
