//! The lines of watched processes and cgroups.

use std::fmt::Write as _;

use record::{CgroupSample, ProcessSample, Reading, Sample, quantum};
use reports::rates::{Doubted, contention, rate, share};

use super::{Facts, cell, ms_per_s, pair, percent};

pub(super) fn process_lines(out: &mut String, before: &Sample, after: &Sample, facts: &Facts) {
    let pairs = after.processes.iter().filter_map(|(name, new)| Some((name, before.processes.get(name)?, new)));
    for (name, old, new) in pairs {
        if let Reading::Absent { absent } = &new.threads {
            let _ = writeln!(out, "process   {name}: n/a ({absent})");
            continue;
        }
        let throttled = throttled_around(new.cgroup.as_deref(), before, after);
        let waited = delay(old, new, throttled.as_ref().map_or(0, |t| t.longest_ns));
        let contended = match (&waited, &throttled) {
            (Reading::Seen(delay), Some(Throttled { share: Reading::Seen(share), .. })) => {
                let threads = *new.threads.seen().unwrap_or(&1);
                format!(" (without throttling {})", percent_of(contention(*delay, *share, threads)))
            }
            _ => String::new(),
        };
        let _ = writeln!(
            out,
            "process   {name}: CPU {}, waited for CPU {}{contended}, RSS {}, {} threads",
            percent(&cpu(old, new, facts)),
            ms_per_s(&waited),
            cell(&new.rss_bytes, |bytes| format!("{:.1} MiB", *bytes as f64 / 1_048_576.0)),
            cell(&new.threads, u64::to_string),
        );
    }
}

fn percent_of(share: Doubted) -> String {
    percent(&Reading::Seen(share))
}

fn windows(before: &ProcessSample, after: &ProcessSample) -> [(u64, u64); 2] {
    [before, after].map(|s| (s.read_ns, s.read_ns + s.took_ns))
}

/// From the scheduler's nanoseconds where there are such, else from ticks.
fn cpu(before: &ProcessSample, after: &ProcessSample, facts: &Facts) -> Reading<Doubted> {
    let threads = after.threads.seen().map_or(1, |threads| (*threads).max(1));
    let cpus = facts.cpus;
    // As many as can run at once can be behind.
    let quantum = quantum::RUN_TIME_NS * threads.min(cpus);
    let run = pair(&before.run_ns, &after.run_ns, windows(before, after), |a, b| {
        rate(a, b, quantum).map(|per_second| per_second.of(1e9))
    });
    if run.seen().is_some() {
        return run;
    }
    let ticks = |s: &ProcessSample| match (&s.user_ticks, &s.system_ticks) {
        (Reading::Seen(user), Reading::Seen(system)) => Reading::Seen((user + system) * facts.tick_ns()),
        (Reading::Absent { absent }, _) | (_, Reading::Absent { absent }) => Reading::absent(absent),
    };
    pair(&ticks(before), &ticks(after), windows(before, after), |a, b| share(a, b, 2 * facts.tick_ns()))
}

/// Its threads' waits, where one can be as long as throttling lasts.
fn delay(before: &ProcessSample, after: &ProcessSample, throttled_ns: u64) -> Reading<Doubted> {
    let threads = after.threads.seen().map_or(1, |threads| (*threads).max(1));
    let wait_ns = quantum::RUN_DELAY_NS.max(throttled_ns);
    pair(&before.run_delay_ns, &after.run_delay_ns, windows(before, after), |a, b| {
        // How many wait at the two ends is not told: as many as did on average, and one at least.
        let passed = b.before_ns.saturating_sub(a.after_ns).max(1);
        let waiting = b.value.saturating_sub(a.value).div_ceil(passed).clamp(1, threads);
        rate(a, b, wait_ns * waiting).map(|per_second| per_second.of(1e9))
    })
}

/// What held back a group.
struct Throttled {
    share: Reading<Doubted>,
    /// The longest that one stretch of it can be.
    longest_ns: u64,
}

/// The throttling of a group and of those around it: each holds up what is inside.
fn throttled_around(cgroup: Option<&str>, before: &Sample, after: &Sample) -> Option<Throttled> {
    let mut found: Option<Throttled> = None;
    let mut next = cgroup;
    while let Some(key) = next {
        let (old, new) = (before.cgroups.get(key)?, after.cgroups.get(key)?);
        next = new.parent.as_deref();
        let longest_ns = longest_ns(new);
        if longest_ns == 0 {
            continue;
        }
        let share = throttled(old, new);
        found = Some(match (found, share) {
            (None, share) => Throttled { share, longest_ns },
            (Some(Throttled { share: Reading::Seen(a), longest_ns: l }), Reading::Seen(b)) => {
                let sum = Doubted { value: a.value + b.value, error: a.error + b.error };
                Throttled { share: Reading::Seen(sum), longest_ns: l.max(longest_ns) }
            }
            (Some(known), _) => known,
        });
    }
    found
}

/// The longest stretch of throttling: what is left of a period when its quota is used up at once; zero without a
/// quota.
fn longest_ns(group: &CgroupSample) -> u64 {
    match group.limit.seen() {
        Some(limit) => match limit.quota_ns {
            Some(quota_ns) => limit.period_ns.saturating_sub(quota_ns).max(quantum::RUN_DELAY_NS),
            None => 0,
        },
        None => quantum::PERIOD_NS,
    }
}

fn throttled(before: &CgroupSample, after: &CgroupSample) -> Reading<Doubted> {
    let windows = [before, after].map(|s| (s.read_ns, s.read_ns + s.took_ns));
    pair(&before.throttled_ns, &after.throttled_ns, windows, |a, b| {
        rate(a, b, longest_ns(after)).map(|per_second| per_second.of(1e9))
    })
}

pub(super) fn cgroup_lines(out: &mut String, before: &Sample, after: &Sample) {
    let pairs = after.cgroups.iter().filter_map(|(name, new)| Some((name, before.cgroups.get(name)?, new)));
    for (name, old, new) in pairs {
        // A group around others that limits nothing has nothing to say.
        let around = after.cgroups.values().any(|group| group.parent.as_ref() == Some(name));
        if around && longest_ns(new) == 0 {
            continue;
        }
        let windows = [old, new].map(|s| (s.read_ns, s.read_ns + s.took_ns));
        let cpu = pair(&old.usage_ns, &new.usage_ns, windows, |a, b| {
            rate(a, b, quantum::RUN_TIME_NS).map(|per_second| per_second.of(1e9))
        });
        let limit = match new.limit.seen().map(|limit| (limit.quota_ns, limit.period_ns)) {
            Some((Some(quota_ns), period_ns)) => {
                format!(" of {:.1} %", quota_ns as f64 / period_ns.max(1) as f64 * 100.0)
            }
            _ => String::new(),
        };
        let throttled = match (&throttled(old, new), grown(&old.periods, &new.periods)) {
            (Reading::Absent { absent }, _) => format!("n/a ({absent})"),
            (share, Some(0)) => ms_per_s(share),
            (share, periods) => {
                let count = |n: Option<u64>| n.map_or_else(|| "n/a".to_owned(), |n| n.to_string());
                let hit = grown(&old.throttled_periods, &new.throttled_periods);
                format!("{}, {} of {} periods", ms_per_s(share), count(hit), count(periods))
            }
        };
        let _ = writeln!(out, "cgroup    {name}: CPU {}{limit}, throttled {throttled}", percent(&cpu));
    }
}

fn grown(before: &Reading<u64>, after: &Reading<u64>) -> Option<u64> {
    after.seen()?.checked_sub(*before.seen()?)
}
