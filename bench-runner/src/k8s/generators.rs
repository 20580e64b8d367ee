//! Several generators as one: windows of the same place in the load are added, and counts are lost nowhere.

use std::collections::BTreeMap;

use record::{Interval, Lag, LoadSummary, Phase, Verdict};

/// What one generator recorded.
#[derive(Clone, Debug)]
pub(super) struct Recorded {
    pub(super) summary: LoadSummary,
    pub(super) intervals: Vec<Interval>,
}

/// All of them as one, on the clock of the first.
///
/// Each has begun its own load; windows are placed by the time since that, so that clocks of several nodes need not agree.
///
/// # Errors
/// When histograms do not fit, which those of one program always do, and when there is none.
pub(super) fn together(all: &[Recorded]) -> anyhow::Result<Recorded> {
    let Some((first, others)) = all.split_first() else { anyhow::bail!("no generator recorded anything") };
    if others.is_empty() {
        return Ok(first.clone());
    }
    let mut windows: BTreeMap<(u64, Phase), Interval> = BTreeMap::new();
    for one in all {
        for interval in &one.intervals {
            let mut placed = interval.clone();
            let since = i128::from(interval.start_ns) - i128::from(one.summary.start_ns);
            let start = i128::from(first.summary.start_ns) + since;
            placed.start_ns = u64::try_from(start.max(0)).unwrap_or(u64::MAX);
            // Windows of several generators begin a little apart: what counts is which one of the load it is.
            let place = u64::try_from((since + (1 << 62)) / i128::from(record::INTERVAL_NS)).unwrap_or(0);
            match windows.get_mut(&(place, interval.phase)) {
                Some(window) => window.add(&placed)?,
                None => {
                    windows.insert((place, interval.phase), placed);
                }
            }
        }
    }
    let intervals: Vec<Interval> = windows.into_values().collect();
    Ok(Recorded { summary: summary(first, all, &intervals)?, intervals })
}

fn summary(first: &Recorded, all: &[Recorded], intervals: &[Interval]) -> anyhow::Result<LoadSummary> {
    let mut total = Interval::empty(Phase::Measure, first.summary.start_ns, 0);
    for interval in intervals.iter().filter(|interval| interval.phase == Phase::Measure) {
        total.add(interval)?;
    }
    let mut sum = first.summary.clone();
    sum.response_ns = (&total.response).into();
    sum.service_ns = (&total.service).into();
    sum.lag_ns = Lag { ours: (&total.lag_ours).into(), theirs: (&total.lag_theirs).into() };
    for (at, other) in all.iter().enumerate().skip(1) {
        let more = &other.summary;
        sum.rate_per_second = sum.rate_per_second.zip(more.rate_per_second).map(|(a, b)| a + b);
        sum.connections += more.connections;
        sum.due += more.due;
        sum.sent += more.sent;
        sum.answered += more.answered;
        sum.unsent += more.unsent;
        sum.censored += more.censored;
        sum.outcomes.add(&more.outcomes);
        sum.achieved_per_second += more.achieved_per_second;
        sum.cpu_seconds += more.cpu_seconds;
        sum.duration_ns = sum.duration_ns.max(more.duration_ns);
        sum.end_ns = sum.end_ns.max(first.summary.start_ns + more.end_ns.saturating_sub(more.start_ns));
        sum.verdict = worse(sum.verdict, more.verdict);
        sum.reasons.extend(more.reasons.iter().map(|reason| format!("load-{at}: {reason}")));
        sum.warnings.extend(more.warnings.iter().cloned());
        sum.observed.threads.extend(more.observed.threads.iter().cloned());
        sum.observed.bytes_read += more.observed.bytes_read;
        sum.observed.retried += more.observed.retried;
        sum.observed.extra_attempts += more.observed.extra_attempts;
        sum.observed.overloaded += more.observed.overloaded;
        if let Some(kept_back) = more.observed.kept_back {
            sum.observed.kept_back.get_or_insert_default().add(kept_back);
        }
        for share in &more.observed.split {
            match sum.observed.split.iter_mut().find(|known| known.value == share.value) {
                // Quantiles of a backend stay the first generator's; its counts are everybody's.
                Some(known) => {
                    known.answered += share.answered;
                    known.errors += share.errors;
                }
                None => sum.observed.split.push(share.clone()),
            }
        }
    }
    // Of these each generator knows its own only.
    sum.observed.pacing = None;
    sum.observed.naps_ns = None;
    sum.observed.balance = None;
    sum.observed.stationarity = None;
    Ok(sum)
}

fn worse(one: Verdict, other: Verdict) -> Verdict {
    one.max(other)
}

#[cfg(test)]
pub(super) mod tests {
    use record::{Outcome, Outcomes};

    use super::*;

    fn empty_summary(start_ns: u64) -> LoadSummary {
        let text = serde_json::json!({
            "schema": 1, "method": 1, "verdict": "valid", "reasons": [], "url": "http://s1:8080/", "rate_per_second": 10.0,
            "connections": 2, "arrival": "constant", "pace": "hybrid", "seed": 1, "start_ns": start_ns,
            "duration_ns": 1_000_000_000_u64, "end_ns": start_ns + 1_000_000_000, "due": 0, "sent": 0, "answered": 0,
            "unsent": 0, "censored": 0, "outcomes": Outcomes::default(), "achieved_per_second": 0.0,
            "response_ns": {"p50":0,"p90":0,"p99":0,"p999":0,"max":0}, "service_ns": {"p50":0,"p90":0,"p99":0,"p999":0,"max":0},
            "lag_ns": {"ours": {"p50":0,"p90":0,"p99":0,"p999":0,"max":0}, "theirs": {"p50":0,"p90":0,"p99":0,"p999":0,"max":0}},
            "cpu_seconds": 0.5, "warnings": []
        });
        serde_json::from_value(text).unwrap()
    }

    /// Requests of these times, as a generator that began at a moment of its own clock records them.
    fn recorded(start_ns: u64, times: &[u64]) -> Recorded {
        let mut intervals: Vec<Interval> = (0..10)
            .map(|k| Interval::empty(Phase::Measure, start_ns + k * record::INTERVAL_NS, record::INTERVAL_NS))
            .collect();
        let mut summary = empty_summary(start_ns);
        for (at, time) in times.iter().enumerate() {
            let interval = &mut intervals[at % 10];
            interval.due += 1;
            interval.sent += 1;
            interval.outcomes.count(Outcome::Answered(200));
            interval.response.record(*time);
            interval.service.record(*time);
            interval.lag_ours.record(0);
            interval.lag_theirs.record(0);
            summary.due += 1;
            summary.answered += 1;
            summary.outcomes.count(Outcome::Answered(200));
        }
        Recorded { summary, intervals }
    }

    #[test]
    fn four_generators_are_count_for_count_what_one_would_have_recorded() {
        let times: Vec<u64> = (0..4000_u64).map(|k| 100_000 + k * k % 7_000_000).collect();
        // Each on a node with a clock of its own.
        let shares: Vec<Recorded> = (0..4_u64)
            .map(|n| {
                let mine: Vec<u64> = times.iter().copied().skip(n as usize).step_by(4).collect();
                recorded(5_000_000_000 + n * 77_000_000_000, &mine)
            })
            .collect();
        let merged = together(&shares).unwrap();
        let one = recorded(5_000_000_000, &times);
        let all = |r: &Recorded| {
            let mut sum = Interval::empty(Phase::Measure, 0, 0);
            r.intervals.iter().for_each(|i| sum.add(i).unwrap());
            sum
        };
        let (merged_sum, one_sum) = (all(&merged), all(&one));
        assert_eq!(merged_sum.response.buckets().collect::<Vec<_>>(), one_sum.response.buckets().collect::<Vec<_>>());
        assert_eq!((merged_sum.due, merged.summary.due, merged.summary.connections), (4000, 4000, 8));
        assert_eq!(merged.intervals.len(), 10);
        assert!(merged.intervals.iter().all(|i| i.due == 400), "each window holds its share of all");
        assert_eq!(merged.summary.response_ns.p99, one_sum.response.quantile(0.99));
        assert_eq!(merged.summary.rate_per_second, Some(40.0));
    }

    #[test]
    fn the_worst_verdict_is_that_of_all() {
        let mut late = recorded(1, &[1]);
        late.summary.verdict = Verdict::Invalid;
        late.summary.reasons = vec!["it lagged".to_owned()];
        let merged = together(&[recorded(1, &[1]), late]).unwrap();
        assert_eq!(
            (merged.summary.verdict, merged.summary.reasons),
            (Verdict::Invalid, vec!["load-1: it lagged".to_owned()])
        );
        assert!(together(&[]).is_err());
    }
}
