//! The figures that a history can follow, by the names that people give them.

use std::fmt::{self, Display};
use std::str::FromStr;

use record::Reading;
use serde::{Deserialize, Serialize};

use super::glance::{CellGlance, Glance};
use crate::findings::{Figure, TaxKind};
use crate::stats::Estimate;

/// One figure of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(into = "String", try_from = "String")]
#[cfg_attr(feature = "schemas", schemars(with = "String"))]
pub enum Followed {
    /// Of the response times: what a user waits.
    Response(Quantile),
    /// Of the service times: what the chain took.
    Service(Quantile),
    /// What the mesh adds to the response time.
    Tax(Quantile),
    /// CPU of all proxies for 1000 requests a second.
    Cpu,
    /// Resident memory of all proxies.
    Rss,
    /// The share of requests that went wrong.
    Errors,
    /// Answers a second.
    Rate,
}

/// A point of a distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantile {
    /// For people: "p99.9".
    name: &'static str,
    /// In files: "p999".
    key: &'static str,
}

const fn quantile(name: &'static str, key: &'static str) -> Quantile {
    Quantile { name, key }
}

const QUANTILES: [Quantile; 5] = [
    quantile("p50", "p50"),
    quantile("p90", "p90"),
    quantile("p99", "p99"),
    quantile("p99.9", "p999"),
    quantile("max", "max"),
];

/// A name that no figure has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is no figure that a history follows\n  try: p50, p90, p99, p99.9 or max; service-p99, tax-p99 and so on; cpu, rss, errors, rate"
)]
pub struct NotFollowed(String);

impl FromStr for Followed {
    type Err = NotFollowed;

    fn from_str(text: &str) -> Result<Self, NotFollowed> {
        let found = |name: &str| QUANTILES.into_iter().find(|q| q.name == name || q.key == name);
        let metric = match text {
            "cpu" => Some(Self::Cpu),
            "rss" => Some(Self::Rss),
            "errors" => Some(Self::Errors),
            "rate" => Some(Self::Rate),
            _ => match text.split_once('-') {
                Some(("service", name)) => found(name).map(Self::Service),
                Some(("tax", name)) => found(name).map(Self::Tax),
                Some(_) => None,
                None => found(text).map(Self::Response),
            },
        };
        metric.ok_or_else(|| NotFollowed(text.to_owned()))
    }
}

impl TryFrom<String> for Followed {
    type Error = NotFollowed;

    fn try_from(text: String) -> Result<Self, NotFollowed> {
        text.parse()
    }
}

impl From<Followed> for String {
    fn from(followed: Followed) -> Self {
        followed.to_string()
    }
}

impl Display for Followed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Response(q) => f.write_str(q.name),
            Self::Service(q) => write!(f, "service-{}", q.name),
            Self::Tax(q) => write!(f, "tax-{}", q.name),
            Self::Cpu => f.write_str("cpu"),
            Self::Rss => f.write_str("rss"),
            Self::Errors => f.write_str("errors"),
            Self::Rate => f.write_str("rate"),
        }
    }
}

impl Followed {
    /// What it is, for people: "p99 of the response time".
    pub fn words(self) -> String {
        match self {
            Self::Response(q) => format!("{} of the response time", q.name),
            Self::Service(q) => format!("{} of the service time", q.name),
            Self::Tax(q) => format!("what the mesh adds to {} of the response time", q.name),
            Self::Cpu => "CPU of all proxies for 1000 requests a second".to_owned(),
            Self::Rss => "resident memory of all proxies".to_owned(),
            Self::Errors => "requests that went wrong".to_owned(),
            Self::Rate => "answers a second".to_owned(),
        }
    }

    /// The unit in files.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Response(_) | Self::Service(_) | Self::Tax(_) => "ns",
            Self::Cpu => "millicores_per_1000_rps",
            Self::Rss => "bytes",
            Self::Errors => "share",
            Self::Rate => "per_second",
        }
    }

    /// The unit for people, and what a figure in that of files is multiplied by.
    pub fn shown_in(self) -> (&'static str, f64) {
        match self {
            Self::Response(_) | Self::Service(_) | Self::Tax(_) => ("ms", 1e-6),
            Self::Cpu => ("millicores", 1.0),
            Self::Rss => ("MiB", 1.0 / (1u64 << 20) as f64),
            Self::Errors => ("%", 100.0),
            Self::Rate => ("/s", 1.0),
        }
    }

    /// Whether more of it is worse: all but answers a second.
    pub fn smaller_is_better(self) -> bool {
        self != Self::Rate
    }

    /// The figure of a cell.
    pub fn of(self, run: &Glance, cell: &CellGlance) -> Figure {
        let none = |what: &str| Reading::absent(format!("the findings of the run have no {what}"));
        match self {
            Self::Response(q) => cell.response_ns.get(q.key).cloned().unwrap_or_else(|| none(q.name)),
            Self::Service(q) => cell.service_ns.get(q.key).cloned().unwrap_or_else(|| none(q.name)),
            Self::Tax(q) => {
                let tax = run.taxes.iter().find(|tax| tax.cell == cell.id && tax.kind == TaxKind::Mesh);
                let at = tax.and_then(|tax| tax.response_ns.get(q.key));
                at.map_or_else(|| none("unmeshed cell beside it"), |at| Reading::Seen(at.difference))
            }
            Self::Cpu => cell.all_proxies.cpu_millicores_per_1000_rps.clone(),
            Self::Rss => cell.all_proxies.rss_bytes.clone(),
            Self::Errors => {
                let value = cell.requests.error_rate;
                Reading::Seen(Estimate { value, low: None, high: None, level: 0.0, n: cell.trials })
            }
            Self::Rate => cell.answered_per_second.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_to_its_figure_and_back() {
        for name in ["p50", "p99.9", "max", "service-p90", "tax-p99", "cpu", "rss", "errors", "rate"] {
            assert_eq!(name.parse::<Followed>().unwrap().to_string(), name);
        }
        assert_eq!("p999".parse::<Followed>().unwrap().to_string(), "p99.9");
    }

    #[test]
    fn another_name_is_refused_with_those_there_are() {
        for name in ["", "p98", "mesh-p99", "tax-cpu"] {
            let said = name.parse::<Followed>().unwrap_err().to_string();
            assert!(said.contains(&format!("'{name}'")) && said.contains("tax-p99"), "{said}");
        }
    }
}
