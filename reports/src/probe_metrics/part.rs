//! A part of the page: what one thing was read for, and which of its readings are absent.

use std::collections::BTreeSet;

use record::Reading;

use crate::open_metrics::{Format, Page, number, seconds};

/// Names of labels and what they are.
pub(super) type Labels<'l> = &'l [(&'l str, &'l str)];

/// What is said of a counter that this kernel does not have.
const NO_SUCH: &str = "this kernel has no such counter";

/// The page, and what will be said to be absent at its end.
pub(super) struct Exposition {
    page: Page,
    absent: BTreeSet<Vec<(String, String)>>,
}

impl Exposition {
    pub(super) fn new(format: Format) -> Self {
        Self { page: Page::new("meshtax_node_", format), absent: BTreeSet::new() }
    }

    /// A thing whose samples all have these labels, and that is called so where all of it is absent.
    pub(super) fn part<'e>(&'e mut self, name: &'static str, labels: Labels<'e>) -> Part<'e> {
        Part { out: self, name, labels, seen: false, missing: Vec::new() }
    }

    fn absent(&mut self, reading: &str, labels: Labels<'_>, more: Labels<'_>, reason: &str) {
        let (reading, reason) = ([("reading", reading)], [("reason", reason)]);
        let row = reading.iter().chain(labels).chain(more).chain(&reason);
        self.absent.insert(row.map(|(label, of)| ((*label).to_owned(), (*of).to_owned())).collect());
    }

    /// The page with what is absent, each reading and reason once.
    pub(super) fn finish(mut self) -> String {
        let help = "What is not here, and why; a counter that cannot be read is no zero.";
        self.page.family("absent", "info", None, help);
        for row in &self.absent {
            let row: Vec<(&str, &str)> = row.iter().map(|(label, of)| (label.as_str(), of.as_str())).collect();
            self.page.sample("_info", &row, 1);
        }
        self.page.finish()
    }
}

/// One thing that readings are of.
pub(super) struct Part<'e> {
    out: &'e mut Exposition,
    name: &'static str,
    labels: Labels<'e>,
    seen: bool,
    missing: Vec<Missing>,
}

/// A reading that is not here.
struct Missing {
    name: &'static str,
    labels: Vec<(String, String)>,
    reason: String,
}

impl Part<'_> {
    /// A counter.
    pub(super) fn counter<T>(
        &mut self,
        name: &'static str,
        help: &str,
        more: Labels<'_>,
        reading: &Reading<T>,
        show: impl FnOnce(&T) -> String,
    ) {
        self.reading((name, "counter", "_total", help), more, reading, show);
    }

    /// Something that goes up and down.
    pub(super) fn gauge<T>(
        &mut self,
        name: &'static str,
        help: &str,
        more: Labels<'_>,
        reading: &Reading<T>,
        show: impl FnOnce(&T) -> String,
    ) {
        self.reading((name, "gauge", "", help), more, reading, show);
    }

    /// A counter that was there to be read.
    pub(super) fn counted(&mut self, name: &'static str, help: &str, more: Labels<'_>, value: String) {
        self.put((name, "counter", "_total", help), more, value);
    }

    /// A counter that this kernel may lack.
    pub(super) fn counted_if(&mut self, name: &'static str, help: &str, more: Labels<'_>, value: Option<String>) {
        match value {
            Some(value) => self.counted(name, help, more, value),
            None => self.miss(name, more, NO_SUCH),
        }
    }

    /// Something that goes up and down and was there to be read.
    pub(super) fn gauged(&mut self, name: &'static str, help: &str, more: Labels<'_>, value: String) {
        self.put((name, "gauge", "", help), more, value);
    }

    /// The same where this kernel may lack it.
    pub(super) fn gauged_if(&mut self, name: &'static str, help: &str, more: Labels<'_>, value: Option<String>) {
        match value {
            Some(value) => self.gauged(name, help, more, value),
            None => self.miss(name, more, NO_SUCH),
        }
    }

    /// Words about the thing.
    pub(super) fn info(&mut self, name: &'static str, help: &str, more: Labels<'_>) {
        self.put((name, "info", "_info", help), more, "1".to_owned());
    }

    /// A reading that is not here, and why.
    pub(super) fn miss(&mut self, name: &'static str, more: Labels<'_>, reason: &str) {
        let labels = more.iter().map(|(label, of)| ((*label).to_owned(), (*of).to_owned())).collect();
        self.missing.push(Missing { name, labels, reason: reason.to_owned() });
    }

    /// The value, or nothing and a note of why.
    pub(super) fn open<'r, T>(
        &mut self,
        name: &'static str,
        more: Labels<'_>,
        reading: &'r Reading<T>,
    ) -> Option<&'r T> {
        match reading {
            Reading::Seen(value) => Some(value),
            Reading::Absent { absent } => {
                self.miss(name, more, absent);
                None
            }
        }
    }

    fn reading<T>(
        &mut self,
        family: (&'static str, &str, &str, &str),
        more: Labels<'_>,
        reading: &Reading<T>,
        show: impl FnOnce(&T) -> String,
    ) {
        if let Some(value) = self.open(family.0, more, reading) {
            self.put(family, more, show(value));
        }
    }

    fn put(&mut self, family: (&'static str, &str, &str, &str), more: Labels<'_>, value: String) {
        self.seen = true;
        let (name, kind, suffix, help) = family;
        // A unit must be how the name ends.
        let unit = ["seconds", "bytes", "ratio"].into_iter().find(|unit| name.ends_with(&format!("_{unit}")));
        self.out.page.family(name, kind, unit, help);
        let labels: Vec<(&str, &str)> = self.labels.iter().chain(more).copied().collect();
        self.out.page.sample(suffix, &labels, value);
    }

    /// Notes what is absent: the thing as a whole, once for each reason, where nothing of it was seen.
    pub(super) fn end(self) {
        let Self { out, name, labels, seen, missing } = self;
        if !seen && missing.len() > 1 {
            missing.iter().for_each(|Missing { reason, .. }| out.absent(name, labels, &[], reason));
            return;
        }
        for Missing { name, labels: more, reason } in &missing {
            let more: Vec<(&str, &str)> = more.iter().map(|(label, of)| (label.as_str(), of.as_str())).collect();
            out.absent(name, labels, &more, reason);
        }
    }
}

/// A count as it is.
pub(super) fn count(n: &u64) -> String {
    n.to_string()
}

/// Seconds from nanoseconds.
pub(super) fn from_ns(ns: &u64) -> String {
    seconds(*ns)
}

/// Seconds from microseconds.
pub(super) fn from_us(us: &u64) -> String {
    number(*us as f64 / 1e6)
}

/// Seconds from milliseconds.
pub(super) fn from_ms(ms: &u64) -> String {
    number(*ms as f64 / 1e3)
}

/// Bytes from the 512-byte sectors of block devices.
pub(super) fn from_sectors(sectors: &u64) -> String {
    (sectors.saturating_mul(512)).to_string()
}
