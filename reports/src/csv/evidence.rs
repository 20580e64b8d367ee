//! What stands behind the figures, as CSV: swept limits, the slowest requests, timelines, what was read back.

use record::Reading;

use super::{Table, estimate, figure};
use crate::Result;
use crate::findings::Findings;

const FIGURE: [&str; 6] = ["value", "low", "high", "level", "n", "absent"];

fn with(prefix: &str) -> [String; 6] {
    FIGURE.map(|field| format!("{prefix}_{field}"))
}

pub(super) fn limits(findings: &Findings) -> Result<(String, String)> {
    let mut head = vec!["sweep".to_owned(), "cell".to_owned(), "limit_millicores".to_owned()];
    head.extend(["p99_ns", "over_reference", "throttled_period_share", "knee_millicores"].into_iter().flat_map(with));
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    let mut table = Table::new("limits", &head)?;
    for sweep in &findings.limits {
        for p in &sweep.points {
            let over = p.over_reference.map_or_else(|| Reading::absent("it is the reference"), Reading::Seen);
            table.row((
                (&sweep.name, &p.cell, p.limit_millicores),
                figure(&p.p99_ns),
                figure(&over),
                figure(&p.throttled_period_share),
                figure(&sweep.knee_millicores),
            ))?;
        }
    }
    table.finish()
}

pub(super) fn slowest(findings: &Findings) -> Result<(String, String)> {
    let head = [
        "cell",
        "trial",
        "due_ns",
        "sent_ns",
        "response_ns",
        "outcome",
        "hop",
        "caller",
        "service",
        "received_ns",
        "answered_ns",
        "own_ns",
        "there_ns",
        "back_ns",
    ];
    let mut table = Table::new("slowest", &head)?;
    for r in &findings.slowest {
        let outcome = serde_json::to_string(&r.outcome)?;
        let request = (&r.cell, &r.trial, r.due_ns, r.sent_ns, r.response_ns, outcome);
        if r.hops.is_empty() {
            let none: Option<u64> = None;
            table.row((&request, none, none, "", none, none, none, none, none))?;
        }
        for (at, h) in r.hops.iter().enumerate() {
            let stamps = (h.received_ns, h.answered_ns, h.own_ns, h.there_ns, h.back_ns);
            table.row((&request, at, h.caller, &h.service, stamps))?;
        }
    }
    table.finish()
}

pub(super) fn timelines(findings: &Findings) -> Result<(String, String)> {
    let head =
        ["cell", "trial", "at_ns", "p50_ns", "p99_ns", "max_ns", "throttled_ns", "steal_ns", "run_delay_ns", "disk_ns"];
    let mut table = Table::new("timelines", &head)?;
    for t in &findings.timelines {
        for (at, begins) in t.at_ns.iter().enumerate() {
            let of = |values: &[u64]| values.get(at).copied();
            let lost = |values: &Reading<Vec<u64>>| values.seen().and_then(|values| of(values));
            table.row((
                (&t.cell, &t.trial, begins, of(&t.p50_ns), of(&t.p99_ns), of(&t.max_ns)),
                (lost(&t.throttled_ns), lost(&t.steal_ns), lost(&t.run_delay_ns), lost(&t.disk_ns)),
            ))?;
        }
    }
    table.finish()
}

pub(super) fn proofs(findings: &Findings) -> Result<(String, String)> {
    let head = ["cell", "claim", "expected", "found", "parts", "trials", "source"];
    let mut table = Table::new("proofs", &head)?;
    for p in &findings.proofs {
        let parts = p.parts.join(" ");
        table.row((&p.cell, &p.claim, &p.expected, &p.found, parts, p.trials, &p.source))?;
    }
    table.finish()
}

pub(super) fn headline(findings: &Findings) -> Result<(String, String)> {
    let mut head = vec!["cell".to_owned(), "baseline".to_owned(), "quantile".to_owned(), "rate_per_second".to_owned()];
    head.extend(with("per_hop_ns"));
    head.extend(with("limit_per_hop_ns"));
    head.push("cause".to_owned());
    head.extend(with("share_of_tail"));
    head.push("sentence".to_owned());
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    let mut table = Table::new("headline", &head)?;
    if let Some(h) = &findings.headline {
        let share = h.share_of_tail.map_or_else(|| Reading::absent("no cause is named"), Reading::Seen);
        let of_limit = h.limit_per_hop_ns.map_or_else(|| Reading::absent("no limit adds to it"), Reading::Seen);
        let cause = h.cause.map_or("", |cause| cause.word());
        let what = (&h.cell, &h.baseline, &h.quantile, h.rate_per_second);
        table.row((what, estimate(&h.per_hop_ns), figure(&of_limit), cause, figure(&share), &h.sentence))?;
    }
    table.finish()
}
