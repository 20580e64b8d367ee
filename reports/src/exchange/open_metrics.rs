//! A run as one page of OpenMetrics: counters and histograms of each trial, figures with their intervals of each cell.

use record::{Reading, RunDirectory, Trial};

use super::sealed;
use crate::findings::Figure;
use crate::load::Measured;
use crate::load::open_metrics::ends_ns;
use crate::open_metrics::{Format, Page, number, seconds};
use crate::{CellFindings, Estimate, Findings, Result};

/// The run as an OpenMetrics exposition; times are seconds. It ends with `# EOF`, so nothing may be put behind it.
///
/// What is labelled with a trial sums to its cell. What is not has been estimated over trials and has a label `bound`:
/// `value`, or `low` and `high` for the ends of its interval. What is absent is left out.
///
/// # Errors
/// When the run cannot be read, or holds nothing that was measured.
pub fn render(dir: &RunDirectory, findings: &Findings) -> Result<String> {
    let run = dir.run()?;
    let trials = sealed::trials(dir, &run)?;
    let mut page = Page::new("meshtax_run_", Format::OpenMetrics);
    about(&mut page, findings);
    for cell in &findings.cells {
        figures(&mut page, cell);
    }
    taxes(&mut page, findings);
    for trial in &trials {
        requests(&mut page, trial);
    }
    for trial in &trials {
        let Measured { response, service } = sealed::measured(dir, trial)?;
        for (name, help, histogram) in [
            ("response_seconds", "From when a request was due to its end.", response),
            ("service_seconds", "From when a request was sent to its end.", service),
        ] {
            page.family(name, "histogram", Some("seconds"), help);
            let (cell, id) = (trial.cell.as_str(), trial.id.as_str());
            for end_ns in ends_ns() {
                let within = histogram.count() - histogram.count_above(end_ns);
                page.sample("_bucket", &[("cell", cell), ("trial", id), ("le", &seconds(end_ns))], within);
            }
            page.sample("_bucket", &[("cell", cell), ("trial", id), ("le", "+Inf")], histogram.count());
            page.sample("_count", &[("cell", cell), ("trial", id)], histogram.count());
            let sum = histogram.mean() * histogram.count() as f64 / 1e9;
            page.sample("_sum", &[("cell", cell), ("trial", id)], number(sum));
        }
    }
    Ok(page.finish())
}

fn about(page: &mut Page, f: &Findings) {
    page.family("about", "info", None, "Which run this is.");
    let method = f.method.to_string();
    let commit = f.source.as_ref().and_then(|source| source.commit.as_deref()).unwrap_or_default();
    let labels = [
        ("run", f.run.as_str()),
        ("scenario", f.scenario.as_str()),
        ("program", f.program.as_str()),
        ("started", f.started.as_str()),
        ("method", method.as_str()),
        ("commit", commit),
    ];
    page.sample("_info", &labels, 1);
    page.family("warnings", "gauge", None, "Doubts about the run.");
    page.sample("", &[], f.warnings.len());
}

fn figures(page: &mut Page, cell: &CellFindings) {
    let id = cell.id.as_str();
    page.family("cell", "info", None, "What each cell is.");
    let dataplane = cell.factors.dataplane.to_string();
    page.sample("_info", &[("cell", id), ("label", &cell.label), ("dataplane", &dataplane)], 1);
    page.family("cell_trials", "gauge", None, "Trials that a cell's figures are of.");
    page.sample("", &[("cell", id)], cell.trials);
    for (time, quantiles) in [("response", &cell.response_ns), ("service", &cell.service_ns)] {
        page.family("quantile_seconds", "gauge", Some("seconds"), "Quantiles of a cell, estimated over its trials.");
        for (name, figure) in quantiles.named() {
            bounds(page, &[("cell", id), ("time", time), ("quantile", quantile(name))], figure, 1e-9);
        }
    }
    page.family("answered_per_second", "gauge", None, "Answers a second.");
    bounds(page, &[("cell", id)], &cell.answered_per_second, 1.0);
    let proxies = &cell.all_proxies;
    let help = "Thousandths of a core for 1000 requests a second, all proxies together.";
    page.family("proxies_cpu_millicores_per_1000_rps", "gauge", None, help);
    bounds(page, &[("cell", id)], &proxies.cpu_millicores_per_1000_rps, 1.0);
    page.family("proxies_resident_bytes", "gauge", Some("bytes"), "Resident memory, all proxies together.");
    bounds(page, &[("cell", id)], &proxies.rss_bytes, 1.0);
    let help = "Time throttled by the quota in a measured phase, the mean over proxies.";
    page.family("proxy_throttled_seconds", "gauge", Some("seconds"), help);
    bounds(page, &[("cell", id)], &cell.proxies.throttled_ns, 1e-9);
    for (name, help, figure) in [
        ("node_cpu_busy_ratio", "CPU time in use, by whomever.", &cell.node.cpu_busy_share),
        ("node_steal_ratio", "CPU time that the hypervisor gave to others.", &cell.node.steal_share),
        ("node_pressure_cpu_some_ratio", "Time in which some task waited for a CPU.", &cell.node.psi_cpu_some_share),
    ] {
        page.family(name, "gauge", Some("ratio"), help);
        bounds(page, &[("cell", id)], figure, 1.0);
    }
}

fn taxes(page: &mut Page, f: &Findings) {
    for tax in &f.taxes {
        let kind = serde_json::to_value(tax.kind).ok();
        let kind = kind.as_ref().and_then(|kind| kind.as_str()).unwrap_or_default();
        for (time, at) in [("response", &tax.response_ns), ("service", &tax.service_ns)] {
            page.family(
                "tax_seconds",
                "gauge",
                Some("seconds"),
                "What a cell adds to its baseline, paired within blocks.",
            );
            for (name, at) in at.named() {
                let labels = [
                    ("cell", tax.cell.as_str()),
                    ("baseline", tax.baseline.as_str()),
                    ("kind", kind),
                    ("time", time),
                    ("quantile", quantile(name)),
                ];
                bounds(page, &labels, &Reading::Seen(at.difference), 1e-9);
            }
        }
    }
}

fn requests(page: &mut Page, trial: &Trial) {
    let load = &trial.load;
    let own = [("cell", trial.cell.as_str()), ("trial", trial.id.as_str())];
    page.family("due_requests", "counter", None, "Requests due.");
    page.sample("_total", &own, load.due);
    page.family("requests", "counter", None, "Requests due, by how they ended.");
    for (status, n) in &load.outcomes.answered {
        let status = status.to_string();
        page.sample("_total", &[own[0], own[1], ("outcome", "answered"), ("status", &status)], n);
    }
    let o = &load.outcomes;
    for (outcome, n) in [
        ("connect_failed", o.connect_failed),
        ("reset", o.reset),
        ("timed_out", o.timed_out),
        ("cut_by_deadline", o.cut_by_deadline),
        ("unsent", load.unsent),
    ] {
        page.sample("_total", &[own[0], own[1], ("outcome", outcome)], n);
    }
}

/// A figure and the ends of its interval.
fn bounds(page: &mut Page, labels: &[(&str, &str)], figure: &Figure, factor: f64) {
    let Reading::Seen(Estimate { value, low, high, .. }) = figure else { return };
    for (bound, end) in [("value", Some(*value)), ("low", *low), ("high", *high)] {
        let Some(end) = end else { continue };
        let labels: Vec<(&str, &str)> = labels.iter().copied().chain([("bound", bound)]).collect();
        page.sample("", &labels, number(end * factor));
    }
}

/// A quantile as Prometheus writes it.
fn quantile(name: &str) -> &'static str {
    match name {
        "p50" => "0.5",
        "p90" => "0.9",
        "p99" => "0.99",
        "p999" => "0.999",
        _ => "1.0",
    }
}
