//! The findings as CSV tables for spreadsheets and scripts: one unit per column, named in its head.

mod evidence;

use record::{Dataplane, Reading, Role};
use serde::Serialize;

use crate::findings::{CanaryFindings, CellFindings, Costs, Figure, Findings, PartCosts, PerQuantile, TaxAt};
use crate::stats::Estimate;
use crate::{Error, Result};

/// The tables: each a file name and its text. A figure that is absent has empty fields and its reason beside.
///
/// # Errors
/// None that the types allow for; the writer's, if it has one.
pub fn render(findings: &Findings) -> Result<Vec<(String, String)>> {
    Ok(vec![
        cells(findings)?,
        latencies(findings)?,
        taxes(findings)?,
        parts(findings)?,
        node(findings)?,
        attribution(findings)?,
        attribution_parts(findings)?,
        ledger(findings)?,
        worst_windows(findings)?,
        warnings(findings)?,
        splits(findings)?,
        subsets(findings)?,
        shifts(findings)?,
        events(findings)?,
        lacks(findings)?,
        evidence::headline(findings)?,
        evidence::limits(findings)?,
        evidence::slowest(findings)?,
        evidence::timelines(findings)?,
        evidence::proofs(findings)?,
    ])
}

pub(crate) struct Table {
    name: &'static str,
    writer: csv::Writer<Vec<u8>>,
}

impl Table {
    pub(crate) fn new(name: &'static str, head: &[&str]) -> Result<Self> {
        let mut table = Self { name, writer: csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new()) };
        table.row(head)?;
        Ok(table)
    }

    pub(crate) fn row(&mut self, fields: impl Serialize) -> Result<()> {
        let name = self.name;
        self.writer.serialize(fields).map_err(|e| Error::Csv { table: name, message: e.to_string() })
    }

    pub(crate) fn finish(self) -> Result<(String, String)> {
        let name = self.name;
        let error = |message: String| Error::Csv { table: name, message };
        let bytes = self.writer.into_inner().map_err(|e| error(e.to_string()))?;
        let text = String::from_utf8(bytes).map_err(|e| error(e.to_string()))?;
        Ok((format!("{name}.csv"), text))
    }
}

/// The fields of a figure: value, low, high, level, n, absent.
pub(crate) type Fields = (Option<f64>, Option<f64>, Option<f64>, Option<f64>, Option<usize>, String);

pub(crate) fn estimate(e: &Estimate) -> Fields {
    (Some(e.value), e.low, e.high, Some(e.level), Some(e.n), String::new())
}

pub(crate) fn figure(figure: &Figure) -> Fields {
    match figure {
        Reading::Seen(e) => estimate(e),
        Reading::Absent { absent } => (None, None, None, None, None, absent.clone()),
    }
}

fn cells(findings: &Findings) -> Result<(String, String)> {
    let mut table = Table::new(
        "cells",
        &[
            "cell",
            "label",
            "chain",
            "services",
            "hops",
            "dataplane",
            "mtls",
            "cpu_limit",
            "workers",
            "work_us",
            "response_bytes",
            "rate_per_second",
            "connections",
            "arrival",
            "pace",
            "platform",
            "twin",
            "trials",
            "due",
            "answered",
            "failed",
            "error_statuses",
            "censored",
            "error_rate",
            "answered_per_second",
        ],
    )?;
    for c in &findings.cells {
        let f = &c.factors;
        let limit = f.cpu_limit.map_or_else(|| "none".to_owned(), |l| l.to_string());
        let factors = (
            (&f.chain, f.services, f.hops, f.dataplane.word(), f.mtls.word(), limit, f.workers, f.work_us),
            (f.response_bytes, f.rate_per_second, f.connections, f.arrival.word(), f.pace.word()),
            (f.platform.word(), f.twin),
        );
        let r = &c.requests;
        let requests = (c.trials, r.due, r.answered, r.failed, r.error_statuses, r.censored, r.error_rate);
        let answered = c.answered_per_second.seen().map(|e| e.value);
        table.row((&c.id, &c.label, factors, requests, answered))?;
    }
    table.finish()
}

fn latencies(findings: &Findings) -> Result<(String, String)> {
    let head = ["cell", "time", "quantile", "value_ns", "low_ns", "high_ns", "level", "n", "absent"];
    let mut table = Table::new("latencies", &head)?;
    for c in &findings.cells {
        let times = [("response", &c.response_ns, &c.response_mean_ns), ("service", &c.service_ns, &c.service_mean_ns)];
        for (time, of, mean) in times {
            for (quantile, f) in of.named().into_iter().chain([("mean", mean)]) {
                table.row((&c.id, time, quantile, figure(f)))?;
            }
        }
        table.row((&c.id, "lag_ours", "p99", figure(&c.lag_ours_p99_ns)))?;
    }
    table.finish()
}

fn taxes(findings: &Findings) -> Result<(String, String)> {
    let mut table = Table::new(
        "taxes",
        &[
            "cell",
            "baseline",
            "kind",
            "time",
            "quantile",
            "pairs",
            "level",
            "difference_ns",
            "difference_low_ns",
            "difference_high_ns",
            "ratio",
            "ratio_low",
            "ratio_high",
            "per_hop_ns",
            "per_hop_low_ns",
            "per_hop_high_ns",
            "detectable",
        ],
    )?;
    for t in &findings.taxes {
        let times: [(&str, &PerQuantile<TaxAt>); 2] = [("response", &t.response_ns), ("service", &t.service_ns)];
        for (time, of) in times {
            for (quantile, at) in of.named() {
                let ends = |e: &Estimate| (e.value, e.low, e.high);
                let figures = (ends(&at.difference), ends(&at.ratio), ends(&at.per_hop));
                let level = at.difference.level;
                table.row((&t.cell, &t.baseline, t.kind, time, quantile, t.pairs, level, figures, at.detectable))?;
            }
        }
    }
    table.finish()
}

fn parts(findings: &Findings) -> Result<(String, String)> {
    let head = ["cell", "role", "part", "measure", "value", "low", "high", "level", "n", "absent"];
    let mut table = Table::new("parts", &head)?;
    for c in &findings.cells {
        let shared = matches!(c.factors.dataplane, Dataplane::Ambient | Dataplane::IstioAmbient);
        let proxy = if shared { Role::NodeProxy } else { Role::Sidecar };
        let all = &c.all_proxies;
        let sums = [
            ("cpu_millicores_per_1000_rps", &all.cpu_millicores_per_1000_rps),
            ("rss_bytes", &all.rss_bytes),
            ("idle_millicores", &all.idle_millicores),
        ];
        for (measure, f) in sums {
            table.row((&c.id, proxy, "all", measure, figure(f)))?;
        }
        for (role, costs) in [(proxy, &c.proxies), (Role::Service, &c.services)] {
            let Costs {
                cpu_millicores_per_1000_rps,
                rss_bytes,
                throttled_ns,
                throttled_periods,
                throttled_period_share,
                run_delay_ns_per_s,
                parts,
            } = costs;
            for (measure, f) in [
                ("cpu_millicores_per_1000_rps", cpu_millicores_per_1000_rps),
                ("rss_bytes", rss_bytes),
                ("throttled_ns", throttled_ns),
                ("throttled_periods", throttled_periods),
                ("throttled_period_share", throttled_period_share),
                ("run_delay_ns_per_s", run_delay_ns_per_s),
            ] {
                table.row((&c.id, role, "mean", measure, figure(f)))?;
            }
            for (part, p) in parts {
                part_rows(&mut table, &c.id, role, part, p)?;
            }
        }
        for (part, p) in &c.neighbours {
            part_rows(&mut table, &c.id, Role::Neighbour, part, p)?;
        }
    }
    table.finish()
}

fn part_rows(table: &mut Table, cell: &str, role: Role, part: &str, costs: &PartCosts) -> Result<()> {
    let PartCosts { cpu_millicores, rss_bytes, throttled_ns, throttled_periods, run_delay_ns_per_s } = costs;
    for (measure, f) in [
        ("cpu_millicores", cpu_millicores),
        ("rss_bytes", rss_bytes),
        ("throttled_ns", throttled_ns),
        ("throttled_periods", throttled_periods),
        ("run_delay_ns_per_s", run_delay_ns_per_s),
    ] {
        table.row((cell, role, part, measure, figure(f)))?;
    }
    Ok(())
}

fn node(findings: &Findings) -> Result<(String, String)> {
    let mut table = Table::new("node", &["cell", "measure", "value", "low", "high", "level", "n", "absent"])?;
    for c in &findings.cells {
        let n = &c.node;
        for (measure, f) in [
            ("steal_share", &n.steal_share),
            ("iowait_share", &n.iowait_share),
            ("cpu_busy_share", &n.cpu_busy_share),
            ("softirq_share", &n.softirq_share),
            ("psi_cpu_some_share", &n.psi_cpu_some_share),
            ("psi_io_some_share", &n.psi_io_some_share),
            ("psi_memory_some_share", &n.psi_memory_some_share),
            ("run_queue_length", &n.run_queue_length),
            ("probe_cpu_share", &n.probe_cpu_share),
            ("unexplained_loss_share", &n.unexplained_loss_share),
            ("work_slowdown", &n.work_slowdown),
        ] {
            table.row((&c.id, measure, figure(f)))?;
        }
    }
    table.finish()
}

fn attribution(findings: &Findings) -> Result<(String, String)> {
    let head = [
        "cell",
        "cause",
        "share_of_tail",
        "low",
        "high",
        "level",
        "n",
        "evidence",
        "known",
        "part",
        "slow_windows",
        "with_cause",
        "by_chance",
        "chance",
        "quiet_ns",
    ];
    let mut table = Table::new("attribution", &head)?;
    for a in &findings.attribution {
        let e = &a.share_of_tail;
        let windows = a.windows.map_or((None, None, None), |w| (Some(w.slow), Some(w.with_cause), Some(w.by_chance)));
        let rests_on = (&a.evidence, a.known, &a.part, windows, a.chance, a.quiet_ns);
        table.row((&a.cell, a.cause, e.value, e.low, e.high, e.level, e.n, rests_on))?;
    }
    table.finish()
}

/// The shares of each cause by part.
fn attribution_parts(findings: &Findings) -> Result<(String, String)> {
    let mut table = Table::new("attribution_parts", &["cell", "cause", "part", "share_of_tail"])?;
    for a in &findings.attribution {
        for p in &a.parts {
            table.row((&a.cell, a.cause, &p.part, p.share_of_tail))?;
        }
    }
    table.finish()
}

fn ledger(findings: &Findings) -> Result<(String, String)> {
    let mut table = Table::new("ledger", &["cell", "cause", "known", "named", "evidence"])?;
    for line in &findings.ledger {
        table.row((&line.cell, line.cause, line.known, line.named, &line.evidence))?;
    }
    table.finish()
}

/// Each fact of the worst windows is a row: of a part, or of the machine.
fn worst_windows(findings: &Findings) -> Result<(String, String)> {
    let mut table = Table::new("worst_windows", &["cell", "trial", "at_ns", "measure", "part", "value", "absent"])?;
    for w in &findings.worst_windows {
        let mut row = |measure: &str, part: &str, value: Option<f64>, absent: Option<&str>| {
            table.row((&w.cell, &w.trial, w.at_ns, measure, part, value, absent))
        };
        row("share_of_tail", "", Some(w.share_of_tail), None)?;
        for (measure, value) in [
            ("requests_over", w.requests_over),
            ("worst_response_ns", w.worst_response_ns),
            ("generator_lag_ns", w.generator_lag_ns),
        ] {
            row(measure, "", Some(value as f64), None)?;
        }
        for (measure, by_part) in [
            ("throttled_ns", &w.throttled_ns),
            ("run_delay_ns", &w.run_delay_ns),
            ("stopped_ns", &w.stopped_ns),
            ("blocked_ns", &w.blocked_ns),
        ] {
            for (part, ns) in by_part {
                row(measure, part, Some(*ns as f64), None)?;
            }
        }
        for (measure, reading) in [
            ("steal_ns", &w.steal_ns),
            ("lost_ns", &w.lost_ns),
            ("disk_ns", &w.disk_ns),
            ("io_pressure_ns", &w.io_pressure_ns),
            ("retransmits", &w.retransmits),
        ] {
            row(measure, "", reading.seen().map(|n| *n as f64), reading.reason())?;
        }
    }
    table.finish()
}

fn warnings(findings: &Findings) -> Result<(String, String)> {
    let mut table = Table::new("warnings", &["trial", "cell", "kind", "evidence", "remedy"])?;
    for w in &findings.warnings {
        table.row((&w.trial, &w.cell, w.kind, &w.evidence, &w.remedy))?;
    }
    table.finish()
}

fn splits(findings: &Findings) -> Result<(String, String)> {
    let head =
        ["cell", "service", "from_ns", "subset", "asked", "answered", "of", "share", "low", "high", "level", "holds"];
    let mut table = Table::new("splits", &head)?;
    for (c, canary) in canaries(findings) {
        for stretch in &canary.stretches {
            for s in &stretch.shares {
                let counted = (s.answered, stretch.answered, s.share, s.low, s.high, s.level, s.holds);
                table.row((&c.id, &canary.service, stretch.from_ns, &s.subset, s.asked, counted))?;
            }
        }
    }
    table.finish()
}

fn subsets(findings: &Findings) -> Result<(String, String)> {
    let head = ["cell", "subset", "time", "quantile", "value_ns", "low_ns", "high_ns", "level", "n", "absent"];
    let mut table = Table::new("subsets", &head)?;
    for (c, canary) in canaries(findings) {
        for s in &canary.subsets {
            let times = [("response", Some(&s.response_ns)), ("service", Some(&s.service_ns))];
            for (time, of) in times.into_iter().chain([("over_stable", s.over_stable_ns.as_ref())]) {
                for (quantile, f) in of.into_iter().flat_map(PerQuantile::named) {
                    table.row((&c.id, &s.subset, time, quantile, figure(f)))?;
                }
            }
        }
    }
    table.finish()
}

fn shifts(findings: &Findings) -> Result<(String, String)> {
    let mut table = Table::new(
        "shifts",
        &[
            "cell",
            "at_ns",
            "weights",
            "trials",
            "followed",
            "earliest_ns",
            "latest_ns",
            "failed",
            "errors",
            "after_ns",
            "low_ns",
            "high_ns",
            "level",
            "n",
            "absent",
        ],
    )?;
    for (c, canary) in canaries(findings) {
        for s in &canary.shifts {
            let seen = (s.trials, s.followed, s.earliest_ns, s.latest_ns, s.failed, s.errors);
            table.row((&c.id, s.at_ns, &s.weights, seen, figure(&s.after_ns)))?;
        }
    }
    table.finish()
}

fn canaries(findings: &Findings) -> impl Iterator<Item = (&CellFindings, &CanaryFindings)> {
    findings.cells.iter().filter_map(|c| Some((c, c.canary.as_ref()?)))
}

fn events(findings: &Findings) -> Result<(String, String)> {
    let head = ["cell", "measure", "value", "low", "high", "level", "n", "absent"];
    let mut table = Table::new("events", &head)?;
    for c in &findings.cells {
        let Some(e) = &c.events else { continue };
        let none = (None::<f64>, None::<f64>, None::<f64>, None::<usize>, "");
        for (measure, count) in [
            ("certificates_rotated", e.certificates_rotated),
            ("certificates_seen", e.certificates_seen),
            ("scrapes", e.scrapes),
        ] {
            table.row((&c.id, measure, count, none))?;
        }
        table.row((&c.id, "scrape_ns", figure(&e.scrape_ns)))?;
        table.row((&c.id, "scrape_bytes", figure(&e.scrape_bytes)))?;
    }
    table.finish()
}

/// What cells lack, and what has no cell at all.
fn lacks(findings: &Findings) -> Result<(String, String)> {
    let mut table = Table::new("lacks", &["cell", "what", "reason"])?;
    for c in &findings.cells {
        for lack in &c.lacks {
            table.row((&c.id, &lack.what, &lack.reason))?;
        }
    }
    for left_out in &findings.left_out {
        table.row(("", &left_out.what, &left_out.reason))?;
    }
    table.finish()
}
