//! A cell's worst windows, each with everything that is known of it.

use std::collections::BTreeMap;

use record::Reading;

use super::candidate::{Candidate, Ground, covered};
use super::moments::MOMENT_NS;
use super::signals;
use crate::findings::{Cause, WorstWindow};
use crate::gather::Window;
use crate::usage::{PartStalls, Span, Step};

/// How many are shown.
const SHOWN: usize = 10;

/// The worst windows of a cell, the worst first.
pub(super) fn of(cell: &str, grounds: &[Ground<'_>], named: &[&Candidate]) -> Vec<WorstWindow> {
    let total: f64 = grounds.iter().map(|g| g.moments.total_ns()).sum();
    let mut all: Vec<(usize, usize, f64)> = Vec::new();
    for (trial, ground) in grounds.iter().enumerate() {
        all.extend(ground.moments.excess_ns.iter().enumerate().map(|(t, excess)| (trial, t, *excess)));
    }
    all.retain(|(_, _, excess)| *excess > 0.0);
    all.sort_by(|a, b| b.2.total_cmp(&a.2));
    all.truncate(SHOWN);
    all.into_iter()
        .map(|(trial, t, excess)| {
            let causes = named.iter().filter(|c| has_part(c, trial, t, &grounds[trial])).map(|c| c.cause).collect();
            window(cell, &grounds[trial], t, excess / total, causes)
        })
        .collect()
}

fn has_part(candidate: &Candidate, trial: usize, t: usize, ground: &Ground<'_>) -> bool {
    let claims = &candidate.claims[trial];
    ground.episodes.iter().zip(claims).any(|(e, claim)| e.windows.contains(&t) && !claim.is_empty())
}

fn window(cell: &str, ground: &Ground<'_>, t: usize, share_of_tail: f64, causes: Vec<Cause>) -> WorstWindow {
    let Ground { trial, moments, .. } = ground;
    let begins = moments.start_ns + t as u64 * MOMENT_NS;
    let here: Vec<&Window> =
        trial.windows.iter().filter(|w| (begins..begins + MOMENT_NS).contains(&w.span.start_ns)).collect();
    let over = |w: &&Window| -> u64 {
        w.response.iter().filter(|(ns, _)| *ns as f64 > moments.quiet_ns).map(|(_, n)| n).sum()
    };
    let whole = Span { start_ns: begins, end_ns: begins + MOMENT_NS };
    let out = moments.longest[t].map_or(whole, |longest| longest.span);
    let usage = &trial.usage;
    let machine = &usage.machine;
    let by_part = |steps: &dyn Fn(&PartStalls) -> Vec<Step>| -> BTreeMap<String, u64> {
        let of = |(name, part): (&String, &PartStalls)| (name.clone(), covered(steps(part).iter(), &out));
        usage.held_up.iter().map(of).filter(|(_, ns)| *ns > 0).collect()
    };
    let seen = |r: &Reading<Vec<Step>>| r.seen().cloned().unwrap_or_default();
    WorstWindow {
        cell: cell.to_owned(),
        trial: trial.trial.id.clone(),
        at_ns: t as u64 * MOMENT_NS,
        share_of_tail,
        requests_over: here.iter().map(over).sum(),
        worst_response_ns: here.iter().map(|w| w.max_ns).max().unwrap_or(0),
        causes,
        throttled_ns: by_part(&|p| seen(&p.throttled).iter().map(signals::throttled).collect()),
        run_delay_ns: by_part(&|p| signals::waits(p).unwrap_or_default()),
        stopped_ns: by_part(&|p| seen(&p.stopped)),
        blocked_ns: by_part(&|p| seen(&p.blocked)),
        steal_ns: meanwhile(&usage.steal, &out),
        lost_ns: meanwhile(&machine.lost, &out),
        disk_ns: meanwhile(&machine.disk, &out),
        io_pressure_ns: meanwhile(&machine.io_pressure, &out),
        retransmits: meanwhile(&machine.retransmits, &out),
        generator_lag_ns: here.iter().map(|w| w.lag_ours_max_ns).max().unwrap_or(0),
        slowest_at: here.iter().find_map(|w| trial.kept.get(&w.span.start_ns)).map(|kept| {
            format!(
                "{} ({} of {})",
                kept.at,
                crate::figure::ms_bare(kept.at_ns as f64),
                crate::figure::ms_bare(kept.response_ns as f64)
            )
        }),
    }
}

/// By how much a counter rose between the samples around a stretch.
fn meanwhile(steps: &Reading<Vec<Step>>, out: &Span) -> Reading<u64> {
    steps.clone().map(|steps| steps.iter().filter(|s| s.span.overlaps(out)).map(|s| s.by).sum())
}
