//! The findings as Markdown, for a pull request or a wiki.

use std::fmt::Write as _;

use record::Reading;
use record::plain::blanked;

use crate::figure;
use crate::findings::Findings;
use crate::hosts::{self, HOSTS};
use crate::istio;
use crate::tables::{self, Entry, Table};

/// The findings as Markdown with pipe tables.
pub fn render(findings: &Findings) -> String {
    let f = findings;
    let mut page = format!("# meshtax: {}\n\n", escaped(&f.scenario));
    if let Some(cut_off) = tables::cut_off(f) {
        let _ = writeln!(page, "**{}**\n", escaped(&cut_off));
    }
    for sentence in &f.answer {
        let _ = writeln!(page, "- {}", escaped(sentence));
    }
    if let Some(confidence) = tables::confidence(f) {
        let _ = writeln!(page, "\n{}", escaped(&confidence));
    }
    let _ = writeln!(
        page,
        "\nRun {}: {} of {} trials in {} blocks, begun {}, by {}.",
        escaped(&f.run),
        f.trials_sealed,
        f.trials_planned,
        f.blocks,
        escaped(&f.started),
        escaped(&f.program)
    );
    if let Some(ended) = tables::ended(f) {
        let _ = writeln!(page, "\n{}", escaped(&ended));
    }
    if let Some(platform) = tables::platform(f) {
        let _ = writeln!(page, "\n{}", escaped(&platform));
    }
    let doubts = tables::doubts(f);
    if !doubts.is_empty() {
        page.push_str("\n## Doubts\n\n");
    }
    for doubt in doubts {
        let _ = writeln!(page, "- {} (try: {})", escaped(&doubt.evidence()), escaped(&doubt.first.remedy));
    }
    list(&mut page, HOSTS, &hosts::lines(f.hosts.as_ref()));
    list(&mut page, tables::LACKS, &tables::lacks(f));
    list(&mut page, tables::LEFT_OUT, &tables::left_out(f));
    table(&mut page, &tables::response(f));
    for tax in tables::taxes(f) {
        table(&mut page, &tables::tax(f, tax));
    }
    table(&mut page, &tables::service(f));
    for t in tables::canaries(f) {
        table(&mut page, &t);
    }
    let costs = [tables::proxies(f), tables::all_proxies(f), tables::neighbours(f)];
    for t in costs
        .into_iter()
        .chain([tables::events(f), tables::attribution(f), tables::worst_windows(f), tables::ledger(f)])
        .chain([tables::slowest(f)])
        .flatten()
        .chain(f.limits.iter().enumerate().map(|(at, sweep)| tables::limits(at, sweep)))
    {
        table(&mut page, &t);
    }
    table(&mut page, &tables::node(f));
    table(&mut page, &tables::waits(f));
    table(&mut page, &tables::requests(f));
    if let Some(reading) = &f.istio {
        let _ = write!(page, "\n## {}\n", escaped(&istio::heading(reading)));
        for istio::Group { title, lines } in istio::groups(reading) {
            let _ = writeln!(page, "\n{title}:\n");
            for line in lines {
                let _ = writeln!(page, "- {}", escaped(&line));
            }
        }
    }
    for t in f.cells.iter().filter_map(|c| tables::proofs(f, &c.id)) {
        table(&mut page, &t);
    }
    list(&mut page, "Method, and how to repeat it", &tables::repeat(f));
    page.push_str("\n## How to read it\n\n");
    for line in tables::how_to_read(f) {
        let _ = writeln!(page, "{}\n", escaped(&line));
    }
    page
}

pub(crate) fn list(page: &mut String, heading: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(page, "\n## {}\n", escaped(heading));
    for line in lines {
        let _ = writeln!(page, "- {}", escaped(line));
    }
}

/// Text that stays text: no mark-up, no HTML, no cell or line ends of its own.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in blanked(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '|' | '*' | '_' | '`' | '\\' | '#' | '!' | '[' | ']' | '~' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

pub(crate) fn table(page: &mut String, table: &Table) {
    let _ = write!(page, "\n## {}\n\n| {} |", escaped(&table.caption), escaped(table.of));
    for column in &table.columns {
        let unit = if column.unit.is_empty() { String::new() } else { format!(", {}", column.unit) };
        let _ = write!(page, " {}{unit} |", escaped(column.head));
    }
    page.push_str("\n|---|");
    page.push_str(&"--:|".repeat(table.columns.len()));
    page.push('\n');
    for row in &table.rows {
        let _ = write!(page, "| {} |", escaped(&row.head));
        for (entry, column) in row.entries.iter().zip(&table.columns) {
            let text = match entry {
                Entry::Figure(Reading::Seen(e)) => figure::with_interval(e, column.factor),
                Entry::Figure(Reading::Absent { absent }) => format!("n/a ({absent})"),
                Entry::Count(n) => n.to_string(),
                Entry::Plain(value) => figure::digits(value * column.factor),
                Entry::Short(words) | Entry::Words(words) => words.clone(),
            };
            let _ = write!(page, " {} |", escaped(&text));
        }
        page.push('\n');
    }
    page.push('\n');
    for note in table.notes().iter().filter(|n| !n.starts_with("n/a")) {
        let _ = writeln!(page, "{}", escaped(note));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_become_mark_up() {
        assert_eq!(escaped("<b>|x|\n# [a](b)"), "&lt;b&gt;\\|x\\| \\# \\[a\\](b)");
    }
}
