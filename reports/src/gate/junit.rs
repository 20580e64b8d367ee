//! A gate's answer as JUnit XML: a test suite for each cell, a test case for each metric.
//!
//! Elements and attributes are those that all of Jenkins' xunit schema (junit-10.xsd), Ant's and GitLab's reader know.

use std::fmt::Write as _;

use super::words::percent;
use super::{GateReport, GateVerdict, MetricVerdict, Question};

/// What an undecided metric is to a reader that knows only passed, failed and skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnInconclusive {
    /// Skipped: neither shown to be right nor to be wrong, as it is.
    #[default]
    Skip,
    /// Failed.
    Fail,
    /// Passed.
    Pass,
}

/// The whole file, with what is undecided skipped.
pub fn junit(report: &GateReport) -> String {
    junit_with(report, OnInconclusive::default())
}

/// The whole file.
pub fn junit_with(report: &GateReport, undecided: OnInconclusive) -> String {
    let all: Vec<&MetricVerdict> = report.metrics.iter().collect();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let (tests, failures, _) = counts(&all, undecided);
    let name = text(&format!("meshtax gate {}", report.id));
    let _ =
        writeln!(xml, "<testsuites name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" time=\"0\">");
    let mut cells: Vec<&str> = Vec::new();
    for metric in &all {
        if !cells.contains(&metric.cell.as_str()) {
            cells.push(&metric.cell);
        }
    }
    for (id, cell) in cells.iter().enumerate() {
        let of: Vec<&MetricVerdict> = all.iter().copied().filter(|m| m.cell == *cell).collect();
        suite(&mut xml, report, id, &of, undecided);
    }
    xml.push_str("</testsuites>\n");
    xml
}

/// Tests, failures and skipped.
fn counts(metrics: &[&MetricVerdict], undecided: OnInconclusive) -> (usize, usize, usize) {
    let of = |wanted: Shown| metrics.iter().filter(|m| shown(m, undecided) == wanted).count();
    (metrics.len(), of(Shown::Failure), of(Shown::Skipped))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Passed,
    Failure,
    Skipped,
}

fn shown(metric: &MetricVerdict, undecided: OnInconclusive) -> Shown {
    match (metric.verdict, undecided) {
        (GateVerdict::Fail, _) | (GateVerdict::Inconclusive, OnInconclusive::Fail) => Shown::Failure,
        (GateVerdict::Pass, _) | (GateVerdict::Inconclusive, OnInconclusive::Pass) => Shown::Passed,
        (GateVerdict::Inconclusive, OnInconclusive::Skip) => Shown::Skipped,
    }
}

fn suite(xml: &mut String, report: &GateReport, id: usize, metrics: &[&MetricVerdict], undecided: OnInconclusive) {
    let label = metrics.first().map_or("", |metric| metric.label.as_str());
    let (tests, failures, skipped) = counts(metrics, undecided);
    // The schemas know a moment without a zone alone.
    let moment: String = report.started.chars().take(19).collect();
    let _ = writeln!(
        xml,
        "  <testsuite name=\"{}\" id=\"{id}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\" time=\"0\" timestamp=\"{}\" hostname=\"{}\">",
        text(label),
        text(&moment),
        text(&format!("{} CPUs {}", report.candidate.host.cpus, report.candidate.host.cpu_model)),
    );
    xml.push_str("    <properties>\n");
    let baseline = report.baseline.as_ref().map_or("none", |side| side.label.as_str());
    for (name, value) in [
        ("candidate", report.candidate.label.as_str()),
        ("baseline", baseline),
        ("alpha", &report.alpha.to_string()),
        ("beta", &report.beta.to_string()),
        ("pairs", &report.pairs.to_string()),
    ] {
        let _ = writeln!(xml, "      <property name=\"{name}\" value=\"{}\"/>", text(value));
    }
    xml.push_str("    </properties>\n");
    for metric in metrics {
        case(xml, metric, undecided);
    }
    xml.push_str("  </testsuite>\n");
}

fn case(xml: &mut String, metric: &MetricVerdict, undecided: OnInconclusive) {
    let _ = write!(
        xml,
        "    <testcase name=\"{}\" classname=\"meshtax.{}\" time=\"0\">",
        text(&asked(metric)),
        text(&metric.cell)
    );
    let reason = text(&metric.reason);
    match shown(metric, undecided) {
        Shown::Passed => {
            let _ = write!(xml, "<system-out>{reason}</system-out>");
        }
        Shown::Failure => {
            let kind = metric.verdict.word();
            let _ = write!(xml, "<failure type=\"{kind}\" message=\"{reason}\">{reason}</failure>");
        }
        Shown::Skipped => {
            let _ = write!(xml, "<skipped message=\"{reason}\"/>");
        }
    }
    xml.push_str("</testcase>\n");
}

/// What is asked of a metric, in a few words: "p99: below +5 %", "p99: at most 25.0 ms".
pub(super) fn asked(metric: &MetricVerdict) -> String {
    match metric.question {
        Question::Regress { limit, .. } => {
            format!("{}: below +{}", metric.metric.label(), percent(limit))
        }
        Question::Slo { limit } => format!("{}: at most {}", metric.metric.label(), metric.metric.shown(limit)),
    }
}

/// Text for an element or an attribute in double quotes. What XML 1.0 has no place for, even escaped, becomes U+FFFD.
fn text(plain: &str) -> String {
    let mut out = String::with_capacity(plain.len());
    for c in plain.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            // "]]>" may not stand in text.
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // As they are, an attribute's would be read as blanks.
            '\t' | '\n' | '\r' => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_can_be_mark_up_and_none_is_lost_that_xml_has() {
        assert_eq!(text("<a b=\"c\">&'d]]>"), "&lt;a b=&quot;c&quot;&gt;&amp;'d]]&gt;");
        assert_eq!(text("a\nb\u{1b}[0m\u{0}\u{ffff}ü"), "a&#10;b\u{fffd}[0m\u{fffd}\u{fffd}ü");
    }
}
