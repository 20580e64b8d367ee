//! What was proven of each cell's configuration: what was asked for, what was read back, and from where.

use record::Role;
use serde::{Deserialize, Serialize};

use crate::gather::Gathered;

/// One thing that was read back from what ran, the same in all parts and trials that are counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProofLine {
    /// The cell's id.
    pub cell: String,
    /// What is proven: "worker threads", "CPU limit", "inbound mTLS handshakes".
    pub claim: String,
    /// What was asked for.
    pub expected: String,
    /// What was found: the first, and the last too where it is a count that differs.
    pub found: String,
    /// Whether it is what was asked for.
    pub holds: bool,
    /// Where the first of them was read.
    pub source: String,
    /// The parts that it was read from.
    pub parts: Vec<String>,
    /// How many trials it was read in.
    pub trials: usize,
}

/// A claim without the ports, which are drawn anew for each trial, and without the services that it is about, so that a chain
/// of fifty has no fifty lines that differ in nothing else.
fn general(claim: &str, services: &[&str]) -> String {
    let words = claim.split(' ').map(|word| match word.len() {
        4.. if word.bytes().all(|b| b.is_ascii_digit()) => "…",
        _ if services.contains(&word) => "…",
        _ => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Whether what was found is what was asked for. "more than 0" is the one form that is not literal.
fn holds(expected: &str, found: &str) -> bool {
    match expected.strip_prefix("more than ").and_then(|least| least.parse::<f64>().ok()) {
        Some(least) => found.parse::<f64>().is_ok_and(|found| found > least),
        None => expected == found,
    }
}

/// What each part has of its own, such as a serial number, a group's name or whom it calls, is said by a word.
fn shown(claim: &str, value: &str) -> String {
    let own = ["cgroup", "calls"].contains(&claim) || claim.starts_with("serial number") || value.len() > 120;
    if own { "each its own".to_owned() } else { value.to_owned() }
}

struct Group {
    line: ProofLine,
    /// Whether it is a count, which differs from trial to trial.
    counted: bool,
    seen: Vec<String>,
    in_trials: Vec<usize>,
}

impl Group {
    fn takes(&self, line: &ProofLine) -> bool {
        let ProofLine { claim, expected, found, holds, .. } = line;
        let own = &self.line;
        own.claim == *claim && own.expected == *expected && own.holds == *holds && (self.counted || own.found == *found)
    }

    fn count(&mut self, found: String, part: &str, trial: usize) {
        if !self.line.parts.iter().any(|known| known == part) {
            self.line.parts.push(part.to_owned());
        }
        if !self.in_trials.contains(&trial) {
            self.in_trials.push(trial);
        }
        if !self.seen.contains(&found) {
            self.seen.push(found);
        }
    }
}

/// Every claim of every cell, in the order in which they were read.
pub(super) fn of(gathered: &Gathered) -> Vec<ProofLine> {
    let mut lines = Vec::new();
    for cell in &gathered.run.cells {
        let mut groups: Vec<Group> = Vec::new();
        for (at, trial) in gathered.of_cell(&cell.id).enumerate() {
            let services = trial.trial.parts.iter().filter(|p| p.role == Role::Service);
            let services: Vec<&str> = services.map(|p| p.name.as_str()).collect();
            for proof in &trial.trial.proofs {
                let claim = general(&proof.claim, &services);
                let line = ProofLine {
                    cell: cell.id.clone(),
                    expected: shown(&claim, &proof.expected),
                    found: shown(&claim, &proof.found),
                    holds: holds(&proof.expected, &proof.found),
                    claim,
                    source: proof.source.clone(),
                    parts: Vec::new(),
                    trials: 0,
                };
                let found = line.found.clone();
                match groups.iter_mut().find(|g| g.takes(&line)) {
                    Some(group) => group.count(found, &proof.part, at),
                    None => {
                        let counted = proof.expected.starts_with("more than ");
                        let mut group = Group { line, counted, seen: Vec::new(), in_trials: Vec::new() };
                        group.count(found, &proof.part, at);
                        groups.push(group);
                    }
                }
            }
        }
        lines.extend(groups.into_iter().map(finished));
    }
    lines
}

/// The line, with the range of what was counted.
fn finished(group: Group) -> ProofLine {
    let Group { line, counted: _, seen, in_trials } = group;
    let counts: Option<Vec<u64>> = seen.iter().map(|found| found.parse().ok()).collect();
    let found = match counts.as_deref() {
        Some(counts) if counts.len() > 1 => {
            let (least, most) = counts.iter().fold((u64::MAX, 0), |(l, m), c| (l.min(*c), m.max(*c)));
            format!("{least} to {most}")
        }
        _ => line.found.clone(),
    };
    ProofLine { found, trials: in_trials.len(), ..line }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_is_held_against_what_was_asked_for() {
        assert!(holds("2", "2") && !holds("2", "3") && holds("none", "none"));
        assert!(holds("more than 0", "1251") && !holds("more than 0", "0") && !holds("more than 0", "none"));
    }

    #[test]
    fn what_a_trial_has_of_its_own_is_no_other_claim() {
        assert_eq!(general("protocol of port 35097", &["s1"]), "protocol of port …");
        assert_eq!(general("outbound to s2 requests", &["s1", "s2"]), "outbound to … requests");
        assert_eq!((shown("cgroup", "/a/b").as_str(), shown("CPU limit", "100m").as_str()), ("each its own", "100m"));
    }
}
