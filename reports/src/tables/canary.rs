//! A canary as tables: how requests were split, what each subset took, and how shifts were followed.

use record::Reading;

use super::{Column, Entry, MS, PERCENT, QUANTILES, Row, Table, column, quantiles};
use crate::figure;
use crate::findings::{CanaryFindings, CellFindings, Findings, person_name};

/// Every table there is to show of canaries; empty without any.
pub(crate) fn canaries(findings: &Findings) -> Vec<Table> {
    let of: Vec<(&CellFindings, &CanaryFindings)> =
        findings.cells.iter().filter_map(|c| Some((c, c.canary.as_ref()?))).collect();
    if of.is_empty() {
        return Vec::new();
    }
    [Some(split(&of)), Some(times(&of)), shifts(&of)].into_iter().flatten().collect()
}

type Canaries<'a> = [(&'a CellFindings, &'a CanaryFindings)];

fn split(of: &Canaries<'_>) -> Table {
    let mut rows = Vec::new();
    for (cell, canary) in of {
        for stretch in &canary.stretches {
            let from = match stretch.from_ns {
                0 => String::new(),
                ns => format!(" from {}", figure::seconds(ns)),
            };
            for share in &stretch.shares {
                let (low, high) = (figure::digits(share.low * 100.0), figure::digits(share.high * 100.0));
                rows.push(Row {
                    head: format!("{}: {}{from}", person_name(&cell.label), share.subset),
                    entries: vec![
                        Entry::Plain(share.asked),
                        share.share.map_or_else(|| Entry::Short("n/a".to_owned()), Entry::Plain),
                        Entry::Short(format!("{low}–{high}")),
                        Entry::Count(share.answered),
                        Entry::Short(if share.holds { "inside" } else { "OUTSIDE" }.to_owned()),
                    ],
                });
            }
        }
    }
    Table {
        id: "canary-split".into(),
        caption: "Canary: how requests were split, over all trials; the interval is the exact binomial one of 99.9 %"
            .into(),
        of: "cell: subset",
        columns: vec![
            column("asked for", "%", PERCENT),
            column("came about", "%", PERCENT),
            column("lies within", "%", 1.0),
            column("answers", "", 1.0),
            column("asked for is", "", 1.0),
        ],
        rows,
    }
}

fn times(of: &Canaries<'_>) -> Table {
    let mut rows = Vec::new();
    for (cell, canary) in of {
        let name = person_name(&cell.label);
        let stable = canary.subsets.first().map_or("", |s| s.subset.as_str());
        for subset in &canary.subsets {
            rows.push(Row { head: format!("{name}: {}", subset.subset), entries: quantiles(&subset.response_ns) });
        }
        for subset in &canary.subsets {
            let Some(over) = &subset.over_stable_ns else { continue };
            rows.push(Row { head: format!("{name}: {} less {stable}", subset.subset), entries: quantiles(over) });
        }
    }
    Table {
        id: "canary-times".into(),
        caption: "Canary: response time by subset; the difference is taken within each trial".into(),
        of: "cell: subset",
        columns: QUANTILES.to_vec(),
        rows,
    }
}

/// None where no weights were shifted.
fn shifts(of: &Canaries<'_>) -> Option<Table> {
    const COLUMNS: [Column; 5] = [
        column("followed after", "ms", MS),
        column("at the latest", "ms", MS),
        column("followed in", "trials", 1.0),
        column("failed", "", 1.0),
        column("errors", "", 1.0),
    ];
    let mut rows = Vec::new();
    for (cell, canary) in of {
        for shift in &canary.shifts {
            rows.push(Row {
                head: format!("{}: {} from {}", person_name(&cell.label), shift.weights, figure::seconds(shift.at_ns)),
                entries: vec![
                    Entry::Figure(shift.after_ns.clone()),
                    shift.latest_ns.map_or_else(
                        || Entry::Figure(Reading::absent("a trial did not follow")),
                        |ns| Entry::Plain(ns as f64),
                    ),
                    Entry::Short(format!("{} of {}", shift.followed, shift.trials)),
                    Entry::Count(shift.failed),
                    Entry::Count(shift.errors),
                ],
            });
        }
    }
    (!rows.is_empty()).then(|| Table {
        id: "canary-shifts".into(),
        caption: "Canary: from when new weights were given until answers were split by them, and what failed meanwhile"
            .into(),
        of: "cell: weights",
        columns: COLUMNS.to_vec(),
        rows,
    })
}
