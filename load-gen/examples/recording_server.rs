//! A server that stamps each arrival, and says at the end how even the arrivals were: a generator seen from the target.
//!
//! ```text
//! recording_server --rate 1000 [--cpu 0] [--skip 100] [--most 2000000]
//! {"listen":"127.0.0.1:40123"}          at once
//! {"count":10000,"gap_ns":{..},..}      when stdin ends
//! ```
//!
//! `--rate` is what the generator was told; gaps and lateness are held against it. The first `--skip` arrivals, which
//! a generator may use to warm up, are left out. More than `--most` are answered and counted, but not recorded.

mod serving;

use serving::{Options, Result, Server, say};

const MOST: usize = 2_000_000;
/// A gap shorter than this part of the planned one is a burst.
const BURST: f64 = 0.1;

fn main() -> Result<()> {
    let options = Options::read(&["rate", "cpu", "skip", "most"])?;
    let rate = options.per_second("rate")?;
    let skip: u64 = options.get("skip")?.unwrap_or(0);
    let most = options.get("most")?.unwrap_or(MOST);
    // Written once, so that no page is made while arrivals are stamped.
    let mut stamps = vec![1; most];
    stamps.clear();
    let (mut arrived, mut seen) = (Vec::with_capacity(1024), 0u64);
    let mut server = Server::start(&options)?;
    while server.look(&mut arrived)? {
        // Answered only when all that is there has been stamped: answering takes longer than a short gap.
        for arrival in arrived.drain(..) {
            if seen >= skip && stamps.len() < most {
                stamps.push(arrival.at_ns);
            }
            seen += 1;
            server.answer(arrival.connection);
        }
    }
    let skipped = seen.min(skip);
    let unrecorded = seen - skipped - stamps.len() as u64;
    let told = format!("\"planned_per_second\":{rate},\"skipped\":{skipped},\"unrecorded\":{unrecorded}");
    // A batch is stamped in the order of its events, so that these are sorted already.
    say(&match Figures::of(&stamps, rate) {
        Some(figures) => format!("{{\"count\":{},{},{told}}}", stamps.len(), figures.json()),
        None => format!("{{\"count\":{},{told}}}", stamps.len()),
    });
    Ok(())
}

/// How even the arrivals were.
#[derive(Debug, PartialEq)]
struct Figures {
    per_second: f64,
    /// p50, p90, p99 and the longest time between two arrivals.
    gap_ns: [u64; 4],
    /// The share of gaps shorter than a tenth of the planned one.
    burst_share: f64,
    /// Variance over mean of the arrivals in each whole millisecond from the first: 0 is even, 1 is Poisson.
    index_of_dispersion: Option<f64>,
    /// p50, p99 and the longest lateness against a plan with even gaps. Where the plan began is not known here: it is
    /// put as late as no arrival was early, at the minimum over `i` of `arrival[i] - i / rate`. What all requests had in
    /// common, such as the way here, is thus left out; a rate that is missed throughout shows as growing lateness.
    lateness_ns: [u64; 3],
}

impl Figures {
    /// Of sorted stamps; nothing of fewer than two.
    fn of(stamps: &[u64], rate: f64) -> Option<Self> {
        let (first, last) = (*stamps.first()?, *stamps.last()?);
        let mut gaps: Vec<u64> = stamps.windows(2).map(|two| two[1] - two[0]).collect();
        gaps.sort_unstable();
        if gaps.is_empty() || first == last {
            return None;
        }
        let short = gaps.partition_point(|gap| (*gap as f64) < BURST * 1e9 / rate);
        let against_plan = |(i, at): (usize, &u64)| (at - first) as i64 - (i as f64 * 1e9 / rate) as i64;
        let mut late: Vec<i64> = stamps.iter().enumerate().map(against_plan).collect();
        late.sort_unstable();
        let late: Vec<u64> = late.iter().map(|ns| ns.abs_diff(late[0])).collect();
        Some(Self {
            per_second: gaps.len() as f64 * 1e9 / (last - first) as f64,
            gap_ns: [0.5, 0.9, 0.99, 1.0].map(|q| quantile(&gaps, q)),
            burst_share: short as f64 / gaps.len() as f64,
            index_of_dispersion: index_of_dispersion(stamps, first, last),
            lateness_ns: [0.5, 0.99, 1.0].map(|q| quantile(&late, q)),
        })
    }

    fn json(&self) -> String {
        let Self { per_second, gap_ns: [p50, p90, p99, max], burst_share, index_of_dispersion, lateness_ns } = self;
        let dispersion = index_of_dispersion.map_or("null".to_owned(), |index| format!("{index:.4}"));
        let [late50, late99, latest] = lateness_ns;
        format!(
            "\"rate\":{per_second:.3},\"gap_ns\":{{\"p50\":{p50},\"p90\":{p90},\"p99\":{p99},\"max\":{max}}},\
             \"burst_share\":{burst_share:.4},\"index_of_dispersion\":{dispersion},\
             \"lateness_ns\":{{\"p50\":{late50},\"p99\":{late99},\"max\":{latest}}}"
        )
    }
}

/// Nothing when not even one whole millisecond was seen.
fn index_of_dispersion(stamps: &[u64], first: u64, last: u64) -> Option<f64> {
    let mut counts = vec![0u32; ((last - first) / 1_000_000) as usize];
    for at in stamps {
        // The last, broken millisecond has no place.
        if let Some(count) = counts.get_mut(((at - first) / 1_000_000) as usize) {
            *count += 1;
        }
    }
    let n = counts.len() as f64;
    let mean = counts.iter().map(|c| f64::from(*c)).sum::<f64>() / n;
    let variance = counts.iter().map(|c| (f64::from(*c) - mean).powi(2)).sum::<f64>() / n;
    (!counts.is_empty()).then_some(variance / mean)
}

/// The smallest value that at least this share of the sorted values does not exceed.
fn quantile(sorted: &[u64], q: f64) -> u64 {
    sorted[((q * sorted.len() as f64).ceil() as usize).clamp(1, sorted.len()) - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_arrivals_are_even() {
        let stamps: Vec<u64> = (0..1001).map(|i| 77 + i * 500_000).collect();
        let figures = Figures::of(&stamps, 2000.0).unwrap();
        let even = Figures {
            per_second: 2000.0,
            gap_ns: [500_000; 4],
            burst_share: 0.0,
            index_of_dispersion: Some(0.0),
            lateness_ns: [0; 3],
        };
        assert_eq!(figures, even);
    }

    #[test]
    fn trains_of_ten_are_seen() {
        // Ten requests a microsecond apart every 10 ms, for 1000/s: 9 of 10 gaps are short, and 9 of 10
        // milliseconds are empty. The k-th of a train comes up to k ms before its time, so the first is 9 ms late.
        let stamps: Vec<u64> = (0..1000).map(|i| i / 10 * 10_000_000 + i % 10 * 1_000).collect();
        let figures = Figures::of(&stamps, 1000.0).unwrap();
        assert_eq!(figures.gap_ns, [1_000, 1_000, 9_991_000, 9_991_000]);
        assert!((figures.burst_share - 900.0 / 999.0).abs() < 1e-12);
        assert!((figures.index_of_dispersion.unwrap() - 9.0).abs() < 0.1, "{figures:?}");
        assert_eq!(figures.lateness_ns, [3_996_000, 8_991_000, 8_991_000]);
    }

    #[test]
    fn one_arrival_says_nothing() {
        assert_eq!(Figures::of(&[], 1.0), None);
        assert_eq!(Figures::of(&[5], 1.0), None);
    }
}
