//! The buckets of a histogram with both their ends, and fewer of them for forms that list every one.

use record::Histogram;

/// Octaves above the first 11 are kept in 1024 steps each: three significant digits in HdrHistogram's terms.
const STEP_BITS: u32 = 10;

/// Counted values from `low_ns` to `high_ns`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bucket {
    pub(super) low_ns: u64,
    pub(super) high_ns: u64,
    pub(super) count: u64,
}

impl Bucket {
    /// The middle, in nanoseconds.
    pub(super) fn middle_ns(self) -> f64 {
        (self.low_ns as f64 + self.high_ns as f64) / 2.0
    }
}

/// Every bucket that holds something, in rising order.
pub(super) fn buckets(histogram: &Histogram) -> impl Iterator<Item = Bucket> + '_ {
    histogram.buckets().map(|(high_ns, count)| {
        let (shift, step) = step(high_ns, STEP_BITS);
        Bucket { low_ns: step << shift, high_ns, count }
    })
}

/// The same counts in at most `most` buckets, as far as 43 allow: each octave in as many equal steps as fit.
///
/// An empty stretch between two buckets stays empty, and no count moves out of its old bucket's ends.
pub(super) fn at_most(histogram: &Histogram, most: usize) -> Vec<Bucket> {
    let mut bits = STEP_BITS;
    loop {
        let mut groups: Vec<Bucket> = Vec::new();
        for b in buckets(histogram) {
            match groups.last_mut() {
                Some(last) if step(last.high_ns, bits) == step(b.high_ns, bits) => {
                    last.high_ns = b.high_ns;
                    last.count += b.count;
                }
                _ => groups.push(b),
            }
        }
        if groups.len() <= most || bits == 0 {
            return groups;
        }
        bits -= 1;
    }
}

/// Which of the `2^bits` steps of its octave a value lies in: the step's size as a shift, and its number.
fn step(ns: u64, bits: u32) -> (u32, u64) {
    let shift = ns.max(1).ilog2().saturating_sub(bits);
    (shift, ns >> shift)
}

#[cfg(test)]
mod tests {
    use super::super::tests::over_nine_decades;
    use super::*;

    #[test]
    fn the_ends_are_those_of_the_histogram() {
        for ns in [0, 1, 2, 2047, 2048, 2049, 4095, 4096, 1_000_000, 123_456_789, 3_600_000_000_000, u64::MAX] {
            let mut h = Histogram::new();
            h.record(ns);
            let ns = ns.min(3_600_000_000_000);
            let b = buckets(&h).next().unwrap();
            assert!(b.low_ns <= ns && ns <= b.high_ns, "{ns}: {b:?}");
            assert_eq!(b.high_ns, h.max(), "{ns}");
            // Both ends fall into this very bucket, and their neighbours do not.
            for (at, buckets_then) in
                [(b.low_ns, 1), (b.high_ns, 1), (b.high_ns + 1, 2), (b.low_ns.saturating_sub(1), 2)]
            {
                if at > 3_600_000_000_000 || (at == 0 && b.low_ns == 0 && buckets_then == 2) {
                    continue;
                }
                let mut h = h.clone();
                h.record(at);
                assert_eq!(buckets(&h).count(), buckets_then, "{ns}: {b:?} and {at}");
            }
        }
    }

    #[test]
    fn fewer_buckets_lose_no_count_and_keep_their_order() {
        let h = over_nine_decades();
        let fine: Vec<Bucket> = buckets(&h).collect();
        assert!(fine.len() > 2000, "{}", fine.len());
        for most in [1000, 200, 60] {
            let coarse = at_most(&h, most);
            assert!(coarse.len() <= most && coarse.len() > most / 4, "{} of {most}", coarse.len());
            assert_eq!(coarse.iter().map(|b| b.count).sum::<u64>(), h.count());
            assert!(coarse.windows(2).all(|w| w[0].high_ns < w[1].low_ns));
            for c in &coarse {
                let inside = fine.iter().filter(|f| c.low_ns <= f.low_ns && f.high_ns <= c.high_ns);
                assert_eq!(inside.map(|f| f.count).sum::<u64>(), c.count, "{c:?}");
            }
        }
        assert_eq!(at_most(&h, usize::MAX), fine);
        assert_eq!(at_most(&Histogram::new(), 200), vec![]);
    }
}
