//! Loads against a server that misbehaves on purpose, in a known way at a known time.

// Helpers of tests may panic as tests may: it is the report.
#![allow(clippy::unwrap_used)]

mod arms;
mod bad;
mod books;
mod failures;
mod generator;
mod grpc;
mod h2;
mod h2_server;
mod raw;
mod server;
mod stall;
mod tls;
mod tls_server;
mod witness;

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use load_gen::{Arrivals, Plan};
use record::{Interval, Lines, LoadSummary, SlowRequest, TrialDirectory};

/// Tests that look at times hold this alone, the others together: two loads at once on a small machine would
/// measure one another.
static MACHINE: RwLock<()> = RwLock::new(());

/// For a test whose figures are times. One that failed does not spoil the next.
fn alone() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().unwrap_or_else(PoisonError::into_inner)
}

/// For a test that only counts.
fn together() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().unwrap_or_else(PoisonError::into_inner)
}

/// A load that nobody stops.
fn load(plan: &Plan) -> LoadSummary {
    load_gen::run(plan, &AtomicBool::new(false)).unwrap()
}

/// A plan with short patience, so that a test that fails does so soon.
fn plan(url: &str, rate: f64, connections: u32, duration_ms: u64) -> Plan {
    let mut plan = Plan::new(url, rate, connections, Duration::from_millis(duration_ms));
    plan.drain = Duration::from_secs(5);
    plan
}

/// A timeout that is to pass, and of more than a second: for so long a machine may be held up while other requests are
/// to be answered within it.
const TIMEOUT: Duration = Duration::from_millis(1500);

/// Four requests at once over four connections, and four more so long after that what became of the connections has
/// been seen before, even by a process that is held up for a second.
fn four_and_four(url: &str) -> Plan {
    const LATER: u64 = 1_500_000_000;
    let mut plan = plan(url, 1.0, 4, 1600);
    plan.arrivals = Arrivals::Replay([0, 0, 0, 0, LATER, LATER, LATER, LATER].into());
    plan
}

/// Whether it comes to hold within ten seconds: what a server counts it may count after the load has ended.
fn comes_true(holds: impl Fn() -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(10);
    while !holds() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(1));
    }
    holds()
}

/// The intervals a load left.
fn intervals(dir: &Path) -> Vec<Interval> {
    Lines::open(&TrialDirectory::at(dir).intervals_path()).unwrap().map(Result::unwrap).collect()
}

/// The slow requests a load left.
fn slow(dir: &Path) -> Vec<SlowRequest> {
    Lines::open(&TrialDirectory::at(dir).slow_path()).unwrap().map(Result::unwrap).collect()
}

/// What must hold of every summary, whatever happened.
fn assert_adds_up(s: &LoadSummary) {
    assert_eq!(s.due, s.answered + s.outcomes.failed() + s.censored, "{s:?}");
    assert_eq!(s.censored, s.unsent + s.outcomes.cut_by_deadline, "{s:?}");
    assert_eq!(s.due, s.sent + s.unsent + s.outcomes.connect_failed, "{s:?}");
}
