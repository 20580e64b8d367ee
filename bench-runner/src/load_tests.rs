//! What `meshtax load` takes, refuses and prints.

use super::*;
use clap::Parser as _;

#[derive(Debug, clap::Parser)]
struct Alone {
    #[command(flatten)]
    args: Args,
}

fn parse(flags: &[&str]) -> Result<Args, String> {
    let all = ["load", "http://h:1/"].iter().chain(flags);
    Alone::try_parse_from(all).map(|a| a.args).map_err(|e| e.to_string())
}

#[test]
fn flags_become_the_plan() {
    let flags = "--rate 500 --connections 8 --duration 1m --warm-up 500ms --arrival poisson --pace economy --seed 9 \
                 --connect-timeout 1s --request-timeout 3s --drain 0 --backlog 7 --keep-slow 2 --record /d --host h2";
    let plan = parse(&flags.split_whitespace().collect::<Vec<_>>()).unwrap().plan();
    let seconds = Duration::from_secs;
    assert_eq!((plan.url.as_str(), plan.rate_per_second, plan.connections), ("http://h:1/", 500.0, 8));
    assert_eq!((plan.duration, plan.warm_up, plan.drain), (seconds(60), Duration::from_millis(500), Duration::ZERO));
    assert_eq!((plan.arrival, plan.pace, plan.seed), (Arrival::Poisson, Pace::Economy, 9));
    assert_eq!((plan.connect_timeout, plan.request_timeout), (seconds(1), seconds(3)));
    assert_eq!((plan.backlog, plan.keep_slow), (7, 2));
    assert_eq!((plan.record_to, plan.host.as_deref()), (Some("/d".into()), Some("h2")));
}

#[test]
fn what_is_left_out_is_what_the_library_says() {
    let (ours, theirs) =
        (parse(&["--rate", "1"]).unwrap().plan(), Plan::new("http://h:1/", 1.0, 16, Duration::from_secs(10)));
    assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
}

#[test]
fn values_that_make_no_load_are_refused_by_flag_with_a_way_out() {
    for (flags, flag, way_out) in [
        (&["--rate", "0"][..], "--rate", "such as 500"),
        (&["--rate", "-1"], "--rate", "such as 500"),
        (&["--rate", "NaN"], "--rate", "such as 500"),
        (&["--rate", "inf"], "--rate", "such as 500"),
        (&["--rate", "fast"], "--rate", "such as 500"),
        (&["--rate", "max"], "--rate", "cannot be searched for yet"),
        (&["--rate", "1", "--connections", "0"], "--connections", "such as 16"),
        (&["--rate", "1", "--connections", "-3"], "--connections", "such as 16"),
        (&["--rate", "1", "--duration", "0s"], "--duration", "such as 10s"),
        (&["--rate", "1", "--duration", "10"], "--duration", "write a time as 10s"),
        (&["--rate", "1", "--request-timeout", "0"], "--request-timeout", "such as 10s"),
        (&["--rate", "1", "--arrival", "bursts"], "--arrival", "constant, poisson"),
        (&["--rate", "1", "--backlog", "0"], "--backlog", "1.."),
        (&[], "--rate", "required"),
    ] {
        let said = parse(flags).unwrap_err();
        assert!(said.contains(flag) && said.contains(way_out), "{flags:?}: {said}");
    }
}

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
        rate_per_second: 100.0,
        connections: 4,
        arrival: Arrival::Constant,
        pace: Pace::Hybrid,
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
