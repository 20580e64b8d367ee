//! What the probe read last, as a page for a Prometheus to scrape.
//!
//! Times are seconds, sizes bytes, and counters are the kernel's own totals, for `rate()` to take differences of. One
//! that went backwards reads as a reset there. What is absent is left out and named in `meshtax_node_absent_info`.
//!
//! No sample carries a timestamp: a Prometheus that is given one takes a series for alive for five minutes after it is
//! gone, and a process that has ended would go on. How old a reading is when it is scraped is a family of its own,
//! `meshtax_node_read_age_seconds`, by source, which asks for no clock that both sides agree on.

mod latest;
mod machine;
mod part;
mod slow;
#[cfg(test)]
mod tests;
mod watched;

pub use latest::Latest;

use record::{GapCounters, OwnCost, Reading, Sample};

use crate::open_metrics::{Format, number, seconds};
use part::{Exposition, count, from_ns};

/// What is needed to tell what the counters mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// USER_HZ: the ticks of a second.
    pub ticks_per_second: u64,
    /// Whether a steal of zero means anything (see [`record::Host::steal_known`]).
    pub steal_known: Reading<bool>,
}

impl Facts {
    fn seconds(&self, ticks: u64) -> String {
        number(ticks as f64 / self.ticks_per_second.max(1) as f64)
    }
}

/// The newest readings at `now_ns` (CLOCK_MONOTONIC). Before the first round there are none, and the page is empty.
pub fn render(latest: &Latest, facts: &Facts, format: Format, now_ns: u64) -> String {
    let mut out = Exposition::new(format);
    let Some(sample) = &latest.sample else { return out.finish() };
    // Of the stamps the ages are made; `reads` is in the windows.
    let Sample {
        round,
        due_ns: _,
        before_ns,
        after_ns,
        node,
        cgroups,
        processes,
        own,
        networks,
        slow,
        reads: _,
        sensor,
    } = sample;
    let mut about = out.part("probe", &[]);
    about.info("probe", "The program that says all this.", &[("version", env!("CARGO_PKG_VERSION"))]);
    about.end();
    machine::node(&mut out, node, facts);
    slow::slow(&mut out, slow.as_ref());
    for (name, network) in networks {
        watched::network(&mut out, name, network);
    }
    for (name, cgroup) in cgroups {
        watched::cgroup(&mut out, name, cgroup);
    }
    for (name, process) in processes {
        watched::process(&mut out, name, process, facts);
    }
    if let Some(sensor) = sensor {
        self::sensor(&mut out, sensor);
    }
    probe(&mut out, own, *round, after_ns.saturating_sub(*before_ns));
    ages(&mut out, latest, now_ns);
    out.finish()
}

fn probe(out: &mut Exposition, own: &OwnCost, round: u64, took_ns: u64) {
    let OwnCost { cpu_ns, late_ns, missed_rounds, rss_bytes, pressure_every_ns } = own;
    let mut part = out.part("probe", &[]);
    part.counted("probe_cpu_seconds", "CPU time of the probe, serving this page and all.", &[], from_ns(cpu_ns));
    part.counted("probe_rounds", "Rounds that were due, missed ones among them.", &[], count(&(round + 1)));
    let help = "Rounds that were missed; they are not made up for.";
    part.counted("probe_missed_rounds", help, &[], count(missed_rounds));
    part.gauged("probe_late_seconds", "How late the last round began.", &[], from_ns(late_ns));
    part.gauged("probe_round_seconds", "How long the last round took.", &[], seconds(took_ns));
    part.gauged("probe_resident_bytes", "Resident memory of the probe.", &[], count(rss_bytes));
    let help = "The least time between two reads of a pressure file: figures of pressure are comparable at one only.";
    part.gauged("probe_pressure_interval_seconds", help, &[], from_ns(pressure_every_ns));
    part.end();
}

fn sensor(out: &mut Exposition, sensor: &GapCounters) {
    let GapCounters {
        bursts,
        missed_bursts,
        burst_ns,
        lost,
        gaps,
        longest_gap_ns,
        late_ns,
        latest_ns,
        chunk_median_sum_ns,
        chunk_best_ns,
        cpu_ns,
    } = sensor;
    let mut part = out.part("sensor", &[]);
    part.counted("sensor_bursts", "Short bursts of work made.", &[], count(bursts));
    let help = "Bursts that were due while another was still going on.";
    part.counted("sensor_missed_bursts", help, &[], count(missed_bursts));
    part.counted("sensor_watched_seconds", "Time in bursts, of which some was lost.", &[], from_ns(burst_ns));
    for (cause, ns) in lost.parts() {
        let help = "Time in bursts in which the sensor wanted a CPU and had none, by what took it.";
        part.counted("sensor_lost_seconds", help, &[("cause", cause.word())], from_ns(&ns));
    }
    part.counted("sensor_gaps", "Gaps in bursts.", &[], count(gaps));
    part.gauged("sensor_longest_gap_seconds", "The longest gap so far.", &[], from_ns(longest_gap_ns));
    part.counted("sensor_late_seconds", "How late bursts began, all together.", &[], from_ns(late_ns));
    part.gauged("sensor_latest_seconds", "The latest that a burst began.", &[], from_ns(latest_ns));
    let help = "The median time of a piece of work in each burst, all bursts together.";
    part.counted("sensor_work_seconds", help, &[], from_ns(chunk_median_sum_ns));
    part.gauged("sensor_work_best_seconds", "The fastest piece of work so far.", &[], from_ns(chunk_best_ns));
    part.counted("sensor_cpu_seconds", "CPU time of the sensor itself.", &[], from_ns(cpu_ns));
    part.end();
}

fn ages(out: &mut Exposition, latest: &Latest, now_ns: u64) {
    for (source, (before_ns, after_ns)) in &latest.windows {
        let mut part = out.part("read", &[]);
        let help = "How long ago a source was read, as of this scrape: what its families say is as old.";
        part.gauged("read_age_seconds", help, &[("source", source)], seconds(now_ns.saturating_sub(*before_ns)));
        let help = "How long reading a source took: when its counters were taken is in doubt by as much.";
        part.gauged("read_window_seconds", help, &[("source", source)], seconds(after_ns.saturating_sub(*before_ns)));
        part.end();
    }
}
