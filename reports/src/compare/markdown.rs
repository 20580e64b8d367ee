//! A comparison as Markdown, for a ticket or a wiki.

use std::fmt::Write as _;

use record::Reading;

use super::Comparison;
use super::tables::{self, DIFFERENCES, FLAGS, NOTES};
use crate::markdown::{escaped, list, table};

/// The comparison as Markdown with pipe tables.
pub fn markdown(of: &Comparison) -> String {
    let mut page = format!("# {}\n\n", escaped(&tables::title(of)));
    for sentence in &of.answer {
        let _ = writeln!(page, "- {}", escaped(sentence));
    }
    let flags: Vec<String> =
        tables::flags(of).into_iter().map(|(evidence, remedy)| format!("{evidence} (try: {remedy})")).collect();
    list(&mut page, FLAGS, &flags);
    list(&mut page, "Runs", &tables::runs(of));
    for cell in &of.cells {
        table(&mut page, &tables::response(of, cell));
    }
    for found in of.cells.iter().filter_map(|cell| tables::tax(of, cell)) {
        table(&mut page, &found);
    }
    for found in tables::effects(of).into_iter().chain(tables::variance(of)) {
        table(&mut page, &found);
    }
    if let Reading::Absent { absent } = &of.variance {
        let _ = writeln!(page, "\nThe variance of {} is not parted: {}.", of.at, escaped(absent));
    }
    table(&mut page, &tables::state(of));
    differences(&mut page, of);
    list(&mut page, NOTES, &of.notes);
    page.push_str("\n## How to read it\n\n");
    for line in tables::how_to_read(of) {
        let _ = writeln!(page, "{}\n", escaped(&line));
    }
    page
}

fn differences(page: &mut String, of: &Comparison) {
    if of.differences.is_empty() {
        return;
    }
    let _ = write!(page, "\n## {DIFFERENCES}\n\n| what |");
    for run in &of.runs {
        let _ = write!(page, " {} |", escaped(&run.name));
    }
    let _ = writeln!(page, "\n|---|{}", "---|".repeat(of.runs.len()));
    for difference in &of.differences {
        let _ = write!(page, "| {} |", escaped(&difference.what));
        for value in &difference.values {
            let _ = write!(page, " {} |", escaped(value));
        }
        page.push('\n');
    }
}
