//! Figures for services that keep benchmarks over time: github-action-benchmark and Bencher.
//!
//! Both are told what is worse when it is larger, so that answers a second are left out, and what has no figure as well:
//! neither knows a value that is absent.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::Result;
use crate::figure;
use crate::findings::Findings;
use crate::gate::{GateReport, Metric};
use crate::stats::Estimate;

/// A figure that is followed over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Tracked {
    /// What it is of, the same from run to run: "first-look/chain3-embedded".
    pub benchmark: String,
    /// Which: "p99".
    pub measure: &'static str,
    /// Its unit in files: "ns".
    pub unit: &'static str,
    /// The figure.
    pub estimate: Estimate,
    /// Where it is from.
    pub origin: String,
}

impl Tracked {
    /// The figures of a run: response times, what the proxies cost, and errors.
    pub fn of_run(findings: &Findings) -> Vec<Self> {
        let commit = findings.source.as_ref().and_then(record::Source::short_commit);
        let commit = commit.map_or_else(String::new, |commit| format!(", commit {commit}"));
        let origin = format!("run {}{commit}, {}", findings.run, findings.program);
        let mut all = Vec::new();
        for cell in &findings.cells {
            let benchmark = format!("{}/{}", findings.scenario, cell.id);
            let mut add = |measure, unit, estimate: Estimate| {
                all.push(Self { benchmark: benchmark.clone(), measure, unit, estimate, origin: origin.clone() });
            };
            for (quantile, figure) in cell.response_ns.named() {
                if let Some(e) = figure.seen() {
                    add(quantile, "ns", *e);
                }
            }
            let proxies = &cell.all_proxies;
            for (metric, figure) in
                [(Metric::Cpu, &proxies.cpu_millicores_per_1000_rps), (Metric::Rss, &proxies.rss_bytes)]
            {
                if let Some(e) = figure.seen() {
                    add(metric.word(), metric.unit(), *e);
                }
            }
            let value = cell.requests.error_rate;
            let errors = Estimate { value, low: None, high: None, level: 0.0, n: cell.trials };
            add(Metric::Errors.word(), Metric::Errors.unit(), errors);
        }
        all
    }

    /// What a gate measured of its candidate.
    pub fn of_gate(report: &GateReport) -> Vec<Self> {
        let of = |metric: &crate::gate::MetricVerdict| {
            Some(Self {
                benchmark: format!("{}/{}", report.candidate.scenario, metric.cell),
                measure: metric.metric.word(),
                unit: metric.metric.unit(),
                estimate: metric.candidate?,
                origin: format!("gate {}: {}; {}", report.id, metric.verdict.word(), metric.reason),
            })
        };
        report.metrics.iter().filter_map(of).collect()
    }
}

/// One entry of `customSmallerIsBetter`.
#[derive(Serialize)]
struct Entry<'a> {
    name: String,
    unit: &'a str,
    value: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<String>,
    extra: String,
}

/// The form `customSmallerIsBetter` of github-action-benchmark: a list of entries. Times are in milliseconds and memory in
/// MiB, since its pages show values as they come.
///
/// # Errors
/// None that the types allow for; the writer's, if it has one.
pub fn github_action_benchmark(tracked: &[Tracked]) -> Result<String> {
    let entries: Vec<Entry<'_>> = tracked
        .iter()
        .filter(|t| t.estimate.value.is_finite())
        .map(|t| {
            let (unit, factor) = shown_in(t.unit);
            let e = &t.estimate;
            Entry {
                name: format!("{}/{}", t.benchmark, t.measure),
                unit,
                value: e.value * factor,
                range: figure::interval(e, factor).map(|range| format!("{range} at {}", figure::level(e.level))),
                extra: format!("{} trials; {}", e.n, t.origin),
            }
        })
        .collect();
    Ok(serde_json::to_string_pretty(&entries)? + "\n")
}

fn shown_in(unit: &'static str) -> (&'static str, f64) {
    match unit {
        "ns" => ("ms", 1e-6),
        "bytes" => ("MiB", 1.0 / (1u64 << 20) as f64),
        "share" => ("%", 100.0),
        other => (other, 1.0),
    }
}

/// One metric of Bencher's.
#[derive(Serialize)]
struct BencherMetric {
    value: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    lower_value: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upper_value: Option<f64>,
}

/// Bencher's metric format: benchmark, measure, value with its bounds. A measure is named with its unit, since Bencher
/// makes one that it does not know without any.
///
/// # Errors
/// None that the types allow for; the writer's, if it has one.
pub fn bencher(tracked: &[Tracked]) -> Result<String> {
    let mut benchmarks: BTreeMap<&str, BTreeMap<String, BencherMetric>> = BTreeMap::new();
    for t in tracked.iter().filter(|t| t.estimate.value.is_finite()) {
        let Estimate { value, low, high, .. } = t.estimate;
        let measure = format!("{}-{}", t.measure, t.unit.replace('_', "-"));
        let metric = BencherMetric { value, lower_value: low, upper_value: high };
        benchmarks.entry(&t.benchmark).or_default().insert(measure, metric);
    }
    Ok(serde_json::to_string_pretty(&benchmarks)? + "\n")
}
