//! A comparison for a terminal: the answer first, then tables that fit the width.

use record::Reading;

use super::tables::{self, DIFFERENCES, FLAGS, NOTES};
use super::{Comparison, Point};
use crate::text::Page;

/// Lines of differences that a terminal shows; the rest stand in the other forms.
const LINES: usize = 14;

/// The comparison as text of at most `width` columns (at least 60), with ANSI colours or without.
pub fn text(of: &Comparison, width: usize, color: bool) -> String {
    let mut page = Page::new(width, color);
    page.heading(&tables::title(of));
    for run in tables::runs(of) {
        page.item("  ", &run);
    }
    page.line("");
    for sentence in &of.answer {
        page.item("* ", sentence);
    }
    let flags = tables::flags(of);
    if !flags.is_empty() {
        page.line("");
        page.heading(FLAGS);
        for (evidence, remedy) in flags {
            page.warning(&evidence);
            page.item("  try: ", &remedy);
        }
    }
    for cell in &of.cells {
        let at = if of.at == Point::P50 { "p99".to_owned() } else { of.at.to_string() };
        page.table(&tables::response(of, cell).only(&["p50", &at, &format!("{} ratio", of.at), "differ"]));
    }
    for table in of.cells.iter().filter_map(|cell| tables::tax(of, cell)) {
        page.table(&table.only(&[&format!("tax at {}", of.at), "over the first's", "differ", "CPU"]));
    }
    if let Some(table) = tables::effects(of) {
        page.table(&table);
    }
    match (&of.variance, tables::variance(of)) {
        (_, Some(table)) => page.table(&table),
        (Reading::Absent { absent }, None) => {
            page.line("");
            page.heading(&format!("The variance of {} is not parted: {absent}", of.at));
        }
        _ => {}
    }
    page.table(&tables::state(of).only(&["steal", "lost CPU", "work", "p50 at end", "work at end"]));
    let differences = tables::differences(of);
    page.list(DIFFERENCES, &differences[..differences.len().min(LINES)]);
    if differences.len() > LINES {
        page.item("- ", &format!("and {} more: --format html or json", differences.len() - LINES));
    }
    page.list(NOTES, &of.notes);
    page.line("");
    page.heading("How to read it");
    for line in tables::how_to_read(of) {
        page.paragraph("  ", &line);
    }
    page.text
}
