//! The generator itself: arrivals as the server sees them, and a stop of the generator that it must own up to.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use load_gen::{Arrivals, Draw, Profile};
use record::{LoadSummary, Pace, TrialDirectory, Verdict, WarningKind};

use crate::server::{Answer, Server, ok};
use crate::witness::{HELD_UP_NS, quantile, witnessed};
use crate::{alone, assert_adds_up, intervals, load, plan, together};

const TARGET: &str = "LOAD_GEN_TEST_TARGET";
const RECORD: &str = "LOAD_GEN_TEST_RECORD";
/// How many connections the child has.
const CONNECTIONS: &str = "LOAD_GEN_TEST_CONNECTIONS";

fn sorted_arrivals(server: &Server) -> Vec<u64> {
    let mut all: Vec<u64> = server.arrivals().into_iter().flatten().collect();
    all.sort_unstable();
    all
}

#[test]
fn every_pace_sends_what_is_due_and_no_request_before_its_time() {
    let _together = together();
    for pace in Pace::ALL {
        let server = Server::start(|_, _| Answer::Whole(ok()));
        let mut plan = plan(&server.url(), 500.0, 4, 500);
        plan.pace = *pace;
        let s = load(&plan);
        assert_adds_up(&s);
        assert_eq!((s.due, s.answered, s.pace), (250, 250, *pace));
        // The k-th arrival is not before the k-th due time.
        let arrivals = sorted_arrivals(&server);
        assert!(arrivals.iter().enumerate().all(|(k, at)| *at >= s.start_ns + k as u64 * 2_000_000), "{pace}");
    }
}

#[test]
fn a_poisson_load_sends_the_times_its_seed_draws() {
    let _together = together();
    let server = Server::start(|_, _| Answer::Whole(ok()));
    let mut plan = plan(&server.url(), 400.0, 16, 1000);
    plan.arrivals = Arrivals::Open { draw: Draw::Poisson, profile: Profile::Flat(400.0) };
    plan.seed = 11;
    let s = load(&plan);
    assert_adds_up(&s);
    let mut schedule = load_gen::schedule::Schedule::new(&plan.arrivals, 0, 1_000_000_000, 11);
    let due: Vec<u64> =
        std::iter::repeat_with(|| schedule.next_offset_ns()).take_while(|o| *o < 1_000_000_000).collect();
    let arrivals = sorted_arrivals(&server);
    assert_eq!((s.due as usize, arrivals.len()), (due.len(), due.len()));
    assert!(arrivals.iter().zip(&due).all(|(at, due)| *at >= s.start_ns + due));
    // And not later than the generator says, whatever else the machine does.
    let late = arrivals.iter().zip(&due).filter(|(at, due)| **at > s.start_ns + *due + s.response_ns.max);
    assert_eq!(late.count(), 0);
}

/// Not a test of its own: the generator in a process that another test can stop.
#[test]
fn generator_as_a_child() {
    let (Ok(url), Ok(dir)) = (std::env::var(TARGET), std::env::var(RECORD)) else { return };
    let connections = std::env::var(CONNECTIONS).unwrap().parse().unwrap();
    let mut plan = plan(&url, 1000.0, connections, 3000);
    plan.record_to = Some(dir.into());
    plan.request_timeout = Duration::from_secs(1);
    plan.drain = Duration::from_secs(2);
    load(&plan);
}

fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, signal).unwrap();
}

/// Loads over eight connections, or so many, from a child, which is stopped for so long once the server has seen a thousand
/// requests.
fn stopped_for(length: Duration, server: &Server, dir: &std::path::Path) -> (LoadSummary, u64) {
    stopped_with(8, length, server, dir)
}

fn stopped_with(connections: u32, length: Duration, server: &Server, dir: &std::path::Path) -> (LoadSummary, u64) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "generator::generator_as_a_child"])
        .env(TARGET, server.url())
        .env(RECORD, dir)
        .env(CONNECTIONS, connections.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    while server.requests() < 1000 {
        assert!(child.try_wait().unwrap().is_none(), "the child ended before its time");
        std::thread::sleep(Duration::from_millis(1));
    }
    let before = record::monotonic_ns();
    signal(&child, rustix::process::Signal::STOP);
    std::thread::sleep(length);
    signal(&child, rustix::process::Signal::CONT);
    let stopped_ns = record::monotonic_ns() - before;
    let status = child.wait().unwrap();
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(status.success(), "{said}");
    (TrialDirectory::at(dir).load().unwrap(), stopped_ns)
}

#[test]
fn a_stop_of_the_generator_is_its_own_lag_and_spoils_the_verdict() {
    let _alone = alone();
    let server = Server::start(|_, _| Answer::Whole(ok()));
    let dir = tempfile::tempdir().unwrap();
    let ((s, stopped_ns), held_up_ns) = witnessed(|| stopped_for(Duration::from_millis(500), &server, dir.path()));
    assert_adds_up(&s);
    assert_eq!((s.due, s.answered), (3000, 3000));
    // The k-th to arrive is the k-th that was due: the server knows how long the stop lasted for them.
    let arrivals = sorted_arrivals(&server);
    let mut quiet: Vec<u64> = arrivals.windows(2).map(|w| w[1] - w[0]).filter(|ns| *ns > HELD_UP_NS).collect();
    quiet.sort_unstable();
    // The longest is the stop.
    let held_up_ns = held_up_ns + quiet.iter().rev().skip(1).sum::<u64>();
    let since_due = |(k, at): (usize, &u64)| at.saturating_sub(s.start_ns + k as u64 * 1_000_000);
    let by_stamps = quantile(arrivals.iter().enumerate().map(since_due).collect(), 0.99);
    // 500 of 3000 fell due in the stop and waited 500 ms and less: above p99 lie 30, so p99 is 470 ms.
    let by_hand = stopped_ns - 30_000_000 - held_up_ns;
    let (p99, ours, theirs) = (s.response_ns.p99, s.lag_ns.ours.p99, s.lag_ns.theirs.p99);
    assert!(p99 >= by_stamps.max(by_hand) * 95 / 100, "p99 {p99} ns, by stamps {by_stamps}, by hand {by_hand}");
    assert!(p99 <= by_stamps * 105 / 100 + held_up_ns, "p99 {p99} ns, by stamps {by_stamps}, held up {held_up_ns}");
    // It sends at once when it goes on: what the stamps show beyond the stop would be its own slowness.
    let at_once = (stopped_ns - 30_000_000) * 105 / 100 + held_up_ns;
    assert!(p99 <= at_once, "p99 {p99} ns, stopped for {stopped_ns}, held up {held_up_ns}");
    assert!(ours > by_hand * 9 / 10, "ours {:?}, held up {held_up_ns}", s.lag_ns);
    assert!(theirs < p99 / 10 + held_up_ns, "theirs {:?}, held up {held_up_ns}", s.lag_ns);
    // The target was never slow, and the figures say so.
    assert!(s.service_ns.p90 < 100_000_000 + held_up_ns, "{:?}, held up {held_up_ns}", s.service_ns);
    assert_eq!(s.verdict, Verdict::Invalid);
    assert!(s.warnings.iter().any(|w| w.kind == WarningKind::GeneratorLagged), "{:?}", s.warnings);
    // Requests are due by the plan while the generator is away: 100 in each window.
    let lines = intervals(dir.path());
    assert!(lines.iter().take(30).all(|l| l.due == 100), "{:?}", lines.iter().map(|l| l.due).collect::<Vec<_>>());
}

#[test]
fn what_a_generator_did_not_send_because_it_was_stopped_to_the_end_is_its_own_lag() {
    let _alone = alone();
    let server = Server::start(|_, _| Answer::Whole(ok()));
    let dir = tempfile::tempdir().unwrap();
    // Two of three seconds are left, and two for late answers.
    let (s, _) = stopped_for(Duration::from_millis(4500), &server, dir.path());
    assert_adds_up(&s);
    assert!(s.due == 3000 && s.unsent > 1500, "{s:?}");
    let kept_back = s.observed.kept_back.unwrap();
    assert!(kept_back.requests.abs_diff(s.unsent) <= 8, "{kept_back:?} of {}", s.unsent);
    assert!((3_500_000_000..9_000_000_000).contains(&kept_back.longest_ns), "{kept_back:?}");
    assert_eq!(s.verdict, Verdict::Invalid);
    // By what it kept back, or by the lag of the few that it sent at once when it went on, where they make up a hundredth.
    let lagged = s.warnings.iter().find(|w| w.kind == WarningKind::GeneratorLagged);
    assert!(lagged.is_some_and(|w| w.evidence.starts_with("the generator itself was late")), "{:?}", s.warnings);
}

#[test]
fn answers_that_came_while_it_was_stopped_were_there_for_who_was_not() {
    let _alone = alone();
    // 400 of 1000 a second are as many as 8 connections take: none of them is free when it is stopped.
    let server = Server::start(|_, at| Answer::At(at + 20_000_000, ok()));
    let dir = tempfile::tempdir().unwrap();
    let (s, _) = stopped_for(Duration::from_millis(4500), &server, dir.path());
    assert_adds_up(&s);
    // What waited when it was stopped had waited for half a second or so, and for no connection in the four seconds since.
    let kept_back = s.observed.kept_back.unwrap_or_else(|| panic!("{s:?}"));
    assert!(s.unsent > 1000 && kept_back.requests.abs_diff(s.unsent) <= 8, "{kept_back:?} of {}", s.unsent);
    assert_eq!(s.verdict, Verdict::Invalid);
    assert!(s.warnings.iter().any(|w| w.kind == WarningKind::GeneratorLagged), "{:?}", s.warnings);
}

#[test]
fn answers_that_came_in_time_while_it_was_stopped_are_no_timeouts_however_many_there_are() {
    let _alone = alone();
    // 400 are on the way when it is stopped: more than it takes from the kernel at once.
    let server = Server::start(|_, at| Answer::At(at + 400_000_000, ok()));
    let dir = tempfile::tempdir().unwrap();
    // For longer than an answer may take.
    let (s, _) = stopped_with(500, Duration::from_millis(1200), &server, dir.path());
    assert_adds_up(&s);
    assert_eq!((s.outcomes.timed_out, s.answered), (0, s.due), "{s:?}");
}
