//! The noisy neighbour of a deployment: what it did is read back before it is ended.

use std::path::Path;
use std::time::Duration;

use record::{Neighbour, Proof};

use super::{Deployment, GRACE, Node};
use crate::Result;
use crate::limits::Limits;
use crate::neighbour::{Kind, NAME, TALLY, Worked};
use crate::proxy::proof::claim;

/// How long it may take to say what it has done.
const PATIENCE: Duration = Duration::from_secs(5);

/// A neighbour, also once it has ended: its cgroup stays for as long as the probe may read it.
#[derive(Debug)]
pub(crate) struct Noise {
    pub(super) node: Node,
    /// What it had done when it was ready.
    before: Worked,
    /// What is proven of it; none before its end.
    proofs: Option<Vec<Proof>>,
}

impl Noise {
    /// One that is at work.
    pub(crate) fn of(node: Node, before: Worked) -> Self {
        Self { node, before, proofs: None }
    }

    pub(super) fn expect_alive(&self) -> Result<()> {
        if self.proofs.is_some() { Ok(()) } else { self.node.part.expect_alive("being in the way of the chain") }
    }

    /// Reads back what it did, and ends it.
    fn end(&mut self, asked: Neighbour) -> Result<()> {
        if self.proofs.is_some() {
            return Ok(());
        }
        self.node.part.write_line(TALLY)?;
        let after: Worked = self.node.part.read_json(PATIENCE, "what it has done")?;
        let mut proofs = self.node.prove_place(&Limits::default())?;
        let tasks = format!("/proc/{}/task", self.node.part.pid());
        for kind in Kind::ALL.into_iter().filter(|kind| kind.of(asked) > 0) {
            proofs.push(threads(kind, asked, Path::new(&tasks))?);
            proofs.push(worked(kind, asked, &self.before, &after)?);
        }
        self.proofs = Some(proofs);
        self.node.part.terminate(GRACE).map(drop)
    }
}

impl Deployment {
    /// Ends the noisy neighbour where there is one, to be called when the load is over: whatever follows is looked at in
    /// peace.
    ///
    /// # Errors
    /// [`crate::Error::Unproven`] when it was not what was asked for or did not work, [`crate::Error::Died`] when it had
    /// ended by itself.
    pub fn end_neighbour(&mut self) -> Result<()> {
        let asked = self.factors.neighbour;
        self.noise.as_mut().map_or(Ok(()), |noise| noise.end(asked))
    }

    /// What was proven of the neighbour.
    pub(super) fn neighbour_proofs(&self) -> Vec<Proof> {
        self.noise.as_ref().and_then(|noise| noise.proofs.clone()).unwrap_or_default()
    }
}

/// Its threads of a kind, counted by their names.
fn threads(kind: Kind, asked: Neighbour, tasks: &Path) -> Result<Proof> {
    let names = std::fs::read_dir(tasks).into_iter().flatten().flatten();
    let names = names.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    let found = names.filter(|name| name.starts_with(kind.thread())).count();
    let what = format!("{} threads", kind.word());
    claim(NAME, &what, &kind.of(asked).to_string(), &found.to_string(), &format!("{}/*/comm", tasks.display()))
}

/// Those of them that did something.
fn worked(kind: Kind, asked: Neighbour, before: &Worked, after: &Worked) -> Result<Proof> {
    let (before, after) = (counted(before, kind), counted(after, kind));
    let grown: Vec<u64> = after.iter().zip(before).map(|(after, before)| after.saturating_sub(*before)).collect();
    let found = grown.iter().filter(|grown| **grown > 0).count();
    let all: u64 = grown.iter().sum();
    let source = match kind {
        Kind::Cpu => format!("its own count: {all} rounds"),
        Kind::Disk => format!("its own count: {} MiB written", all >> 20),
        Kind::Memory => format!("its own count: {} MiB read and written back", all >> 20),
    };
    let what = format!("{} threads that worked", kind.word());
    claim(NAME, &what, &kind.of(asked).to_string(), &found.to_string(), &source)
}

fn counted(worked: &Worked, kind: Kind) -> &[u64] {
    let Worked { cpu_rounds, disk_bytes, memory_bytes } = worked;
    match kind {
        Kind::Cpu => cpu_rounds,
        Kind::Disk => disk_bytes,
        Kind::Memory => memory_bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(cpu: &[u64], disk: &[u64], memory: &[u64]) -> Worked {
        Worked { cpu_rounds: cpu.to_vec(), disk_bytes: disk.to_vec(), memory_bytes: memory.to_vec() }
    }

    #[test]
    fn a_thread_that_stood_still_is_no_neighbour() {
        let asked = "cpu:2+disk:1".parse().unwrap();
        let before = tally(&[5, 5], &[1 << 20], &[]);
        let proof = worked(Kind::Cpu, asked, &before, &tally(&[9, 6], &[1 << 20], &[])).unwrap();
        assert_eq!((proof.found.as_str(), proof.source.as_str()), ("2", "its own count: 5 rounds"));
        let said = worked(Kind::Disk, asked, &before, &tally(&[9, 6], &[1 << 20], &[])).unwrap_err().to_string();
        assert!(said.starts_with("neighbour: disk threads that worked should be 1 and is 0"), "{said}");
        let said = worked(Kind::Cpu, asked, &before, &tally(&[9, 5], &[], &[])).unwrap_err().to_string();
        assert!(said.contains("should be 2 and is 1 (its own count: 4 rounds)"), "{said}");
    }

    #[test]
    fn its_threads_are_counted_by_name_and_kind() {
        let tasks = tempfile::tempdir().unwrap();
        for (tid, comm) in ["meshtax", "noise-cpu:0", "noise-cpu:1", "noise-disk:0", "noise"].iter().enumerate() {
            std::fs::create_dir(tasks.path().join(tid.to_string())).unwrap();
            std::fs::write(tasks.path().join(tid.to_string()).join("comm"), format!("{comm}\n")).unwrap();
        }
        let asked = "cpu:2+disk:1+memory:1".parse().unwrap();
        assert_eq!(threads(Kind::Cpu, asked, tasks.path()).unwrap().found, "2");
        assert_eq!(threads(Kind::Disk, asked, tasks.path()).unwrap().found, "1");
        let said = threads(Kind::Memory, asked, tasks.path()).unwrap_err().to_string();
        assert!(said.starts_with("neighbour: memory threads should be 1 and is 0"), "{said}");
    }
}
