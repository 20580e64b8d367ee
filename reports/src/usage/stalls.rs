//! What held up each part and the machine, step by step: what the stall ledger is made of.

use std::collections::BTreeMap;

use record::{NetworkSample, ProcessSample, ProcessState, Reading, Role, Sample};

use super::track::Track;
use super::{Span, Step};

/// What held up one part; steps are of nanoseconds.
#[derive(Clone, Debug)]
pub(crate) struct PartStalls {
    pub(crate) role: Role,
    /// Throttled by its quota, summed over CPUs; credited when throttling ends.
    pub(crate) throttled: Reading<Vec<Step>>,
    /// Runnable without a CPU, summed over threads, throttling included; credited when a thread gets one.
    pub(crate) run_delay: Reading<Vec<Step>>,
    /// Stopped by a signal.
    pub(crate) stopped: Reading<Vec<Step>>,
    /// Waiting for what no signal ends: a disk, as a rule.
    pub(crate) blocked: Reading<Vec<Step>>,
}

/// What held up the machine.
#[derive(Clone, Debug)]
pub(crate) struct NodeStalls {
    /// What the gap sensor lost without a reason, in nanoseconds of its bursts alone.
    pub(crate) lost: Reading<Vec<Step>>,
    /// Some task waited for I/O, in nanoseconds.
    pub(crate) io_pressure: Reading<Vec<Step>>,
    /// What reads, writes and flushes of the run's disk took together, in nanoseconds.
    pub(crate) disk: Reading<Vec<Step>>,
    /// TCP segments sent again, by namespace.
    pub(crate) retransmits: Reading<Vec<Step>>,
    /// Packets that interfaces dropped, by namespace.
    pub(crate) drops: Reading<Vec<Step>>,
}

/// Why a run of an older probe has no states.
const NO_STATES: &str = "the probe of this run did not look at the states of processes";

/// The states of one part, sample by sample; none where it ran.
#[derive(Debug, Default)]
pub(super) struct StateTrack {
    points: Vec<(u64, Option<ProcessState>)>,
    timeslices: Option<u64>,
    seen: bool,
}

impl StateTrack {
    pub(super) fn take(&mut self, process: &ProcessSample) {
        let ran = match (self.timeslices, process.timeslices.seen()) {
            (Some(before), Some(now)) => *now > before,
            _ => true,
        };
        self.timeslices = process.timeslices.seen().copied().or(self.timeslices);
        let state = process.state.seen().copied();
        self.seen |= state.is_some();
        // Once a second the state is read of a process that runs as well. That it is held up in such a moment says nothing
        // about the time before.
        let once_a_second = !process.user_ticks.is_unread();
        let held = matches!(state, Some(ProcessState::Blocked | ProcessState::Stopped));
        if !(ran && once_a_second && held) {
            self.points.push((process.read_ns, state));
        }
    }

    /// The time in a state: wholly between two samples that saw it, and half of the time beside them.
    fn steps(&self, state: ProcessState, out: Span) -> Reading<Vec<Step>> {
        if !self.seen {
            return Reading::absent(NO_STATES);
        }
        let step = |pair: &[(u64, Option<ProcessState>)]| {
            let (from, to) = (pair[0].0, pair[1].0);
            let ends = pair.iter().filter(|(_, seen)| *seen == Some(state)).count() as u64;
            let by = to.saturating_sub(from) * ends / 2;
            (by > 0).then_some(Step { span: Span { start_ns: from, end_ns: to }, by })
        };
        Reading::Seen(self.points.windows(2).filter_map(step).filter(|s| s.span.overlaps(&out)).collect())
    }
}

/// The steps of a counter while requests were out, in nanoseconds of `unit_ns` each.
pub(super) fn steps(track: &Track, out: Span, unit_ns: f64) -> Reading<Vec<Step>> {
    let in_ns = |step: Step| Step { by: (step.by as f64 * unit_ns) as u64, ..step };
    track.rise(out).map(|_| track.steps(out).into_iter().map(in_ns).collect())
}

/// What held up one part.
pub(super) fn of_part(
    role: Role,
    states: &StateTrack,
    [throttled, run_delay]: [Reading<Vec<Step>>; 2],
    out: Span,
) -> PartStalls {
    let [stopped, blocked] = [ProcessState::Stopped, ProcessState::Blocked].map(|state| states.steps(state, out));
    PartStalls { role, throttled, run_delay, stopped, blocked }
}

/// Counters of the machine's stalls, sample by sample.
#[derive(Debug, Default)]
pub(super) struct NodeTracks {
    disk_ms: Track,
    retransmits: BTreeMap<String, Track>,
    drops: BTreeMap<String, Track>,
}

impl NodeTracks {
    pub(super) fn take(&mut self, sample: &Sample) {
        let at = u64::midpoint(sample.before_ns, sample.after_ns);
        let disk = sample.node.disk.clone();
        self.disk_ms.note(at, &disk.map(|d| d.read_ms + d.write_ms + d.flush_ms.unwrap_or(0)));
        for (name, network) in &sample.networks {
            let NetworkSample { read_ns, took_ns: _, interfaces, tcp } = network;
            let lost = tcp.clone().and_then(|tcp| match tcp.retransmitted_segments {
                Some(n) => Reading::Seen(n),
                None => Reading::absent("this kernel does not count segments that were sent again"),
            });
            self.retransmits.entry(name.clone()).or_default().note(*read_ns, &lost);
            let dropped =
                interfaces.clone().map(|all| all.values().map(|i| i.receive_drops + i.send_drops).sum::<u64>());
            self.drops.entry(name.clone()).or_default().note(*read_ns, &dropped);
        }
    }

    pub(super) fn finish(&self, lost: &Track, io_pressure_us: &Track, out: Span) -> NodeStalls {
        let of_all = |tracks: &BTreeMap<String, Track>| {
            let mut all: Reading<Vec<Step>> = Reading::absent("no network namespace was watched");
            for track in tracks.values() {
                all = match (all, steps(track, out, 1.0)) {
                    (Reading::Seen(mut known), Reading::Seen(more)) => {
                        known.extend(more);
                        Reading::Seen(known)
                    }
                    (known @ Reading::Seen(_), Reading::Absent { .. }) => known,
                    (Reading::Absent { .. }, next) => next,
                };
            }
            all
        };
        NodeStalls {
            lost: steps(lost, out, 1.0),
            io_pressure: steps(io_pressure_us, out, 1e3),
            disk: steps(&self.disk_ms, out, 1e6),
            retransmits: of_all(&self.retransmits),
            drops: of_all(&self.drops),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEASURED: Span = Span { start_ns: 0, end_ns: 1000 };

    fn sample(read_ns: u64, timeslices: u64, state: Option<ProcessState>, slow: bool) -> ProcessSample {
        ProcessSample {
            read_ns,
            timeslices: Reading::Seen(timeslices),
            state: state.map_or_else(Reading::default, Reading::Seen),
            user_ticks: if slow { Reading::Seen(1) } else { Reading::default() },
            ..ProcessSample::default()
        }
    }

    fn of(samples: &[ProcessSample], state: ProcessState) -> Reading<Vec<(u64, u64, u64)>> {
        let mut track = StateTrack::default();
        samples.iter().for_each(|s| track.take(s));
        track.steps(state, MEASURED).map(|s| s.iter().map(|s| (s.span.start_ns, s.span.end_ns, s.by)).collect())
    }

    #[test]
    fn a_stop_is_whole_between_two_samples_that_saw_it_and_half_beside_them() {
        let stopped = Some(ProcessState::Stopped);
        let seen = [
            sample(100, 5, None, false),
            sample(150, 9, None, false),
            sample(200, 9, stopped, false),
            sample(250, 9, stopped, false),
            sample(300, 11, None, false),
        ];
        let want = Reading::Seen(vec![(150, 200, 25), (200, 250, 50), (250, 300, 25)]);
        assert_eq!(of(&seen, ProcessState::Stopped), want);
        assert_eq!(of(&seen, ProcessState::Blocked), Reading::Seen(vec![]));
    }

    #[test]
    fn a_moment_of_a_process_that_ran_is_no_stall() {
        let blocked = Some(ProcessState::Blocked);
        let seen = [
            sample(100, 5, None, false),
            sample(150, 9, blocked, true),
            sample(200, 12, None, false),
            sample(250, 12, Some(ProcessState::Sleeping), false),
        ];
        assert_eq!(of(&seen, ProcessState::Blocked), Reading::Seen(vec![]));
    }

    #[test]
    fn a_probe_that_did_not_look_has_no_stalls_to_tell_of() {
        let seen = [sample(100, 5, None, false), sample(150, 5, None, false)];
        assert_eq!(of(&seen, ProcessState::Stopped).reason(), Some(NO_STATES));
    }
}
