//! Two samples make a rate: what a trial's parts and its machine used in the measured phase, never stored.

mod stalls;
mod track;

use std::collections::BTreeMap;

use record::quantum::RUN_TIME_NS;
use record::{CpuTimes, GapCounters, Host, Part, Phase, PressureSample, Reading, Role, Sample, Trial};

pub(crate) use stalls::{NodeStalls, PartStalls};
use stalls::{NodeTracks, StateTrack};
use track::Track;
pub(crate) use track::{Span, Step};

/// What one part of a trial used while measured.
#[derive(Clone, Debug)]
pub(crate) struct PartUsage {
    pub(crate) role: Role,
    /// Cores in use, on average.
    pub(crate) cores: Reading<f64>,
    /// Resident memory, on average.
    pub(crate) rss_bytes: Reading<f64>,
    /// Time throttled by its quota, summed over CPUs.
    pub(crate) throttled_ns: Reading<f64>,
    /// Quota periods in which it was throttled.
    pub(crate) throttled_periods: Reading<f64>,
    /// Of the quota periods in which it ran, the share in which it was throttled.
    pub(crate) throttled_period_share: Reading<f64>,
    /// Time its threads were runnable without a CPU, for each second (may exceed 1 s with many threads).
    pub(crate) run_delay_ns_per_s: Reading<f64>,
    /// What it used while nothing was asked of it.
    pub(crate) idle: Reading<Idle>,
    /// CPU time in windows of about a quota period: its variance over its mean, in nanoseconds. Of requests that come
    /// independently, each of which takes c, it is c(1 + cv²); of evenly spaced ones c·cv².
    pub(crate) burst_ns: Reading<f64>,
}

/// What a part used before the load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Idle {
    /// Cores, on average.
    pub(crate) cores: f64,
    /// What one step of the counter comes to, in cores.
    pub(crate) step: f64,
    /// Whether the counter is cut to whole ticks; else it is short only while the part is on a CPU.
    pub(crate) ticks: bool,
}

/// The busy share, unless our own parts alone were busier: /proc/stat is sampled at the kernel's tick, and work that
/// comes in step with the tick (500 requests a second, say) goes unseen. Their own clocks count every nanosecond.
pub(crate) fn credible(busy: Reading<f64>, ours: f64) -> Reading<f64> {
    /// Above what one tick more or less makes of a trial of a second.
    const DOUBT: f64 = 0.02;
    match busy {
        Reading::Seen(share) if share + DOUBT < ours => Reading::absent(format!(
            "the tick counter says {:.1} %, and the trial's own parts alone used {:.1} %: work in step with the tick goes unseen",
            share * 100.0,
            ours * 100.0
        )),
        other => other,
    }
}

/// What the machine did while measured.
#[derive(Clone, Debug)]
pub(crate) struct NodeUsage {
    pub(crate) steal_share: Reading<f64>,
    pub(crate) iowait_share: Reading<f64>,
    pub(crate) cpu_busy_share: Reading<f64>,
    pub(crate) softirq_share: Reading<f64>,
    pub(crate) psi_cpu_some_share: Reading<f64>,
    pub(crate) psi_io_some_share: Reading<f64>,
    pub(crate) psi_memory_some_share: Reading<f64>,
    pub(crate) run_queue_length: Reading<f64>,
    pub(crate) probe_cores: Reading<f64>,
    pub(crate) unexplained_loss_share: Reading<f64>,
    pub(crate) work_slowdown: Reading<f64>,
    /// How long a fixed piece of work took, in nanoseconds: what slows a whole trial down shows against other trials only.
    pub(crate) work_ns: Reading<f64>,
    /// The latest that a round of the probe began, and the rounds it missed.
    pub(crate) probe_late_ns: u64,
    pub(crate) probe_missed: u64,
}

/// Everything that the samples of a trial tell.
#[derive(Clone, Debug)]
pub(crate) struct Usage {
    pub(crate) parts: BTreeMap<String, PartUsage>,
    pub(crate) node: NodeUsage,
    /// Counters that went down: which, from what, to what.
    pub(crate) backwards: Vec<(String, u64, u64)>,
    /// Rises of the throttled time of every sidecar.
    pub(crate) throttling: Reading<Vec<Step>>,
    /// Rises of the stolen time, in nanoseconds over all CPUs.
    pub(crate) steal: Reading<Vec<Step>>,
    /// What held up each part.
    pub(crate) held_up: BTreeMap<String, PartStalls>,
    /// What held up the machine.
    pub(crate) machine: NodeStalls,
}

/// How long the windows are whose CPU times are compared with one another: a quota period, as Kubernetes sets it.
const WINDOW_NS: u64 = 100_000_000;

#[derive(Debug, Default)]
struct PartTracks {
    run_ns: Track,
    ticks: Track,
    rss_bytes: Track,
    run_delay_ns: Track,
    usage_ns: Track,
    periods: Track,
    throttled_periods: Track,
    throttled_ns: Track,
    states: StateTrack,
}

#[derive(Debug, Default)]
struct SensorTracks {
    bursts: Track,
    burst_ns: Track,
    unexplained_ns: Track,
    chunk_median_sum_ns: Track,
    chunk_best_ns: Option<u64>,
}

impl SensorTracks {
    fn take(&mut self, at: u64, sensor: Option<&GapCounters>) {
        let note = |track: &mut Track, pick: fn(&GapCounters) -> u64| {
            let value = sensor.map(pick).map_or_else(|| Reading::absent("no sensor was running"), Reading::Seen);
            track.note(at, &value);
        };
        note(&mut self.bursts, |s| s.bursts);
        note(&mut self.burst_ns, |s| s.burst_ns);
        note(&mut self.unexplained_ns, |s| s.lost.unexplained_ns);
        note(&mut self.chunk_median_sum_ns, |s| s.chunk_median_sum_ns);
        self.chunk_best_ns = sensor.map(|s| s.chunk_best_ns).or(self.chunk_best_ns);
    }

    /// How much a counter grew for each one that another grew by.
    fn ratio(of: &Track, to: &Track, measured: Span) -> Reading<f64> {
        match (of.rise(measured), to.rise(measured)) {
            (Reading::Seen(_), Reading::Seen((0, _))) => Reading::absent("no burst was made while measuring"),
            (Reading::Seen((some, _)), Reading::Seen((all, _))) => Reading::Seen(some as f64 / all as f64),
            (Reading::Absent { absent }, _) | (_, Reading::Absent { absent }) => Reading::absent(absent),
        }
    }

    fn work_ns(&self, measured: Span) -> Reading<f64> {
        Self::ratio(&self.chunk_median_sum_ns, &self.bursts, measured)
    }

    fn slowdown(&self, measured: Span) -> Reading<f64> {
        let best = self.chunk_best_ns.unwrap_or_default().max(1) as f64;
        self.work_ns(measured).map(|work_ns| work_ns / best)
    }
}

/// The counters of a trial by what they count, filled sample by sample.
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    parts: BTreeMap<String, PartTracks>,
    all_ticks: Track,
    busy_ticks: Track,
    steal_ticks: Track,
    iowait_ticks: Track,
    softirq_ticks: Track,
    psi: [Track; 3],
    running: Track,
    probe_cpu_ns: Track,
    sensor: SensorTracks,
    stalls: NodeTracks,
    probe_missed: Track,
    probe_late: Track,
}

fn field(times: &Reading<CpuTimes>, name: &str, pick: impl Fn(&CpuTimes) -> Option<u64>) -> Reading<u64> {
    match times {
        Reading::Seen(t) => {
            pick(t).map_or_else(|| Reading::absent(format!("this kernel has no {name}")), Reading::Seen)
        }
        Reading::Absent { absent } => Reading::absent(absent.as_str()),
    }
}

pub(crate) fn busy(t: &CpuTimes) -> u64 {
    // Guests are inside user and nice already; a stolen tick was used by others, and not by this machine.
    let CpuTimes {
        user_ticks,
        nice_ticks,
        system_ticks,
        idle_ticks: _,
        iowait_ticks: _,
        irq_ticks,
        softirq_ticks,
        steal_ticks: _,
        guest_ticks: _,
        guest_nice_ticks: _,
    } = t;
    user_ticks + nice_ticks + system_ticks + irq_ticks.unwrap_or(0) + softirq_ticks.unwrap_or(0)
}

pub(crate) fn all(t: &CpuTimes) -> u64 {
    busy(t) + t.idle_ticks + t.iowait_ticks.unwrap_or(0) + t.steal_ticks.unwrap_or(0)
}

fn some_total(pressure: &Reading<PressureSample>) -> Reading<u64> {
    match pressure {
        Reading::Seen(p) => p.some.map_or_else(
            || Reading::absent("the pressure file has no 'some' line"),
            |line| Reading::Seen(line.total_us),
        ),
        Reading::Absent { absent } => Reading::absent(absent.as_str()),
    }
}

impl Gathering {
    /// Takes one sample in.
    pub(crate) fn take(&mut self, sample: &Sample) {
        let at = u64::midpoint(sample.before_ns, sample.after_ns);
        let cpu = &sample.node.cpu;
        self.all_ticks.note(at, &field(cpu, "CPU times", |t| Some(all(t))));
        self.busy_ticks.note(at, &field(cpu, "CPU times", |t| Some(busy(t))));
        self.steal_ticks.note(at, &field(cpu, "steal counter", |t| t.steal_ticks));
        self.iowait_ticks.note(at, &field(cpu, "iowait counter", |t| t.iowait_ticks));
        self.softirq_ticks.note(at, &field(cpu, "softirq counter", |t| t.softirq_ticks));
        let pressures = [&sample.node.psi_cpu, &sample.node.psi_io, &sample.node.psi_memory];
        for (track, pressure) in self.psi.iter_mut().zip(pressures) {
            track.note(at, &some_total(pressure));
        }
        self.running.note(at, &sample.node.procs_running);
        self.probe_cpu_ns.note(at, &Reading::Seen(sample.own.cpu_ns));
        self.sensor.take(at, sample.sensor.as_ref());
        self.stalls.take(sample);
        self.probe_missed.note(at, &Reading::Seen(sample.own.missed_rounds));
        // A round is late until its last read: it may begin in time and stand still in its middle.
        let late_ns = sample.after_ns.saturating_sub(sample.due_ns);
        self.probe_late.note(sample.after_ns, &Reading::Seen(late_ns));
        for (name, p) in &sample.processes {
            let tracks = self.parts.entry(name.clone()).or_default();
            let ticks = match (&p.user_ticks, &p.system_ticks) {
                (Reading::Seen(user), Reading::Seen(system)) => Reading::Seen(user + system),
                (Reading::Absent { absent }, _) | (_, Reading::Absent { absent }) => Reading::absent(absent.as_str()),
            };
            tracks.run_ns.note(p.read_ns, &p.run_ns);
            tracks.ticks.note(p.read_ns, &ticks);
            tracks.rss_bytes.note(p.read_ns, &p.rss_bytes);
            tracks.run_delay_ns.note(p.read_ns, &p.run_delay_ns);
            tracks.states.take(p);
        }
        for (name, c) in &sample.cgroups {
            let tracks = self.parts.entry(name.clone()).or_default();
            tracks.usage_ns.note(c.read_ns, &c.usage_ns);
            tracks.periods.note(c.read_ns, &c.periods);
            tracks.throttled_periods.note(c.read_ns, &c.throttled_periods);
            tracks.throttled_ns.note(c.read_ns, &c.throttled_ns);
        }
    }

    /// What it all comes to in the measured phase; and, of what holds up requests, while those of that phase were out.
    pub(crate) fn finish(self, trial: &Trial, host: &Host, measured: Span, out: Span) -> Usage {
        let ns_per_tick = 1e9 / host.clock_ticks_per_second.max(1) as f64;
        let unwatched = PartTracks::default();
        let settled = trial.phase(Phase::Settle).map(|p| Span { start_ns: p.start_ns, end_ns: p.end_ns });
        let of = |part: &Part| {
            let tracks = self.parts.get(&part.name).unwrap_or(&unwatched);
            (part.name.clone(), tracks.usage(part, measured, settled, ns_per_tick))
        };
        let parts: BTreeMap<String, PartUsage> = trial.parts.iter().map(of).collect();
        let held_up = |part: &Part| {
            let tracks = self.parts.get(&part.name).unwrap_or(&unwatched);
            (part.name.clone(), tracks.stalls(part, out))
        };
        let mut node = self.node(host, measured);
        let ours: f64 = parts.values().filter_map(|p| p.cores.seen()).sum();
        node.cpu_busy_share = credible(node.cpu_busy_share, ours / host.cpus_online.len().max(1) as f64);
        Usage {
            parts,
            node,
            backwards: self.backwards(measured),
            throttling: self.throttling(trial, measured),
            held_up: trial.parts.iter().map(held_up).collect(),
            machine: self.stalls.finish(&self.sensor.unexplained_ns, &self.psi[1], out),
            steal: match steal_unknown(host) {
                Some(reason) => Reading::absent(reason),
                None => stalls::steps(&self.steal_ticks, out, ns_per_tick),
            },
        }
    }

    /// Counters that never should go down, and did. Their figures are absent; this says so once.
    fn backwards(&self, measured: Span) -> Vec<(String, u64, u64)> {
        let [cpu, io, memory] = &self.psi;
        let of_node = [
            ("steal in /proc/stat", &self.steal_ticks),
            ("iowait in /proc/stat", &self.iowait_ticks),
            ("softirq in /proc/stat", &self.softirq_ticks),
            ("CPU pressure", cpu),
            ("I/O pressure", io),
            ("memory pressure", memory),
        ];
        let of_parts = self.parts.iter().flat_map(|(part, tracks)| {
            [
                (format!("run time of {part}"), &tracks.run_ns),
                (format!("run delay of {part}"), &tracks.run_delay_ns),
                (format!("CPU time of the cgroup of {part}"), &tracks.usage_ns),
                (format!("throttled time of {part}"), &tracks.throttled_ns),
            ]
        });
        let all = of_node.into_iter().map(|(name, track)| (name.to_owned(), track)).chain(of_parts);
        all.filter_map(|(name, track)| track.fall(measured).map(|(from, to)| (name, from, to))).collect()
    }

    fn throttling(&self, trial: &Trial, measured: Span) -> Reading<Vec<Step>> {
        let mut steps = Vec::new();
        let mut reason = Reading::absent("no proxies in this cell");
        let mut any = false;
        for part in trial.parts.iter().filter(|p| p.role.is_proxy()) {
            let Some(tracks) = self.parts.get(&part.name) else { continue };
            match tracks.throttled_ns.rise(measured) {
                Reading::Seen(_) => {
                    any = true;
                    steps.extend(tracks.throttled_ns.steps(measured));
                }
                Reading::Absent { absent } => reason = Reading::absent(cgroup_reason(part, &absent)),
            }
        }
        if any { Reading::Seen(steps) } else { reason }
    }

    /// For how long a round that was due was not made. Of one that stood still up to the end of the phase the next one tells, or
    /// none.
    fn probe_late_ns(&self, measured: Span) -> u64 {
        self.probe_late.longest_delay(measured).max(self.probe_late.short_of(measured))
    }

    fn node(&self, host: &Host, measured: Span) -> NodeUsage {
        /// As many make one tick five points of a hundred.
        const FEWEST_TICKS: u64 = 20;
        let cpus = host.cpus_online.len().max(1) as u64;
        let share = |ticks: &Track| match (ticks.rise(measured), self.all_ticks.rise(measured)) {
            // Each CPU can be a tick off, so that the share can be off by one tick of those that passed on one.
            (Reading::Seen((some, _)), Reading::Seen((all, _))) if all >= FEWEST_TICKS * cpus => {
                Reading::Seen(some as f64 / all as f64)
            }
            (Reading::Seen(_), Reading::Seen((all, _))) => Reading::absent(format!(
                "{} ticks passed while measuring, too few for a share: it could be off by more than five points",
                all / cpus
            )),
            (Reading::Absent { absent }, _) | (_, Reading::Absent { absent }) => Reading::absent(absent),
        };
        // Microseconds stalled for each nanosecond that passed.
        let stalled = |track: &Track| track.per_ns(measured).map(|v| v * 1e3);
        NodeUsage {
            steal_share: match steal_unknown(host) {
                Some(reason) => Reading::absent(reason),
                None => share(&self.steal_ticks),
            },
            iowait_share: share(&self.iowait_ticks),
            cpu_busy_share: share(&self.busy_ticks),
            softirq_share: share(&self.softirq_ticks),
            psi_cpu_some_share: stalled(&self.psi[0]),
            psi_io_some_share: stalled(&self.psi[1]),
            psi_memory_some_share: stalled(&self.psi[2]),
            run_queue_length: self.running.mean(measured),
            probe_cores: self.probe_cpu_ns.per_ns(measured),
            unexplained_loss_share: SensorTracks::ratio(&self.sensor.unexplained_ns, &self.sensor.burst_ns, measured),
            work_slowdown: self.sensor.slowdown(measured),
            work_ns: self.sensor.work_ns(measured),
            probe_late_ns: self.probe_late_ns(measured),
            probe_missed: self
                .probe_missed
                .rise(self.probe_missed.to_the_next(measured))
                .seen()
                .map_or(0, |(by, _)| *by),
        }
    }
}

impl PartTracks {
    fn usage(&self, part: &Part, measured: Span, settled: Option<Span>, ns_per_tick: f64) -> PartUsage {
        // The cgroup counts children and ended threads too; ticks are coarse and come last.
        let by_ticks = || self.ticks.per_ns(measured).map(|v| v * ns_per_tick);
        let cores = [self.usage_ns.per_ns(measured), self.run_ns.per_ns(measured)]
            .into_iter()
            .find(|r| r.seen().is_some())
            .unwrap_or_else(by_ticks);
        let of_cgroup = |reading: Reading<f64>| match reading {
            Reading::Absent { absent } => Reading::absent(cgroup_reason(part, &absent)),
            seen @ Reading::Seen(_) => seen,
        };
        let throttled_period_share = match (self.throttled_periods.rise(measured), self.periods.rise(measured)) {
            (Reading::Seen(_), Reading::Seen((0, _))) => Reading::Seen(0.0),
            (Reading::Seen((some, _)), Reading::Seen((all, _))) => Reading::Seen(some as f64 / all as f64),
            (Reading::Absent { absent }, _) | (_, Reading::Absent { absent }) => Reading::absent(absent),
        };
        PartUsage {
            role: part.role,
            cores,
            rss_bytes: self.rss_bytes.mean(measured),
            throttled_ns: of_cgroup(self.throttled_ns.total(measured)),
            throttled_periods: of_cgroup(self.throttled_periods.total(measured)),
            throttled_period_share: of_cgroup(throttled_period_share),
            run_delay_ns_per_s: self.run_delay_ns.per_ns(measured).map(|v| v * 1e9),
            idle: settled.map_or_else(|| Reading::absent("no settle phase"), |span| self.idle(span, ns_per_tick)),
            burst_ns: of_cgroup(self.usage_ns.dispersion(measured, WINDOW_NS)),
        }
    }

    fn stalls(&self, part: &Part, out: Span) -> PartStalls {
        let throttled = match stalls::steps(&self.throttled_ns, out, 1.0) {
            Reading::Absent { absent } => Reading::absent(cgroup_reason(part, &absent)),
            seen @ Reading::Seen(_) => seen,
        };
        let run_delay = stalls::steps(&self.run_delay_ns, out, 1.0);
        stalls::of_part(part.role, &self.states, [throttled, run_delay], out)
    }

    fn idle(&self, settled: Span, ns_per_tick: f64) -> Reading<Idle> {
        let idle = |(by, over): (u64, u64), step_ns: f64, ticks: bool| {
            let (over, unit) = (over as f64, if ticks { step_ns } else { 1.0 });
            Idle { cores: by as f64 * unit / over, step: step_ns / over, ticks }
        };
        for track in [&self.usage_ns, &self.run_ns] {
            if let Reading::Seen(rise) = track.rise(settled) {
                return Reading::Seen(idle(rise, RUN_TIME_NS as f64, false));
            }
        }
        match self.ticks.rise(settled) {
            Reading::Seen(rise) => Reading::Seen(idle(rise, ns_per_tick, true)),
            Reading::Absent { absent } => Reading::absent(absent.replace("while measuring", "before the load")),
        }
    }
}

/// A part without a cgroup of its own has no throttling to show, and its record says why.
fn cgroup_reason(part: &Part, otherwise: &str) -> String {
    part.cgroup.reason().unwrap_or(otherwise).to_owned()
}

/// Why this machine's steal counter means nothing, if so: a guest that is not told shows zero.
fn steal_unknown(host: &Host) -> Option<String> {
    match &host.steal_known {
        Reading::Seen(true) => None,
        Reading::Seen(false) => Some("this machine is not told what the hypervisor takes away".to_owned()),
        Reading::Absent { absent } => Some(absent.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_not_less_busy_than_our_own_parts() {
        assert_eq!(credible(Reading::Seen(0.20), 0.21), Reading::Seen(0.20));
        let said = credible(Reading::Seen(0.008), 0.19);
        assert!(said.reason().unwrap().contains("0.8 %") && said.reason().unwrap().contains("19.0 %"), "{said:?}");
        let absent = Reading::absent("no /proc/stat");
        assert_eq!(credible(absent.clone(), 0.5), absent);
    }

    #[test]
    fn guests_are_not_counted_twice_and_stolen_time_is_not_busy() {
        let t = CpuTimes {
            user_ticks: 10,
            nice_ticks: 1,
            system_ticks: 5,
            idle_ticks: 70,
            iowait_ticks: Some(4),
            irq_ticks: Some(1),
            softirq_ticks: Some(2),
            steal_ticks: Some(7),
            guest_ticks: Some(6),
            guest_nice_ticks: Some(1),
        };
        assert_eq!((busy(&t), all(&t)), (19, 100));
    }

    #[test]
    fn a_round_that_stands_still_in_its_middle_is_as_late_as_one_that_begins_late() {
        let round = |due_ns, before_ns, after_ns| Sample { due_ns, before_ns, after_ns, ..Sample::default() };
        let measured = Span { start_ns: 100, end_ns: 1000 };
        let late = |rounds: &[Sample]| {
            let mut gathering = Gathering::default();
            rounds.iter().for_each(|round| gathering.take(round));
            gathering.probe_late_ns(measured)
        };
        let before = round(400, 401, 403);
        assert_eq!(late(&[before.clone(), round(500, 900, 902), round(1000, 1001, 1003)]), 402);
        assert_eq!(late(&[before.clone(), round(500, 501, 902), round(1000, 1001, 1003)]), 402);
        // Up to the end and beyond, in the last sample there is.
        assert_eq!(late(&[before.clone(), round(500, 501, 5000)]), 500);
        assert_eq!(late(&[before, round(500, 501, 503)]), 497, "or in none");
    }
}
