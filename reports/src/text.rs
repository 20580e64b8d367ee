//! The findings for a terminal: the answer first, then tables that fit the width.

use record::Reading;
use record::plain::line as plain;

use crate::figure;
use crate::findings::Findings;
use crate::hosts::{self, HOSTS};
use crate::istio;
use crate::tables::{self, Column, Entry, LACKS, LEFT_OUT, Row, Table};

/// What heads the slowest requests.
const SLOWEST: &str = "The slowest request of each cell";
/// What heads the points that were read back.
const PROVEN: &str = "What was proven of the configuration";
/// The least room for the names of rows; longer ones stand on a line of their own.
const LABEL: usize = 12;
/// Of a cell's worst windows, those that a terminal shows.
const WORST_SHOWN: usize = 3;
/// The narrowest page; figures with their intervals need that much.
const NARROWEST: usize = 60;

/// The findings as text of at most `width` columns (at least 60), with ANSI colours or without.
pub fn render(findings: &Findings, width: usize, color: bool) -> String {
    let mut page = Page::new(width, color);
    let f = findings;
    page.heading(&format!("meshtax: {}, run {}", f.scenario, f.run));
    page.paragraph(
        "  ",
        &format!("{} of {} trials in {} blocks, begun {}", f.trials_sealed, f.trials_planned, f.blocks, f.started),
    );
    if let Some(platform) = tables::platform(f) {
        page.paragraph("  ", &platform);
    }
    if let Some(ended) = tables::ended(f) {
        page.paragraph("  ", &ended);
    }
    if let Some(cut_off) = tables::cut_off(f) {
        page.warning(&cut_off);
    }
    page.line("");
    for sentence in &f.answer {
        page.item("* ", sentence);
    }
    if let Some(confidence) = tables::confidence(f) {
        page.paragraph("  ", &confidence);
    }
    page.table(&tables::response(f));
    for tax in tables::taxes(f) {
        page.table(&tables::tax(f, tax));
    }
    for table in tables::canaries(f) {
        page.table(&table);
    }
    let proxies = tables::proxies(f).map(|t| t.only(&["CPU", "memory", "throttled", "CPU wait"]));
    for table in [proxies, tables::all_proxies(f), tables::events(f)].into_iter().flatten() {
        page.table(&table);
    }
    if let Some(table) = tables::neighbours(f) {
        page.table(&table);
    }
    for (at, sweep) in f.limits.iter().enumerate() {
        page.table(&tables::limits(at, sweep));
    }
    page.table(&tables::node(f).only(&["busy", "steal", "idle, I/O pending", "run queue", "probe"]));
    page.table(&tables::waits(f).only(&["PSI cpu", "PSI io", "lost, unexplained", "work"]));
    page.tail(f);
    page.list(SLOWEST, &tables::slowest_said(f));
    page.doubts(f);
    page.list(HOSTS, &hosts::lines(f.hosts.as_ref()));
    page.list(LACKS, &tables::lacks(f));
    page.list(LEFT_OUT, &tables::left_out(f));
    page.istio(f);
    page.list(PROVEN, &f.cells.iter().filter_map(|c| tables::proven(f, &c.id)).collect::<Vec<_>>());
    let repeat = tables::repeat(f);
    if !repeat.is_empty() {
        page.line("");
        page.heading("Method, and how to repeat it");
        repeat.iter().for_each(|line| page.paragraph("  ", line));
    }
    page.line("");
    page.heading("How to read it");
    for line in tables::how_to_read(f) {
        page.paragraph("  ", &line);
    }
    page.paragraph(
        "  ",
        "Service times, each part's use, charts, and each point that was read back: meshtax report RUN --format html",
    );
    page.text
}

fn length(text: &str) -> usize {
    text.chars().count()
}

fn shortened(text: &str, most: usize) -> String {
    if length(text) <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// A page for a terminal, line by line.
pub(crate) struct Page {
    pub(crate) text: String,
    width: usize,
    color: bool,
}

/// An entry as the lines that stand under one another in its column.
struct Lines {
    value: String,
    below: String,
}

impl Page {
    /// An empty one of at most `width` columns, at least 60.
    pub(crate) fn new(width: usize, color: bool) -> Self {
        Self { text: String::new(), width: width.max(NARROWEST), color }
    }

    /// What was written.
    pub(crate) fn finish(self) -> String {
        self.text
    }

    pub(crate) fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    fn painted(&mut self, line: &str, code: &str) {
        if self.color {
            self.line(&format!("\u{1b}[{code}m{line}\u{1b}[0m"));
        } else {
            self.line(line);
        }
    }

    pub(crate) fn heading(&mut self, text: &str) {
        for line in self.wrapped("", "", text) {
            self.painted(&line, "1");
        }
    }

    pub(crate) fn warning(&mut self, text: &str) {
        for line in self.wrapped("! ", "  ", text) {
            self.painted(&line, "33");
        }
    }

    pub(crate) fn paragraph(&mut self, indent: &str, text: &str) {
        for line in self.wrapped(indent, indent, text) {
            self.line(&line);
        }
    }

    pub(crate) fn item(&mut self, mark: &str, text: &str) {
        for line in self.wrapped(mark, &" ".repeat(length(mark)), text) {
            self.line(&line);
        }
    }

    /// Words in lines no longer than the page; a word longer than that is broken.
    fn wrapped(&self, first: &str, rest: &str, text: &str) -> Vec<String> {
        let text = plain(text);
        let mut lines = Vec::new();
        let mut line = first.to_owned();
        let mut empty = true;
        for word in text.split(' ').filter(|w| !w.is_empty()) {
            if !empty && length(&line) + 1 + length(word) > self.width {
                lines.push(std::mem::replace(&mut line, rest.to_owned()));
                empty = true;
            }
            if !empty {
                line.push(' ');
            }
            for c in word.chars() {
                if length(&line) >= self.width {
                    lines.push(std::mem::replace(&mut line, rest.to_owned()));
                }
                line.push(c);
            }
            empty = false;
        }
        lines.push(line);
        lines
    }

    pub(crate) fn table(&mut self, table: &Table) {
        self.line("");
        self.heading(&table.caption);
        // Figures with their intervals beside them, if that fits; else below them, in as many parts as needed.
        let columns: Vec<usize> = (0..table.columns.len()).collect();
        let longest = table.rows.iter().map(|r| length(&plain(&r.head))).chain([length(table.of)]).max().unwrap_or(0);
        let beside = widths(table, true);
        if 2 + longest + beside.iter().sum::<usize>() <= self.width {
            self.block(table, &columns, &beside, longest, true);
        } else {
            let below = widths(table, false);
            // Names give way to columns down to a width at which most still fit.
            let room = (self.width - 2).saturating_sub(below.iter().sum());
            let label = longest.min(room.max(LABEL));
            let room = self.width - 2 - label;
            let mut part: Vec<usize> = Vec::new();
            for column in columns {
                let used: usize = part.iter().map(|c| below[*c]).sum();
                if !part.is_empty() && used + below[column] > room {
                    self.block(table, &std::mem::take(&mut part), &below, label, false);
                    self.line("");
                }
                part.push(column);
            }
            self.block(table, &part, &below, label, false);
        }
        for note in table.notes() {
            self.paragraph("  ", &note);
        }
    }

    fn block(&mut self, table: &Table, columns: &[usize], widths: &[usize], label: usize, beside: bool) {
        let cells = |texts: &dyn Fn(usize) -> String| -> String {
            columns.iter().map(|c| format!("{:>1$}", texts(*c), widths[*c])).collect()
        };
        let heads = cells(&|c| table.columns[c].head.to_owned());
        let units = cells(&|c| table.columns[c].unit.to_owned());
        self.painted(&format!("  {:<label$}{heads}", shortened(table.of, label)), "2");
        if !units.trim().is_empty() {
            self.painted(&format!("  {:<label$}{units}", ""), "2");
        }
        for Row { head, entries } in &table.rows {
            let lines: Vec<Lines> = entries.iter().zip(&table.columns).map(|(e, c)| entry(e, c, beside)).collect();
            let mut head = plain(head);
            if length(&head) > label {
                // A long name has a line of its own, so that no two names become one.
                let whole = shortened(&head, self.width - 2);
                self.line(&format!("  {whole}"));
                head = String::new();
            }
            let values = cells(&|c| lines[c].value.clone());
            self.line(&format!("  {head:<label$}{values}"));
            let below = cells(&|c| lines[c].below.clone());
            if !below.trim().is_empty() {
                self.painted(&format!("  {:<label$}{below}", ""), "2");
            }
        }
    }

    fn tail(&mut self, findings: &Findings) {
        let mut named = tables::named_causes(findings).peekable();
        if named.peek().is_none() {
            return;
        }
        self.line("");
        self.heading("Where the tail comes from (time above the quiet level)");
        for found in named {
            let cell = findings.cell(&found.cell).map_or(found.cell.as_str(), |c| c.label.as_str());
            let name = crate::findings::person_name(cell);
            let share = figure::share(&found.share_of_tail);
            self.item("  ", &format!("{name}: {share} {}: {}", found.cause.word(), found.evidence));
            for window in findings.worst_windows.iter().filter(|w| w.cell == found.cell).take(WORST_SHOWN) {
                let at = format!("{} of {}", figure::seconds(window.at_ns), window.trial);
                let longest = figure::ms_bare(window.worst_response_ns as f64);
                let over = window.requests_over;
                self.item(
                    "    - ",
                    &format!("{at}: {over} requests over, longest {longest}; {}", tables::facts(window)),
                );
            }
        }
    }

    pub(crate) fn list(&mut self, heading: &str, lines: &[String]) {
        if lines.is_empty() {
            return;
        }
        self.line("");
        self.heading(heading);
        for line in lines {
            self.item("- ", line);
        }
    }

    fn istio(&mut self, findings: &Findings) {
        let Some(reading) = &findings.istio else { return };
        self.line("");
        self.heading(&istio::heading(reading));
        for istio::Group { title, lines } in istio::groups(reading) {
            self.paragraph("  ", &format!("{title}:"));
            lines.iter().for_each(|line| self.item("  - ", line));
        }
    }

    fn doubts(&mut self, findings: &Findings) {
        let doubts = tables::doubts(findings);
        if doubts.is_empty() {
            return;
        }
        self.line("");
        self.heading("Doubts");
        for doubt in doubts {
            self.warning(&doubt.evidence());
            self.item("  try: ", &doubt.first.remedy);
        }
    }
}

/// The width of each column, the gap before it included.
fn widths(table: &Table, beside: bool) -> Vec<usize> {
    let of = |(i, column): (usize, &Column)| {
        let entries = table.rows.iter().map(|r| {
            let lines = entry(&r.entries[i], column, beside);
            length(&lines.value).max(length(&lines.below))
        });
        2 + entries.chain([length(column.head), length(column.unit)]).max().unwrap_or(0)
    };
    table.columns.iter().enumerate().map(of).collect()
}

fn entry(entry: &Entry, column: &Column, beside: bool) -> Lines {
    let one = |value: String| Lines { value, below: String::new() };
    match entry {
        Entry::Figure(Reading::Seen(e)) if beside => one(figure::with_interval(e, column.factor)),
        Entry::Figure(Reading::Seen(e)) => {
            let below = match (e.low, e.high) {
                (Some(low), Some(high)) if low >= 0.0 => {
                    format!("{}–{}", figure::digits(low * column.factor), figure::digits(high * column.factor))
                }
                _ => figure::interval(e, column.factor).unwrap_or_default(),
            };
            Lines { value: figure::digits(e.value * column.factor), below }
        }
        Entry::Figure(Reading::Absent { .. }) => one("n/a".to_owned()),
        Entry::Count(n) => one(n.to_string()),
        Entry::Plain(value) => one(figure::digits(value * column.factor)),
        Entry::Short(words) | Entry::Words(words) => one(plain(words)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_wrapped_and_long_ones_broken() {
        let page = Page { text: String::new(), width: 12, color: false };
        let lines = page.wrapped("* ", "  ", "one two three 12345678901234567890 x");
        assert_eq!(lines, ["* one two", "  three", "  1234567890", "  1234567890", "  x"]);
    }

    #[test]
    fn what_steers_a_terminal_is_made_harmless() {
        assert_eq!(plain("a\u{1b}[31mb\nc"), "a\u{fffd}[31mb\u{fffd}c");
    }
}
