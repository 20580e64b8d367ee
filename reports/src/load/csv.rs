//! The intervals of a load as CSV, a row each: one unit per column, named in its head.

use std::io::Write;

use record::{Interval, Quantiles};

use super::Error;
use crate::Result;

const FORM: &str = "CSV table of intervals";

/// The columns; the words are those of `intervals.jsonl` and `load.json`.
const HEAD: [&str; 31] = [
    "phase",
    "start_ns",
    "length_ns",
    "due",
    "sent",
    "answered",
    "error_statuses",
    "failed",
    "connect_failed",
    "reset",
    "timed_out",
    "censored",
    "unsent",
    "cut_by_deadline",
    "response_count",
    "response_p50_ns",
    "response_p90_ns",
    "response_p99_ns",
    "response_p999_ns",
    "response_max_ns",
    "service_count",
    "service_p50_ns",
    "service_p90_ns",
    "service_p99_ns",
    "service_p999_ns",
    "service_max_ns",
    "lag_ours_p99_ns",
    "lag_ours_max_ns",
    "lag_theirs_p99_ns",
    "lag_theirs_max_ns",
    "worst_send_lag_ns",
];

/// Writes a row an interval while they come, of every phase.
///
/// `start_ns` is CLOCK_MONOTONIC. `due` and `sent` count by when that happened, the other counts by when a request
/// ended; so `answered + failed + censored` is `response_count`. Without a value its quantiles are empty, not 0.
#[derive(Debug)]
pub struct CsvWriter<W: Write> {
    to: csv::Writer<W>,
}

impl<W: Write> CsvWriter<W> {
    /// Begins a table.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(to: W) -> Result<Self> {
        Self::after(&[], to)
    }

    /// Begins a table with other columns before these.
    pub(crate) fn after(before: &[&str], to: W) -> Result<Self> {
        let mut to = csv::WriterBuilder::new().has_headers(false).from_writer(to);
        to.write_record(before.iter().chain(&HEAD)).map_err(failed)?;
        Ok(Self { to })
    }

    /// Adds an interval.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn append(&mut self, interval: &Interval) -> Result<()> {
        self.append_after(&[], interval)
    }

    /// Adds an interval after these values of the columns before.
    pub(crate) fn append_after(&mut self, before: &[String], interval: &Interval) -> Result<()> {
        let i = interval;
        let o = &i.outcomes;
        // Requests given up unsent stand in no count but that of the response times.
        let unsent = i.response.count().saturating_sub(o.total());
        let window = (i.phase, i.start_ns, i.length_ns, i.due, i.sent);
        let ended = (o.answered_total(), o.error_statuses(), o.failed(), o.connect_failed, o.reset, o.timed_out);
        let censored = (unsent + o.cut_by_deadline, unsent, o.cut_by_deadline);
        let times = [&i.response, &i.service].map(|h| {
            let q = (!h.is_empty()).then(|| Quantiles::from(h));
            (h.count(), q.map(|q| q.p50), q.map(|q| q.p90), q.map(|q| q.p99), q.map(|q| q.p999), q.map(|q| q.max))
        });
        let lags = [&i.lag_ours, &i.lag_theirs].map(|h| {
            let some = !h.is_empty();
            (some.then(|| h.quantile(0.99)), some.then(|| h.max()))
        });
        self.to.serialize((before, window, ended, censored, times, lags, i.worst_send_lag_ns)).map_err(failed)
    }

    /// Ends the table and gives back what it was written to.
    ///
    /// # Errors
    /// When the last of it cannot be written.
    pub fn finish(self) -> Result<W> {
        self.to.into_inner().map_err(|e| Error::Write { form: FORM, source: e.into_error() }.into())
    }
}

fn failed(error: csv::Error) -> crate::Error {
    Error::Write { form: FORM, source: error.into() }.into()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{intervals, load, refusing};
    use super::*;

    fn table() -> Vec<Vec<(String, String)>> {
        let mut csv = CsvWriter::new(Vec::new()).unwrap();
        intervals().iter().for_each(|i| csv.append(i).unwrap());
        let bytes = csv.finish().unwrap();
        let mut reader = csv::Reader::from_reader(bytes.as_slice());
        let head: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
        let row = |r: csv::StringRecord| head.iter().cloned().zip(r.iter().map(str::to_owned)).collect();
        // A reader that is not told otherwise refuses rows that are longer or shorter than the head.
        reader.records().map(|r| row(r.unwrap())).collect()
    }

    fn field(row: &[(String, String)], name: &str) -> String {
        row.iter().find(|(n, _)| n == name).unwrap_or_else(|| panic!("no column {name}")).1.clone()
    }

    #[test]
    fn the_rows_sum_to_the_summary() {
        let (rows, (summary, _)) = (table(), load());
        assert_eq!(rows.len(), 4);
        let measured: Vec<_> = rows.iter().filter(|r| field(r, "phase") == "measure").collect();
        assert_eq!(measured.len(), 3);
        for (name, want) in [
            ("due", summary.due),
            ("sent", summary.sent),
            ("answered", summary.answered),
            ("error_statuses", 5),
            ("failed", 3),
            ("connect_failed", 2),
            ("reset", 0),
            ("timed_out", 1),
            ("censored", summary.censored),
            ("unsent", summary.unsent),
            ("cut_by_deadline", 1),
            ("response_count", summary.due),
            ("service_count", summary.sent),
        ] {
            let sum: u64 = measured.iter().map(|r| field(r, name).parse::<u64>().unwrap()).sum();
            assert_eq!(sum, want, "{name}");
        }
    }

    #[test]
    fn a_row_says_what_its_interval_holds_and_no_value_is_no_zero() {
        let rows = table();
        for (name, want) in [("start_ns", "7100000000"), ("length_ns", "100000000"), ("worst_send_lag_ns", "9000000")] {
            assert_eq!(field(&rows[2], name), want);
        }
        // 100 to 700 ms, half of it service and a quarter lag of theirs, each within a bucket.
        for (name, want) in [
            ("response_p50_ns", 400e6),
            ("response_max_ns", 700e6),
            ("service_p90_ns", 350e6),
            ("lag_theirs_max_ns", 175e6),
            ("lag_ours_p99_ns", 1e3),
        ] {
            let got: f64 = field(&rows[2], name).parse().unwrap();
            assert!((got - want).abs() <= want / 1000.0, "{name}: {got}");
        }
        assert_eq!((field(&rows[0], "phase"), field(&rows[0], "response_count")), ("warm_up".into(), "1".into()));
        for name in ["service_p50_ns", "service_max_ns", "lag_ours_p99_ns", "lag_theirs_max_ns"] {
            assert_eq!(field(&rows[3], name), "", "{name}");
        }
        assert_eq!(field(&rows[3], "service_count"), "0");
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let mut csv = CsvWriter::new(refusing()).unwrap();
        // The writer underneath gathers rows, so the last of them may be the first to fail.
        let said = csv.append(&intervals()[0]).and_then(|()| csv.finish().map(|_| ())).unwrap_err().to_string();
        assert!(said.starts_with("the CSV table of intervals cannot be written: "), "{said}");
    }
}
