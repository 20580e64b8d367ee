//! When each cause was at work in a trial, as steps: late credit taken back to where it may have begun.

use record::{Reading, Role};

use super::moments::{GRAZE_NS, MOMENT_NS};
use crate::findings::{Cause, Known};
use crate::gather::TrialData;
use crate::usage::{PartStalls, Span, Step};

/// The least time that a segment which is sent again takes (TCP_RTO_MIN in the kernel's include/net/tcp.h).
const RESEND_NS: u64 = 200_000_000;
/// Of a loss that the sensor cannot explain, what an interrupt may still be.
const LOSS_NS: u64 = 2_000_000;
/// The least lag of the generator that is a stall, and the least wait for a CPU above the usual.
const LAG_NS: u64 = 5_000_000;
const WAIT_NS: u64 = GRAZE_NS;

/// A cause in one trial: when it was at work, and on which part; none for the machine as a whole.
#[derive(Clone, Debug)]
pub(super) struct Signal {
    pub(super) known: Known,
    /// What tells of it.
    pub(super) source: &'static str,
    /// The shortest delay that it can make.
    pub(super) least_ns: u64,
    pub(super) steps: Vec<(Option<String>, Step)>,
}

impl Signal {
    fn measured(source: &'static str, steps: Vec<(Option<String>, Step)>) -> Self {
        Self { known: Known::Measured, source, least_ns: 0, steps }
    }
}

/// The signal of a cause, or why this trial has none.
pub(super) fn of(trial: &TrialData, cause: Cause, quiet_ns: f64) -> Result<Signal, String> {
    match cause {
        Cause::Throttling => throttling(trial),
        Cause::Steal => steal(trial),
        Cause::Stopped => held(trial, "process states", |part| stopped(trial, part)),
        Cause::Disk => held(trial, "process states", |part| waiting_for_disk(trial, part)),
        Cause::Network => network(trial),
        Cause::Generator => generator(trial, quiet_ns),
        Cause::RunQueue => run_queue(trial),
        Cause::Unexplained => Err("it is what is left".to_owned()),
    }
}

fn seen(reading: &Reading<Vec<Step>>) -> Result<&[Step], String> {
    match reading {
        Reading::Seen(steps) => Ok(steps),
        Reading::Absent { absent } => Err(absent.clone()),
    }
}

/// Those whose time is a request's time, with their names.
fn on_the_way(trial: &TrialData) -> impl Iterator<Item = (&String, &PartStalls)> {
    trial.usage.held_up.iter().filter(|(_, part)| match part.role {
        Role::Service | Role::Sidecar | Role::Gateway | Role::NodeProxy => true,
        Role::Load | Role::Neighbour | Role::Probe => false,
    })
}

/// Throttled time is credited when throttling ends, so it may have begun before the sample that precedes the rise; but
/// not by more than it lasted, nor by more than a quota period.
pub(super) fn throttled(step: &Step) -> Step {
    let before = step.by.min(MOMENT_NS);
    Step { span: Span { start_ns: step.span.start_ns.saturating_sub(before), end_ns: step.span.end_ns }, ..*step }
}

fn throttling(trial: &TrialData) -> Result<Signal, String> {
    let proxies: Vec<_> = on_the_way(trial).filter(|(_, part)| part.role.is_proxy()).collect();
    let mut reason = Err("no proxies in this cell".to_owned());
    let mut steps = Vec::new();
    for (name, part) in proxies {
        match seen(&part.throttled) {
            Ok(some) => {
                steps.extend(some.iter().map(|s| (Some(name.clone()), throttled(s))));
                reason = Ok(());
            }
            Err(why) => reason = reason.or(Err(why)),
        }
    }
    reason.map(|()| Signal::measured("cpu.stat of each proxy", steps))
}

fn steal(trial: &TrialData) -> Result<Signal, String> {
    let of_machine = |steps: &[Step], least: u64| steps.iter().filter(|s| s.by >= least).map(|s| (None, *s)).collect();
    match seen(&trial.usage.steal) {
        Ok(steps) => Ok(Signal::measured("steal in /proc/stat", of_machine(steps, 1))),
        // What a thread that wanted a CPU lost without a reason is the hypervisor's, as a rule.
        Err(unknown) => match seen(&trial.usage.machine.lost) {
            Ok(steps) => Ok(Signal {
                known: Known::Inferred,
                source: "the gap sensor's unexplained loss",
                least_ns: 0,
                steps: of_machine(steps, LOSS_NS),
            }),
            Err(_) => Err(unknown),
        },
    }
}

fn held(
    trial: &TrialData,
    source: &'static str,
    steps_of: impl Fn(&PartStalls) -> Result<Vec<Step>, String>,
) -> Result<Signal, String> {
    let mut reason = Err("no part of this cell was watched".to_owned());
    let mut all = Vec::new();
    for (name, part) in on_the_way(trial) {
        match steps_of(part) {
            Ok(steps) => {
                all.extend(steps.into_iter().map(|step| (Some(name.clone()), step)));
                reason = Ok(());
            }
            Err(why) => reason = reason.or(Err(why)),
        }
    }
    reason.map(|()| Signal::measured(source, all))
}

/// Stopped by a signal; or held in the kernel while no task of the machine waited for I/O, as a frozen group is.
fn stopped(trial: &TrialData, part: &PartStalls) -> Result<Vec<Step>, String> {
    let frozen = seen(&part.blocked)?.iter().filter(|s| !with_io(trial, s));
    Ok(seen(&part.stopped)?.iter().chain(frozen).copied().collect())
}

fn waiting_for_disk(trial: &TrialData, part: &PartStalls) -> Result<Vec<Step>, String> {
    Ok(seen(&part.blocked)?.iter().filter(|s| with_io(trial, s)).copied().collect())
}

/// Whether somebody waited for I/O in the meantime, or the kernel does not say.
fn with_io(trial: &TrialData, step: &Step) -> bool {
    match &trial.usage.machine.io_pressure {
        Reading::Seen(steps) => {
            let waited: u64 = steps.iter().filter(|s| s.span.overlaps(&step.span)).map(|s| s.by).sum();
            waited >= step.by / 10
        }
        Reading::Absent { .. } => true,
    }
}

/// Each segment that is sent again after a timeout costs its connection as much as the least timeout; those sent again sooner
/// cost no more than a round trip, which is no stall here. A packet that an interface drops is sent again too, but
/// interfaces are read more often.
fn network(trial: &TrialData) -> Result<Signal, String> {
    let machine = &trial.usage.machine;
    let (resent, dropped) = (seen(&machine.retransmits), seen(&machine.drops));
    let known = [&resent, &dropped].into_iter().flatten().flat_map(|steps| steps.iter());
    let steps = known.map(|s| (None, Step { by: s.by * RESEND_NS, ..*s })).collect();
    if let (Err(why), Err(_)) = (resent, dropped) {
        return Err(why);
    }
    Ok(Signal { least_ns: RESEND_NS, ..Signal::measured("TCP's retransmits and what interfaces dropped", steps) })
}

/// Run delay is credited when a thread gets a CPU: a rise of more than the time between two samples began before them.
/// What the part has as a rule is no stall, and what its quota took is throttling.
pub(super) fn waits(part: &PartStalls) -> Result<Vec<Step>, String> {
    let steps = seen(&part.run_delay)?;
    let throttled = part.throttled.seen().map_or(&[] as &[Step], Vec::as_slice);
    let length = |s: &Step| s.span.end_ns.saturating_sub(s.span.start_ns).max(1);
    let mut rates: Vec<f64> = steps.iter().map(|s| s.by as f64 / length(s) as f64).collect();
    rates.sort_unstable_by(f64::total_cmp);
    let usual = rates.get(rates.len() / 2).copied().unwrap_or(0.0);
    let wait = |s: &Step| {
        let as_a_rule = (usual * length(s) as f64) as u64;
        let above = s.by.saturating_sub(as_a_rule);
        // Both are credited late, and not in the same sample of necessity.
        let around = Span { start_ns: s.span.start_ns.saturating_sub(length(s)), end_ns: s.span.end_ns };
        let by_quota: u64 = throttled.iter().filter(|t| t.span.overlaps(&around)).map(|t| t.by).sum();
        let before = s.by.saturating_sub(length(s)).min(MOMENT_NS);
        let span = Span { start_ns: s.span.start_ns.saturating_sub(before), end_ns: s.span.end_ns };
        (above >= WAIT_NS.max(as_a_rule) && by_quota < s.by / 4).then_some(Step { span, by: above })
    };
    Ok(steps.iter().filter_map(wait).collect())
}

fn run_queue(trial: &TrialData) -> Result<Signal, String> {
    let mut all = Vec::new();
    let load = trial.usage.held_up.iter().filter(|(_, part)| part.role == Role::Load);
    for (name, part) in on_the_way(trial).chain(load) {
        all.extend(waits(part)?.into_iter().map(|step| (Some(name.clone()), step)));
    }
    Ok(Signal::measured("run delay of each part", all))
}

/// The time that the generator was late by itself: not where it waited for a CPU, which is the machine's doing.
fn generator(trial: &TrialData, quiet_ns: f64) -> Result<Signal, String> {
    let of_load = || trial.usage.held_up.iter().filter(|(_, part)| part.role == Role::Load);
    let waits: Vec<Step> = of_load().flat_map(|(_, part)| waits(part).unwrap_or_default()).collect();
    let waited = |lag: &Step| {
        let within = |s: &&Step| s.span.overlaps(&lag.span);
        2 * waits.iter().filter(within).map(|s| s.by).sum::<u64>() >= lag.by
    };
    let mut usual: Vec<u64> = trial.windows.iter().map(|w| w.lag_ours_max_ns).collect();
    usual.sort_unstable();
    let usual = usual.get(usual.len() / 2).copied().unwrap_or(0);
    let least = (4 * usual).max(quiet_ns as u64).max(LAG_NS);
    let late = trial.windows.iter().filter(|w| w.lag_ours_max_ns > least).map(|w| {
        // It is counted when the request ends; from when it was due is known of one that was kept.
        let kept = trial.kept.get(&w.span.start_ns).filter(|k| k.response_ns >= w.lag_ours_max_ns);
        let earliest = w.span.start_ns.saturating_sub(w.lag_ours_max_ns);
        let start_ns = kept.map_or(earliest, |k| k.intended_ns.max(earliest));
        Step { span: Span { start_ns, end_ns: w.span.end_ns }, by: w.lag_ours_max_ns }
    });
    let mut steps: Vec<(Option<String>, Step)> = late.filter(|lag| !waited(lag)).map(|lag| (None, lag)).collect();
    // Where its state is known to have been stopped, answers that came in the meantime were stamped late as well.
    let stops = of_load().filter_map(|(name, part)| Some((name, part.stopped.seen()?)));
    steps.extend(stops.flat_map(|(name, stops)| stops.iter().map(|s| (Some(name.clone()), *s))));
    Ok(Signal::measured("its own stamps and state", steps))
}

#[cfg(test)]
mod tests {
    use super::super::moments::tests::step;
    use super::*;

    fn part(throttled: Vec<Step>, run_delay: Vec<Step>) -> PartStalls {
        PartStalls {
            role: Role::Sidecar,
            throttled: Reading::Seen(throttled),
            run_delay: Reading::Seen(run_delay),
            stopped: Reading::Seen(vec![]),
            blocked: Reading::Seen(vec![]),
        }
    }

    #[test]
    fn throttling_may_have_begun_before_the_sample_but_not_longer_than_it_lasted() {
        assert_eq!(throttled(&step(500, 600, 30)), step(470, 600, 30));
        assert_eq!(throttled(&step(500, 600, 900)), step(400, 600, 900));
    }

    #[test]
    fn a_wait_is_what_is_above_the_usual_and_may_have_begun_before_the_sample() {
        let mut steps: Vec<Step> = (0..9).map(|i| step(i * 50, i * 50 + 50, 2)).collect();
        steps.push(step(450, 500, 82));
        steps.push(step(500, 550, 11));
        // 80 ms in a sample of 50 began 32 ms before it at the latest; 9 ms above the usual are none.
        assert_eq!(waits(&part(vec![], steps)).unwrap(), [step(418, 500, 80)]);
    }

    #[test]
    fn what_a_quota_took_is_not_a_wait_for_a_cpu_though_it_is_credited_a_sample_earlier() {
        let mut steps: Vec<Step> = (0..9).map(|i| step(i * 50, i * 50 + 50, 2)).collect();
        steps.push(step(450, 500, 82));
        assert_eq!(waits(&part(vec![step(400, 450, 80)], steps.clone())).unwrap(), []);
        assert_eq!(waits(&part(vec![step(450, 500, 80)], steps)).unwrap(), []);
    }
}
