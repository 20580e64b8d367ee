//! A server that stalls for exactly 200 ms: every user of that time must be found in the figures.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use record::{LoadSummary, Phase, Verdict};

use crate::server::{Answer, Server, ok};
use crate::{alone, assert_adds_up, intervals, load, plan};

const RATE: u64 = 1000;
const GAP_NS: u64 = 1_000_000_000 / RATE;
const CONNECTIONS: u32 = 4;
const STALL_NS: u64 = 200_000_000;

/// A server that answers nothing from the arrival of request `first` on for 200 ms, and everything after;
/// with the moment the stall ends.
fn stalling(first: u64) -> (Server, Arc<AtomicU64>) {
    let until = Arc::new(AtomicU64::new(0));
    let shared = Arc::clone(&until);
    let server = Server::start(move |number, at| {
        if number == first {
            shared.store(at + STALL_NS, Ordering::SeqCst);
        }
        match shared.load(Ordering::SeqCst) {
            until if at < until => Answer::At(until, ok()),
            _ => Answer::Whole(ok()),
        }
    });
    (server, until)
}

/// The quantile of exact values: the smallest that so large a share does not exceed.
fn quantile(mut values: Vec<u64>, quantile: f64) -> u64 {
    values.sort_unstable();
    values[(quantile * values.len() as f64).ceil() as usize - 1]
}

/// What a request waits by the definition. One due `d` after the stall began waits `200 ms - d`, one due
/// outside it no time worth the name; with a request each millisecond, 200, 199, ... 1 ms.
fn by_hand(due: u64) -> Vec<u64> {
    (0..due).map(|i| STALL_NS.saturating_sub(i * GAP_NS)).collect()
}

/// The same from the server's own stamps, which know as well how long the queue took to work off: the k-th
/// to arrive is the k-th that was due, and is answered on arrival or at the end of the stall.
fn by_server(server: &Server, start_ns: u64, until_ns: u64) -> Vec<u64> {
    let mut arrivals: Vec<u64> = server.arrivals().into_iter().flatten().collect();
    arrivals.sort_unstable();
    let answered = |at: u64| if at < until_ns && at + STALL_NS >= until_ns { until_ns } else { at };
    let due = |k: usize| start_ns + k as u64 * GAP_NS;
    arrivals.iter().enumerate().map(|(k, at)| answered(*at).saturating_sub(due(k))).collect()
}

fn assert_within(got: u64, want: u64, share: f64, what: &str) {
    assert!((got as f64 - want as f64).abs() <= share * want as f64, "{what}: {got} ns, and should be {want} ns");
}

/// The p99 is the exact one, and the one by hand but for the working off of the queue.
fn assert_p99(s: &LoadSummary, server: &Server, until_ns: u64, ideal_ns: u64) {
    assert_eq!(quantile(by_hand(s.due), 0.99), ideal_ns);
    assert_within(s.response_ns.p99, quantile(by_server(server, s.start_ns, until_ns), 0.99), 0.02, "p99 by stamps");
    // 200 requests are worked off one after the other: this adds a little, and takes nothing away.
    let range = ideal_ns * 98 / 100..ideal_ns * 110 / 100;
    assert!(range.contains(&s.response_ns.p99), "p99 {} ns, by hand {ideal_ns} ns", s.response_ns.p99);
}

#[test]
fn a_stall_of_200_ms_shows_in_full_in_response_time_and_only_on_the_wire_in_service_time() {
    let _alone = alone();
    let (server, until) = stalling(2000);
    let dir = tempfile::tempdir().unwrap();
    let mut plan = plan(&server.url(), RATE as f64, CONNECTIONS, 5000);
    plan.record_to = Some(dir.path().to_owned());
    let s = load(&plan);
    let until_ns = until.load(Ordering::SeqCst);
    assert_adds_up(&s);
    assert_eq!((s.due, s.sent, s.answered), (5000, 5000, 5000));
    // Of 5000 the 50 largest, 200 down to 151 ms, lie above p99: those due in the first 50 ms of the stall.
    assert_p99(&s, &server, until_ns, 150_000_000);
    assert_within(s.response_ns.max, STALL_NS, 0.05, "max");
    // The first four were sent at once and lagged by nothing: of the others the 50 largest begin with 196 ms.
    assert_within(s.lag_ns.theirs.p99, 146_000_000, 0.1, "lag of theirs at p99");
    assert!(s.lag_ns.ours.p99 < s.response_ns.p99 / 10, "ours {}", s.lag_ns.ours.p99);

    // Service time knows of those that were on the wire, one a connection at most.
    let lines = intervals(dir.path());
    let long: u64 = lines.iter().map(|l| l.service.count_above(50_000_000)).sum();
    assert!((1..=u64::from(CONNECTIONS)).contains(&long), "{long} service times over 50 ms");
    let waited: u64 = lines.iter().map(|l| l.response.count_above(50_000_000)).sum();
    assert!((148..=165).contains(&waited), "{waited} responses over 50 ms, by hand 150");
    // A user of the figures is told that connections were short, and that it was not the generator.
    assert_eq!(s.verdict, Verdict::Suspect, "{:?}", s.reasons);
    assert!(s.warnings.iter().any(|w| w.kind == record::WarningKind::ConnectionsExhausted));
    // While it lasted requests fell due as ever and none was answered.
    let stall_ns = until_ns - STALL_NS;
    let inside: Vec<_> = lines
        .iter()
        .filter(|l| l.start_ns > stall_ns + 20_000_000 && l.start_ns + l.length_ns < until_ns)
        .map(|l| (l.phase, l.due, l.outcomes.total()))
        .collect();
    assert!(inside.iter().all(|w| *w == (Phase::Measure, 100, 0)), "{inside:?}");
}

#[test]
fn a_stall_at_the_very_end_is_not_lost() {
    let _alone = alone();
    // The last 100 ms of 2 s stall, and the answers come 100 ms after the end.
    let (server, until) = stalling(1900);
    let s = load(&plan(&server.url(), RATE as f64, CONNECTIONS, 2000));
    assert_adds_up(&s);
    assert_eq!((s.due, s.answered), (2000, 2000));
    // Due in the stall: 100, which wait 200 down to 101 ms. Of 2000 the 20 largest lie above p99.
    assert_p99(&s, &server, until.load(Ordering::SeqCst), 180_000_000);
    assert!(s.achieved_per_second < 960.0, "the last answers came 5 % late: {}", s.achieved_per_second);
}
