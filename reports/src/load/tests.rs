//! Loads whose answer is known, for the tests of the forms.

use std::io;

use record::{
    Histogram, INTERVAL_NS, Interval, Lag, LoadSummary, METHOD, Outcome, Outcomes, Pace, Phase, Process, SCHEMA,
    Verdict,
};

use super::Measured;

/// One interval of the warm-up, and three measured ones, the last of 1 ms, from 7 s on: 1000 requests are due.
///
/// Of these, one was never sent, one cut by the deadline, one timed out, two were refused a connection; 990 were
/// answered with 200 and 5 with 503.
pub(super) fn intervals() -> Vec<Interval> {
    let mut warm_up = Interval::empty(Phase::WarmUp, 6_900_000_000, INTERVAL_NS);
    warm_up.due = 1;
    warm_up.response.record(77_000_000_000);
    let mut first = Interval::empty(Phase::Measure, 7_000_000_000, INTERVAL_NS);
    (first.due, first.sent) = (1000, 990);
    for i in 1..=990 {
        sent(&mut first, i * 10_000);
        first.outcomes.count(Outcome::Answered(200));
    }
    let mut second = Interval::empty(Phase::Measure, 7_100_000_000, INTERVAL_NS);
    second.sent = 7;
    for i in 1..=7 {
        sent(&mut second, i * 100_000_000);
        let outcome = [Outcome::Answered(503), Outcome::TimedOut, Outcome::CutByDeadline][(i as usize).max(5) - 5];
        second.outcomes.count(outcome);
    }
    second.worst_send_lag_ns = 9_000_000;
    let mut last = Interval::empty(Phase::Measure, 7_200_000_000, 1_000_000);
    for outcome in [Some(Outcome::ConnectFailed), Some(Outcome::ConnectFailed), None] {
        last.response.record(2_000_000_000);
        if let Some(outcome) = outcome {
            last.outcomes.count(outcome);
        }
    }
    vec![warm_up, first, second, last]
}

fn sent(interval: &mut Interval, ns: u64) {
    interval.response.record(ns);
    interval.service.record(ns / 2);
    interval.lag_ours.record(1_000);
    interval.lag_theirs.record(ns / 4);
}

/// What the generator says of these intervals.
pub(super) fn load() -> (LoadSummary, Measured) {
    let mut measured = Measured::default();
    let (mut outcomes, mut lag) = (Outcomes::default(), [Histogram::new(), Histogram::new()]);
    for i in intervals().iter().filter(|i| i.phase == Phase::Measure) {
        measured.add(i).unwrap();
        outcomes.add(&i.outcomes);
        lag[0].add(&i.lag_ours).unwrap();
        lag[1].add(&i.lag_theirs).unwrap();
    }
    let summary = LoadSummary {
        schema: SCHEMA,
        method: METHOD,
        verdict: Verdict::Suspect,
        reasons: vec!["1 of 1000 requests due were never sent".into()],
        url: "http://127.0.0.1:8080/a?b=\"c\\d\"".into(),
        rate_per_second: Some(5000.0),
        connections: 16,
        arrival: Process::Constant,
        pace: Pace::Hybrid,
        seed: 1,
        start_ns: 7_000_000_000,
        duration_ns: 200_000_000,
        end_ns: 7_201_000_000,
        due: 1000,
        sent: 997,
        answered: 995,
        unsent: 1,
        censored: 2,
        outcomes,
        achieved_per_second: 4975.0,
        response_ns: (&measured.response).into(),
        service_ns: (&measured.service).into(),
        lag_ns: Lag { ours: (&lag[0]).into(), theirs: (&lag[1]).into() },
        cpu_seconds: 0.25,
        observed: record::Observed::default(),
        warnings: vec![],
    };
    (summary, measured)
}

/// 20 000 values from 1 ns to 1 s, the same each time.
pub(super) fn over_nine_decades() -> Histogram {
    let mut h = Histogram::new();
    let mut x = 88_172_645_463_325_252u64;
    for i in 0..20_000 {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        h.record(1 + x % 10u64.pow(1 + i % 9));
    }
    h
}

/// A file on a full disk.
pub(super) fn refusing() -> impl io::Write {
    struct Full;
    impl io::Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::StorageFull.into())
        }
    }
    Full
}
