//! What several generators recorded of one load, made one record: counts are added, and no histogram loses any.

use std::collections::BTreeMap;

use record::{
    Histogram, Interval, Lag, LineWriter, Lines, LoadSummary, Observed, Phase, Quantiles, Setup, Share, SlowRequest,
    Stationarity, TrialDirectory,
};

use crate::summary::balance;
use crate::verdict::judge;
use crate::{Error, Result};

/// What one generator left, and by how much its stamps are moved to stand on the clock of the record.
#[derive(Clone, Debug)]
pub struct Generated {
    /// Where its files are.
    pub directory: TrialDirectory,
    /// To be added to each of its stamps (CLOCK_MONOTONIC of its host).
    pub move_ns: i64,
}

impl Generated {
    fn moved(&self, stamp_ns: u64) -> u64 {
        stamp_ns.saturating_add_signed(self.move_ns)
    }
}

/// Writes the files of one load into `to`, of those that each generator wrote of its portion; returns its summary. The
/// stamps of the services in `hops_ns` are moved by so much, as those of a generator are: they are of other hosts.
///
/// The windows of all generators begin at the same moment by their own clocks: those of one number are one window. Where
/// the clocks do not agree to the nanosecond it begins with the earliest of them, and is by so much longer.
///
/// # Errors
/// When a file cannot be read or written, or counts do not add up.
pub fn merge(of: &[Generated], hops_ns: &BTreeMap<String, i64>, to: &TrialDirectory) -> Result<LoadSummary> {
    let summaries = of.iter().map(|one| one.directory.load()).collect::<record::Result<Vec<_>>>()?;
    let windows = windows(of)?;
    let mut total = Interval::empty(Phase::Measure, 0, 0);
    let mut begun = false;
    let mut writer = LineWriter::open(&to.intervals_path())?;
    for interval in windows.values() {
        writer.append(interval)?;
        if interval.phase == Phase::Measure {
            if begun {
                total.add(interval)?;
            } else {
                (total, begun) = (interval.clone(), true);
            }
        }
    }
    slow(of, hops_ns, to)?;
    let mut summary = summed(of, &summaries, &total)?;
    summary.observed.stationarity = stationarity(&windows, &summary)?;
    let stopped = summaries.iter().any(|s| s.reasons.iter().any(|reason| reason.starts_with("it was stopped")));
    judge(&mut summary, stopped);
    to.write_load(&summary)?;
    Ok(summary)
}

/// The windows of all, by their number from the first and their phase.
fn windows(of: &[Generated]) -> Result<BTreeMap<(u64, Phase), Interval>> {
    let mut windows: BTreeMap<(u64, Phase), Interval> = BTreeMap::new();
    for one in of {
        let mut first_ns = None;
        for interval in Lines::<Interval>::open(&one.directory.intervals_path())? {
            let mut interval = interval?;
            let first_ns = *first_ns.get_or_insert(interval.start_ns);
            // Only a load's last window is shorter, so that all numbers come out even.
            let number = interval.start_ns.saturating_sub(first_ns) / record::INTERVAL_NS;
            interval.start_ns = one.moved(interval.start_ns);
            match windows.get_mut(&(number, interval.phase)) {
                Some(others) => others.add(&interval)?,
                None => {
                    windows.insert((number, interval.phase), interval);
                }
            }
        }
    }
    // Not all generators have a line for each phase of a window; what there is of it begins at one moment all the same.
    let mut starts: BTreeMap<u64, u64> = BTreeMap::new();
    for ((number, _), interval) in &windows {
        let start_ns = starts.entry(*number).or_insert(interval.start_ns);
        *start_ns = interval.start_ns.min(*start_ns);
    }
    for ((number, _), interval) in &mut windows {
        if let Some(start_ns) = starts.get(number) {
            interval.length_ns += interval.start_ns - start_ns;
            interval.start_ns = *start_ns;
        }
    }
    Ok(windows)
}

/// The kept requests of all.
fn slow(of: &[Generated], hops_ns: &BTreeMap<String, i64>, to: &TrialDirectory) -> Result<()> {
    let mut writer = LineWriter::open(&to.slow_path())?;
    let mut connections = 0;
    for one in of {
        let mut most = 0;
        for request in Lines::<SlowRequest>::open(&one.directory.slow_path())? {
            let mut request = request?;
            request.intended_ns = one.moved(request.intended_ns);
            request.sent_ns = request.sent_ns.map(|at| one.moved(at));
            request.done_ns = one.moved(request.done_ns);
            for hop in &mut request.hops {
                if let Some(by_ns) = hops_ns.get(&hop.service) {
                    hop.move_by(*by_ns);
                }
            }
            most = most.max(request.connection.map_or(0, |at| at + 1));
            // Each generator counts its own from 0.
            request.connection = request.connection.map(|at| at + connections);
            writer.append(&request)?;
        }
        connections += most;
    }
    Ok(())
}

/// The summary: every figure that a histogram or a count stands behind is made of those of all.
fn summed(of: &[Generated], summaries: &[LoadSummary], total: &Interval) -> Result<LoadSummary> {
    let unsent = balance(total).map_err(Error::Unbalanced)?;
    let first = summaries.first().ok_or(Error::Plan {
        what: "the number of generators",
        found: "0".to_owned(),
        remedy: "there must be at least one",
    })?;
    let moved = |of_one: fn(&LoadSummary) -> u64| of.iter().zip(summaries).map(move |(g, s)| g.moved(of_one(s)));
    let start_ns = moved(|s| s.start_ns).min().unwrap_or_default();
    let rate: Option<Vec<f64>> = summaries.iter().map(|s| s.rate_per_second).collect();
    Ok(LoadSummary {
        rate_per_second: rate.map(|all| all.iter().sum()),
        connections: summaries.iter().map(|s| s.connections).sum(),
        start_ns,
        duration_ns: summaries.iter().map(|s| s.duration_ns).max().unwrap_or_default(),
        end_ns: moved(|s| s.end_ns).max().unwrap_or_default(),
        due: total.due,
        sent: total.sent,
        answered: total.outcomes.answered_total(),
        unsent,
        censored: unsent + total.outcomes.cut_by_deadline,
        outcomes: total.outcomes.clone(),
        achieved_per_second: summaries.iter().map(|s| s.achieved_per_second).sum(),
        response_ns: (&total.response).into(),
        service_ns: (&total.service).into(),
        lag_ns: Lag { ours: (&total.lag_ours).into(), theirs: (&total.lag_theirs).into() },
        cpu_seconds: summaries.iter().map(|s| s.cpu_seconds).sum(),
        observed: observed(summaries, total),
        ..first.clone()
    })
}

/// What is seen besides. The largest of each stands for what only its own generator had a histogram of; the gaps between
/// sends, which several generators make together, are known to none.
fn observed(summaries: &[LoadSummary], total: &Interval) -> Observed {
    let all = || summaries.iter().map(|s| &s.observed);
    let first = all().next().cloned().unwrap_or_default();
    if summaries.len() == 1 {
        return first;
    }
    let mut grpc_statuses = BTreeMap::new();
    for (status, n) in all().flat_map(|o| &o.grpc_statuses) {
        *grpc_statuses.entry(*status).or_default() += n;
    }
    let worst = |of: fn(&Setup) -> &Quantiles| all().map(|o| *of(&o.setup_ns)).reduce(largest).unwrap_or_default();
    Observed {
        threads: all().flat_map(|o| o.threads.clone()).collect(),
        steal_ticks: record::Reading::absent("several generators: each load.json has its own"),
        pacing: None,
        kept_back: all().filter_map(|o| o.kept_back).reduce(|mut sum, more| {
            sum.add(more);
            sum
        }),
        naps_ns: all().filter_map(|o| o.naps_ns).reduce(largest),
        setup_ns: Setup {
            opened: all().map(|o| o.setup_ns.opened).sum(),
            dns: worst(|s| &s.dns),
            connect: worst(|s| &s.connect),
            tls: worst(|s| &s.tls),
        },
        first_byte_ns: (&total.first_byte).into(),
        bytes_read: all().map(|o| o.bytes_read).sum(),
        split: split(total),
        requests: Vec::new(),
        retried: all().map(|o| o.retried).sum(),
        extra_attempts: all().map(|o| o.extra_attempts).sum(),
        overloaded: all().map(|o| o.overloaded).sum(),
        grpc_statuses,
        grpc_messages: all().map(|o| o.grpc_messages).sum(),
        balance: None,
        noise_floor: None,
        stationarity: None,
        ..first
    }
}

fn largest(one: Quantiles, other: Quantiles) -> Quantiles {
    Quantiles {
        p50: one.p50.max(other.p50),
        p90: one.p90.max(other.p90),
        p99: one.p99.max(other.p99),
        p999: one.p999.max(other.p999),
        max: one.max.max(other.max),
    }
}

/// The shares of the answers, the most frequent first.
fn split(total: &Interval) -> Vec<Share> {
    let mut shares: Vec<Share> = (total.split.by_value().into_iter())
        .map(|(value, answers)| Share {
            value: value.to_owned(),
            answered: answers.answered,
            errors: answers.errors,
            response_ns: (&answers.response).into(),
            service_ns: (&answers.service).into(),
        })
        .collect();
    shares.sort_by(|a, b| b.answered.cmp(&a.answered).then_with(|| a.value.cmp(&b.value)));
    shares
}

/// Answers that a third must have to be compared.
const ENOUGH: u64 = 100;

fn stationarity(windows: &BTreeMap<(u64, Phase), Interval>, summary: &LoadSummary) -> Result<Option<Stationarity>> {
    let (mut first, mut last) = (Histogram::new(), Histogram::new());
    for interval in windows.values().filter(|i| i.phase == Phase::Measure) {
        let at_ns = interval.start_ns.saturating_sub(summary.start_ns);
        if at_ns < summary.duration_ns / 3 {
            first.add(&interval.response)?;
        } else if at_ns >= summary.duration_ns / 3 * 2 && at_ns < summary.duration_ns {
            last.add(&interval.response)?;
        }
    }
    let enough = first.count() >= ENOUGH && last.count() >= ENOUGH;
    Ok(enough.then(|| Stationarity { first_ns: (&first).into(), last_ns: (&last).into() }))
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
