//! Laws of what is added up: whoever recorded it, in whatever order, the sum is the same and nothing is lost.

use proptest::collection::vec;
use proptest::prelude::*;
use record::{Histogram, INTERVAL_NS, Interval, Outcome, Outcomes, Phase};

/// Times over all decades, with those at the ends.
fn time_ns() -> impl Strategy<Value = u64> {
    prop_oneof![4 => (0_u32..42).prop_flat_map(|bits| 0..=1_u64 << bits), 1 => Just(0), 1 => Just(u64::MAX)]
}

fn recorded(times: &[u64]) -> Histogram {
    let mut histogram = Histogram::new();
    times.iter().for_each(|ns| histogram.record(*ns));
    histogram
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        (100_u16..600).prop_map(Outcome::Answered),
        Just(Outcome::ConnectFailed),
        Just(Outcome::Reset),
        Just(Outcome::TimedOut),
        Just(Outcome::CutByDeadline),
    ]
}

/// A window with what ended in it: how, and after which time, answered by whom.
fn window() -> impl Strategy<Value = Interval> {
    (0_u64..100, vec((outcome(), time_ns(), 0_usize..12), 0..12)).prop_map(|(number, ended)| {
        let mut window = Interval::empty(Phase::Measure, number * INTERVAL_NS, INTERVAL_NS);
        for (outcome, ns, subset) in ended {
            window.due += 1;
            window.sent += u64::from(outcome != Outcome::ConnectFailed);
            window.outcomes.count(outcome);
            window.response.record(ns);
            window.service.record(ns / 2);
            window.first_byte.record(ns / 3);
            window.lag_ours.record(ns / 5);
            window.lag_theirs.record(ns / 7);
            window.worst_send_lag_ns = window.worst_send_lag_ns.max(ns / 5);
            // No more of them than are kept apart: which of more are the others depends on who comes first.
            window.split.count(format!("v{}", subset % 8).as_bytes(), subset > 8, ns, ns / 2);
        }
        window
    })
}

fn sum<'a>(windows: impl IntoIterator<Item = &'a Interval>) -> Interval {
    let mut windows = windows.into_iter();
    let mut sum = windows.next().expect("one at least").clone();
    windows.for_each(|window| sum.add(window).expect("they fit together"));
    sum
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn histograms_of_any_parts_in_any_order_are_that_of_all(parts in vec(vec(time_ns(), 0..40), 1..5)) {
        let all: Vec<u64> = parts.iter().flatten().copied().collect();
        let (mut forth, mut back) = (Histogram::new(), Histogram::new());
        for part in &parts {
            forth.add(&recorded(part)).expect("they fit");
        }
        for part in parts.iter().rev() {
            back.add(&recorded(part)).expect("they fit");
        }
        prop_assert_eq!(&forth, &back);
        prop_assert_eq!(&forth, &recorded(&all));
        prop_assert_eq!(forth.count(), all.len() as u64);
    }

    #[test]
    fn a_quantile_is_that_of_the_sorted_times_and_rises(mut times in vec(0_u64..3_000_000_000_000, 1..200)) {
        let histogram = recorded(&times);
        times.sort_unstable();
        let quantiles: Vec<f64> = (0..=20).map(|twentieth| f64::from(twentieth) / 20.0).collect();
        for quantile in &quantiles {
            let rank = ((quantile * times.len() as f64).ceil() as usize).clamp(1, times.len());
            // A twentieth is no number of two: the product may end up on either side of a whole one.
            let near = &times[rank.saturating_sub(2)..(rank + 1).min(times.len())];
            let found = histogram.quantile(*quantile);
            prop_assert!(near.iter().any(|exact| found.abs_diff(*exact) <= 1 + exact / 1000), "{}: {}", quantile, found);
        }
        let found: Vec<u64> = quantiles.iter().map(|quantile| histogram.quantile(*quantile)).collect();
        prop_assert!(found.is_sorted(), "{:?}", found);
    }

    #[test]
    fn a_histogram_is_read_as_it_was_written(times in vec(time_ns(), 0..100), n in 1_u64..1 << 40) {
        let mut histogram = recorded(&times);
        if let Some(first) = times.first() {
            histogram.record_n(*first, n);
        }
        let text = histogram.encode().expect("it can be written");
        let back = Histogram::decode(&text).expect("it can be read");
        prop_assert_eq!(back.buckets().collect::<Vec<_>>(), histogram.buckets().collect::<Vec<_>>());
        prop_assert_eq!(back.encode().expect("again"), text);
    }

    #[test]
    fn windows_in_any_order_and_in_any_parts_are_one(windows in vec(window(), 2..6), cut in 1_usize..5) {
        let whole = sum(&windows);
        prop_assert_eq!(&sum(windows.iter().rev()), &whole);
        let (first, rest) = windows.split_at(cut.min(windows.len() - 1));
        prop_assert_eq!(&sum([&sum(first), &sum(rest)]), &whole);

        let ended: u64 = windows.iter().map(|window| window.outcomes.total()).sum();
        prop_assert_eq!((whole.due, whole.outcomes.total(), whole.response.count()), (ended, ended, ended));
        let line = serde_json::to_string(&whole).expect("it can be written");
        prop_assert_eq!(serde_json::from_str::<Interval>(&line).expect("it can be read"), whole);
    }

    #[test]
    fn outcomes_are_counted_once_each(all in vec(outcome(), 0..100)) {
        let mut outcomes = Outcomes::default();
        all.iter().for_each(|outcome| outcomes.count(*outcome));
        prop_assert_eq!(outcomes.total(), all.len() as u64);
        let mut twice = outcomes.clone();
        twice.add(&outcomes);
        prop_assert_eq!((twice.total(), twice.failed()), (2 * outcomes.total(), 2 * outcomes.failed()));
        prop_assert!(outcomes.error_statuses() <= outcomes.answered_total());
    }
}
