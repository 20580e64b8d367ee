//! What stands beside the figures in words: the platform, what dataplanes lack, what could not be, what was done.

use record::{Lack, Platform};

use super::{Entry, KIB, MS, Row, Table, column};
use crate::findings::{Findings, person_name};

/// Above what dataplanes lack.
pub(crate) const LACKS: &str = "What these dataplanes lack of Istio's path, so that its cost is in no figure";

/// Above what could not be.
pub(crate) const LEFT_OUT: &str = "Combinations that cannot be, and were left out";

/// Where the chains ran.
pub(crate) fn platform(findings: &Findings) -> Option<String> {
    let platform = findings.cells.first()?.factors.platform;
    Some(match platform {
        Platform::Processes => format!("Platform {platform}: services and proxies on loopback, called by address."),
        Platform::Pods => {
            format!(
                "Platform {platform}: a network namespace for each service and its proxy, with Istio's interception."
            )
        }
        Platform::Kubernetes => format!("Platform {platform}: pods of a cluster, each called by its Service's name."),
    })
}

/// Each thing that dataplanes lack, with the cells that lack it.
pub(crate) fn lacks(findings: &Findings) -> Vec<String> {
    let mut lacks: Vec<(&Lack, Vec<String>)> = Vec::new();
    for cell in &findings.cells {
        for lack in &cell.lacks {
            let name = person_name(&cell.label);
            match lacks.iter_mut().find(|(known, _)| *known == lack) {
                Some((_, names)) => names.push(name),
                None => lacks.push((lack, vec![name])),
            }
        }
    }
    lacks.into_iter().map(|(lack, names)| format!("{}: {}: {}", names.join("; "), lack.what, lack.reason)).collect()
}

/// What was asked for and cannot be.
pub(crate) fn left_out(findings: &Findings) -> Vec<String> {
    findings.left_out.iter().map(|l| format!("{}: {}", l.what, l.reason)).collect()
}

/// What was done under load, by cell; none where nothing was.
pub(crate) fn events(findings: &Findings) -> Option<Table> {
    let rows: Vec<Row> = findings
        .cells
        .iter()
        .filter_map(|c| Some((c, c.events.as_ref()?)))
        .map(|(c, e)| Row {
            head: person_name(&c.label),
            entries: vec![
                Entry::Count(e.certificates_rotated),
                Entry::Count(e.certificates_seen),
                Entry::Count(e.scrapes),
                Entry::Figure(e.scrape_ns.clone()),
                Entry::Figure(e.scrape_bytes.clone()),
            ],
        })
        .collect();
    (!rows.is_empty()).then(|| Table {
        id: "events".into(),
        caption: "Done under load: certificates replaced and shown to a caller, counters asked for".into(),
        of: "cell",
        columns: vec![
            column("replaced", "", 1.0),
            column("shown", "", 1.0),
            column("scrapes", "", 1.0),
            column("a scrape", "ms", MS),
            column("its answer", "KiB", KIB),
        ],
        rows,
    })
}
