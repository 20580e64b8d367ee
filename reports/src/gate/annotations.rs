//! A gate's answer as GitHub's workflow commands: lines of stdout that the forge shows beside the change.
//!
//! The escaping is that of the commands' own reader: `%`, CR and LF in a message, and `:` and `,` as well in a property.

use std::fmt::Write as _;

use super::{GateReport, GateVerdict, MetricVerdict};

/// The forge shows ten of each kind for a step; the last of ours counts what it would not show.
const SHOWN: usize = 10;

/// A line for each metric that failed or is undecided, and one for a gate that passed.
pub fn annotations(report: &GateReport) -> String {
    let mut lines = String::new();
    let of = |verdict: GateVerdict| report.metrics.iter().filter(move |m| m.verdict == verdict);
    group(&mut lines, "error", &of(GateVerdict::Fail).collect::<Vec<_>>());
    group(&mut lines, "warning", &of(GateVerdict::Inconclusive).collect::<Vec<_>>());
    if report.verdict == GateVerdict::Pass {
        let _ = writeln!(lines, "::notice title=meshtax gate%3A pass::{}", message(&report.answer));
    }
    lines
}

fn group(lines: &mut String, command: &str, metrics: &[&MetricVerdict]) {
    let shown = if metrics.len() > SHOWN { SHOWN - 1 } else { metrics.len() };
    for metric in metrics.iter().take(shown) {
        let title = format!("meshtax gate: {}, {}: {}", metric.label, metric.metric.label(), metric.verdict.word());
        let _ = writeln!(lines, "::{command} title={}::{}", property(&title), message(&metric.reason));
    }
    if shown < metrics.len() {
        let left = metrics.len() - shown;
        let _ = writeln!(lines, "::{command} title=meshtax gate::{left} further metrics are in the report");
    }
}

fn message(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    message(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cannot_end_its_line_nor_its_property() {
        assert_eq!(message("5 %\r\n::error::x: a, b"), "5 %25%0D%0A::error::x: a, b");
        assert_eq!(property("a,b: 5 %\n"), "a%2Cb%3A 5 %25%0A");
    }
}
