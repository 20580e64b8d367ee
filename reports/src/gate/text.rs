//! A gate's answer for a terminal: the verdict first, then the metrics, and what would decide.

use record::plain::line as plain;

use super::words::{change, percent};
use super::{GateReport, GateVerdict, MetricVerdict, Purpose, Question, Side, Way};

/// Lines shown of each list.
const LINES: usize = 6;

/// The report as text of at most `width` columns (at least 60), with ANSI colours or without.
pub fn text(report: &GateReport, width: usize, color: bool) -> String {
    let mut page = Page { text: String::new(), width: width.max(60), color };
    page.verdict(report);
    page.wrapped("", &report.answer);
    page.text.push('\n');
    page.side("candidate", &report.candidate);
    if let Some(baseline) = &report.baseline {
        page.side("baseline ", baseline);
    }
    page.wrapped("  ", &errors(report));
    for metric in &report.metrics {
        page.text.push('\n');
        page.metric(metric);
    }
    for (heading, lines) in [
        ("What would decide it", &report.deciders),
        ("What is doubted", &report.doubts),
        ("To be known", &report.notes),
    ] {
        if !lines.is_empty() {
            page.text.push_str(&format!("\n{heading}\n"));
            lines.iter().take(LINES).for_each(|line| page.wrapped("  * ", line));
            if lines.len() > LINES {
                page.wrapped("  * ", &format!("and {} more, in the JSON", lines.len() - LINES));
            }
        }
    }
    page.text
}

/// What was allowed for, and what was done.
fn errors(report: &GateReport) -> String {
    let how = match report.way {
        Way::SideBySide => {
            format!("{} of at most {} pairs, each in random order", report.pairs, report.budget.pairs)
        }
        Way::Stored => format!("against {} stored runs, not paired", report.baseline.as_ref().map_or(0, |b| b.runs)),
        Way::Alone => format!("{} trials of one run", report.pairs),
    };
    format!(
        "{how}; a change of nothing fails in at most {} of gates, and one as large as a limit passes in at most {}",
        percent(report.alpha),
        percent(report.beta)
    )
}

struct Page {
    text: String,
    width: usize,
    color: bool,
}

impl Page {
    fn verdict(&mut self, report: &GateReport) {
        let what = match report.purpose {
            Purpose::Gate => "gate",
            Purpose::NoiseFloor => "noise floor",
            Purpose::SelfTest => "self-test",
        };
        let word = painted(report.verdict, &report.verdict.word().to_uppercase(), self.color);
        self.text.push_str(&format!("{what}: {word}\n"));
    }

    fn side(&mut self, what: &str, side: &Side) {
        let versions: Vec<String> = side.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
        let versions = if versions.is_empty() { String::new() } else { format!("; {}", versions.join(", ")) };
        self.wrapped("  ", &format!("{what}  {}: {} trials, {}{versions}", side.label, side.trials, side.program));
    }

    fn metric(&mut self, metric: &MetricVerdict) {
        let asked = match metric.question {
            Question::Regress { limit, .. } => format!("at most +{}", percent(limit)),
            Question::Slo { limit } => format!("at most {}", metric.metric.shown(limit)),
        };
        let word = painted(metric.verdict, metric.verdict.word(), self.color);
        self.text.push_str(&format!("  {word}  {} of {}, {asked}\n", metric.metric.label(), plain(&metric.label)));
        self.wrapped("      ", &metric.reason);
        let shown = |e: &crate::stats::Estimate| match (e.low, e.high) {
            (Some(low), Some(high)) => {
                let [value, low, high] = [e.value, low, high].map(|v| metric.metric.shown(v));
                format!("{value} [{low}, {high}]")
            }
            _ => metric.metric.shown(e.value),
        };
        let values: Vec<String> = [("baseline", &metric.baseline), ("candidate", &metric.candidate)]
            .into_iter()
            .filter_map(|(name, value)| Some(format!("{name} {}", shown(value.as_ref()?))))
            .collect();
        if !values.is_empty() {
            self.wrapped("      ", &values.join(", "));
        }
        if let Some(least) = metric.minimum_detectable {
            self.wrapped(
                "      ",
                &format!("a change of {} or more would be found in 4 of 5 such gates", percent(least)),
            );
        }
        if let Some(steal) = &metric.steal_adjusted {
            let adjusted = match (&steal.verdict, &steal.change) {
                (Some(verdict), Some(by)) => format!("{} ({})", verdict.word(), change(by)),
                _ => "not adjusted".to_owned(),
            };
            let raw = metric.raw_verdict.word();
            self.wrapped("      ", &format!("steal: raw {raw}, adjusted {adjusted}: {}", steal.reason));
        }
    }

    /// Words in lines of the page's width, the first behind `first` and the others below its end.
    fn wrapped(&mut self, first: &str, text: &str) {
        let indent = first.chars().count();
        let text = plain(text);
        let mut line = first.to_owned();
        let mut filled = indent;
        for word in text.split_whitespace() {
            let length = word.chars().count();
            if filled > indent && filled + 1 + length > self.width {
                self.text.push_str(line.trim_end());
                self.text.push('\n');
                line = " ".repeat(indent);
                filled = indent;
            }
            if filled > indent {
                line.push(' ');
                filled += 1;
            }
            line.push_str(word);
            filled += length;
        }
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }
}

fn painted(verdict: GateVerdict, word: &str, color: bool) -> String {
    let code = match verdict {
        GateVerdict::Pass => "32",
        GateVerdict::Inconclusive => "33",
        GateVerdict::Fail => "31",
    };
    if color { format!("\x1b[1;{code}m{word}\x1b[0m") } else { word.to_owned() }
}
