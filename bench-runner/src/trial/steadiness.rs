//! Whether the ground of a trial was steady: the time of day was not set, no proxy lost a worker, and the runner, or the hand
//! of an agent, looked after the chain all the time.

use std::time::{Duration, Instant};

use record::{ClockAnchor, Shift, Warning, WarningKind};

/// By how much the two clocks may come apart: what NTP slews in a trial is less, and a smaller step matters to nobody.
const STEP_NS: i128 = 100_000_000;

/// How long the chain may be left alone, or a load let wait. Whoever looks after it does so every 20 ms.
const LEFT_ALONE: Duration = Duration::from_secs(1);

/// What is noted while a trial is made.
#[derive(Debug)]
pub(crate) struct Steadiness {
    begun: ClockAnchor,
    last: Instant,
    longest: Duration,
}

impl Steadiness {
    /// Begins now, with the clocks as they were read at the start of the trial.
    pub(crate) fn begin(begun: ClockAnchor) -> Self {
        Self { begun, last: Instant::now(), longest: Duration::ZERO }
    }

    /// The runner looks after the chain, now.
    pub(crate) fn look(&mut self) {
        let now = Instant::now();
        self.longest = self.longest.max(now - self.last);
        self.last = now;
    }

    /// What is doubted, with the clocks as they are at the end; `who` looked.
    pub(crate) fn doubts(&self, who: &str, ended: ClockAnchor) -> Vec<Warning> {
        clock_step(self.begun, ended).into_iter().chain(self.left_alone(who)).collect()
    }

    /// Whether what fell due came late.
    pub(crate) fn left_alone(&self, who: &str) -> Option<Warning> {
        left_alone(who, self.longest)
    }
}

/// Whether a machine's time of day was set between two looks at its clocks.
pub(crate) fn clock_step(begun: ClockAnchor, ended: ClockAnchor) -> Option<Warning> {
    let apart = |at: ClockAnchor| i128::from(at.realtime_ns) - i128::from(at.monotonic_ns);
    let step = apart(ended) - apart(begun);
    if step.abs() < STEP_NS {
        return None;
    }
    let way = if step < 0 { "back" } else { "forward" };
    Some(Warning::new(
        WarningKind::ClockStepped,
        format!("the time of day was set {way} by {:.1} s while the trial was made", step.abs() as f64 / 1e9),
        "no figure is made of it, but times of day are those of before, and certificates may have been out of their time; \
         see who sets the clock",
    ))
}

fn left_alone(who: &str, longest: Duration) -> Option<Warning> {
    (longest >= LEFT_ALONE).then(|| {
        Warning::new(
            WarningKind::RunnerLate,
            format!("{who} did not look after the chain for {:.1} s", longest.as_secs_f64()),
            "what was due meanwhile (shifts, rotations, scrapes) came late; do not stop it, and leave it some CPU",
        )
    })
}

/// Whether the load began long after it was let go, as when its generator stood still or had thousands of connections to open.
/// What it measured is as good as ever; what was timed to it was not.
pub(crate) fn begun_late(let_go_ns: u64, begun_ns: u64) -> Option<Warning> {
    let late = Duration::from_nanos(begun_ns.saturating_sub(let_go_ns));
    (late >= LEFT_ALONE).then(|| {
        Warning::new(
            WarningKind::GeneratorLagged,
            format!("the load began {:.1} s after it was let go", late.as_secs_f64()),
            "shifts, rotations and the other trial of a duet came so much too early for it; leave the generator some CPU, \
             or give it fewer connections to open",
        )
    })
}

/// Shifts of the weights that had not been made when the load ended, by whoever was to make them.
pub(crate) fn unmade(who: &str, shifts: &[Shift]) -> Option<Warning> {
    let first = shifts.first()?;
    let shifts = match shifts {
        [_] => "a shift".to_owned(),
        several => format!("{} shifts, the first", several.len()),
    };
    Some(Warning::new(
        WarningKind::RunnerLate,
        format!(
            "{who} had not made {shifts} to {} due {:.1} s into the measured phase, when the load ended",
            first.weights,
            first.at_ns as f64 / 1e9
        ),
        "the split stayed what it was before; do not stop it, leave it some CPU, and make the trial again",
    ))
}

/// A doubt of a machine, as one of several tells it.
pub(crate) fn on(place: &str, doubt: Warning) -> Warning {
    Warning { evidence: format!("on {place} {}", doubt.evidence), ..doubt }
}

/// Workers of proxies that were there at the start and are not at the end: their proxies go on with others, and nobody would
/// know of the requests and the CPU time that went with them.
pub(crate) fn lost_workers(before: &[(String, u32)], after: &[(String, u32)]) -> Option<Warning> {
    let lost: Vec<String> = before
        .iter()
        .filter(|worker| !after.contains(worker))
        .map(|(proxy, pid)| format!("{pid} of {proxy}"))
        .collect();
    (!lost.is_empty()).then(|| {
        Warning::new(
            WarningKind::WorkerLost,
            format!("workers of proxies ended while the trial was made: {}", lost.join(", ")),
            "their CPU time is in no figure, and their connections broke; see the logs of the trial, and make it again",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn at(monotonic_s: u64, realtime_s: u64) -> ClockAnchor {
        ClockAnchor { monotonic_ns: monotonic_s * SECOND, realtime_ns: realtime_s * SECOND }
    }

    #[test]
    fn a_clock_that_goes_as_the_other_one_is_steady() {
        let mut later = at(20, 1010);
        later.realtime_ns += 99_000_000;
        assert_eq!(clock_step(at(10, 1000), later), None);
    }

    #[test]
    fn a_step_is_told_with_its_way_and_length() {
        for (ended, said) in [(at(20, 4610), "forward by 3600.0 s"), (at(20, 10), "back by 1000.0 s")] {
            let found = clock_step(at(10, 1000), ended).unwrap();
            assert!(found.kind == WarningKind::ClockStepped && found.evidence.contains(said), "{found}");
        }
    }

    #[test]
    fn a_worker_that_is_not_there_any_more_is_named_with_its_proxy() {
        let worker = |pid| ("s1-sidecar".to_owned(), pid);
        assert_eq!(lost_workers(&[worker(7), worker(8)], &[worker(8), worker(7), worker(9)]), None);
        let found = lost_workers(&[worker(7), worker(8)], &[worker(8), worker(9)]).unwrap();
        assert!(found.kind == WarningKind::WorkerLost && found.evidence.ends_with(": 7 of s1-sidecar"), "{found}");
    }

    #[test]
    fn a_load_that_began_long_after_it_was_let_go_is_told() {
        assert_eq!(begun_late(7 * SECOND, 7 * SECOND + 999_999_999), None);
        assert_eq!(begun_late(7 * SECOND, 6 * SECOND), None, "clocks of several machines come apart");
        let found = begun_late(7 * SECOND, 7 * SECOND + 4_480_000_000).unwrap();
        assert_eq!(found.kind, WarningKind::GeneratorLagged);
        assert_eq!(found.evidence, "the load began 4.5 s after it was let go");
    }

    #[test]
    fn shifts_that_were_not_made_are_told_with_the_first() {
        let shift = |at_ns, weights: &str| Shift { at_ns, weights: weights.parse().unwrap() };
        assert_eq!(unmade("the runner", &[]), None);
        let two = [shift(300_000_000, "v1=50,v2=50"), shift(SECOND, "v1=0,v2=100")];
        let found = unmade("the runner", &two).unwrap();
        assert_eq!(found.kind, WarningKind::RunnerLate);
        assert_eq!(
            found.evidence,
            "the runner had not made 2 shifts, the first to v1=50,v2=50 due 0.3 s into the measured phase, when the load ended"
        );
        let found = unmade("the runner", &two[1..]).unwrap();
        assert!(found.evidence.contains("had not made a shift to v1=0,v2=100 due 1.0 s into"), "{found}");
    }

    #[test]
    fn the_longest_time_without_a_look_is_what_counts() {
        assert_eq!(left_alone("the runner", Duration::from_millis(999)), None);
        let found = left_alone("the runner", Duration::from_millis(5049)).unwrap();
        assert!(found.kind == WarningKind::RunnerLate && found.evidence.ends_with("for 5.0 s"), "{found}");
        let mut steady = Steadiness::begin(at(1, 1));
        std::thread::sleep(Duration::from_millis(1));
        steady.look();
        let longest = steady.longest;
        assert!(longest >= Duration::from_millis(1), "the time up to the first look counts");
        steady.look();
        assert!(steady.longest >= longest);
    }
}
