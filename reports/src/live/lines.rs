//! The lines of a trial that is being made, with those of their fields alone that a look needs.
//!
//! To read a line whole costs ten times as much, and a look must cost next to nothing: what is measured runs beside it.

use std::collections::BTreeMap;

use record::{CpuTimes, Histogram, Outcomes, Phase};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// An interval, without the histograms that are not shown.
#[derive(Debug, Deserialize)]
pub(super) struct IntervalLine {
    pub(super) phase: Phase,
    pub(super) start_ns: u64,
    pub(super) length_ns: u64,
    pub(super) due: u64,
    pub(super) outcomes: Outcomes,
    pub(super) response: Histogram,
}

/// A sample, with the counters that are shown.
#[derive(Debug, Deserialize)]
pub(super) struct SampleLine {
    pub(super) before_ns: u64,
    pub(super) after_ns: u64,
    #[serde(default)]
    pub(super) node: NodeLine,
    #[serde(default)]
    pub(super) cgroups: BTreeMap<String, CgroupLine>,
    #[serde(default)]
    pub(super) processes: BTreeMap<String, ProcessLine>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct NodeLine {
    #[serde(default)]
    pub(super) cpu: Seen<CpuTimes>,
}

#[derive(Debug, Deserialize)]
pub(super) struct CgroupLine {
    #[serde(default)]
    pub(super) periods: Seen<u64>,
    #[serde(default)]
    pub(super) throttled_periods: Seen<u64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ProcessLine {
    #[serde(default)]
    pub(super) run_ns: Seen<u64>,
}

/// What was read, if it was.
#[derive(Debug, Default, Deserialize)]
#[serde(untagged)]
pub(super) enum Seen<T> {
    Value(T),
    Reason(IgnoredAny),
    #[default]
    #[serde(skip)]
    Nothing,
}

impl<T> Seen<T> {
    pub(super) fn value(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Reason(_) | Self::Nothing => None,
        }
    }
}
