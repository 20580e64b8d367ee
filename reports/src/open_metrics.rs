//! A page of metrics for a Prometheus, family by family: OpenMetrics 1.0, or the text format that came before it.

use std::fmt::{Display, Write as _};

/// How metrics are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0: units, `# EOF` at the end, counters whose family goes without `_total`.
    OpenMetrics,
    /// Prometheus' text format 0.0.4, for readers that know no other: no unit, no end, families named as their samples
    /// are, and only counters, gauges and histograms.
    Text,
}

impl Format {
    /// What it is called in HTTP.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// The families so far, in the order they were first named, and the one that samples now belong to.
pub(crate) struct Page {
    prefix: &'static str,
    format: Format,
    families: Vec<Family>,
    current: usize,
}

struct Family {
    /// As it was given.
    name: &'static str,
    /// What its samples are called.
    full_name: String,
    /// Its metadata and samples.
    text: String,
}

// Writing to a String cannot fail; its results are let go.
impl Page {
    /// A page whose families are all called `prefix` and then their name.
    pub(crate) fn new(prefix: &'static str, format: Format) -> Self {
        Self { prefix, format, families: Vec::new(), current: 0 }
    }

    /// Samples belong to this family from now on, which is described where it is named first.
    pub(crate) fn family(&mut self, name: &'static str, kind: &str, unit: Option<&str>, help: &str) {
        if let Some(known) = self.families.iter().position(|family| family.name == name) {
            self.current = known;
            return;
        }
        let full_name = format!("{}{name}", self.prefix);
        let mut text = String::new();
        match self.format {
            Format::OpenMetrics => {
                let _ = writeln!(text, "# TYPE {full_name} {kind}");
                if let Some(unit) = unit {
                    let _ = writeln!(text, "# UNIT {full_name} {unit}");
                }
                let _ = writeln!(text, "# HELP {full_name} {}", escaped(help));
            }
            Format::Text => {
                let (suffix, kind) = match kind {
                    "counter" => ("_total", "counter"),
                    "info" => ("_info", "gauge"),
                    "stateset" => ("", "gauge"),
                    other => ("", other),
                };
                // A quotation mark is itself in this format's help texts.
                let help = help.replace('\\', "\\\\").replace('\n', "\\n");
                let _ = write!(text, "# HELP {full_name}{suffix} {help}\n# TYPE {full_name}{suffix} {kind}\n");
            }
        }
        self.current = self.families.len();
        self.families.push(Family { name, full_name, text });
    }

    /// A sample of the family that was named last; none before there is one.
    pub(crate) fn sample(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        let Some(Family { full_name, text, .. }) = self.families.get_mut(self.current) else { return };
        let _ = write!(text, "{full_name}{suffix}");
        for (i, (label, of)) in labels.iter().enumerate() {
            let _ = write!(text, "{}{label}=\"{}\"", if i == 0 { '{' } else { ',' }, escaped(of));
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(text, "{end} {value}");
    }

    /// The whole of it. OpenMetrics says that it ends, so nothing may be put behind it.
    pub(crate) fn finish(self) -> String {
        let mut page = String::with_capacity(self.families.iter().map(|family| family.text.len()).sum::<usize>() + 6);
        page.extend(self.families.iter().map(|family| family.text.as_str()));
        if self.format == Format::OpenMetrics {
            page.push_str("# EOF\n");
        }
        page
    }
}

/// A label's value or a help text: the three characters that would end it or change its meaning.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Nanoseconds as seconds.
pub(crate) fn seconds(ns: u64) -> String {
    number(ns as f64 / 1e9)
}

/// A number as Go and Python write it (`1.0`, `0.0001`, `1e-05`): a label's value is compared as text.
pub(crate) fn number(value: f64) -> String {
    let text = format!("{value:?}");
    match text.split_once("e-") {
        Some((digits, exponent)) if exponent.len() == 1 => format!("{digits}e-0{exponent}"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(format: Format) -> String {
        let mut page = Page::new("x_", format);
        page.family("cpu_seconds", "counter", Some("seconds"), "Of \"all\" \\ sorts.");
        page.sample("_total", &[("cpu", "0"), ("mode", "a\"b")], number(1.5));
        page.family("about", "info", None, "What it is.");
        page.sample("_info", &[("name", "n")], 1);
        // Back to the first: its samples must stand together.
        page.family("cpu_seconds", "counter", Some("seconds"), "Of \"all\" \\ sorts.");
        page.sample("_total", &[("cpu", "1"), ("mode", "c")], number(2.0));
        page.finish()
    }

    #[test]
    fn families_are_whole_and_described_once() {
        let want = "# TYPE x_cpu_seconds counter\n# UNIT x_cpu_seconds seconds\n\
                    # HELP x_cpu_seconds Of \\\"all\\\" \\\\ sorts.\n\
                    x_cpu_seconds_total{cpu=\"0\",mode=\"a\\\"b\"} 1.5\nx_cpu_seconds_total{cpu=\"1\",mode=\"c\"} 2.0\n\
                    # TYPE x_about info\n# HELP x_about What it is.\nx_about_info{name=\"n\"} 1\n# EOF\n";
        assert_eq!(page(Format::OpenMetrics), want);
    }

    #[test]
    fn the_older_format_names_families_as_their_samples() {
        let want = "# HELP x_cpu_seconds_total Of \"all\" \\\\ sorts.\n# TYPE x_cpu_seconds_total counter\n\
                    x_cpu_seconds_total{cpu=\"0\",mode=\"a\\\"b\"} 1.5\nx_cpu_seconds_total{cpu=\"1\",mode=\"c\"} 2.0\n\
                    # HELP x_about_info What it is.\n# TYPE x_about_info gauge\nx_about_info{name=\"n\"} 1\n";
        assert_eq!(page(Format::Text), want);
    }

    #[test]
    fn what_would_end_a_label_is_escaped() {
        assert_eq!(escaped("a\nb\\\"c"), r#"a\nb\\\"c"#);
    }

    #[test]
    fn numbers_are_written_as_go_writes_them() {
        for (value, text) in
            [(0.0, "0.0"), (1.0, "1.0"), (1e-4, "0.0001"), (1.5e-5, "1.5e-05"), (1e-10, "1e-10"), (60.0, "60.0")]
        {
            assert_eq!(number(value), text);
        }
    }
}
