//! The ledger in sentences.

use record::Cell;

use super::candidate::{Candidate, seconds};
use crate::figure;
use crate::findings::{Attribution, Cause, Known, PartShare};
use crate::stats::Estimate;

/// What a part is called in a sentence: "the payment sidecar".
pub(crate) fn part_name(part: &str) -> String {
    match part.strip_suffix("-sidecar") {
        Some(service) => format!("the {service} sidecar"),
        None if part == "load" => "the load generator".to_owned(),
        None => part.to_owned(),
    }
}

/// What went on while a cause was on: "the payment sidecar was throttled".
pub(crate) fn meanwhile(cause: Cause, part: Option<&str>) -> String {
    let who = part.map_or_else(|| "a part".to_owned(), part_name);
    match cause {
        Cause::Throttling => format!("{who} was throttled"),
        Cause::Steal => "the hypervisor had taken a CPU away".to_owned(),
        Cause::Stopped => format!("{who} stood still"),
        Cause::Disk => format!("{who} waited for a disk"),
        Cause::Network => "TCP sent segments again".to_owned(),
        Cause::Generator => "the load generator itself was late".to_owned(),
        Cause::RunQueue => format!("{who} waited for a CPU"),
        Cause::Unexplained => "nothing that was looked at was on".to_owned(),
    }
}

/// A cause that is named.
pub(super) fn named(
    cell: &Cell,
    candidate: &Candidate,
    share: Estimate,
    parts: &[PartShare],
    quiet_ns: f64,
) -> Attribution {
    let windows = candidate.slow_windows();
    let part = parts.first().map(|p| p.part.clone());
    let others = parts.len().saturating_sub(1);
    let along = match (candidate.cause, others) {
        (_, 0) | (Cause::Generator, _) => String::new(),
        (_, 1) => ", or one other part".to_owned(),
        (_, n) => format!(", or one of {n} others"),
    };
    let why = if candidate.by_intervention {
        "p99 is shorter in the same blocks without the limit".to_owned()
    } else {
        format!("p = {}", figure::digits(candidate.chance))
    };
    let evidence = format!(
        "{} of the time above {} fell in windows where {}{along} ({} of {} windows; chance would give {}); {} of it \
         against {} of delay; {why}; {} by {}",
        figure::percent(share.value),
        figure::ms_bare(quiet_ns),
        meanwhile(candidate.cause, part.as_deref()),
        windows.with_cause,
        windows.slow,
        figure::digits(windows.by_chance),
        seconds(candidate.own_ns as f64),
        seconds(candidate.delay_ns as f64),
        candidate.known.words(),
        candidate.source,
    );
    Attribution {
        cell: cell.id.clone(),
        cause: candidate.cause,
        share_of_tail: share,
        evidence,
        known: candidate.known,
        part,
        parts: parts.to_vec(),
        windows: Some(windows),
        chance: (!candidate.by_intervention).then_some(candidate.chance),
        quiet_ns: Some(quiet_ns),
    }
}

/// Why a cause is not named.
pub(super) fn not_named(candidate: &Candidate, why: &str) -> String {
    format!("{why}; {} by {}", candidate.known.words(), candidate.source)
}

/// What is left, and what was looked at.
pub(super) fn unexplained(
    cell: &Cell,
    share: Estimate,
    rest: &[&(Cause, Known, String)],
    quiet_ns: f64,
) -> Attribution {
    let said = |(cause, known, why): &&(Cause, Known, String)| match known {
        Known::NotMeasurable => format!("{}: n/a ({why})", cause.word()),
        Known::Measured | Known::Inferred => format!("{}: {why}", cause.word()),
    };
    let evidence = if rest.is_empty() {
        "every cause that is looked at is named above".to_owned()
    } else {
        format!("looked at and not named: {}", rest.iter().map(said).collect::<Vec<_>>().join(" · "))
    };
    Attribution {
        cell: cell.id.clone(),
        cause: Cause::Unexplained,
        share_of_tail: share,
        evidence,
        known: Known::Inferred,
        part: None,
        parts: Vec::new(),
        windows: None,
        chance: None,
        quiet_ns: Some(quiet_ns),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_called_as_people_call_them() {
        assert_eq!(meanwhile(Cause::Throttling, Some("payment-sidecar")), "the payment sidecar was throttled");
        assert_eq!(meanwhile(Cause::Stopped, Some("s2")), "s2 stood still");
        assert_eq!(meanwhile(Cause::RunQueue, Some("load")), "the load generator waited for a CPU");
        assert_eq!(meanwhile(Cause::Disk, None), "a part waited for a disk");
    }
}
