//! The stall ledger as tables: what was looked for in each cell, and the worst windows with all that is known of them.

use std::collections::BTreeMap;

use record::Reading;

use super::{Entry, MS, PERCENT, Row, Table, column};
use crate::figure;
use crate::findings::{Findings, WorstWindow, person_name};

/// Every cause that was looked for, and how it is known.
pub(crate) fn ledger(findings: &Findings) -> Option<Table> {
    let rows: Vec<Row> = findings
        .ledger
        .iter()
        .map(|line| Row {
            head: format!("{}: {}", name(findings, &line.cell), line.cause.word()),
            entries: vec![
                Entry::Short(if line.named { "named" } else { "not named" }.to_owned()),
                Entry::Short(line.known.words().to_owned()),
                Entry::Words(line.evidence.clone()),
            ],
        })
        .collect();
    (!rows.is_empty()).then(|| Table {
        id: "ledger".into(),
        caption: "The stall ledger: what was looked for, and how it is known".into(),
        of: "cell: cause",
        columns: vec![column("is", "", 1.0), column("known", "", 1.0), column("evidence", "", 1.0)],
        rows,
    })
}

/// The worst windows of each cell.
pub(crate) fn worst_windows(findings: &Findings) -> Option<Table> {
    let rows: Vec<Row> = findings
        .worst_windows
        .iter()
        .map(|w| Row {
            head: format!("{}: {} of {}", name(findings, &w.cell), figure::seconds(w.at_ns), w.trial),
            entries: vec![
                Entry::Plain(w.share_of_tail),
                Entry::Count(w.requests_over),
                Entry::Plain(w.worst_response_ns as f64),
                Entry::Words(facts(w)),
            ],
        })
        .collect();
    (!rows.is_empty()).then(|| Table {
        id: "worst-windows".into(),
        caption: "The worst windows of 100 ms, and what went on while their longest request was out".into(),
        of: "cell: when, in which trial",
        columns: vec![
            column("share", "% of tail", PERCENT),
            column("requests over", "", 1.0),
            column("longest", "ms", MS),
            column("meanwhile", "", 1.0),
        ],
        rows,
    })
}

fn name(findings: &Findings, cell: &str) -> String {
    findings.cell(cell).map_or_else(|| cell.to_owned(), |c| person_name(&c.label))
}

/// What is known of a window; what was not there is left out, and what could not be known is not.
pub(crate) fn facts(w: &WorstWindow) -> String {
    let mut facts: Vec<String> = w.slowest_at.iter().map(|at| format!("the slowest kept request: {at}")).collect();
    for (what, by_part) in [
        ("stopped", &w.stopped_ns),
        ("blocked", &w.blocked_ns),
        ("throttled", &w.throttled_ns),
        ("waiting for a CPU", &w.run_delay_ns),
    ] {
        facts.extend(of_parts(what, by_part));
    }
    facts.push(format!("generator late by {}", figure::ms_bare(w.generator_lag_ns as f64)));
    for (what, reading) in [
        ("stolen", &w.steal_ns),
        ("lost without a reason", &w.lost_ns),
        ("disk busy", &w.disk_ns),
        ("I/O pressure", &w.io_pressure_ns),
    ] {
        facts.extend(of_machine(what, reading, |ns| figure::ms_bare(ns as f64)));
    }
    facts.extend(of_machine("segments sent again", &w.retransmits, |n| n.to_string()));
    facts.join("; ")
}

fn of_parts(what: &str, by_part: &BTreeMap<String, u64>) -> Option<String> {
    let parts: Vec<String> = by_part.iter().map(|(p, ns)| format!("{p} {}", figure::ms_bare(*ns as f64))).collect();
    (!parts.is_empty()).then(|| format!("{what}: {}", parts.join(", ")))
}

fn of_machine(what: &str, reading: &Reading<u64>, said: impl Fn(u64) -> String) -> Option<String> {
    match reading {
        Reading::Seen(0) => None,
        Reading::Seen(n) => Some(format!("{what}: {}", said(*n))),
        Reading::Absent { absent } => Some(format!("{what}: n/a ({absent})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_is_said_and_what_is_not_known_is_not_zero() {
        let window = WorstWindow {
            cell: "c".into(),
            trial: "t".into(),
            at_ns: 0,
            share_of_tail: 0.5,
            requests_over: 3,
            worst_response_ns: 90_000_000,
            causes: vec![],
            throttled_ns: BTreeMap::new(),
            run_delay_ns: BTreeMap::new(),
            stopped_ns: BTreeMap::from([("s2".to_owned(), 80_000_000)]),
            blocked_ns: BTreeMap::new(),
            steal_ns: Reading::absent("no steal counter"),
            lost_ns: Reading::Seen(0),
            disk_ns: Reading::Seen(2_000_000),
            io_pressure_ns: Reading::Seen(0),
            retransmits: Reading::Seen(2),
            generator_lag_ns: 1_000_000,
            slowest_at: Some("in s2 (85.0 ms of 90.0 ms)".into()),
        };
        assert_eq!(
            facts(&window),
            "the slowest kept request: in s2 (85.0 ms of 90.0 ms); stopped: s2 80.0 ms; generator late by 1.00 ms; \
             stolen: n/a (no steal counter); disk busy: 2.00 ms; segments sent again: 2"
        );
    }
}
