//! A gate's answer as Markdown: for a comment on a change, and at more length for the summary of a step.
//!
//! The picture is a Mermaid chart: forges draw one in a comment and in a summary, while they take out SVG and images
//! given as data, and an image by its address would need a place where it lies.

use std::fmt::Write as _;

use super::chart::chart;
use super::junit::asked;
use super::words::{self, percent};
use super::{GateReport, GateVerdict, MetricVerdict, Purpose, Side, Way};
use crate::markdown::escaped;
use crate::stats::Estimate;

/// By this line a later comment finds the one that it replaces.
pub const MARKER: &str = "<!-- meshtax gate -->";

/// Rows of the table; a comment may have 65 536 characters.
const ROWS: usize = 60;

/// Lines of a list in a comment.
const LINES: usize = 12;

/// The answer for a comment: verdict, picture, table, what would decide, doubts.
pub fn markdown(report: &GateReport) -> String {
    let mut page = format!("{MARKER}\n");
    head(&mut page, report);
    table(&mut page, report);
    list(&mut page, "What would decide it", &report.deciders, LINES);
    if !report.doubts.is_empty() {
        // They can be long, and a comment is to be read at a glance.
        let _ = write!(page, "\n<details><summary>Doubts: {}</summary>\n", report.doubts.len());
        list(&mut page, "Doubts", &report.doubts, LINES);
        page.push_str("\n</details>\n");
    }
    page
}

/// The answer for the summary of a step: that of a comment, with each metric's reason, the two sides and the notes.
pub fn summary(report: &GateReport) -> String {
    let mut page = String::new();
    head(&mut page, report);
    table(&mut page, report);
    let reasons: Vec<String> =
        report.metrics.iter().map(|m| format!("{}, {}: {}", m.label, m.metric.label(), m.reason)).collect();
    list(&mut page, "Reasons", &reasons, usize::MAX);
    list(&mut page, "What would decide it", &report.deciders, usize::MAX);
    list(&mut page, "Doubts", &report.doubts, usize::MAX);
    list(&mut page, "Notes", &report.notes, usize::MAX);
    let _ = writeln!(page, "\n**Sides**\n");
    side(&mut page, "candidate", &report.candidate);
    if let Some(baseline) = &report.baseline {
        side(&mut page, "baseline", baseline);
    }
    page
}

fn mark(verdict: GateVerdict) -> &'static str {
    match verdict {
        GateVerdict::Pass => "✅ pass",
        GateVerdict::Inconclusive => "❔ inconclusive",
        GateVerdict::Fail => "❌ fail",
    }
}

fn head(page: &mut String, report: &GateReport) {
    let what = match report.purpose {
        Purpose::Gate => "gate",
        Purpose::NoiseFloor => "gate, the baseline against itself",
        Purpose::SelfTest => "gate, a test of itself",
    };
    let _ = writeln!(page, "## meshtax {what}: {}\n\n{}\n", mark(report.verdict), prose(&report.answer));
    if let Some(chart) = chart(report) {
        let _ = writeln!(page, "{chart}");
    }
}

fn table(page: &mut String, report: &GateReport) {
    let baseline = report.baseline.is_some();
    page.push_str("| cell | asked | verdict | change |");
    page.push_str(if baseline { " candidate | baseline |\n" } else { " candidate |\n" });
    page.push_str("|---|---|---|--:|--:|");
    page.push_str(if baseline { "--:|\n" } else { "\n" });
    for metric in report.metrics.iter().take(ROWS) {
        row(page, metric, baseline);
    }
    if report.metrics.len() > ROWS {
        let _ = writeln!(page, "\n{} further metrics are in the report.", report.metrics.len() - ROWS);
    }
    let brought = match report.way {
        Way::SideBySide => "side by side, in pairs",
        Way::Stored => "against stored runs",
        Way::Alone => "against its limits alone",
    };
    let _ = writeln!(
        page,
        "\nJudged {brought}: {} of at most {}. False fails at most {}, false passes {}, over all metrics. By {}.",
        report.pairs,
        report.budget.pairs,
        percent(report.alpha),
        percent(report.beta),
        prose(&report.program)
    );
}

fn row(page: &mut String, metric: &MetricVerdict, baseline: bool) {
    let value = |e: &Option<Estimate>| e.as_ref().map_or_else(|| "n/a".to_owned(), |e| metric.metric.shown(e.value));
    let change = metric.change.as_ref().map_or_else(|| "n/a".to_owned(), words::change);
    let adjusted = if metric.steal_adjusted.as_ref().is_some_and(|a| a.used) {
        format!(" (as measured: {})", metric.raw_verdict.word())
    } else {
        String::new()
    };
    let _ = write!(
        page,
        "| {} | {} | {}{adjusted} | {} | {} |",
        code(&metric.label),
        prose(&asked(metric)),
        mark(metric.verdict),
        prose(&change),
        prose(&value(&metric.candidate)),
    );
    if baseline {
        let _ = write!(page, " {} |", prose(&value(&metric.baseline)));
    }
    page.push('\n');
}

fn list(page: &mut String, heading: &str, lines: &[String], most: usize) {
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(page, "\n**{heading}**\n");
    for line in lines.iter().take(most) {
        let _ = writeln!(page, "- {}", prose(line));
    }
    if lines.len() > most {
        let _ = writeln!(page, "- {} more in the report", lines.len() - most);
    }
}

fn side(page: &mut String, what: &str, side: &Side) {
    let host = &side.host;
    let _ = write!(
        page,
        "- {what}: {}, run {}, begun {}, by {}, on {} × {}, Linux {}",
        code(&side.label),
        code(&side.run),
        prose(&side.started),
        prose(&side.program),
        host.cpus,
        prose(&host.cpu_model),
        prose(&host.kernel)
    );
    for (program, version) in &side.versions {
        let _ = write!(page, ", {} {}", prose(program), code(version));
    }
    page.push('\n');
}

/// Text that names nobody and leads nowhere: a forge makes links and messages of `@name` even in what is escaped.
fn prose(text: &str) -> String {
    escaped(text).replace('@', "@\u{200b}")
}

/// A name as code, in which a forge sees neither mark-up nor names.
fn code(text: &str) -> String {
    let plain = record::plain::blanked(text);
    let longest = plain.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    // A pipe ends a cell even inside of code; with a backslash it does not, and the backslash is not shown.
    let plain = plain.replace('|', "\\|");
    let blank = if plain.starts_with('`') || plain.ends_with('`') || plain.trim().is_empty() { " " } else { "" };
    format!("{fence}{blank}{plain}{blank}{fence}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_neither_leave_its_cell_nor_call_anybody() {
        assert_eq!(code("a|b\n`c`"), "`` a\\|b `c` ``");
        assert_eq!(code("plain"), "`plain`");
        assert_eq!(prose("@org/all <b>"), "@\u{200b}org/all &lt;b&gt;");
    }
}
