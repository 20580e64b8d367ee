//! What a service must hold: clauses on response times and errors, read from `p99=25ms,errors=0.1%`.

use std::fmt;
use std::str::FromStr;

use record::Quantiles;
use serde::{Serialize, Serializer};

use crate::{Error, Result};

const NAMES: &str = "it must be one of p50, p90, p99, p999, max and errors, such as p99=25ms or errors=0.1%";

/// A point of the distribution of response times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantile {
    /// Half are at or below.
    P50,
    /// Nine tenths are at or below.
    P90,
    /// 99 of 100 are at or below.
    P99,
    /// 999 of 1000 are at or below.
    P999,
    /// The largest.
    Max,
}

impl Quantile {
    /// How it is written in an SLO.
    pub fn word(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P99 => "p99",
            Self::P999 => "p999",
            Self::Max => "max",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "p50" => Self::P50,
            "p90" => Self::P90,
            "p99" => Self::P99,
            "p999" | "p99.9" => Self::P999,
            "max" => Self::Max,
            _ => return None,
        })
    }

    /// Its value among five.
    pub(super) fn of(self, quantiles: &Quantiles) -> u64 {
        match self {
            Self::P50 => quantiles.p50,
            Self::P90 => quantiles.p90,
            Self::P99 => quantiles.p99,
            Self::P999 => quantiles.p999,
            Self::Max => quantiles.max,
        }
    }

    /// One request in so many lies beyond it.
    fn one_in(self) -> f64 {
        match self {
            Self::P50 => 2.0,
            Self::P90 => 10.0,
            Self::P99 => 100.0,
            Self::P999 | Self::Max => 1000.0,
        }
    }
}

/// One thing that must hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Clause {
    /// A quantile of the response time is at most so much.
    Response {
        /// Which.
        quantile: Quantile,
        /// How much.
        limit_ns: u64,
    },
    /// Of the requests due, at most this share failed, had no end, or was answered outside 200 to 399.
    Errors {
        /// In per cent.
        limit_percent: f64,
    },
}

impl Clause {
    fn name(&self) -> &'static str {
        match self {
            Self::Response { quantile, .. } => quantile.word(),
            Self::Errors { .. } => "errors",
        }
    }
}

/// What a service must hold: every clause of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Slo {
    clauses: Vec<Clause>,
}

impl Slo {
    /// The clauses, as they were written.
    pub fn clauses(&self) -> &[Clause] {
        &self.clauses
    }

    /// How many requests a run needs, so that some five of them may lie beyond the tightest clause.
    pub(super) fn requests(&self) -> f64 {
        let one_in = self.clauses.iter().map(|clause| match clause {
            Clause::Response { quantile, .. } => quantile.one_in(),
            Clause::Errors { limit_percent } => (100.0 / limit_percent.max(0.1)).min(1000.0),
        });
        5.0 * one_in.fold(20.0, f64::max)
    }
}

fn refuse<T>(what: &'static str, found: &str, remedy: &'static str) -> Result<T> {
    Err(Error::Plan { what, found: format!("'{found}'"), remedy })
}

impl FromStr for Slo {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut clauses: Vec<Clause> = Vec::new();
        if text.trim().is_empty() {
            return refuse("the SLO", text, "it must have a clause at least, such as p99=25ms");
        }
        for part in text.split(',').map(str::trim) {
            let clause = clause(part)?;
            if clauses.iter().any(|c| c.name() == clause.name()) {
                return refuse("a clause of the SLO", part, "it must be the only one of its name");
            }
            clauses.push(clause);
        }
        Ok(Self { clauses })
    }
}

fn clause(part: &str) -> Result<Clause> {
    let Some((name, value)) = part.split_once('=').map(|(n, v)| (n.trim(), v.trim())) else {
        return refuse("a clause of the SLO", part, "it must be a name, '=' and a limit, such as p99=25ms");
    };
    if name == "errors" {
        let number = value.strip_suffix('%').and_then(|n| n.trim().parse::<f64>().ok());
        return match number {
            Some(limit_percent) if (0.0..100.0).contains(&limit_percent) => Ok(Clause::Errors { limit_percent }),
            _ => refuse("the SLO's limit of errors", value, "it must be a percentage below 100, such as 0.1%"),
        };
    }
    let Some(quantile) = Quantile::parse(name) else {
        return refuse("the name of an SLO's clause", name, NAMES);
    };
    match nanoseconds(value) {
        Some(limit_ns) => Ok(Clause::Response { quantile, limit_ns }),
        None => refuse(
            "the SLO's limit of a response time",
            value,
            "it must be a time above 0 with its unit (us, ms or s), such as 25ms",
        ),
    }
}

fn nanoseconds(value: &str) -> Option<u64> {
    let unit_at = value.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = value.split_at(unit_at);
    let per_unit = match unit.trim() {
        "ns" => 1.0,
        "us" | "µs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        _ => return None,
    };
    let ns = (number.parse::<f64>().ok()? * per_unit).round();
    // A year is beyond every timeout, and whole nanoseconds of it are exact.
    (1.0..=3.2e16).contains(&ns).then_some(ns as u64)
}

impl fmt::Display for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Response { quantile, limit_ns } => {
                let ns = *limit_ns as f64;
                let (unit, per_unit) = match *limit_ns {
                    0..1_000 => ("ns", 1.0),
                    1_000..1_000_000 => ("us", 1e3),
                    1_000_000..1_000_000_000 => ("ms", 1e6),
                    _ => ("s", 1e9),
                };
                write!(f, "{}={}{unit}", quantile.word(), ns / per_unit)
            }
            Self::Errors { limit_percent } => write!(f, "errors={limit_percent}%"),
        }
    }
}

impl fmt::Display for Slo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, clause) in self.clauses.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            write!(f, "{clause}")?;
        }
        Ok(())
    }
}

impl Serialize for Slo {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_displayed_reads_back() {
        for (text, shown) in [
            ("p99=25ms,errors=0.1%", "p99=25ms,errors=0.1%"),
            (" p50 = 1.5s , p99.9=2500us", "p50=1.5s,p999=2.5ms"),
            ("max=750us", "max=750us"),
            ("p90=123456789ns,errors=0%", "p90=123.456789ms,errors=0%"),
        ] {
            let slo: Slo = text.parse().unwrap();
            assert_eq!(slo.to_string(), shown);
            assert_eq!(shown.parse::<Slo>().unwrap(), slo);
        }
        let json = serde_json::to_string(&"p99=25ms".parse::<Slo>().unwrap()).unwrap();
        assert_eq!(json, "\"p99=25ms\"");
    }

    #[test]
    fn what_is_wrong_is_named_with_what_would_be_right() {
        for (text, wrong, right) in [
            ("", "the SLO is ''", "such as p99=25ms"),
            ("p99", "a clause of the SLO is 'p99'", "such as p99=25ms"),
            ("p98=25ms", "the name of an SLO's clause is 'p98'", "p50, p90, p99, p999, max and errors"),
            ("p99=25", "the SLO's limit of a response time is '25'", "with its unit"),
            ("p99=0ms", "the SLO's limit of a response time is '0ms'", "above 0"),
            ("p99=-1ms", "the SLO's limit of a response time is '-1ms'", "above 0"),
            ("errors=0.1", "the SLO's limit of errors is '0.1'", "such as 0.1%"),
            ("errors=100%", "the SLO's limit of errors is '100%'", "below 100"),
            ("p99=1s,p99=2s", "a clause of the SLO is 'p99=2s'", "the only one of its name"),
            ("p99=1s,", "a clause of the SLO is ''", "a name, '=' and a limit"),
        ] {
            let said = text.parse::<Slo>().unwrap_err().to_string();
            assert!(said.starts_with(wrong) && said.contains(right), "{said}");
        }
    }
}
