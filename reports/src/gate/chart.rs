//! The picture of a gate's answer as a Mermaid chart: each metric in percent of its baseline, with interval and limit.

use std::fmt::Write as _;

use super::{GateReport, MetricVerdict, Question};

/// Bars, the two ends of the interval, the limit: readable on light and on dark.
const COLORS: &str =
    "%%{init: {\"themeVariables\": {\"xyChart\": {\"plotColorPalette\": \"#5b8fd6, #8c959f, #8c959f, #d1242f\"}}}}%%";

/// Metrics that have room side by side.
const MOST: usize = 8;

/// Characters of one name at most, and of all names side by side.
const LONGEST: usize = 40;
const NAMES: usize = 90;

/// A metric in percent of what it is compared with.
struct Place {
    name: String,
    low: f64,
    value: f64,
    high: f64,
    limit: f64,
}

/// The chart in a fenced block; none where no metric has a change.
pub(super) fn chart(report: &GateReport) -> Option<String> {
    let cells = report.metrics.iter().any(|m| Some(&m.cell) != report.metrics.first().map(|m| &m.cell));
    let places: Vec<Place> = report.metrics.iter().filter_map(|metric| place(metric, cells)).take(MOST).collect();
    let of = |pick: fn(&Place) -> f64| places.iter().map(pick).collect::<Vec<f64>>();
    let (low, value, high, limit) = (of(|p| p.low), of(|p| p.value), of(|p| p.high), of(|p| p.limit));
    let all = || low.iter().chain(&value).chain(&high).chain(&limit).copied();
    let (least, most) = (all().fold(f64::INFINITY, f64::min).min(100.0), all().fold(100.0, f64::max));
    let first = places.first()?;
    let (from, to) = ((least - (most - least) * 0.2).floor().max(0.0), (most + (most - least) * 0.1).ceil());
    let mut text = format!("```mermaid\n{COLORS}\nxychart-beta\n");
    if let [one] = places.as_slice() {
        // A line through one point is none, so that each of the four figures has a bar.
        let _ = writeln!(text, "  title \"{}: % of the baseline, or of the bound\"", first.name);
        text.push_str("  x-axis [\"lowest\", \"measured\", \"highest\", \"limit\"]\n");
        let _ = writeln!(text, "  y-axis \"%\" {from} --> {to}");
        let _ = writeln!(text, "  bar [{}]", joined(&[one.low, one.value, one.high, one.limit]));
    } else {
        text.push_str("  title \"% of the baseline, or of the bound\"\n");
        let room = (NAMES / places.len()).min(LONGEST);
        let short = |name: &str| name.chars().take(room).collect::<String>();
        let names: Vec<String> = places.iter().map(|p| format!("\"{}\"", short(&p.name))).collect();
        let _ = writeln!(text, "  x-axis [{}]", names.join(", "));
        let _ = writeln!(text, "  y-axis \"%\" {from} --> {to}");
        let _ = writeln!(text, "  bar [{}]", joined(&value));
        for line in [&low, &high, &limit] {
            let _ = writeln!(text, "  line [{}]", joined(line));
        }
    }
    text.push_str("```\n");
    if places.len() > 1 {
        text.push_str("\nBars: measured. Grey: the ends of the interval. Red: the limit.\n");
    }
    Some(text)
}

fn joined(values: &[f64]) -> String {
    values.iter().map(|v| format!("{v:.1}")).collect::<Vec<_>>().join(", ")
}

fn place(metric: &MetricVerdict, with_cell: bool) -> Option<Place> {
    let change = metric.change.as_ref().filter(|e| e.value.is_finite())?;
    let percent = |change: f64| (1.0 + change) * 100.0;
    let limit = match metric.question {
        Question::Regress { limit, .. } => percent(limit),
        Question::Slo { .. } => 100.0,
    };
    let end = |end: Option<f64>| percent(end.filter(|e| e.is_finite()).unwrap_or(change.value));
    let name =
        if with_cell { format!("{} {}", metric.metric.label(), metric.label) } else { metric.metric.label().into() };
    Some(Place {
        name: quoted(&name),
        low: end(change.low),
        value: percent(change.value),
        high: end(change.high),
        limit,
    })
}

/// A name inside of double quotes, of characters that mean nothing to Mermaid; the longest that has room.
fn quoted(name: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || matches!(c, ' ' | '.' | '-' | '_' | '%' | '+') { c } else { ' ' };
    name.chars().map(plain).take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_quotes() {
        assert_eq!(quoted("p99 \"x\"] ;\n```a#;"), "p99  x        a  ");
        assert_eq!(quoted(&"x".repeat(50)).len(), 40);
    }
}
