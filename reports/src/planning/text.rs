//! A plan for a terminal: the answer first, then the plans, the cliffs, what is assumed, and what can be applied.

use crate::text::Page;

use super::emit::in_short;
use super::report::PlanReport;
use super::tables;

/// The plan as text of at most `width` columns (at least 60), with ANSI colours or without.
pub fn text(report: &PlanReport, width: usize, color: bool) -> String {
    let mut page = Page::new(width, color);
    let asked = &report.asked;
    page.heading(&format!(
        "meshtax: a plan for {} at {} requests/s, {} services",
        asked.slo, asked.rps, asked.services
    ));
    page.paragraph("  ", &format!("from {}; prices from {}", asked.runs.join(", "), asked.prices));
    page.line("");
    report.answer.iter().for_each(|sentence| page.item("* ", sentence));
    if let Some(table) = tables::plans(report) {
        page.table(&table);
        page.paragraph("  ", "The least cost first; limit, workers and replicas are of each service.");
    }
    page.list("Plans that are not shown to hold it", &tables::cannot(report));
    if let Some(table) = tables::cliffs(report) {
        page.table(&table);
        tables::cliff_notes(report).iter().for_each(|note| page.paragraph("  ", note));
    }
    let short = in_short(report);
    if !short.is_empty() {
        page.line("");
        page.heading("Ready to apply: --emit FORM --output FILE writes one of");
        for (form, what) in short {
            page.item(&format!("  {form:<19}"), &what);
        }
    }
    page.list("What is assumed", &report.model);
    if !report.to_measure.is_empty() {
        page.line("");
        page.heading("Not shown by these runs");
        for wanted in &report.to_measure {
            page.item("- ", &wanted.what);
            page.item("  try: ", &wanted.command);
        }
    }
    page.list("Doubts", &report.doubts);
    page.finish()
}
