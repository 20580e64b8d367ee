//! What stands behind the figures, as tables: swept limits, the slowest requests, and what was read back of the configuration.

use record::{Outcome, Reading};

use super::{Entry, MS, PERCENT, Row, Table, column};
use crate::figure;
use crate::findings::{Findings, LimitSweep, ProofLine, SlowestRequest, person_name};
use crate::plot;

fn name(findings: &Findings, id: &str) -> String {
    findings.cell(id).map_or_else(|| id.to_owned(), |c| person_name(&c.label))
}

/// The points of a sweep of CPU limits.
pub(crate) fn limits(at: usize, sweep: &LimitSweep) -> Table {
    let rows = sweep.points.iter().map(|p| Row {
        head: p.limit_millicores.map_or_else(|| "no limit".to_owned(), |limit| format!("{limit}m")),
        entries: vec![
            Entry::Figure(p.p99_ns.clone()),
            p.over_reference.map_or_else(|| Entry::Short("reference".into()), |e| Entry::Figure(Reading::Seen(e))),
            Entry::Figure(p.throttled_period_share.clone()),
        ],
    });
    Table {
        id: format!("limit-points-{}", at + 1),
        caption: format!("{}: CPU limits, swept", sweep.name),
        of: "limit of each proxy",
        columns: vec![
            column("p99", "ms", MS),
            column("p99 over reference", "times", 1.0),
            column("throttled share", "% of periods", PERCENT),
        ],
        rows: rows.collect(),
    }
}

/// How a request ended, in a word or two.
fn ended(outcome: Outcome) -> String {
    match outcome {
        Outcome::Answered(status) => format!("answered {status}"),
        Outcome::ConnectFailed => "no connection".to_owned(),
        Outcome::Reset => "reset".to_owned(),
        Outcome::TimedOut => "timed out".to_owned(),
        Outcome::CutByDeadline => "cut off".to_owned(),
    }
}

/// Where a request was for the longest: the service or the way, and for how long.
fn longest(request: &SlowestRequest) -> (String, u64) {
    let before = ("before it was sent".to_owned(), request.sent_ns.unwrap_or(request.response_ns));
    let of_hops = request.hops.iter().flat_map(|hop| {
        let service = &hop.service;
        [
            (format!("on the way to {service}"), hop.there_ns),
            (format!("in {service}"), hop.own_ns),
            (format!("on the way back from {service}"), hop.back_ns),
        ]
    });
    of_hops.fold(before, |most, next| if next.1 > most.1 { next } else { most })
}

/// The slowest requests of each cell; none where none was kept.
pub(crate) fn slowest(findings: &Findings) -> Option<Table> {
    let rows: Vec<Row> = findings
        .slowest
        .iter()
        .map(|request| {
            let (at, at_ns) = longest(request);
            Row {
                head: format!("{}: trial {}", name(findings, &request.cell), request.trial),
                entries: vec![
                    Entry::Plain(request.due_ns as f64),
                    Entry::Plain(request.response_ns as f64),
                    Entry::Plain(at_ns as f64),
                    Entry::Words(format!("{at}; {}", ended(request.outcome))),
                ],
            }
        })
        .collect();
    (!rows.is_empty()).then(|| Table {
        id: "slowest".into(),
        caption: "The slowest requests that were kept".into(),
        of: "cell",
        columns: vec![
            column("due", "s", 1e-9),
            column("response", "ms", MS),
            column("longest stay", "ms", MS),
            column("where", "", 1.0),
        ],
        rows,
    })
}

/// One request, hop by hop.
pub(crate) fn hops(findings: &Findings, request: &SlowestRequest) -> Table {
    let rows = request.hops.iter().enumerate().map(|(at, hop)| {
        let caller = hop.caller.and_then(|caller| request.hops.get(caller));
        let indent = "\u{a0}\u{a0}".repeat(plot::depth(&request.hops, at));
        Row {
            head: format!("{indent}{}", hop.service),
            entries: vec![
                Entry::Short(caller.map_or_else(|| "load generator".to_owned(), |c| c.service.clone())),
                Entry::Plain(hop.received_ns as f64),
                Entry::Plain(hop.there_ns as f64),
                Entry::Plain(hop.own_ns as f64),
                Entry::Plain(hop.back_ns as f64),
            ],
        }
    });
    Table {
        id: format!("hops-{}", request.trial),
        caption: format!("The slowest request of {}, hop by hop", name(findings, &request.cell)),
        of: "service",
        columns: vec![
            column("called by", "", 1.0),
            column("had it", "ms after due", MS),
            column("on the way there", "ms", MS),
            column("in itself", "ms", MS),
            column("on the way back", "ms", MS),
        ],
        rows: rows.collect(),
    }
}

/// Parts by name while they are few.
fn parts(line: &ProofLine) -> String {
    const NAMED: usize = 4;
    if line.parts.len() <= NAMED { line.parts.join(", ") } else { format!("{} parts", line.parts.len()) }
}

/// What was read back of one cell's configuration.
pub(crate) fn proofs(findings: &Findings, cell: &str) -> Option<Table> {
    let lines = findings.proofs.iter().filter(|p| p.cell == cell);
    let rows: Vec<Row> = lines
        .map(|line| Row {
            head: line.claim.clone(),
            entries: vec![
                Entry::Words(line.expected.clone()),
                Entry::Words(line.found.clone()),
                Entry::Words(parts(line)),
                Entry::Count(line.trials as u64),
                Entry::Words(line.source.clone()),
            ],
        })
        .collect();
    (!rows.is_empty()).then(|| Table {
        id: format!("proofs-{cell}"),
        caption: format!("{}: what was read back", name(findings, cell)),
        of: "what",
        columns: vec![
            column("asked for", "", 1.0),
            column("found", "", 1.0),
            column("of", "", 1.0),
            column("trials", "", 1.0),
            column("read from, for one", "", 1.0),
        ],
        rows,
    })
}

/// How many points of a cell's configuration were read back.
pub(crate) fn proven(findings: &Findings, cell: &str) -> Option<String> {
    let all = findings.proofs.iter().filter(|p| p.cell == cell).count();
    let points = if all == 1 { "point" } else { "points" };
    (all > 0).then(|| format!("{}: {all} {points} read back from what ran, as asked for", name(findings, cell)))
}

/// The slowest request of each cell, in a sentence.
pub(crate) fn slowest_said(findings: &Findings) -> Vec<String> {
    let first = findings.cells.iter().filter_map(|c| findings.slowest.iter().find(|s| s.cell == c.id));
    let said = first.map(|request| {
        let (at, at_ns) = longest(request);
        format!(
            "{}: {}, of which {} {at} ({}; due {} into {})",
            name(findings, &request.cell),
            figure::ms_bare(request.response_ns as f64),
            figure::ms_bare(at_ns as f64),
            ended(request.outcome),
            figure::s(request.due_ns as f64),
            request.trial
        )
    });
    said.collect()
}

/// Every comparison in a row: what is added at p50 and at p99. None where there is nothing to compare.
pub(crate) fn taxes_by_cell(findings: &Findings) -> Option<Table> {
    let rows: Vec<Row> = super::taxes(findings)
        .into_iter()
        .map(|tax| {
            let (cell, baseline) = (name(findings, &tax.cell), name(findings, &tax.baseline));
            let [p50, p99] = [&tax.response_ns.p50, &tax.response_ns.p99];
            let figures = [p50.difference, p99.difference, p99.ratio, p99.per_hop];
            let entries = figures.map(|e| Entry::Figure(Reading::Seen(e))).to_vec();
            Row { head: format!("{cell} over {baseline}"), entries }
        })
        .collect();
    (!rows.is_empty()).then(|| Table {
        id: "taxes".into(),
        caption: "What each cell adds, at a glance".into(),
        of: "cell",
        columns: vec![
            column("at p50", "ms added", MS),
            column("at p99", "ms added", MS),
            column("p99", "times", 1.0),
            column("per hop at p99", "ms added", MS),
        ],
        rows,
    })
}

/// How to measure the same again, in sentences.
pub(crate) fn repeat(findings: &Findings) -> Vec<String> {
    let Some(repeat) = &findings.repeat else { return Vec::new() };
    let t = &repeat.timing;
    vec![
        format!(
            "Method {}, seed {}: {} blocks, each with every cell once in shuffled order; a trial settles for {}, loads for {}, \
             measures for {} and cools down for {}.",
            findings.method,
            repeat.seed,
            findings.blocks,
            figure::seconds(t.settle_ns),
            figure::seconds(t.warm_up_ns),
            figure::seconds(t.measure_ns),
            figure::seconds(t.cool_down_ns),
        ),
        format!("The same again: {}", repeat.command),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::SlowestHop;

    #[test]
    fn the_longest_stay_is_named() {
        let hop = |service: &str, there_ns, own_ns| SlowestHop {
            service: service.into(),
            caller: None,
            received_ns: 0,
            answered_ns: 0,
            own_ns,
            there_ns,
            back_ns: 1,
        };
        let request = SlowestRequest {
            cell: "c".into(),
            trial: "t".into(),
            due_ns: 0,
            sent_ns: Some(30),
            response_ns: 100,
            outcome: Outcome::Answered(200),
            hops: vec![hop("s1", 5, 9), hop("s2", 40, 12)],
        };
        assert_eq!(longest(&request), ("on the way to s2".to_owned(), 40));
        let unsent = SlowestRequest { sent_ns: None, hops: vec![], ..request };
        assert_eq!(longest(&unsent), ("before it was sent".to_owned(), 100));
    }
}
