//! A load as OpenMetrics text, for a Prometheus that scrapes a file or is pushed to.

use record::{Histogram, LoadSummary, Quantiles, Verdict};

use super::Measured;
use crate::open_metrics::{Format, Page, number, seconds};

/// Upper ends of the buckets, in nanoseconds: six a decade from 10 us to 7 s, then 10 s, 30 s and a minute. They are
/// the same for every load, or the series of two loads could not be summed.
pub(crate) fn ends_ns() -> impl Iterator<Item = u64> {
    let steps = [10, 15, 20, 30, 50, 70];
    let decades = (0..6).flat_map(move |d| steps.into_iter().map(move |s| s * 1_000 * 10u64.pow(d)));
    decades.chain([10, 30, 60].map(|s| s * 1_000_000_000))
}

/// The load as an OpenMetrics exposition; times are seconds. It ends with `# EOF`, so nothing may be put behind it.
///
/// The requests by outcome sum to `meshtax_load_due_requests_total`. The histograms count a value at an end of a
/// bucket to within three significant digits, as it is recorded.
pub fn render(summary: &LoadSummary, measured: &Measured) -> String {
    let mut page = Page::new("meshtax_load_", Format::OpenMetrics);
    about(&mut page, summary);
    requests(&mut page, summary);
    for (name, help, value) in [
        ("rate_per_second", "Requests per second asked for.", summary.rate_per_second),
        ("achieved_per_second", "Requests per second answered while they were due.", Some(summary.achieved_per_second)),
        ("connections", "Connections asked for.", Some(f64::from(summary.connections))),
        ("warnings", "Doubts about the result.", Some(summary.warnings.len() as f64)),
    ] {
        // A closed loop asks for no rate.
        let Some(value) = value else { continue };
        page.family(name, "gauge", None, help);
        page.sample("", &[], number(value));
    }
    for (name, help, value) in [
        ("duration_seconds", "How long requests were due for.", seconds(summary.duration_ns)),
        ("cpu_seconds", "CPU time of the generator, warm-up and all.", number(summary.cpu_seconds)),
    ] {
        page.family(name, "gauge", Some("seconds"), help);
        page.sample("", &[], value);
    }
    quantiles(&mut page, summary);
    histogram(&mut page, "response_seconds", "From when a request was due to its end.", &measured.response);
    histogram(&mut page, "service_seconds", "From when a request was sent to its end.", &measured.service);
    page.finish()
}

fn about(page: &mut Page, s: &LoadSummary) {
    page.family("about", "info", None, "What was loaded and how.");
    let (arrival, pace, seed) = (s.arrival.word(), s.pace.word(), s.seed.to_string());
    let (method, version) = (s.method.to_string(), env!("CARGO_PKG_VERSION"));
    let labels = [
        ("url", s.url.as_str()),
        ("arrival", arrival),
        ("pace", pace),
        ("seed", &seed),
        ("method", &method),
        ("version", version),
    ];
    page.sample("_info", &labels, 1);
    page.family("verdict", "stateset", None, "Whether the figures can be taken for the target's.");
    for (word, verdict) in [("valid", Verdict::Valid), ("suspect", Verdict::Suspect), ("invalid", Verdict::Invalid)] {
        page.sample("", &[("meshtax_load_verdict", word)], u8::from(s.verdict == verdict));
    }
}

fn requests(page: &mut Page, s: &LoadSummary) {
    page.family("due_requests", "counter", None, "Requests due.");
    page.sample("_total", &[], s.due);
    page.family("sent_requests", "counter", None, "Requests written to a connection.");
    page.sample("_total", &[], s.sent);
    page.family("requests", "counter", None, "Requests due, by how they ended.");
    for (status, n) in &s.outcomes.answered {
        page.sample("_total", &[("outcome", "answered"), ("status", &status.to_string())], n);
    }
    let o = &s.outcomes;
    for (outcome, n) in [
        ("connect_failed", o.connect_failed),
        ("reset", o.reset),
        ("timed_out", o.timed_out),
        ("cut_by_deadline", o.cut_by_deadline),
        ("unsent", s.unsent),
    ] {
        page.sample("_total", &[("outcome", outcome)], n);
    }
}

/// The exact ones: those that a histogram of buckets is asked for are drawn through its buckets.
fn quantiles(page: &mut Page, s: &LoadSummary) {
    page.family("quantile_seconds", "gauge", Some("seconds"), "Quantiles to three digits; 1.0 is the largest.");
    let times: [(&str, &Quantiles); 4] = [
        ("response", &s.response_ns),
        ("service", &s.service_ns),
        ("lag_ours", &s.lag_ns.ours),
        ("lag_theirs", &s.lag_ns.theirs),
    ];
    for (time, q) in times {
        for (quantile, ns) in [("0.5", q.p50), ("0.9", q.p90), ("0.99", q.p99), ("0.999", q.p999), ("1.0", q.max)] {
            page.sample("", &[("time", time), ("quantile", quantile)], seconds(ns));
        }
    }
}

fn histogram(page: &mut Page, name: &'static str, help: &str, h: &Histogram) {
    page.family(name, "histogram", Some("seconds"), help);
    for end_ns in ends_ns() {
        page.sample("_bucket", &[("le", &seconds(end_ns))], h.count() - h.count_above(end_ns));
    }
    page.sample("_bucket", &[("le", "+Inf")], h.count());
    page.sample("_count", &[], h.count());
    page.sample("_sum", &[], number(h.mean() * h.count() as f64 / 1e9));
}

#[cfg(test)]
mod tests {
    use super::super::tests::load;
    use super::*;

    fn page() -> String {
        let (summary, measured) = load();
        render(&summary, &measured)
    }

    fn value(page: &str, series: &str) -> f64 {
        let line = page.lines().find_map(|l| l.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series} in:\n{page}")).parse().unwrap()
    }

    #[test]
    fn requests_by_outcome_are_counters_that_sum_to_those_due() {
        let page = page();
        for (labels, want) in [
            (r#"outcome="answered",status="200""#, 990.0),
            (r#"outcome="answered",status="503""#, 5.0),
            (r#"outcome="connect_failed""#, 2.0),
            (r#"outcome="timed_out""#, 1.0),
            (r#"outcome="cut_by_deadline""#, 1.0),
            (r#"outcome="unsent""#, 1.0),
            (r#"outcome="reset""#, 0.0),
        ] {
            assert_eq!(value(&page, &format!("meshtax_load_requests_total{{{labels}}}")), want, "{labels}");
        }
        let counters = page.lines().filter(|l| l.starts_with("meshtax_load_requests_total"));
        let sum: u64 = counters.map(|l| l.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum();
        assert_eq!((sum, value(&page, "meshtax_load_due_requests_total")), (1000, 1000.0));
    }

    #[test]
    fn the_histogram_is_cumulative_and_in_seconds() {
        let page = page();
        let bucket = |le: &str| value(&page, &format!(r#"meshtax_load_response_seconds_bucket{{le="{le}"}}"#));
        // 990 at every 10 us up to 9.9 ms, 7 at every 100 ms up to 700 ms, 3 at 2 s.
        for (le, want) in [
            ("1e-05", 1.0),
            ("5e-05", 5.0),
            ("0.0001", 10.0),
            ("0.001", 100.0),
            ("0.01", 990.0),
            ("0.1", 991.0),
            ("1.0", 997.0),
            ("2.0", 1000.0),
            ("60.0", 1000.0),
            ("+Inf", 1000.0),
        ] {
            assert_eq!(bucket(le), want, "{le}");
        }
        assert_eq!(value(&page, "meshtax_load_response_seconds_count"), 1000.0);
        let sum: f64 = (1..=990).map(|i| f64::from(i) * 1e-5).sum::<f64>() + 2.8 + 6.0;
        assert!((value(&page, "meshtax_load_response_seconds_sum") - sum).abs() < sum / 1000.0);
    }

    #[test]
    fn every_line_is_of_the_format_and_the_last_is_eof() {
        let page = page();
        assert!(page.ends_with("\n# EOF\n") && !page.contains("\n\n"));
        assert!(page.contains(r#"url="http://127.0.0.1:8080/a?b=\"c\\d\"""#), "{page}");
        let (kind, unit) =
            ("# TYPE meshtax_load_response_seconds histogram", "# UNIT meshtax_load_response_seconds seconds");
        assert!(page.contains(&format!("\n{kind}\n{unit}\n")), "{page}");
        assert_eq!(value(&page, r#"meshtax_load_verdict{meshtax_load_verdict="suspect"}"#), 1.0);
        assert_eq!(value(&page, r#"meshtax_load_verdict{meshtax_load_verdict="valid"}"#), 0.0);
        let p99 = value(&page, r#"meshtax_load_quantile_seconds{time="response",quantile="0.99"}"#);
        assert_eq!(p99, load().0.response_ns.p99 as f64 / 1e9);
    }
}
