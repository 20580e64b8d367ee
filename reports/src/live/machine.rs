//! What the machine and the proxies did in the last second or so of a trial that is being made.

use std::collections::VecDeque;

use record::{CpuTimes, Reading};
use serde::Serialize;

use super::lines::SampleLine;
use crate::usage;

/// The least time that a rate is made over: counters of CPU time move in steps of 10 ms.
const WINDOW_NS: u64 = 1_000_000_000;

/// The machine now. A share is 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct MachineNow {
    /// CPU time in use, by whomever.
    pub cpu_busy_share: Reading<f64>,
    /// CPU time that the hypervisor gave to others while there was work.
    pub steal_share: Reading<f64>,
    /// Cores that all proxies used together.
    pub proxy_cores: Reading<f64>,
    /// Of the quota periods in which proxies ran, the share in which they were throttled.
    pub proxy_throttled_share: Reading<f64>,
}

/// Counters at one moment.
#[derive(Clone, Debug)]
struct Point {
    at_ns: u64,
    cpu: Option<CpuTimes>,
    /// CPU time of all parts together.
    parts_ns: u64,
    /// The proxies alone; none where there is no proxy.
    proxies_ns: Option<u64>,
    /// Quota periods of the proxies, and those with throttling; none where no cgroup tells.
    periods: Option<(u64, u64)>,
}

/// The samples of the last second or so.
#[derive(Debug)]
pub(super) struct Machine {
    cpus: f64,
    steal_known: Reading<bool>,
    points: VecDeque<Point>,
}

/// Whether a part stands between services or in front of them, by the name that the platform gives it.
fn is_proxy(part: &str) -> bool {
    part.ends_with("-sidecar") || part == "gateway" || part == "node-proxy"
}

impl Point {
    fn of(line: &SampleLine) -> Self {
        let run = |(name, process): (&String, &super::lines::ProcessLine)| {
            process.run_ns.value().map(|ns| (is_proxy(name), *ns))
        };
        let (mut parts_ns, mut proxies_ns) = (0, None);
        for (proxy, ns) in line.processes.iter().filter_map(run) {
            parts_ns += ns;
            if proxy {
                *proxies_ns.get_or_insert(0) += ns;
            }
        }
        let mut periods: Option<(u64, u64)> = None;
        for (_, group) in line.cgroups.iter().filter(|(name, _)| is_proxy(name)) {
            if let (Some(ran), Some(throttled)) = (group.periods.value(), group.throttled_periods.value()) {
                let sum = periods.get_or_insert((0, 0));
                *sum = (sum.0 + ran, sum.1 + throttled);
            }
        }
        let at_ns = u64::midpoint(line.before_ns, line.after_ns);
        Self { at_ns, cpu: line.node.cpu.value().copied(), parts_ns, proxies_ns, periods }
    }
}

impl Machine {
    pub(super) fn new(cpus: usize, steal_known: Reading<bool>) -> Self {
        Self { cpus: cpus.max(1) as f64, steal_known, points: VecDeque::new() }
    }

    pub(super) fn take(&mut self, line: &SampleLine) {
        let point = Point::of(line);
        let from_ns = point.at_ns.saturating_sub(WINDOW_NS);
        self.points.push_back(point);
        // One point from before the window stays, with the machine's counters: the window is never shorter.
        while let Some(second) = self.points.iter().skip(1).position(|p| p.cpu.is_some()).map(|at| at + 1)
            && self.points[second].at_ns <= from_ns
        {
            self.points.drain(..second);
        }
    }

    pub(super) fn now(&self) -> Option<MachineNow> {
        let last = self.points.iter().rev().find(|p| p.cpu.is_some())?;
        let first = self.points.iter().find(|p| p.cpu.is_some())?;
        let passed_ns = last.at_ns.saturating_sub(first.at_ns);
        if passed_ns < WINDOW_NS / 2 {
            return None;
        }
        let (from, to) = (first.cpu?, last.cpu?);
        let passed = passed_ns as f64;
        let cores = |ns: u64| ns as f64 / passed;
        let ours = cores(last.parts_ns.saturating_sub(first.parts_ns)) / self.cpus;
        let grown = |of: fn(&CpuTimes) -> u64| of(&to).saturating_sub(of(&from)) as f64;
        let all = grown(usage::all).max(1.0);
        Some(MachineNow {
            cpu_busy_share: usage::credible(Reading::Seen(grown(usage::busy) / all), ours),
            steal_share: self.steal(&from, &to, all),
            proxy_cores: match (first.proxies_ns, last.proxies_ns) {
                (Some(low), Some(high)) => Reading::Seen(cores(high.saturating_sub(low))),
                _ => Reading::absent("there is no proxy"),
            },
            proxy_throttled_share: throttled(first.periods, last.periods),
        })
    }

    fn steal(&self, from: &CpuTimes, to: &CpuTimes, all: f64) -> Reading<f64> {
        match (&self.steal_known, from.steal_ticks, to.steal_ticks) {
            (Reading::Absent { absent }, ..) => Reading::absent(absent.as_str()),
            (Reading::Seen(false), ..) => Reading::absent("this kernel is not told of steal"),
            (Reading::Seen(true), Some(low), Some(high)) => Reading::Seen(high.saturating_sub(low) as f64 / all),
            (Reading::Seen(true), ..) => Reading::absent("this kernel has no steal counter"),
        }
    }
}

fn throttled(first: Option<(u64, u64)>, last: Option<(u64, u64)>) -> Reading<f64> {
    let (Some((ran, throttled)), Some((ran_then, throttled_then))) = (last, first) else {
        return Reading::absent("no cgroup of a proxy tells");
    };
    let (ran, throttled) = (ran.saturating_sub(ran_then), throttled.saturating_sub(throttled_then));
    // Periods are counted where there is a quota, and nowhere else.
    if ran == 0 {
        Reading::absent("no proxy has run under a CPU limit")
    } else {
        Reading::Seen(throttled as f64 / ran as f64)
    }
}
