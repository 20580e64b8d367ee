//! Whether trials that are compared differ in no more than the factors that are said to differ.

use std::collections::{BTreeMap, BTreeSet};

use record::{Cell, Platform, Role};

use crate::findings::Findings;
use crate::gather::{Gathered, TrialData};
use crate::{Error, Result};

/// What is read back of a part and follows from factors alone, with those factors. Counters, and what differs from trial to
/// trial anyway (serial numbers, addresses), say nothing of two trials.
/// A claim is known by what it begins with: what follows is of which way or port it is.
const SETTINGS: [(&str, &[&str]); 14] = [
    (PROGRAM, &[]),
    ("worker threads", &["workers"]),
    ("CPU limit", &["cpu_limit"]),
    ("CPU weight", &["cpu_request"]),
    ("memory limit", &["memory_limit"]),
    ("access log buffer, KiB", &["log_flush_kb"]),
    ("access log flush interval, ms", &["log_flush_ns"]),
    ("access log outbound", &["access_log"]),
    ("mTLS of port", &[]),
    ("filter chains of port", &[]),
    ("HTTP filters outbound", &[]),
    ("ALPN outbound", &[]),
    ("retries outbound", &["retries"]),
    ("requests per connection outbound", &["requests_per_connection"]),
];

/// The factors that say which ways and ports a proxy has, and how it speaks on them.
const WAYS: [&str; 7] = ["chain", "services", "entry", "sidecars", "mtls", "port_mtls", "protocol"];

/// The program and its version, which is known of every part.
const PROGRAM: &str = "program";

/// Shows that what was found agrees wherever the factors behind it do.
///
/// # Errors
/// [`Error::Platforms`] for cells of several platforms, [`Error::Disagree`] for the first two trials that differ in what
/// no factor of their cells says.
pub(crate) fn check(gathered: &Gathered) -> Result<()> {
    let run = &gathered.run;
    let mut cells = run.cells.iter();
    if let Some(first) = cells.next()
        && let Some(other) = cells.find(|c| c.factors.platform != first.factors.platform)
    {
        return Err(Error::Platforms {
            one: format!("the cell {}", first.id),
            platform: first.factors.platform,
            other: format!("the cell {}", other.id),
            other_platform: other.factors.platform,
        });
    }
    let mut known: Vec<Found<'_>> = Vec::new();
    for trial in &gathered.trials {
        let Some(cell) = run.cell(&trial.trial.cell) else { continue };
        for ((role, claim), found) in settings(trial) {
            let new = Found { cell, trial: &trial.trial.id, role, claim, found };
            match known.iter().find(|old| old.must_agree_with(&new)) {
                Some(old) if old.found != new.found => return Err(new.against(old)),
                Some(_) => {}
                None => known.push(new),
            }
        }
    }
    Ok(())
}

/// Shows that the figures of two runs may stand beside one another.
///
/// # Errors
/// [`Error::Methods`] where they were made in different ways, [`Error::Platforms`] where the chains were.
pub fn comparable(one: &Findings, other: &Findings) -> Result<()> {
    let platform = |findings: &Findings| findings.cells.first().map(|c| c.factors.platform);
    same_method((&one.run, one.method), (&other.run, other.method))?;
    same_platform((&one.run, platform(one)), (&other.run, platform(other)))
}

/// Shows that the figures of two runs were made in one way.
pub(crate) fn same_method((one, method): (&str, u32), (other, other_method): (&str, u32)) -> Result<()> {
    if method == other_method {
        return Ok(());
    }
    Err(Error::Methods { one: one.to_owned(), method, other: other.to_owned(), other_method })
}

/// Shows that two runs were made on one platform; one that is not known is none that differs.
pub(crate) fn same_platform(
    (one, platform): (&str, Option<Platform>),
    (other, other_platform): (&str, Option<Platform>),
) -> Result<()> {
    match (platform, other_platform) {
        (Some(platform), Some(other_platform)) if platform != other_platform => Err(Error::Platforms {
            one: format!("the run {one}"),
            platform,
            other: format!("the run {other}"),
            other_platform,
        }),
        _ => Ok(()),
    }
}

/// What was found of a setting, in all parts of one role.
struct Found<'a> {
    cell: &'a Cell,
    trial: &'a str,
    role: Role,
    claim: &'static str,
    found: BTreeSet<&'a str>,
}

fn settings(trial: &TrialData) -> BTreeMap<(Role, &'static str), BTreeSet<&str>> {
    let mut settings: BTreeMap<(Role, &'static str), BTreeSet<&str>> = BTreeMap::new();
    for part in &trial.trial.parts {
        settings.entry((part.role, PROGRAM)).or_default().insert(&part.program);
        for proof in trial.trial.proofs.iter().filter(|proof| proof.part == part.name) {
            if let Some((claim, _)) = SETTINGS.iter().find(|(claim, _)| proof.claim.starts_with(claim)) {
                settings.entry((part.role, claim)).or_default().insert(&proof.found);
            }
        }
    }
    settings
}

impl Found<'_> {
    /// Whether no factor tells the two apart.
    fn must_agree_with(&self, other: &Found<'_>) -> bool {
        if (self.role, self.claim) != (other.role, other.claim) {
            return false;
        }
        let behind = SETTINGS.iter().find(|(claim, _)| *claim == self.claim).map_or(&[][..], |(_, factors)| *factors);
        let of_ways = self.claim.contains("outbound") || self.claim.ends_with("of port");
        let differing = self.cell.factors.differences(&other.cell.factors);
        !differing.iter().any(|(factor, _, _)| {
            behind.contains(factor)
                || (of_ways && WAYS.contains(factor))
                || (self.role.is_proxy() && *factor == "dataplane")
        })
    }

    fn against(&self, other: &Found<'_>) -> Error {
        let shown = |found: &BTreeSet<&str>| found.iter().copied().collect::<Vec<_>>().join(" and ");
        Error::Disagree {
            claim: self.claim,
            trial: self.trial.to_owned(),
            found: shown(&self.found),
            other: other.trial.to_owned(),
            other_found: shown(&other.found),
        }
    }
}
