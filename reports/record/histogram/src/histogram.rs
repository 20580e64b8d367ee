//! Latencies counted without losing their tail: an HDR histogram of nanoseconds that travels as V2-deflate.

use std::borrow::Cow;
use std::cell::RefCell;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hdrhistogram::Histogram as Hdr;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2DeflateSerializer};
use serde::{Deserialize, Serialize};

use crate::interchange;
use crate::{Error, Result};

/// The longest time kept apart: one hour. Longer ones are counted as one hour.
const LONGEST_NS: u64 = 3_600_000_000_000;

/// More than any load makes in years; so that sums of what was read stay sums.
const MOST_COUNTED: u64 = 1 << 48;

/// A histogram of nanoseconds, three significant digits from 1 ns to 1 h.
///
/// In files: base64 of the HdrHistogram interchange form (V2, deflate), which the public readers open.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    hdr: Hdr<u64>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl Histogram {
    /// An empty histogram (about 250 KiB).
    ///
    /// # Panics
    /// Never: the bounds are constants that HdrHistogram accepts, as a test shows.
    #[allow(clippy::expect_used)]
    pub fn new() -> Self {
        Self { hdr: Hdr::new_with_bounds(1, LONGEST_NS, 3).expect("constant bounds") }
    }

    /// Counts one value in nanoseconds; values over an hour are counted as an hour.
    #[inline]
    pub fn record(&mut self, ns: u64) {
        self.hdr.saturating_record(ns);
    }

    /// Counts one value `n` times.
    pub fn record_n(&mut self, ns: u64, n: u64) {
        self.hdr.saturating_record_n(ns, n);
    }

    /// Adds every count of another histogram, exactly.
    ///
    /// # Errors
    /// None for histograms made here; one decoded from a file may hold larger values than fit.
    pub fn add(&mut self, other: &Histogram) -> Result<()> {
        self.hdr.add(&other.hdr).map_err(|e| Error(e.to_string()))
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.hdr.len()
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.hdr.is_empty()
    }

    /// The value at a quantile (0.99), in nanoseconds: the middle of the bucket that holds it, so that
    /// differences between two histograms are not biased by bucket edges; 0 when empty.
    pub fn quantile(&self, quantile: f64) -> u64 {
        if self.hdr.is_empty() {
            return 0;
        }
        if quantile >= 1.0 {
            return self.max();
        }
        let v = self.hdr.value_at_quantile(quantile);
        self.hdr.median_equivalent(v).clamp(self.hdr.min(), self.hdr.max())
    }

    /// The largest value counted, within its bucket; 0 when empty.
    pub fn max(&self) -> u64 {
        self.hdr.max()
    }

    /// The mean in nanoseconds; 0 when empty.
    pub fn mean(&self) -> f64 {
        self.hdr.mean()
    }

    /// How many values lie above this many nanoseconds (whole buckets).
    pub fn count_above(&self, ns: u64) -> u64 {
        let at_most: u64 = self
            .hdr
            .iter_recorded()
            .take_while(|v| v.value_iterated_to() <= self.hdr.highest_equivalent(ns))
            .fold(0, |sum, v| v.count_at_value().saturating_add(sum));
        self.count().saturating_sub(at_most)
    }

    /// Forgets everything, keeping the memory.
    pub fn clear(&mut self) {
        self.hdr.reset();
    }

    /// Each distinct bucket: its highest value in nanoseconds and its count, in rising order.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.hdr.iter_recorded().map(|v| (v.value_iterated_to(), v.count_at_value()))
    }

    /// The interchange form: base64 of V2-deflate.
    ///
    /// # Errors
    /// When the serializer cannot write, which memory never refuses.
    pub fn encode(&self) -> Result<String> {
        thread_local! {
            // The serializer keeps its buffer; one a thread spares ten allocations a second and histogram.
            static SERIALIZER: RefCell<V2DeflateSerializer> = RefCell::new(V2DeflateSerializer::new());
        }
        let mut bytes = Vec::new();
        SERIALIZER
            .with_borrow_mut(|s| s.serialize(&self.hdr, &mut bytes))
            .map_err(|e| Error(format!("cannot be written: {e}")))?;
        Ok(BASE64.encode(bytes))
    }

    /// Reads the interchange form.
    ///
    /// # Errors
    /// When the text is no base64 of a V2-deflate histogram, or of one that announces or counts what cannot be.
    pub fn decode(text: &str) -> Result<Self> {
        let bytes = BASE64.decode(text).map_err(|e| Error(format!("not base64: {e}")))?;
        let plain = interchange::plain(&bytes).map_err(Error)?;
        let read: Hdr<u64> = Deserializer::new()
            .deserialize(&mut plain.as_slice())
            .map_err(|e| Error(format!("not an HdrHistogram of the V2-deflate form: {e}")))?;
        if read.len() > MOST_COUNTED {
            return Err(Error(format!("it counts {} values, which no load makes", read.len())));
        }
        if (read.low(), read.high(), read.sigfig()) == (1, LONGEST_NS, 3) {
            return Ok(Self { hdr: read });
        }
        // Into our own bounds, so that any two histograms of ours can be added and compared.
        let mut ours = Self::new();
        for v in read.iter_recorded() {
            ours.record_n(v.value_iterated_to(), v.count_at_value());
        }
        Ok(ours)
    }
}

impl Serialize for Histogram {
    fn serialize<S: serde::Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
        s.serialize_str(&self.encode().map_err(serde::ser::Error::custom)?)
    }
}

impl<'de> Deserialize<'de> for Histogram {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(d)?;
        Self::decode(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "schemas")]
impl schemars::JsonSchema for Histogram {
    fn schema_name() -> Cow<'static, str> {
        "Histogram".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "contentEncoding": "base64",
            "pattern": "^HISTF[A-Za-z0-9+/=]+$",
            "description": "Nanoseconds: base64 of the HdrHistogram V2-deflate form"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Deterministic values over nine decades.
    fn values() -> Vec<u64> {
        let mut x = 88_172_645_463_325_252u64;
        (0..20_000)
            .map(|i| {
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
                1 + x % 10u64.pow(1 + i % 9)
            })
            .collect()
    }

    #[test]
    fn quantiles_are_those_of_the_sorted_values_within_a_thousandth() {
        let mut sorted = values();
        let mut h = Histogram::new();
        sorted.iter().for_each(|v| h.record(*v));
        sorted.sort_unstable();
        for q in [0.001, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0] {
            let rank = ((q * sorted.len() as f64).ceil() as usize).clamp(1, sorted.len());
            let want = sorted[rank - 1] as f64;
            let got = h.quantile(q) as f64;
            assert!((got - want).abs() <= 1.0 + want / 1000.0, "q {q}: {got} against {want}");
        }
        assert_eq!(h.count(), 20_000);
        let above = sorted.iter().filter(|v| **v > 1_000_000).count() as u64;
        assert!(h.count_above(1_000_000).abs_diff(above) <= 3, "{} {above}", h.count_above(1_000_000));
    }

    #[test]
    fn what_is_written_is_read_again_count_for_count() {
        let mut h = Histogram::new();
        values().iter().for_each(|v| h.record(*v));
        h.record(0);
        h.record(u64::MAX);
        let text = h.encode().unwrap();
        assert!(text.starts_with("HISTF"), "{}", &text[..8]);
        let back = Histogram::decode(&text).unwrap();
        assert_eq!(back.buckets().collect::<Vec<_>>(), h.buckets().collect::<Vec<_>>());
        assert_eq!(back, h);
    }

    #[test]
    fn merging_in_any_order_is_recording_at_once() {
        let v = values();
        let (mut a, mut b, mut all) = (Histogram::new(), Histogram::new(), Histogram::new());
        for (i, x) in v.iter().enumerate() {
            if i % 3 == 0 {
                a.record(*x)
            } else {
                b.record(*x)
            }
            all.record(*x);
        }
        let mut ab = a.clone();
        ab.add(&b).unwrap();
        b.add(&a).unwrap();
        assert_eq!(ab, b);
        assert_eq!(ab, all);
    }

    #[test]
    fn broken_text_is_an_error_and_an_empty_one_holds_nothing() {
        for text in ["", "!", "HISTFAAA", "aGVsbG8="] {
            assert!(Histogram::decode(text).is_err(), "{text}");
        }
        let empty = Histogram::decode(&Histogram::new().encode().unwrap()).unwrap();
        assert!(empty.is_empty() && empty.quantile(0.99) == 0 && empty.max() == 0);
    }
}
