//! What was proven of each cell's configuration: what was asked for, what was read back, and from where.
//!
//! Each was held against what was asked for when it was read, and a mismatch ends a trial unsealed: what stands in a sealed
//! one holds.

use record::{Proof, Role};
use serde::{Deserialize, Serialize};

use crate::gather::{Gathered, TrialData};

/// One thing that was read back from what ran, in all parts and trials that are counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ProofLine {
    /// The cell's id.
    pub cell: String,
    /// What is proven: "worker threads", "CPU limit", "inbound mTLS handshakes".
    pub claim: String,
    /// What was asked for. What differs from part to part or from trial to trial stands as "…".
    pub expected: String,
    /// What was found; of counts that differ, the least and the most.
    pub found: String,
    /// Where the first of them was read.
    pub source: String,
    /// The parts that it was read from.
    pub parts: Vec<String>,
    /// How many trials it was read in.
    pub trials: usize,
}

/// A text without what is drawn anew for each trial and what is another for each part: ports, counts of requests, names of
/// services and proxies. A chain of fifty has no fifty lines that differ in nothing else.
fn general(text: &str, parts: &[&str]) -> String {
    let words = text.split(' ').map(|word| {
        let bare = word.trim_end_matches(',');
        let drawn = bare.len() > 2 && bare.bytes().all(|b| b.is_ascii_digit());
        if drawn || parts.contains(&bare) { word.replacen(bare, "…", 1) } else { word.to_owned() }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// What each part has of its own, such as a serial number, a group's name or whom it calls, is said by a word.
fn shown(claim: &str, value: &str) -> String {
    let own = ["cgroup", "calls"].contains(&claim) || claim.starts_with("serial number") || value.len() > 120;
    if own { "each its own".to_owned() } else { value.to_owned() }
}

/// Proofs that are one line.
struct Group {
    claim: String,
    /// In general, by which further ones are known.
    general: String,
    expected: Vec<String>,
    found: Vec<String>,
    source: String,
    parts: Vec<String>,
    in_trials: Vec<usize>,
}

fn once<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

impl Group {
    fn take(&mut self, proof: &Proof, trial: usize) {
        once(&mut self.expected, shown(&self.claim, &proof.expected));
        once(&mut self.found, shown(&self.claim, &proof.found));
        once(&mut self.parts, proof.part.clone());
        once(&mut self.in_trials, trial);
    }

    fn line(self, cell: &str) -> ProofLine {
        let Self { claim, general, expected, found, source, parts, in_trials } = self;
        let counts: Option<Vec<u64>> = found.iter().map(|found| found.parse().ok()).collect();
        let found = match (counts.as_deref(), found.as_slice()) {
            (Some([first, rest @ ..]), _) if !rest.is_empty() => {
                let (least, most) = rest.iter().fold((*first, *first), |(l, m), c| (l.min(*c), m.max(*c)));
                format!("{least} to {most}")
            }
            (_, [only]) => only.clone(),
            (_, all) => format!("each its own, {} of them", all.len()),
        };
        let expected = if let [only] = expected.as_slice() { only.clone() } else { general };
        ProofLine { cell: cell.to_owned(), claim, expected, found, source, parts, trials: in_trials.len() }
    }
}

/// Adds what was read back in one trial, the `at`-th of its cell.
fn take(groups: &mut Vec<Group>, trial: &TrialData, at: usize) {
    let of_chain = |role: Role| role == Role::Service || role.is_proxy();
    let parts = trial.trial.parts.iter().filter(|p| of_chain(p.role));
    let parts: Vec<&str> = parts.map(|p| p.name.as_str()).collect();
    for proof in &trial.trial.proofs {
        let claim = general(&proof.claim, &parts);
        let general = general(&shown(&claim, &proof.expected), &parts);
        let known = groups.iter().position(|g| g.claim == claim && g.general == general);
        let place = known.unwrap_or(groups.len());
        if known.is_none() {
            let source = proof.source.clone();
            let [expected, found, parts] = [const { Vec::new() }; 3];
            groups.push(Group { claim, general, expected, found, source, parts, in_trials: Vec::new() });
        }
        if let Some(group) = groups.get_mut(place) {
            group.take(proof, at);
        }
    }
}

/// Every claim of every cell, in the order in which they were read.
pub(super) fn of(gathered: &Gathered) -> Vec<ProofLine> {
    let mut lines = Vec::new();
    for cell in &gathered.run.cells {
        let mut groups = Vec::new();
        for (at, trial) in gathered.of_cell(&cell.id).enumerate() {
            take(&mut groups, trial, at);
        }
        lines.extend(groups.into_iter().map(|group| group.line(&cell.id)));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_part_to_part_makes_no_other_line() {
        let parts = ["s1", "s2", "entry-sidecar"];
        assert_eq!(general("protocol of port 35097", &parts), "protocol of port …");
        assert_eq!(general("outbound to s2 requests", &parts), "outbound to … requests");
        assert_eq!(general("1 to 1251, which entry-sidecar sent", &parts), "1 to …, which … sent");
        assert_eq!(general("2 on connect-failure", &parts), "2 on connect-failure");
        assert_eq!((shown("cgroup", "/a/b").as_str(), shown("CPU limit", "100m").as_str()), ("each its own", "100m"));
    }

    #[test]
    fn counts_are_told_from_the_least_to_the_most() {
        let proof = |part: &str, expected: &str, found: &str| Proof {
            part: part.into(),
            claim: "requests passed on".into(),
            expected: expected.into(),
            found: found.into(),
            source: "a counter".into(),
        };
        let mut group = Group {
            claim: "requests passed on".into(),
            general: "1 to …, which … sent".into(),
            expected: vec![],
            found: vec![],
            source: "a counter".into(),
            parts: vec![],
            in_trials: vec![],
        };
        group.take(&proof("s1-sidecar", "1 to 1251, which entry-sidecar sent", "1251"), 0);
        group.take(&proof("s2-sidecar", "1 to 1251, which s1-sidecar sent", "1249"), 0);
        group.take(&proof("s2-sidecar", "1 to 1260, which s1-sidecar sent", "1260"), 1);
        let line = group.line("cell");
        assert_eq!((line.expected.as_str(), line.found.as_str()), ("1 to …, which … sent", "1249 to 1260"));
        assert_eq!((line.parts, line.trials), (vec!["s1-sidecar".to_owned(), "s2-sidecar".to_owned()], 2));
    }
}
