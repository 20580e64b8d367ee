//! What would decide a gate that is not decided.

use super::words::percent;
use super::{Budget, GateVerdict, MetricVerdict, Question, Way};

/// A sentence for each metric that is not decided, and one for the noise of the first of them.
pub fn deciders(metrics: &[MetricVerdict], way: Way, budget: Budget, pair_ns: Option<u64>) -> Vec<String> {
    let open: Vec<&MetricVerdict> = metrics.iter().filter(|m| m.verdict == GateVerdict::Inconclusive).collect();
    let mut said: Vec<String> = open.iter().filter_map(|m| decider(m, way, budget, pair_ns)).collect();
    if let Some(noise) = open.iter().find_map(|m| m.noise.as_ref()) {
        said.push(format!("the largest source of noise: {}", noise.evidence));
    }
    said
}

fn decider(metric: &MetricVerdict, way: Way, budget: Budget, pair_ns: Option<u64>) -> Option<String> {
    if metric.change.is_none() && metric.counted.is_none() {
        // Its reason says already what is lacking.
        return None;
    }
    let name = format!("{} of {}", metric.metric.label(), metric.label);
    let Question::Regress { limit, .. } = metric.question else {
        return Some(match metric.counted {
            Some(_) => format!("{name}: more requests: longer trials, or more of them"),
            None => format!("{name}: more trials, or a bound further from what it is"),
        });
    };
    match way {
        Way::Stored => {
            let least = metric.smallest_limit?;
            Some(format!("{name}: against these stored runs the smallest limit that can be told is {}", percent(least)))
        }
        Way::Alone => None,
        Way::SideBySide => {
            let smallest = metric.smallest_limit.map(percent);
            let pairs = metric.pairs_needed;
            let told = smallest.map(|s| format!(", and {} pairs can settle limits from {s} on", budget.pairs));
            let told = told.unwrap_or_default();
            Some(match pairs {
                // Given up before its budget was spent, or short of pairs that count.
                Some(pairs) if metric.n < pairs.min(budget.pairs) => format!(
                    "{name}: {} of {} pairs were judged; if others did not count, longer trials, a lower rate or less else to do on this machine{told}",
                    metric.n, budget.pairs
                ),
                Some(pairs) if pairs > budget.pairs => {
                    let time = pair_ns.map(|ns| format!(" ({})", minutes(ns.saturating_mul(pairs as u64))));
                    format!(
                        "{name}: about {pairs} pairs{} would settle a limit of {} if nothing changed{told}",
                        time.unwrap_or_default(),
                        percent(limit)
                    )
                }
                Some(_) => format!(
                    "{name}: {} pairs settle a limit of {} as a rule; what was seen lies too close to it{told}",
                    budget.pairs,
                    percent(limit)
                ),
                None if metric.n < 2 => format!("{name}: whole pairs; there were {}", metric.n),
                None => {
                    format!(
                        "{name}: no number of pairs that can be planned settles a limit of {}{told}",
                        percent(limit)
                    )
                }
            })
        }
    }
}

/// Time as a person would say it.
fn minutes(ns: u64) -> String {
    let seconds = ns / 1_000_000_000;
    if seconds < 120 { format!("{seconds} s") } else { format!("{} min", seconds.div_ceil(60)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::{Metric, Noise, NoiseSource};
    use crate::stats::{Estimate, Scale};

    fn open(pairs_needed: Option<usize>) -> MetricVerdict {
        MetricVerdict {
            n: 20,
            pairs_needed,
            change: Estimate::over(&[0.04, 0.05], Scale::Plain, 0.95),
            smallest_limit: Some(0.14),
            noise: Some(Noise {
                source: NoiseSource::Steal,
                share: Some(0.6),
                sd: 0.1,
                evidence: "one pair scatters by 10.5 %".into(),
            }),
            ..MetricVerdict::blank("c", "envoy", Metric::P99, Question::Regress { limit: 0.1, tolerance: 0.0 })
        }
    }

    #[test]
    fn that_pairs_did_not_count_is_told() {
        let few = MetricVerdict { n: 2, ..open(Some(9)) };
        let said = deciders(&[few], Way::SideBySide, Budget { pairs: 20, time_ns: None }, None);
        assert!(said[0].starts_with("p99 of envoy: 2 of 20 pairs were judged; if others did not count"), "{said:?}");
    }

    #[test]
    fn pairs_their_time_the_smallest_limit_and_the_noise_are_told() {
        let budget = Budget { pairs: 20, time_ns: None };
        let said = deciders(&[open(Some(43))], Way::SideBySide, budget, Some(8_000_000_000));
        assert_eq!(
            said,
            [
                "p99 of envoy: about 43 pairs (6 min) would settle a limit of 10 % if nothing changed, and 20 pairs can settle limits from 14 % on",
                "the largest source of noise: one pair scatters by 10.5 %"
            ]
        );
        let said = deciders(&[open(None)], Way::SideBySide, budget, None);
        assert!(said[0].contains("no number of pairs"), "{said:?}");
        let passed = MetricVerdict { verdict: GateVerdict::Pass, ..open(Some(43)) };
        assert!(deciders(&[passed], Way::SideBySide, budget, None).is_empty());
    }
}
