//! The measured intervals as an HdrHistogram log (`.hlog`, log format 1.3), which the public readers open.

use std::io::Write;
use std::time::{Duration, UNIX_EPOCH};

use record::{ClockAnchor, Histogram, Interval, Phase};

use super::Error;
use crate::Result;

const FORM: &str = "HdrHistogram log";

/// Writes an interval log while the intervals come: two lines an interval of the measured phase, tagged
/// `response` and `service`.
///
/// Values are nanoseconds. Of the columns, `StartTimestamp` and `Interval_Length` are seconds, the former
/// counted from the first measured interval, whose time of day is the log's StartTime and BaseTime;
/// `Interval_Max` is milliseconds. The histograms go in as they are kept, so the log holds every count.
///
/// (The hdrhistogram crate has a writer too, but it borrows what it writes to, encodes the histograms anew, and leaves
/// out the legend and the version.)
#[derive(Debug)]
pub struct HlogWriter<W: Write> {
    to: W,
    anchor: ClockAnchor,
    /// Start of the first and of the latest interval.
    written: Option<(u64, u64)>,
}

impl<W: Write> HlogWriter<W> {
    /// Begins a log. The anchor tells the time of day of the intervals' stamps.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(to: W, anchor: ClockAnchor) -> Result<Self> {
        let mut log = Self { to, anchor, written: None };
        let version = env!("CARGO_PKG_VERSION");
        log.line(format_args!("#[Logged with meshtax {version}; values in ns, Interval_Max in ms]"))?;
        log.line(format_args!("#[Histogram log format version 1.3]"))?;
        Ok(log)
    }

    /// Adds an interval; one of another phase than the measured one adds nothing.
    ///
    /// # Errors
    /// When it cannot be written, or is earlier than the one before it.
    pub fn append(&mut self, interval: &Interval) -> Result<()> {
        if interval.phase != Phase::Measure {
            return Ok(());
        }
        let start_ns = interval.start_ns;
        let first_ns = match self.written {
            None => {
                self.head(start_ns)?;
                start_ns
            }
            Some((_, after_ns)) if start_ns < after_ns => {
                return Err(Error::OutOfOrder { form: FORM, start_ns, after_ns }.into());
            }
            Some((first_ns, _)) => first_ns,
        };
        self.written = Some((first_ns, start_ns));
        let at = seconds(start_ns - first_ns);
        let length = seconds(interval.length_ns);
        self.histogram("response", &at, &length, &interval.response)?;
        self.histogram("service", &at, &length, &interval.service)
    }

    /// Ends the log and gives back what it was written to.
    ///
    /// # Errors
    /// When the last of it cannot be written.
    pub fn finish(mut self) -> Result<W> {
        self.to.flush().map_err(|source| Error::Write { form: FORM, source })?;
        Ok(self.to)
    }

    /// The two times are one: a log with a BaseTime alone takes its first interval for the start of time.
    fn head(&mut self, first_ns: u64) -> Result<()> {
        let ClockAnchor { monotonic_ns, realtime_ns } = self.anchor;
        let real_ns = (realtime_ns + first_ns).saturating_sub(monotonic_ns);
        let time = humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_nanos(real_ns));
        let real = seconds(real_ns);
        self.line(format_args!("#[StartTime: {real} (seconds since epoch), {time}]"))?;
        self.line(format_args!("#[BaseTime: {real} (seconds since epoch)]"))?;
        self.line(format_args!(
            "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\""
        ))
    }

    fn histogram(&mut self, tag: &str, at: &str, length: &str, of: &Histogram) -> Result<()> {
        let (whole, rest) = (of.max() / 1_000_000, of.max() % 1_000_000);
        let encoded = of.encode()?;
        self.line(format_args!("Tag={tag},{at},{length},{whole}.{rest:06},{encoded}"))
    }

    fn line(&mut self, text: std::fmt::Arguments) -> Result<()> {
        writeln!(self.to, "{text}").map_err(|source| Error::Write { form: FORM, source }.into())
    }
}

/// With a fixed point always: a reader of the format knows no exponents and requires a fraction.
fn seconds(ns: u64) -> String {
    format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
    use record::INTERVAL_NS;

    use super::super::Measured;
    use super::super::tests::{intervals, refusing};
    use super::*;

    const ANCHOR: ClockAnchor = ClockAnchor { monotonic_ns: 5_000_000_000, realtime_ns: 1_700_000_000_250_000_000 };

    fn log(intervals: &[Interval]) -> String {
        let mut log = HlogWriter::new(Vec::new(), ANCHOR).unwrap();
        intervals.iter().for_each(|i| log.append(i).unwrap());
        String::from_utf8(log.finish().unwrap()).unwrap()
    }

    #[test]
    fn the_crates_own_reader_finds_every_count_and_time() {
        let intervals = intervals();
        let text = log(&intervals);
        let mut merged: BTreeMap<String, Histogram> = BTreeMap::new();
        let mut starts = Vec::new();
        for entry in IntervalLogIterator::new(text.as_bytes()) {
            match entry.unwrap() {
                LogEntry::StartTime(t) | LogEntry::BaseTime(t) => {
                    // The first measured interval began 2 s after the anchor.
                    assert_eq!(t, Duration::new(1_700_000_002, 250_000_000));
                }
                LogEntry::Interval(i) => {
                    let h = Histogram::decode(i.encoded_histogram()).unwrap();
                    assert!((i.max() * 1e6 - h.max() as f64).abs() < 0.5, "{} ms, {} ns", i.max(), h.max());
                    let tag = i.tag().unwrap().as_str().to_owned();
                    if tag == "response" {
                        starts.push((i.start_timestamp(), i.duration()));
                    }
                    merged.entry(tag).or_default().add(&h).unwrap();
                }
            }
        }
        let mut want = Measured::default();
        intervals.iter().for_each(|i| want.add(i).unwrap());
        assert_eq!(merged["response"], want.response);
        assert_eq!(merged["service"], want.service);
        assert_eq!(merged.len(), 2);
        let full = Duration::from_nanos(INTERVAL_NS);
        assert_eq!(starts, [(Duration::ZERO, full), (full, full), (2 * full, Duration::from_nanos(1_000_000))]);
    }

    #[test]
    fn its_head_is_as_the_readers_know_it() {
        let text = log(&intervals());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "#[Histogram log format version 1.3]");
        assert_eq!(lines[2], "#[StartTime: 1700000002.250000000 (seconds since epoch), 2023-11-14T22:13:22.250Z]");
        assert_eq!(lines[3], "#[BaseTime: 1700000002.250000000 (seconds since epoch)]");
        assert_eq!(lines[4], r#""StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram""#);
        assert!(lines[5].starts_with("Tag=response,0.000000000,0.100000000,"), "{}", lines[5]);
        assert!(lines[6].starts_with("Tag=service,0.000000000,0.100000000,"), "{}", lines[6]);
        assert_eq!(lines.len(), 5 + 2 * 3);
    }

    #[test]
    fn what_goes_back_in_time_or_cannot_be_written_is_an_error() {
        let measured = intervals().split_off(1);
        let mut log = HlogWriter::new(Vec::new(), ANCHOR).unwrap();
        log.append(&measured[1]).unwrap();
        let said = log.append(&measured[0]).unwrap_err().to_string();
        assert!(said.contains("from 7000000000 ns came after one from 7100000000 ns"), "{said}");
        let said = HlogWriter::new(refusing(), ANCHOR).map(|_| ()).unwrap_err().to_string();
        assert!(said.starts_with("the HdrHistogram log cannot be written: ") && said.contains("has room"), "{said}");
    }
}
