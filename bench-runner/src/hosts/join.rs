//! The parts of one chain, as their hosts sealed them, made one on the clock of the host that the load enters.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use record::{Edges, Event, LineWriter, Lines, Part, Role, Sample, TrialDirectory};
use scenarios::prove_passages;

use crate::agent::side::SEAL;
use crate::agent::words::SideSeal;
use crate::one_clock::{Offset, together};

/// A host with services, and what it sealed of a trial.
pub(super) struct Serving {
    pub(super) host: String,
    pub(super) side: PathBuf,
    pub(super) seal: SideSeal,
}

/// One seal for all of them: the first's, with the parts, proofs and events of the others. Their samples come into the file
/// of the first, which is in place, and their configurations and logs beside its own.
///
/// # Errors
/// When a file cannot be read or written, and where what one host sent is not what another one got.
pub(super) fn join(
    serving: Vec<Serving>,
    moved_ns: &dyn Fn(&str) -> i64,
    directory: &TrialDirectory,
) -> anyhow::Result<SideSeal> {
    let mut serving = serving.into_iter();
    let mut whole = serving.next().context("no host had the services")?.seal;
    let mut streams = Vec::new();
    for Serving { host, side, seal } in serving {
        let by_ns = moved_ns(&host);
        // What is doubted of a host is told with its name, by the caller.
        let SideSeal { parts, proofs, passages, lacks, events, edges, .. } = seal;
        // The load and the probe of another host are as little of this record as those of a host with no services.
        let parts: Vec<Part> = parts.into_iter().filter(|p| !matches!(p.role, Role::Load | Role::Probe)).collect();
        let names: BTreeSet<&str> = parts.iter().map(|p| p.name.as_str()).collect();
        streams.push((Offset { add_ns: by_ns, bound_ns: 0 }, samples(&side, &names)?));
        whole.edges = both(whole.edges, edges, &names, by_ns);
        whole.parts.extend(parts);
        whole.proofs.extend(proofs);
        whole.passages.extend(passages);
        whole.lacks.extend(lacks.into_iter().filter(|lack| !whole.lacks.contains(lack)).collect::<Vec<_>>());
        whole.events.extend(events.into_iter().map(|mut event| {
            event.move_by(by_ns);
            event
        }));
        raise_beside(&side, directory.path())?;
    }
    if streams.is_empty() {
        return Ok(whole);
    }
    whole.proofs.extend(prove_passages(&whole.passages)?);
    in_order(&mut whole.events);
    let path = directory.samples_path();
    let first = Lines::<Sample>::open(&path)?.collect::<record::Result<Vec<_>>>()?;
    let next = path.with_extension("together");
    let mut writer = LineWriter::open(&next)?;
    together(first, streams).iter().try_for_each(|sample| writer.append(sample))?;
    drop(writer);
    std::fs::rename(&next, &path).with_context(|| format!("cannot replace {}", path.display()))?;
    Ok(whole)
}

/// By time. Weights that several hosts shifted were shifted once, when the first of them did.
fn in_order(events: &mut Vec<Event>) {
    events.sort_by_key(Event::at_ns);
    let mut last = None;
    events.retain(|event| {
        let Event::WeightsShifted { weights, .. } = event else { return true };
        let again = last.as_ref() == Some(weights);
        last = Some(weights.clone());
        !again
    });
}

/// What another host's probe read of its part of the chain.
fn samples(side: &Path, names: &BTreeSet<&str>) -> anyhow::Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for sample in Lines::<Sample>::open(&TrialDirectory::at(side).samples_path())? {
        let mut sample = sample?;
        sample.processes.retain(|name, _| names.contains(name.as_str()));
        sample.cgroups.retain(|name, _| names.contains(name.as_str()));
        samples.push(sample);
    }
    Ok(samples)
}

/// The readings before and after the load, with the processes of another host.
fn both(first: Option<Edges>, other: Option<Edges>, names: &BTreeSet<&str>, by_ns: i64) -> Option<Edges> {
    let (mut first, other) = (first?, other?);
    for (whole, read) in [(&mut first.before, other.before), (&mut first.after, other.after)] {
        whole.before_ns = whole.before_ns.min(read.before_ns.saturating_add_signed(by_ns));
        whole.after_ns = whole.after_ns.max(read.after_ns.saturating_add_signed(by_ns));
        let of_chain = read.processes.into_iter().filter(|(name, _)| names.contains(name.as_str()));
        whole.processes.extend(of_chain);
    }
    Some(first)
}

/// Moves the files of a side into a trial, but for those of which the trial has one of its own.
fn raise_beside(side: &Path, to: &Path) -> anyhow::Result<()> {
    let cannot = || format!("cannot move the files of {}", side.display());
    for entry in std::fs::read_dir(side).with_context(cannot)?.flatten() {
        let into = to.join(entry.file_name());
        if entry.path().is_dir() && into.is_dir() {
            raise_beside(&entry.path(), &into)?;
        } else if entry.file_name() != SEAL && !into.exists() {
            std::fs::rename(entry.path(), into).with_context(cannot)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_stand_in_the_order_of_time_and_a_shift_of_two_hosts_is_one() {
        let shift = |at_ns, weights: &str| Event::WeightsShifted { at_ns, weights: weights.parse().unwrap() };
        let seen = |at_ns| Event::CertificateSeen { at_ns, part: "s2-sidecar".into(), serial: "01".into() };
        let (one, other) = ("v1=50,v2=50", "v1=0,v2=100");
        let mut events = vec![shift(30, one), seen(35), shift(70, other), shift(31, one), shift(69, other)];
        in_order(&mut events);
        assert_eq!(events, [shift(30, one), seen(35), shift(69, other)]);
    }

    #[test]
    fn files_of_another_host_come_beside_and_replace_none() {
        let folder = tempfile::tempdir().unwrap();
        let (side, to) = (folder.path().join("side"), folder.path().join("trial"));
        for (at, files) in [
            (&side, ["s2-sidecar.json", "samples.jsonl", "side.json", "logs/probe.log", "logs/s2.log"]),
            (&to, ["s1-sidecar.json", "samples.jsonl", "x", "logs/probe.log", "logs/s1.log"]),
        ] {
            std::fs::create_dir_all(at.join("logs")).unwrap();
            for name in files {
                std::fs::write(at.join(name), at.file_name().unwrap().as_encoded_bytes()).unwrap();
            }
        }
        raise_beside(&side, &to).unwrap();
        let text = |name: &str| std::fs::read_to_string(to.join(name)).unwrap();
        assert_eq!((text("s2-sidecar.json"), text("logs/s2.log")), ("side".into(), "side".into()));
        assert_eq!((text("samples.jsonl"), text("logs/probe.log")), ("trial".into(), "trial".into()));
        assert!(!to.join("side.json").exists() && side.join("samples.jsonl").exists());
    }
}
