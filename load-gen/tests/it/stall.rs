//! A server that stalls for exactly 200 ms: every user of that time must be found in the figures.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use record::{LoadSummary, Phase, Verdict, WarningKind};

use crate::server::{Answer, Server, ok};
use crate::witness::{HELD_UP_NS, quantile, witnessed};
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

/// What a request waits by the definition. One due `d` after the stall began waits `200 ms - d`, one due
/// outside it no time worth the name; with a request each millisecond, 200, 199, ... 1 ms.
fn by_hand(due: u64) -> Vec<u64> {
    (0..due).map(|i| STALL_NS.saturating_sub(i * GAP_NS)).collect()
}

/// What the server's own stamps say of a request, in nanoseconds from when it was due. They know how long the queue
/// took to work off, and of whatever else held this machine up.
struct Seen {
    /// When it arrived.
    lag: u64,
    /// When it had an answer at the earliest: on arrival, or at the end of the stall.
    least: u64,
    /// When it had one at the latest: its connection carried the next request, or the load was over.
    most: u64,
}

/// When requests arrived, by the server's own stamps.
struct Stamps {
    until_ns: u64,
    start_ns: u64,
    /// Of each connection, with the start of the load before and its end behind.
    connections: Vec<Vec<u64>>,
}

impl Stamps {
    fn of(server: &Server, s: &LoadSummary, until: &AtomicU64) -> Self {
        let within = |arrivals: Vec<u64>| [&[s.start_ns][..], &arrivals[..], &[s.end_ns][..]].concat();
        Self {
            until_ns: until.load(Ordering::SeqCst),
            start_ns: s.start_ns,
            connections: server.arrivals().into_iter().map(within).collect(),
        }
    }

    /// All requests: the k-th to arrive is the k-th that was due.
    fn requests(&self) -> Vec<Seen> {
        let pairs = self.connections.iter().flat_map(|c| c[1..].windows(2));
        let mut all: Vec<(u64, u64)> = pairs.map(|w| (w[0], w[1])).collect();
        all.sort_unstable();
        let seen = |(k, (at, next)): (usize, (u64, u64))| {
            let since_due = |ns: u64| ns.saturating_sub(self.start_ns + k as u64 * GAP_NS);
            let stalled = at < self.until_ns && at + STALL_NS >= self.until_ns;
            let answered = if stalled { self.until_ns } else { at };
            Seen { lag: since_due(at), least: since_due(answered), most: since_due(next) }
        };
        all.into_iter().enumerate().map(seen).collect()
    }

    /// How much of the time between two stamps lies outside the stall.
    fn outside(&self, from_ns: u64, to_ns: u64) -> u64 {
        let stalled = to_ns.min(self.until_ns).saturating_sub(from_ns.max(self.until_ns - STALL_NS));
        (to_ns - from_ns).saturating_sub(stalled)
    }

    /// For how long nothing arrived though the server did not stall, all in all.
    fn quiet_ns(&self) -> u64 {
        let mut all = self.connections.concat();
        all.sort_unstable();
        all.windows(2).map(|w| self.outside(w[0], w[1])).filter(|ns| *ns > HELD_UP_NS).sum()
    }

    /// Requests that may have been held up on the wire for so long: at most one for each time that a connection
    /// carried no other.
    fn held_on_the_wire(&self, ns: u64) -> u64 {
        let pairs = self.connections.iter().flat_map(|c| c.windows(2));
        pairs.filter(|w| self.outside(w[0], w[1]) > ns).count() as u64
    }
}

/// Between the two, give or take so large a share of them.
#[track_caller]
fn assert_between(got: u64, least: u64, most: u64, share: f64, what: &str) {
    let range = least as f64 * (1.0 - share)..=most as f64 * (1.0 + share);
    assert!(range.contains(&(got as f64)), "{what}: {got} ns, and should be {least} to {most} ns");
}

/// The p99 is the exact one, and no less than the one by hand: that the queue is worked off adds a little, and takes
/// nothing away.
#[track_caller]
fn assert_p99(s: &LoadSummary, requests: &[Seen], ideal_ns: u64) {
    assert_eq!(quantile(by_hand(s.due), 0.99), ideal_ns);
    let p99 = |of: fn(&Seen) -> u64| quantile(requests.iter().map(of).collect(), 0.99);
    assert_between(s.response_ns.p99, p99(|r| r.least), p99(|r| r.most), 0.02, "p99 by stamps");
    assert!(s.response_ns.p99 >= ideal_ns * 98 / 100, "p99 {} ns, by hand {ideal_ns} ns", s.response_ns.p99);
}

#[test]
fn a_stall_of_200_ms_shows_in_full_in_response_time_and_only_on_the_wire_in_service_time() {
    let _alone = alone();
    let (server, until) = stalling(2000);
    let dir = tempfile::tempdir().unwrap();
    let mut plan = plan(&server.url(), RATE as f64, CONNECTIONS, 5000);
    plan.record_to = Some(dir.path().to_owned());
    // In the stall nothing else would tell: there is nothing to arrive.
    let (s, held_up_ns) = witnessed(|| load(&plan));
    assert_adds_up(&s);
    assert_eq!((s.due, s.sent, s.answered), (5000, 5000, 5000));
    let stamps = Stamps::of(&server, &s, &until);
    let (requests, until_ns) = (stamps.requests(), stamps.until_ns);
    let held_up_ns = held_up_ns.max(stamps.quiet_ns());
    // Of 5000 the 50 largest, 200 down to 151 ms, lie above p99: those due in the first 50 ms of the stall.
    assert_p99(&s, &requests, 150_000_000);
    let longest = requests.iter().map(|r| r.most).max().unwrap();
    assert_between(s.response_ns.max, STALL_NS, longest, 0.05, "max");
    // The first four were sent at once and lagged by nothing: of the others the 50 largest begin with 196 ms. For as
    // long as it was held up, the generator takes that upon itself.
    let (ours, theirs) = (s.lag_ns.ours.p99, s.lag_ns.theirs.p99);
    let lag = quantile(requests.iter().map(|r| r.lag).collect(), 0.99);
    assert!(theirs + held_up_ns >= 146_000_000 * 9 / 10, "lag of theirs {theirs}, held up for {held_up_ns}");
    assert!(theirs <= lag * 102 / 100, "lag of theirs {theirs}, and of both {lag}");
    assert!(ours < (s.response_ns.p99 / 10).max(held_up_ns), "ours {ours}, held up for {held_up_ns}");

    // Service time knows of those that were on the wire, one a connection at most.
    let lines = intervals(dir.path());
    let long: u64 = lines.iter().map(|l| l.service.count_above(50_000_000)).sum();
    let on_the_wire = u64::from(CONNECTIONS) + stamps.held_on_the_wire(25_000_000);
    assert!((1..=on_the_wire).contains(&long), "{long} service times over 50 ms");
    let waited: u64 = lines.iter().map(|l| l.response.count_above(50_000_000)).sum();
    let over_50_ms = |of: fn(&Seen) -> u64| requests.iter().filter(|r| of(r) > 50_000_000).count() as u64;
    let (least, most) = (over_50_ms(|r| r.least), over_50_ms(|r| r.most));
    assert!(waited >= 148, "{waited} responses over 50 ms, by hand 150");
    let near = least.saturating_sub(CONNECTIONS.into())..=most + u64::from(CONNECTIONS);
    assert!(near.contains(&waited), "{waited} responses over 50 ms, by the server's stamps {least} to {most}");
    // A user of the figures is told that connections were short, and that it was not the generator; unless it was.
    let told = |kind| s.warnings.iter().any(|w| w.kind == kind);
    let late = ours > s.response_ns.p99 / 10;
    assert_eq!(told(WarningKind::GeneratorLagged), late, "{:?}", s.reasons);
    assert!(told(WarningKind::ConnectionsExhausted) || held_up_ns > STALL_NS / 2, "{:?}", s.reasons);
    assert!(s.verdict == Verdict::Suspect || (late && s.verdict == Verdict::Invalid), "{:?}", s.reasons);
    // While it lasted requests fell due as ever and none was answered.
    let stall_ns = until_ns - STALL_NS;
    let inside: Vec<_> = lines
        .iter()
        .filter(|l| l.start_ns > stall_ns + 20_000_000 + held_up_ns && l.start_ns + l.length_ns < until_ns)
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
    assert_p99(&s, &Stamps::of(&server, &s, &until).requests(), 180_000_000);
    assert!(s.achieved_per_second < 960.0, "the last answers came 5 % late: {}", s.achieved_per_second);
}
