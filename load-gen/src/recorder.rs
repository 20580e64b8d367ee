//! What is stamped is counted here: histograms of the running interval, swapped every 100 ms.

use record::{INTERVAL_NS, Interval, Outcome, Phase};

use crate::slowest::Slowest;
use crate::writer::Outbox;

/// One request at its end. All stamps are CLOCK_MONOTONIC.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// Its number in the schedule, from 0.
    pub index: u64,
    /// The phase in which it was due.
    pub phase: Phase,
    /// When it was due.
    pub intended_ns: u64,
    /// When it was written, if it was.
    pub sent_ns: Option<u64>,
    /// When the first byte of its response came, if one did.
    pub first_byte_ns: Option<u64>,
    /// When it ended.
    pub done_ns: u64,
    /// How it ended; none for one that was never written before the end.
    pub outcome: Option<Outcome>,
    /// The connection it went over, from 0.
    pub connection: Option<u32>,
}

impl Ended {
    /// From intended to done.
    #[inline]
    pub fn response_ns(&self) -> u64 {
        self.done_ns.saturating_sub(self.intended_ns)
    }
}

/// Counts what happens in the running interval and hands the interval on when its time is over.
///
/// Stamps come in order; nothing is locked, and nothing is allocated for a request.
#[derive(Debug)]
pub struct Recorder {
    measure_from_ns: u64,
    window_start_ns: u64,
    warm_up: Box<Interval>,
    measure: Box<Interval>,
    slow: Box<Slowest>,
    outbox: Outbox,
    last_done_ns: u64,
    due_until_ns: u64,
    answered_in_time: u64,
}

impl Recorder {
    /// Begins at the start of the load; requests due from `measure_from_ns` on are counted as measured.
    pub fn new(start_ns: u64, measure_from_ns: u64, outbox: Outbox) -> Self {
        let interval = |phase| {
            let mut i = outbox.fresh_interval();
            i.phase = phase;
            (i.start_ns, i.length_ns) = (start_ns, INTERVAL_NS);
            i
        };
        Self {
            measure_from_ns,
            window_start_ns: start_ns,
            warm_up: interval(Phase::WarmUp),
            measure: interval(Phase::Measure),
            slow: outbox.fresh_slow(),
            outbox,
            last_done_ns: 0,
            due_until_ns: u64::MAX,
            answered_in_time: 0,
        }
    }

    /// The phase of a request due then.
    #[inline]
    pub fn phase_at(&self, intended_ns: u64) -> Phase {
        if intended_ns < self.measure_from_ns { Phase::WarmUp } else { Phase::Measure }
    }

    /// When the running window ends.
    #[inline]
    pub fn window_end_ns(&self) -> u64 {
        self.window_start_ns + INTERVAL_NS
    }

    /// When the last measured request ended; 0 if none has.
    pub fn last_done_ns(&self) -> u64 {
        self.last_done_ns
    }

    /// Says until when requests are due; what is answered later was not answered at the rate asked for.
    pub fn due_until(&mut self, due_until_ns: u64) {
        self.due_until_ns = due_until_ns;
    }

    /// Measured requests answered while requests were due.
    pub fn answered_in_time(&self) -> u64 {
        self.answered_in_time
    }

    /// Hands on every window that was over by then.
    #[inline]
    pub fn roll_to(&mut self, now_ns: u64) {
        while now_ns >= self.window_end_ns() {
            self.hand_on(self.window_end_ns());
        }
    }

    /// Counts a request as due in the running window.
    #[inline]
    pub fn due(&mut self, phase: Phase) {
        self.interval(phase).due += 1;
    }

    /// Counts a request as written in the running window, with its lag in two parts.
    #[inline]
    pub fn sent(&mut self, phase: Phase, ours_ns: u64, theirs_ns: u64) {
        let interval = self.interval(phase);
        interval.sent += 1;
        interval.lag_ours.record(ours_ns);
        interval.lag_theirs.record(theirs_ns);
        interval.worst_send_lag_ns = interval.worst_send_lag_ns.max(ours_ns + theirs_ns);
    }

    /// Counts the end of a request in the running window; `hops` is the header our services stamp.
    #[inline]
    pub fn ended(&mut self, ended: &Ended, hops: &[u8]) {
        let interval = self.interval(ended.phase);
        interval.response.record(ended.response_ns());
        if let Some(sent_ns) = ended.sent_ns {
            interval.service.record(ended.done_ns.saturating_sub(sent_ns));
            if let Some(first_byte_ns) = ended.first_byte_ns {
                interval.first_byte.record(first_byte_ns.saturating_sub(sent_ns));
            }
        }
        if let Some(outcome) = ended.outcome {
            interval.outcomes.count(outcome);
        }
        self.slow.offer(ended, hops);
        if ended.phase == Phase::Measure {
            self.last_done_ns = ended.done_ns;
            let answered = matches!(ended.outcome, Some(Outcome::Answered(_)));
            self.answered_in_time += u64::from(answered && ended.done_ns <= self.due_until_ns);
        }
    }

    /// Counts an answer by the value of the header that answers are split by, after its end was counted.
    #[inline]
    pub fn split(&mut self, ended: &Ended, value: &[u8]) {
        let Some(Outcome::Answered(status)) = ended.outcome else { return };
        let service_ns = ended.sent_ns.map_or(0, |sent_ns| ended.done_ns.saturating_sub(sent_ns));
        let error = !(200..400).contains(&status);
        self.interval(ended.phase).split.count(value, error, ended.response_ns(), service_ns);
    }

    /// Hands on the last window, shorter than the others, and with it the wish for no more.
    pub fn close(mut self, now_ns: u64) {
        self.roll_to(now_ns);
        if now_ns > self.window_start_ns || holds_something(&self.warm_up) || holds_something(&self.measure) {
            self.hand_on(now_ns);
        }
    }

    #[inline]
    fn interval(&mut self, phase: Phase) -> &mut Interval {
        if phase == Phase::WarmUp { &mut self.warm_up } else { &mut self.measure }
    }

    /// A window that overlaps a phase is written for it, however quiet it was: silence is an observation.
    /// Late ends of the phase before are written where there are any.
    #[cold]
    fn hand_on(&mut self, end_ns: u64) {
        let (start_ns, length_ns) = (self.window_start_ns, end_ns - self.window_start_ns);
        let runs = [start_ns < self.measure_from_ns, end_ns > self.measure_from_ns];
        for (interval, runs) in [&mut self.warm_up, &mut self.measure].into_iter().zip(runs) {
            // In a window in which the generator stood still requests fell due and nothing else: that takes no histograms, and
            // to come back is no time to ask for memory.
            let due = std::mem::take(&mut interval.due);
            if holds_something(interval) {
                let mut next = self.outbox.fresh_interval();
                next.phase = interval.phase;
                let mut over = std::mem::replace(interval, next);
                (over.start_ns, over.length_ns, over.due) = (start_ns, length_ns, due);
                self.outbox.interval(over);
            } else if runs || due > 0 {
                self.outbox.quiet(interval.phase, start_ns, length_ns, due);
            }
            (interval.start_ns, interval.length_ns) = (end_ns, INTERVAL_NS);
        }
        if !self.slow.is_empty() {
            let next = self.outbox.fresh_slow();
            self.outbox.slow(std::mem::replace(&mut self.slow, next));
        }
        self.window_start_ns = end_ns;
    }
}

fn holds_something(interval: &Interval) -> bool {
    // Requests given up unsent stand in no count but that of the response times.
    !interval.is_empty() || !interval.response.is_empty()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::writer::{Sink, outboxes};
    use record::{Lines, SlowRequest, TrialDirectory};

    const T0: u64 = 1_000_000_000_000;

    fn ended(index: u64, intended_ns: u64, done_ns: u64, phase: Phase) -> Ended {
        Ended {
            index,
            phase,
            intended_ns,
            sent_ns: Some(intended_ns + 10),
            first_byte_ns: Some(done_ns),
            done_ns,
            outcome: Some(Outcome::Answered(200)),
            connection: Some(0),
        }
    }

    /// Requests at the given times from the start, each answered so much later, in windows from `T0`.
    fn record(measure_from: u64, requests: &[(u64, u64)], end: u64) -> (Vec<Interval>, Vec<SlowRequest>, Interval) {
        let (mut outs, inbox) = outboxes(1, 2);
        let out = outs.remove(0);
        let mut r = Recorder::new(T0, T0 + measure_from, out);
        let mut events: Vec<(u64, u8, usize)> = Vec::new();
        for (i, (at, took)) in requests.iter().enumerate() {
            events.push((T0 + at, 0, i));
            events.push((T0 + at + took, 1, i));
        }
        events.sort_unstable();
        for (at, kind, i) in events {
            let intended = T0 + requests[i].0;
            let phase = r.phase_at(intended);
            r.roll_to(at);
            if kind == 0 {
                r.due(phase);
                r.sent(phase, 10, 0);
            } else {
                let ended = ended(i as u64, intended, at, phase);
                r.ended(&ended, b"s;1;2");
                r.split(&ended, if i % 3 == 0 { b"v2" } else { b"v1" });
            }
        }
        r.close(T0 + end);
        let dir = tempfile::tempdir().unwrap();
        let trial = TrialDirectory::at(dir.path());
        let total = inbox.run(Sink::new(Some(&trial)), &AtomicBool::new(false)).unwrap().0;
        let lines = Lines::open(&trial.intervals_path()).unwrap().map(Result::unwrap).collect();
        let slow = Lines::open(&trial.slow_path()).unwrap().map(Result::unwrap).collect();
        (lines, slow, total)
    }

    #[test]
    fn windows_stand_on_the_grid_without_gaps_and_the_last_is_shorter() {
        let (lines, _, total) = record(0, &[(0, 5_000), (350_000_000, 5_000)], 420_000_000);
        let spans: Vec<(u64, u64, u64)> = lines.iter().map(|l| (l.start_ns - T0, l.length_ns, l.due)).collect();
        let w = INTERVAL_NS;
        assert_eq!(spans, [(0, w, 1), (w, w, 0), (2 * w, w, 0), (3 * w, w, 1), (4 * w, 20_000_000, 0)]);
        assert_eq!((total.due, total.sent, total.response.count()), (2, 2, 2));
    }

    #[test]
    fn windows_in_which_requests_only_fell_due_are_written_and_take_no_memory() {
        let (mut outs, inbox) = outboxes(1, 2);
        let mut r = Recorder::new(T0, T0, outs.remove(0));
        // A second of which nobody saw anything: the writer has not even begun.
        for k in 0..40 {
            r.roll_to(T0 + k * 25_000_000);
            r.due(Phase::Measure);
        }
        r.roll_to(T0 + 10 * INTERVAL_NS);
        assert_eq!(r.outbox.extra(), 0);
        r.close(T0 + 10 * INTERVAL_NS);
        let dir = tempfile::tempdir().unwrap();
        let trial = TrialDirectory::at(dir.path());
        let total = inbox.run(Sink::new(Some(&trial)), &AtomicBool::new(false)).unwrap().0;
        let lines = Lines::<Interval>::open(&trial.intervals_path()).unwrap().map(Result::unwrap);
        assert_eq!(lines.map(|l| l.due).collect::<Vec<_>>(), [4; 10]);
        assert_eq!((total.due, total.sent), (40, 0));
    }

    #[test]
    fn a_boundary_inside_a_window_gives_a_line_for_each_phase() {
        // Warm-up to 150 ms; the second request is due in the warm-up and ends after it.
        let requests = [(10_000_000, 1000), (140_000_000, 100_000_000), (160_000_000, 1000)];
        let (lines, _, total) = record(150_000_000, &requests, 300_000_000);
        let seen: Vec<(Phase, u64, u64, u64)> =
            lines.iter().map(|l| (l.phase, (l.start_ns - T0) / INTERVAL_NS, l.due, l.response.count())).collect();
        assert_eq!(
            seen,
            [
                (Phase::WarmUp, 0, 1, 1),
                (Phase::WarmUp, 1, 1, 0),
                (Phase::Measure, 1, 1, 1),
                (Phase::WarmUp, 2, 0, 1),
                (Phase::Measure, 2, 0, 0),
            ]
        );
        assert_eq!((total.phase, total.due, total.response.count()), (Phase::Measure, 1, 1));
    }

    #[test]
    fn answers_stand_in_their_window_and_phase_by_the_value_they_bore() {
        let requests: Vec<(u64, u64)> = (0..6).map(|i| (i * 50_000_000, 1000 + i)).collect();
        let (lines, _, total) = record(100_000_000, &requests, 300_000_000);
        let seen = |i: &Interval| {
            let values = i.split.by_value().into_iter();
            values.map(|(value, a)| (value.to_owned(), a.answered, a.response.max())).collect::<Vec<_>>()
        };
        let said = |value: &str, answered, longest| (value.to_owned(), answered, longest);
        let phases: Vec<Phase> = lines.iter().map(|l| l.phase).collect();
        assert_eq!(phases, [Phase::WarmUp, Phase::Measure, Phase::Measure]);
        assert_eq!(seen(&lines[0]), [said("v1", 1, 1001), said("v2", 1, 1000)]);
        assert_eq!(seen(&lines[1]), [said("v1", 1, 1002), said("v2", 1, 1003)]);
        assert_eq!(seen(&total), [said("v1", 3, 1005), said("v2", 1, 1003)]);
    }

    #[test]
    fn the_slowest_of_each_window_are_kept_with_their_hops() {
        let requests: Vec<(u64, u64)> = (0..10).map(|i| (i * 1_000_000, (i * 7 % 10 + 1) * 1000)).collect();
        let (_, slow, _) = record(0, &requests, 100_000_000);
        assert_eq!(slow.iter().map(SlowRequest::response_ns).collect::<Vec<_>>(), [10_000, 9_000]);
        assert!(slow.iter().all(|s| s.hops.len() == 1 && s.hops[0].service == "s"));
    }
}
