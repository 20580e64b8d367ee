//! Which figures raise which doubt, and how grave it is.

use super::*;
use crate::Plan;
use crate::summary::summarise;
use crate::worker::Finish;
use record::{Interval, Outcome, Phase};

/// A thousand requests in a second: so many answered, the rest as told; then changed.
fn judged(answered: u64, rest: Option<Outcome>, change: impl FnOnce(&mut LoadSummary)) -> LoadSummary {
    let mut total = Interval::empty(Phase::Measure, 0, 1_000_000_000);
    total.due = 1000;
    total.sent = 1000;
    for i in 0..1000 {
        total.response.record(1_000_000);
        total.service.record(900_000);
        total.lag_ours.record(50_000);
        total.lag_theirs.record(0);
        total.outcomes.count(if i < answered { Outcome::Answered(200) } else { rest.unwrap() });
    }
    let finish = Finish {
        measured_ns: 1_000_000_000,
        last_done_ns: 0,
        answered_in_time: answered,
        stopped: false,
        tally: crate::tally::Tally::default(),
    };
    let plan = Plan::new("http://h/", 1000.0, 4, std::time::Duration::from_secs(1));
    let mut s = summarise(&plan, 0, &total, &finish, 0.1, record::Observed::default()).unwrap();
    assert_eq!(s.achieved_per_second, answered as f64);
    change(&mut s);
    judge(&mut s, false);
    s
}

fn kinds(s: &LoadSummary) -> Vec<WarningKind> {
    s.warnings.iter().map(|w| w.kind).collect()
}

#[test]
fn a_clean_load_is_valid_and_has_no_reason_not_to_be() {
    let s = judged(1000, None, |_| {});
    assert_eq!((s.verdict, s.reasons.len(), s.warnings.len()), (Verdict::Valid, 0, 0));
}

#[test]
fn what_was_not_sent_though_it_could_be_is_the_generators() {
    for (requests, longest_ns, want) in [
        (0, 0, None),
        (1, 900_000_000, Some(Verdict::Suspect)),
        (10, 900_000_000, Some(Verdict::Invalid)),
        (1000, 100_000, None),
    ] {
        let s = judged(1000, None, |s| s.observed.kept_back = Some(record::KeptBack { requests, longest_ns }));
        let lagged = kinds(&s) == [WarningKind::GeneratorLagged];
        assert_eq!(lagged.then_some(s.verdict), want, "{requests} for {longest_ns}");
    }
}

#[test]
fn the_generators_own_lag_is_judged_by_its_share_and_by_a_floor() {
    for (lag, response, want) in [
        (200_000, 300_000, Verdict::Valid),   // most of it, but within the floor
        (300_000, 3_000_000, Verdict::Valid), // a tenth
        (300_001, 3_000_000, Verdict::Suspect),
        (900_000, 1_000_000, Verdict::Suspect), // most of it, but within a millisecond
        (1_500_001, 3_000_000, Verdict::Invalid),
        (100_000_000, 110_000_000, Verdict::Invalid),
    ] {
        let s = judged(1000, None, |s| (s.lag_ns.ours.p99, s.response_ns.p99) = (lag, response));
        assert_eq!(s.verdict, want, "{lag} of {response}");
        let lagged = want != Verdict::Valid;
        assert_eq!(kinds(&s), if lagged { vec![WarningKind::GeneratorLagged] } else { vec![] });
        assert_eq!(s.reasons.len(), usize::from(lagged));
    }
}

#[test]
fn waiting_for_connections_is_a_doubt_of_its_own() {
    let s = judged(1000, None, |s| s.lag_ns.theirs.p99 = 500_000);
    assert_eq!((s.verdict, kinds(&s)), (Verdict::Suspect, vec![WarningKind::ConnectionsExhausted]));
}

#[test]
fn few_failures_are_a_doubt_and_many_spoil_the_figures() {
    for (answered, outcome, kind) in [
        (999, Outcome::Reset, WarningKind::RequestsFailed),
        (999, Outcome::TimedOut, WarningKind::RequestsFailed),
        (999, Outcome::ConnectFailed, WarningKind::RequestsFailed),
        (999, Outcome::Answered(503), WarningKind::RequestsFailed),
        (999, Outcome::CutByDeadline, WarningKind::Censored),
    ] {
        let mut one = judged(1000, None, |_| {});
        one.outcomes.answered.insert(200, answered);
        one.outcomes.count(outcome);
        one.censored = one.outcomes.cut_by_deadline;
        judge(&mut one, false);
        assert_eq!((one.verdict, kinds(&one)), (Verdict::Suspect, vec![kind]), "{outcome:?}");
    }
    let half = judged(500, Some(Outcome::Reset), |_| {});
    assert_eq!(half.verdict, Verdict::Invalid);
    assert_eq!(half.reasons, ["of 1000 requests 500 were reset"]);
}

#[test]
fn requests_that_were_never_sent_are_named() {
    let s = judged(1000, None, |s| (s.unsent, s.censored) = (50, 50));
    assert_eq!((s.verdict, kinds(&s)), (Verdict::Suspect, vec![WarningKind::RateNotReached, WarningKind::Censored]));
    let s = judged(1000, None, |s| (s.unsent, s.censored) = (500, 500));
    assert_eq!(s.verdict, Verdict::Invalid);
}

#[test]
fn a_stop_is_said_and_an_empty_phase_is_worth_nothing() {
    let mut s = judged(1000, None, |_| {});
    judge(&mut s, true);
    assert_eq!(
        (s.verdict, s.reasons.as_slice()),
        (Verdict::Suspect, &["it was stopped after 1.0 s of the measured phase".to_owned()][..])
    );
    let s = judged(1000, None, |s| s.due = 0);
    assert_eq!(s.verdict, Verdict::Invalid);
}

#[test]
fn only_what_can_account_for_the_lag_is_named_as_its_cause() {
    let used = |run_delay_ns| record::ThreadUse {
        cpu: None,
        cpu_seconds: 0.2,
        run_delay_ns: record::Reading::Seen(run_delay_ns),
        elapsed_ns: 1_000_000_000,
    };
    let reason = |run_delay_ns, ticks| {
        let late = |s: &mut LoadSummary| {
            (s.lag_ns.ours.p99, s.lag_ns.ours.max, s.response_ns.p99) = (400_000_000, 500_000_000, 410_000_000);
            s.observed.threads = vec![used(run_delay_ns)];
            s.observed.steal_ticks = record::Reading::Seen(ticks);
        };
        judged(1000, None, late).reasons.remove(0)
    };
    assert!(reason(20_000_000, 3).contains("leaves no trace"), "20 ms do not make 500");
    let queue = reason(700_000_000, 3);
    assert!(queue.contains("waited 700.000 ms in the run queue") && !queue.contains("hypervisor"), "{queue}");
    assert!(reason(0, 60).contains("the hypervisor took 600.000 ms"));
}
