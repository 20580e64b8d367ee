//! A load as the JSON that `fortio load -json` writes, so that what reads Fortio's results reads ours.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use record::{ClockAnchor, Histogram, LoadSummary, Outcomes, Process};
use serde::Serialize;

use super::buckets::{at_most, buckets};
use crate::Result;

/// More entries than that make Fortio's page slow, and no picture clearer.
const MOST_BUCKETS: usize = 200;

/// Fortio's word for each quantile. Written twice, since 99.9 / 100.0 is a little more than 0.999, and of 3000 values
/// that is already the next one.
const PERCENTILES: [(f64, f64); 5] = [(50.0, 0.5), (75.0, 0.75), (90.0, 0.9), (99.0, 0.99), (99.9, 0.999)];

/// A Fortio result with the names of `periodic.RunnerResults` and `fhttp.HTTPRunnerResults`; times are seconds but
/// for `ActualDuration`, which is nanoseconds.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct FortioResult {
    run_type: &'static str,
    labels: String,
    /// Fortio's page puts it where it otherwise says "Response time".
    response_label: &'static str,
    start_time: String,
    #[serde(rename = "RequestedQPS")]
    requested_qps: String,
    requested_duration: String,
    #[serde(rename = "ActualQPS")]
    actual_qps: f64,
    actual_duration: u64,
    num_threads: u32,
    version: String,
    duration_histogram: HistogramData,
    exactly: u64,
    jitter: bool,
    uniform: bool,
    no_catch_up: bool,
    #[serde(rename = "RunID")]
    run_id: u64,
    ret_codes: BTreeMap<String, u64>,
    #[serde(rename = "URL")]
    url: String,
    num_connections: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct HistogramData {
    count: u64,
    min: f64,
    max: f64,
    sum: f64,
    avg: f64,
    std_dev: f64,
    data: Vec<Entry>,
    percentiles: Vec<Percentile>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    start: f64,
    end: f64,
    percent: f64,
    count: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Percentile {
    percentile: f64,
    value: f64,
}

/// What a Fortio result says besides its times: of one load, or of several together.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub(crate) labels: String,
    pub(crate) url: String,
    /// Since 1970.
    pub(crate) start_ns: u64,
    pub(crate) rate_per_second: Option<f64>,
    pub(crate) connections: u32,
    pub(crate) duration_ns: u64,
    pub(crate) achieved_per_second: f64,
    pub(crate) due: u64,
    pub(crate) answered: u64,
    pub(crate) outcomes: Outcomes,
    /// Whether requests were due at even distances.
    pub(crate) uniform: bool,
}

impl Loaded {
    /// One load; `anchor` tells the time of day of the summary's stamps.
    pub(crate) fn of(summary: &LoadSummary, labels: String, anchor: ClockAnchor) -> Self {
        Self {
            labels,
            url: summary.url.clone(),
            start_ns: (anchor.realtime_ns + summary.start_ns).saturating_sub(anchor.monotonic_ns),
            rate_per_second: summary.rate_per_second,
            connections: summary.connections,
            duration_ns: summary.duration_ns,
            achieved_per_second: summary.achieved_per_second,
            due: summary.due,
            answered: summary.answered,
            outcomes: summary.outcomes.clone(),
            uniform: summary.arrival == Process::Constant,
        }
    }
}

/// The load as a Fortio result, indented, with a line end. `response` holds the response times of the measured phase,
/// and `anchor` tells the time of day of the summary's stamps.
///
/// What differs from a result of Fortio's own, and must:
/// - The times are response times, from when a request was *due*; Fortio's are from when it was sent. What never was
///   answered is in them with its age.
/// - `Percentiles` are exact to three digits and not drawn through the buckets of `Data`.
/// - `ActualDuration` is how long requests were due, and `ActualQPS` what was answered in it.
/// - `RetCodes` counts under -1, as Fortio does for socket errors, every request without an answer.
/// - `Sizes`, `Sockets` and `ConnectionStats` are not there: the generator does not record them.
///
/// # Errors
/// None that the type allows for; the writer's, if it has one.
pub fn render(summary: &LoadSummary, response: &Histogram, anchor: ClockAnchor) -> Result<String> {
    let verdict = serde_json::to_value(summary.verdict)?;
    let labels = format!("meshtax {} arrivals, {}", summary.arrival, verdict.as_str().unwrap_or_default());
    render_loaded(&Loaded::of(summary, labels, anchor), response)
}

/// The same of what is known already.
pub(crate) fn render_loaded(loaded: &Loaded, response: &Histogram) -> Result<String> {
    let l = loaded;
    let mut ret_codes: BTreeMap<String, u64> =
        l.outcomes.answered.iter().map(|(status, n)| (status.to_string(), *n)).collect();
    let unanswered = l.due.saturating_sub(l.answered);
    if unanswered > 0 {
        ret_codes.insert("-1".to_owned(), unanswered);
    }
    let result = FortioResult {
        run_type: "HTTP",
        labels: l.labels.clone(),
        response_label: "Response time (from when a request was due)",
        start_time: humantime::format_rfc3339_nanos(UNIX_EPOCH + Duration::from_nanos(l.start_ns)).to_string(),
        // Fortio's own word for no set rate.
        requested_qps: l.rate_per_second.map_or_else(|| "max".to_owned(), |rate| rate.to_string()),
        requested_duration: format!("{}s", seconds(l.duration_ns)),
        actual_qps: l.achieved_per_second,
        actual_duration: l.duration_ns,
        num_threads: l.connections,
        version: format!("meshtax {}", env!("CARGO_PKG_VERSION")),
        duration_histogram: histogram_data(response),
        exactly: 0,
        jitter: false,
        uniform: l.uniform,
        no_catch_up: false,
        run_id: 0,
        ret_codes,
        url: l.url.clone(),
        num_connections: l.connections,
    };
    let mut text = serde_json::to_string_pretty(&result)?;
    text.push('\n');
    Ok(text)
}

/// Fortio's intervals are open at their start and closed at their end, but for the first, which holds its start.
fn histogram_data(h: &Histogram) -> HistogramData {
    let (count, mean_ns) = (h.count(), h.mean());
    let squares: f64 = buckets(h).map(|b| b.count as f64 * (b.middle_ns() - mean_ns).powi(2)).sum();
    let mut so_far = 0;
    let mut data: Vec<Entry> = Vec::new();
    for b in at_most(h, MOST_BUCKETS) {
        so_far += b.count;
        let start_ns = if data.is_empty() { b.low_ns } else { b.low_ns.saturating_sub(1) };
        let percent = 100.0 * so_far as f64 / count as f64;
        data.push(Entry { start: seconds(start_ns), end: seconds(b.high_ns), percent, count: b.count });
    }
    let some = count > 0;
    HistogramData {
        count,
        min: data.first().map_or(0.0, |b| b.start),
        max: seconds(h.max()),
        sum: mean_ns * count as f64 / 1e9,
        avg: mean_ns / 1e9,
        std_dev: if some { (squares / count as f64).sqrt() / 1e9 } else { 0.0 },
        data,
        percentiles: PERCENTILES
            .iter()
            .filter(|_| some)
            .map(|(percentile, q)| Percentile { percentile: *percentile, value: seconds(h.quantile(*q)) })
            .collect(),
    }
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use record::Quantiles;
    use serde_json::Value;

    use super::super::fortio_import;
    use super::super::tests::{load, over_nine_decades};
    use super::*;

    const ANCHOR: ClockAnchor = ClockAnchor { monotonic_ns: 5_000_000_000, realtime_ns: 1_700_000_000_250_000_000 };

    fn of(response: &Histogram) -> Value {
        serde_json::from_str(&render(&load().0, response, ANCHOR).unwrap()).unwrap()
    }

    #[test]
    fn it_says_what_was_asked_for_and_what_came_back() {
        let result = of(&load().1.response);
        for (key, want) in [
            ("RunType", Value::from("HTTP")),
            ("Labels", "meshtax constant arrivals, suspect".into()),
            ("StartTime", "2023-11-14T22:13:22.250000000Z".into()),
            ("RequestedQPS", "5000".into()),
            ("RequestedDuration", "0.2s".into()),
            ("ActualQPS", 4975.0.into()),
            ("ActualDuration", 200_000_000.into()),
            ("NumThreads", 16.into()),
            ("URL", load().0.url.into()),
            ("Uniform", true.into()),
        ] {
            assert_eq!(result[key], want, "{key}");
        }
        // Every request is in one of the codes, as with Fortio.
        assert_eq!(result["RetCodes"], serde_json::json!({"-1": 5, "200": 990, "503": 5}));
        assert_eq!(result["DurationHistogram"]["Count"], 1000);
    }

    #[test]
    fn few_buckets_hold_every_count_in_fortios_way_of_writing_them() {
        let h = over_nine_decades();
        let histogram = &of(&h)["DurationHistogram"];
        let data = histogram["Data"].as_array().unwrap();
        assert!(data.len() > 50 && data.len() <= MOST_BUCKETS, "{}", data.len());
        assert_eq!(data.iter().map(|b| b["Count"].as_u64().unwrap()).sum::<u64>(), 20_000);
        let number = |v: &Value| v.as_f64().unwrap();
        assert_eq!(number(&data[0]["Start"]), number(&histogram["Min"]));
        let last = data.last().unwrap();
        assert_eq!((number(&last["End"]), number(&last["Percent"])), (number(&histogram["Max"]), 100.0));
        assert!(data.windows(2).all(|w| number(&w[0]["End"]) <= number(&w[1]["Start"])));
        assert!(data.iter().all(|b| number(&b["Start"]) <= number(&b["End"])));
        let percentiles = histogram["Percentiles"].as_array().unwrap();
        for (p, q) in percentiles.iter().zip([0.5, 0.75, 0.9, 0.99, 0.999]) {
            assert_eq!(number(&p["Value"]), h.quantile(q) as f64 / 1e9, "{p}");
        }
        assert!((number(&histogram["Avg"]) - h.mean() / 1e9).abs() < 1e-12);
        assert!((number(&histogram["Sum"]) - 20_000.0 * h.mean() / 1e9).abs() < 1e-6);
    }

    #[test]
    fn the_deviation_is_the_known_one() {
        let mut h = Histogram::new();
        h.record_n(1_000, 50);
        h.record_n(2_000, 50);
        let histogram = &of(&h)["DurationHistogram"];
        assert!((histogram["StdDev"].as_f64().unwrap() - 500e-9).abs() < 1e-15, "{histogram}");
    }

    #[test]
    fn a_percentile_is_that_of_the_summary_where_its_rank_is_a_whole_number() {
        let mut h = Histogram::new();
        (1..=3000).for_each(|i| h.record(i * 1_000_000));
        let summary = Quantiles::from(&h);
        let percentiles = &of(&h)["DurationHistogram"]["Percentiles"];
        for (i, want) in [(0, summary.p50), (2, summary.p90), (3, summary.p99), (4, summary.p999)] {
            assert_eq!(percentiles[i]["Value"], seconds(want), "{i}");
        }
    }

    #[test]
    fn our_own_importer_finds_our_quantiles_in_the_buckets() {
        let (summary, measured) = load();
        let text = render(&summary, &measured.response, ANCHOR).unwrap();
        let imported = fortio_import::import(&text, Path::new("ours.json"), 1_000).unwrap();
        assert_eq!((imported.count, imported.quantiles.len()), (1000, PERCENTILES.len()));
        for (q, (_, quantile)) in imported.quantiles.iter().zip(PERCENTILES) {
            let ours = measured.response.quantile(quantile);
            assert_eq!(q.stated_ns, Some(ours));
            assert!(q.start_ns <= ours && ours <= q.end_ns, "{q:?} {ours}");
            // 200 buckets are at least 1/16 of an octave each.
            assert!(q.interpolated_ns.abs_diff(ours) <= 1 + ours / 16, "{q:?} {ours}");
        }
    }

    #[test]
    fn a_load_without_a_request_has_no_buckets_and_no_percentiles() {
        let histogram = &of(&Histogram::new())["DurationHistogram"];
        assert_eq!((&histogram["Count"], &histogram["Data"]), (&0.into(), &Value::Array(vec![])));
        assert_eq!((&histogram["StdDev"], &histogram["Percentiles"]), (&0.0.into(), &Value::Array(vec![])));
    }
}
