//! What a person is told of a load.

use super::*;

fn summary() -> LoadSummary {
    let q = Quantiles { p50: 1_000_000, p90: 2_000_000, p99: 3_500_000, p999: 40_000_000, max: 500_000_000 };
    let mut outcomes = Outcomes { reset: 2, ..Outcomes::default() };
    outcomes.answered.insert(200, 997);
    LoadSummary {
        schema: 1,
        method: 1,
        verdict: Verdict::Suspect,
        reasons: vec!["of 1000 requests 2 were reset".into()],
        url: "http://h:1/".into(),
        rate_per_second: Some(100.0),
        connections: 4,
        arrival: record::Process::Constant,
        pace: record::Pace::Hybrid,
        seed: 1,
        start_ns: 5,
        duration_ns: 10_000_000_000,
        end_ns: 6,
        due: 1000,
        sent: 999,
        answered: 997,
        unsent: 1,
        censored: 1,
        outcomes,
        achieved_per_second: 99.7,
        response_ns: q,
        service_ns: q,
        lag_ns: record::Lag { ours: q, theirs: q },
        cpu_seconds: 0.05,
        observed: record::Observed::default(),
        warnings: vec![record::Warning::new(
            record::WarningKind::RequestsFailed,
            "of 1000 requests 2 were reset",
            "look at the log",
        )],
    }
}

#[test]
fn the_table_says_what_a_newcomer_needs() {
    let said = text(&summary());
    for line in [
        "100 requests/s (constant arrivals, hybrid pace) over 4 connections for 10s\n",
        "  outcomes   997 with status 200, 2 reset, 1 never sent\n",
        "  achieved   99.7 answers/s\n",
        "  own CPU    0.05 s\n",
        "  response time      1.000     2.000     3.500    40.000   500.000   from when it was due: what a user waits\n",
        "  verdict    suspect: ",
        "    - of 1000 requests 2 were reset\n      try: look at the log\n",
    ] {
        assert!(said.contains(line), "{line:?} is missing in\n{said}");
    }
    assert!(said.lines().all(|l| l.chars().count() <= 112), "{said}");
}
