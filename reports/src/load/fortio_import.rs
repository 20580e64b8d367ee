//! A result of Fortio read back, with what its buckets can and cannot tell of each quantile.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use record::plain::line as plain;
use serde::Serialize;
use serde_json::Value;

use super::Error;
use crate::Result;
use crate::figure::{digits, ms_bare};

/// Looked at in every result, whatever it lists itself.
const PERCENTILES: [f64; 4] = [50.0, 90.0, 99.0, 99.9];

/// A Fortio result: what it was of, and its quantiles with the buckets that hold them.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Imported {
    /// The file.
    pub file: PathBuf,
    /// The program that wrote it, as it names its version; absent if it does not.
    pub version: Option<String>,
    /// The labels of the run; absent if it has none.
    pub labels: Option<String>,
    /// What was loaded; absent where it was no URL.
    pub url: Option<String>,
    /// Requests per second asked for, in Fortio's words ("max" is as many as go); absent if the file lacks it.
    pub requested_qps: Option<String>,
    /// Requests per second made; absent if the file lacks it.
    pub actual_qps: Option<f64>,
    /// Requests in the histogram.
    pub count: u64,
    /// The shortest time, which Fortio keeps exactly.
    pub min_ns: u64,
    /// The longest time, which Fortio keeps exactly.
    pub max_ns: u64,
    /// The effect that the buckets are to resolve.
    pub effect_ns: u64,
    /// The quantiles, in rising order.
    pub quantiles: Vec<ImportedQuantile>,
}

/// A quantile of a Fortio result. The true one lies anywhere from `start_ns` to `end_ns`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct ImportedQuantile {
    /// 99.9 is one of a thousand.
    pub percentile: f64,
    /// What the file says itself; absent if it does not list this one.
    pub stated_ns: Option<u64>,
    /// What Fortio's straight line through the bucket gives.
    pub interpolated_ns: u64,
    /// Start of the bucket that holds it.
    pub start_ns: u64,
    /// End of that bucket.
    pub end_ns: u64,
    /// Requests in that bucket.
    pub count: u64,
    /// Whether the bucket is wider than the effect.
    pub too_coarse: bool,
}

impl ImportedQuantile {
    /// How far off the stated value may be at most: the bucket's width.
    pub fn width_ns(&self) -> u64 {
        self.end_ns.saturating_sub(self.start_ns)
    }
}

/// Reads a result of Fortio (`fortio load -json`) and says of each quantile which bucket holds it, and whether that
/// bucket is narrow enough to show an effect of `effect_ns`.
///
/// The `path` is for messages alone.
///
/// # Errors
/// When the text is no JSON, is not Fortio's, holds no request, or contradicts itself.
pub fn import(text: &str, path: &Path, effect_ns: u64) -> Result<Imported> {
    Ok(Reader { path }.import(text, effect_ns)?)
}

/// One entry of Fortio's `Data`, in its own unit, seconds.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    start: f64,
    end: f64,
    percent: f64,
    count: u64,
}

/// Fortio's `DurationHistogram`.
#[derive(Clone, Debug)]
struct Histogram {
    count: u64,
    min: f64,
    max: f64,
    data: Vec<Bucket>,
}

impl Histogram {
    /// The value at a percentile and the range that holds it with its count, by the rules of Fortio's
    /// `CalcPercentile`: the shortest and the longest are known, all between is drawn straight through its bucket.
    fn at(&self, percentile: f64) -> Option<(f64, Bucket)> {
        let (first, last) = (self.data.first()?, self.data.last()?);
        let known = |value: f64, b: &Bucket| Some((value, Bucket { start: value, end: value, ..*b }));
        if percentile >= 100.0 {
            return known(self.max, last);
        }
        let mut before = 100.0 / self.count as f64;
        if percentile <= before {
            return known(self.min, first);
        }
        for b in &self.data {
            if percentile <= b.percent {
                return Some((b.start + (percentile - before) / (b.percent - before) * (b.end - b.start), *b));
            }
            before = b.percent;
        }
        known(self.max, last)
    }
}

struct Reader<'a> {
    path: &'a Path,
}

type Read<T> = std::result::Result<T, Error>;

impl Reader<'_> {
    fn import(&self, text: &str, effect_ns: u64) -> Read<Imported> {
        let root: Value = serde_json::from_str(text)
            .map_err(|e| Error::NotJson { path: self.path.to_owned(), message: e.to_string() })?;
        let of = self.get(&root, "", "DurationHistogram")?;
        let histogram = self.histogram(of)?;
        let stated = self.stated(of)?;
        let mut percentiles: Vec<f64> = stated.iter().map(|(p, _)| *p).chain(PERCENTILES).collect();
        percentiles.sort_by(f64::total_cmp);
        percentiles.dedup();
        let quantiles = percentiles.into_iter().filter_map(|percentile| {
            let (value, b) = histogram.at(percentile)?;
            let stated = stated.iter().find(|(p, _)| *p == percentile).map(|(_, v)| ns(*v));
            let (start_ns, end_ns) = (ns(b.start), ns(b.end));
            Some(ImportedQuantile {
                percentile,
                stated_ns: stated,
                interpolated_ns: ns(value),
                start_ns,
                end_ns,
                count: b.count,
                too_coarse: end_ns.saturating_sub(start_ns) > effect_ns,
            })
        });
        let text = |key: &str| root.get(key).and_then(Value::as_str).filter(|t| !t.is_empty()).map(str::to_owned);
        Ok(Imported {
            file: self.path.to_owned(),
            version: text("Version"),
            labels: text("Labels"),
            url: text("URL"),
            requested_qps: text("RequestedQPS"),
            actual_qps: root.get("ActualQPS").and_then(Value::as_f64),
            count: histogram.count,
            min_ns: ns(histogram.min),
            max_ns: ns(histogram.max),
            effect_ns,
            quantiles: quantiles.collect(),
        })
    }

    fn histogram(&self, of: &Value) -> Read<Histogram> {
        let at = "DurationHistogram.";
        let count = self.count(of, at, "Count")?;
        let (min, max) = (self.number(of, at, "Min")?, self.number(of, at, "Max")?);
        if count == 0 {
            // Fortio writes null for no entries, so this comes before the entries are looked for.
            return Err(Error::NoRequests { path: self.path.to_owned() });
        }
        let mut data = Vec::new();
        for (i, entry) in self.list(of, at, "Data")?.iter().enumerate() {
            let at = format!("DurationHistogram.Data[{i}].");
            data.push(Bucket {
                start: self.number(entry, &at, "Start")?,
                end: self.number(entry, &at, "End")?,
                percent: self.number(entry, &at, "Percent")?,
                count: self.count(entry, &at, "Count")?,
            });
        }
        let contradiction = |contradiction| Error::Contradiction { path: self.path.to_owned(), contradiction };
        let held: u64 = data.iter().fold(0, |sum, b| sum.saturating_add(b.count));
        if held != count {
            return Err(contradiction(format!("its buckets hold {held} requests, and its Count is {count}")));
        }
        let rising = |w: &[Bucket]| w[0].end <= w[1].start && w[0].percent <= w[1].percent;
        if !data.windows(2).all(rising) || data.iter().any(|b| b.start > b.end) {
            return Err(contradiction("its buckets are not in rising order".into()));
        }
        Ok(Histogram { count, min, max, data })
    }

    /// The percentiles that the file lists, with their values in seconds; Fortio leaves the list out for `-p ""`.
    fn stated(&self, of: &Value) -> Read<Vec<(f64, f64)>> {
        if of.get("Percentiles").is_none_or(Value::is_null) {
            return Ok(Vec::new());
        }
        let list = self.list(of, "DurationHistogram.", "Percentiles")?.iter().enumerate();
        list.map(|(i, entry)| {
            let at = format!("DurationHistogram.Percentiles[{i}].");
            Ok((self.number(entry, &at, "Percentile")?, self.number(entry, &at, "Value")?))
        })
        .collect()
    }

    fn get<'v>(&self, from: &'v Value, at: &str, key: &str) -> Read<&'v Value> {
        from.get(key).ok_or_else(|| self.not(at, key, "missing"))
    }

    fn number(&self, from: &Value, at: &str, key: &str) -> Read<f64> {
        self.get(from, at, key)?.as_f64().ok_or_else(|| self.not(at, key, "no number"))
    }

    fn count(&self, from: &Value, at: &str, key: &str) -> Read<u64> {
        self.get(from, at, key)?.as_u64().ok_or_else(|| self.not(at, key, "no count"))
    }

    fn list<'v>(&self, from: &'v Value, at: &str, key: &str) -> Read<&'v Vec<Value>> {
        self.get(from, at, key)?.as_array().ok_or_else(|| self.not(at, key, "no list"))
    }

    fn not(&self, at: &str, key: &str, problem: &'static str) -> Error {
        Error::NotFortio { path: self.path.to_owned(), key: format!("{at}{key}"), problem }
    }
}

/// Seconds as whole nanoseconds, which is what Fortio's clock counts; below zero (with `-offset`) is zero.
fn ns(seconds: f64) -> u64 {
    (seconds * 1e9).round() as u64
}

/// The result as a table of at most 80 columns, with what it means and the way out.
pub fn render(imported: &Imported) -> String {
    let i = imported;
    let mut t = String::new();
    // Writing to a String cannot fail; its results are let go.
    let _ = writeln!(t, "{}", plain(&i.file.display().to_string()));
    for (name, value) in [("target", &i.url), ("labels", &i.labels), ("asked for", &i.requested_qps)] {
        if let Some(value) = value {
            let unit = if name == "asked for" { " requests/s" } else { "" };
            let _ = writeln!(t, "  {name:<10} {}{unit}", plain(value));
        }
    }
    let _ = writeln!(t, "  {:<10} {} requests, {} to {}", "holds", i.count, ms(i.min_ns), ms(i.max_ns));
    let _ = writeln!(t);
    let _ = writeln!(t, "{:<9}{:>13}  {:<22}{:>12}  in it", "", "Fortio says", "it lies anywhere in", "width");
    for q in &i.quantiles {
        let name = format!("p{}", q.percentile);
        let says = ms(q.stated_ns.unwrap_or(q.interpolated_ns));
        let range = format!("[{}, {}] ms", digits(q.start_ns as f64 * 1e-6), digits(q.end_ns as f64 * 1e-6));
        let share = format!("{} %", digits(100.0 * q.count as f64 / i.count as f64));
        let mark = if q.too_coarse { "  too coarse" } else { "" };
        let row = format!("{name:<9}{says:>13}  {range:<22}{:>12}  {share:<7}{mark}", ms(q.width_ns()));
        let _ = writeln!(t, "{}", row.trim_end());
    }
    let _ = writeln!(t);
    let _ = writeln!(t, "{}", meaning(i));
    t
}

/// What the table means for the effect, and what would resolve it.
fn meaning(i: &Imported) -> String {
    let effect = ms(i.effect_ns);
    let what = "Fortio keeps no times, only how many fell into each bucket, and draws a\n\
                straight line through it: the true quantile lies anywhere in the bucket.";
    let Some(worst) = i.quantiles.iter().filter(|q| q.too_coarse).max_by_key(|q| q.end_ns) else {
        return format!("{what}\nEvery bucket is at most {effect} wide: an effect of that size can show.");
    };
    let cannot = format!(
        "An effect of {effect} cannot be told from nothing where it says \"too coarse\":\n\
         the whole of it may happen inside one bucket."
    );
    // Fortio's buckets are one resolution wide up to twelve of them, and nowhere narrower than a twelfth of the value.
    let way_out = if i.effect_ns > 0 && worst.end_ns <= 12 * i.effect_ns {
        format!("  try: fortio load -r {}", i.effect_ns as f64 / 1e9)
    } else {
        format!(
            "  no -r helps at p{}: Fortio's buckets around {} are {} or wider\n  \
             try: meshtax load, which keeps three digits everywhere",
            worst.percentile,
            ms(worst.end_ns),
            ms(worst.end_ns / 12)
        )
    };
    format!("{what}\n{cannot}\n{way_out}")
}

fn ms(ns: u64) -> String {
    ms_bare(ns as f64)
}

#[cfg(test)]
#[path = "fortio_import_tests.rs"]
mod tests;
