//! A plan as Markdown, for a review or a ticket.

use std::fmt::Write as _;

use crate::markdown::{escaped, list, table};

use super::emit::in_short;
use super::report::PlanReport;
use super::tables;

/// The plan as Markdown with pipe tables.
pub fn markdown(report: &PlanReport) -> String {
    let asked = &report.asked;
    let mut page = format!(
        "# meshtax: a plan for {} at {} requests/s, {} services\n\n",
        escaped(&asked.slo),
        asked.rps,
        asked.services
    );
    for sentence in &report.answer {
        let _ = writeln!(page, "- {}", escaped(sentence));
    }
    let _ = writeln!(page, "\nFrom {}; prices from {}.", escaped(&asked.runs.join(", ")), escaped(&asked.prices));
    if let Some(of_plans) = tables::plans(report) {
        table(&mut page, &of_plans);
    }
    list(&mut page, "Plans that are not shown to hold it", &tables::cannot(report));
    if let Some(of_cliffs) = tables::cliffs(report) {
        table(&mut page, &of_cliffs);
        for note in tables::cliff_notes(report) {
            let _ = writeln!(page, "{}\n", escaped(&note));
        }
    }
    let short: Vec<String> = in_short(report).into_iter().map(|(form, what)| format!("{form}: {what}")).collect();
    list(&mut page, "Ready to apply", &short);
    list(&mut page, "What is assumed", &report.model);
    let wanted: Vec<String> = report.to_measure.iter().map(|w| format!("{} (try: {})", w.what, w.command)).collect();
    list(&mut page, "Not shown by these runs", &wanted);
    list(&mut page, "Doubts", &report.doubts);
    page
}
