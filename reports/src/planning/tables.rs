//! A plan as tables for people: which rows and columns; how they look is not known here.

use record::Reading;

use crate::figure;
use crate::findings::Figure;
use crate::tables::{Column, Entry, Row, Table};

use super::advice::{money, ranged};
use super::report::{Cliff, Placement, PlanReport, PlanRow};

const fn column(head: &'static str, unit: &'static str) -> Column {
    Column { head, unit, factor: 1.0 }
}

fn short(text: String) -> Entry {
    Entry::Short(text)
}

/// The plans that can hold the SLO, the cheapest first; none where no plan can.
pub(crate) fn plans(report: &PlanReport) -> Option<Table> {
    let row = |row: &PlanRow| {
        let Placement {
            cpu_limit,
            workers,
            hosts,
            cost_per_month,
            replicas,
            rps_per_core,
            rps_per_currency,
            host_capacity,
            ..
        } = row.placement.seen()?;
        Some(Row {
            head: row.name.clone(),
            entries: vec![
                Entry::Count(*hosts),
                short(money(*cost_per_month)),
                short(cpu_limit.map_or_else(|| "none".to_owned(), |limit| limit.to_string())),
                Entry::Count(u64::from(*workers)),
                Entry::Count(*replicas),
                short(ranged(host_capacity)),
                short(figure::digits(rps_per_core.value)),
                short(ranged(rps_per_currency)),
            ],
        })
    };
    let rows: Vec<Row> = report.plans.iter().filter_map(row).collect();
    (!rows.is_empty()).then(|| Table {
        id: "plans".to_owned(),
        caption: format!("Plans that hold {} (prices in {})", report.asked.slo, report.asked.currency),
        of: "plan",
        columns: vec![
            column("hosts", ""),
            column("cost", "a month"),
            column("limit", "each"),
            column("workers", "each"),
            column("replicas", "each"),
            column("a host holds", "requests/s"),
            column("per core", "requests/s"),
            column("for one a month", "requests/s"),
        ],
        rows,
    })
}

/// The plans that cannot, each with the reason.
pub(crate) fn cannot(report: &PlanReport) -> Vec<String> {
    let line = |row: &PlanRow| row.placement.reason().map(|reason| format!("{}: {reason}", row.name));
    report.plans.iter().filter_map(line).collect()
}

/// The cliffs; none where no limit was measured or asked for.
pub(crate) fn cliffs(report: &PlanReport) -> Option<Table> {
    if report.cliffs.is_empty() {
        return None;
    }
    let confirmed = report.cliffs.iter().any(|c| c.confirmed.is_some());
    let mut columns = vec![
        column("quota used up", "requests/s"),
        column("predicted", "requests/s"),
        column("periods out", "%"),
        column("swept", "requests/s"),
    ];
    if confirmed {
        columns.extend([column("confirmed", "requests/s"), column("apart", "%")]);
    }
    let figure = |figure: &Figure| short(figure.seen().map_or_else(|| "n/a".to_owned(), ranged));
    let row = |c: &Cliff| {
        let mut entries = vec![
            figure(&c.quota_used_up_at),
            figure(&c.predicted),
            short(match &c.periods_run_out {
                Reading::Seen(share) => figure::digits(share * 100.0),
                Reading::Absent { .. } => "n/a".to_owned(),
            }),
            short(c.measured.as_ref().and_then(|m| m.seen()).map_or_else(|| "-".to_owned(), ranged)),
        ];
        if confirmed {
            let of = |text: &dyn Fn(&super::report::Confirmed) -> String| {
                short(c.confirmed.as_ref().map_or_else(|| "-".to_owned(), text))
            };
            entries.extend([of(&|c| ranged(&c.rate)), of(&|c| format!("{:+.0}", c.apart * 100.0))]);
        }
        Row { head: c.cpu_limit.to_string(), entries }
    };
    Some(Table {
        id: "cliffs".to_owned(),
        caption: "Where a CPU limit breaks the SLO, for one sidecar of each service".to_owned(),
        of: "limit",
        columns,
        rows: report.cliffs.iter().map(row).collect(),
    })
}

/// What the columns of the cliffs mean, and the rule behind the prediction.
pub(crate) fn cliff_notes(report: &PlanReport) -> Vec<String> {
    let mut notes = vec![
        "quota used up: where the busiest proxy would use all of its limit in the mean. predicted: where the SLO breaks, from what requests cost each proxy without throttling (mean and scatter), the arrivals, the quota period of 100 ms and the workers, request by request. Bursts within a period break it earlier; that a proxy with a queue does not wake up for each request, later. swept: what the runs show.".to_owned(),
    ];
    let beyond: Vec<String> =
        report.cliffs.iter().filter(|c| c.beyond_measured).map(|c| c.cpu_limit.to_string()).collect();
    if !beyond.is_empty() {
        notes.push(format!(
            "{}: beyond the rates at which CPU per request was measured; --confirm measures it on this host.",
            beyond.join(", ")
        ));
    }
    for cliff in &report.cliffs {
        if let Some(reason) = cliff.predicted.reason() {
            notes.push(format!("{}: {reason}.", cliff.cpu_limit));
        }
        if let Some(confirmed) = &cliff.confirmed {
            notes.push(format!("{}, confirmed: {}.", cliff.cpu_limit, confirmed.end));
        }
    }
    notes
}
