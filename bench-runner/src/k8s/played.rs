//! A run of pods that somebody else has started: one cell of them, which stay as they are from trial to trial.

use std::collections::BTreeMap;
use std::path::Path;

use record::{RunDirectory, Warning, WarningKind};

use super::campaign::progress_of;
use super::fleet::Fleet;
use super::reach;
use super::run::{Work, host};
use super::trial::{self, Asked};
use crate::exit::Usage;
use crate::interrupt::Interrupt;

/// Measures them.
pub(super) fn execute(
    work: &Work,
    path: &Path,
    service_cpu: Option<record::CpuQuantity>,
    interrupt: &Interrupt,
) -> anyhow::Result<RunDirectory> {
    let [cell] = work.matrix.cells.as_slice() else {
        let said = format!(
            "the scenario has {} cells, and pods that are there already are of one\n  try: --mesh none and single values",
            work.matrix.cells.len()
        );
        return Err(Usage(said).into());
    };
    let (seats, reach) = reach::played(path)?;
    let (probes, seats): (Vec<_>, Vec<_>) = seats.into_iter().partition(|seat| seat.part == "probe");
    let Some(probe) = probes.into_iter().next() else {
        let said = format!("{} names no pod 'probe'\n  try: play it too; it is among the printed pods", path.display());
        return Err(Usage(said).into());
    };
    let Some(shape) = work.shapes.get(&cell.factors.chain) else {
        anyhow::bail!("the scenario has no shape '{}'", cell.factors.chain)
    };
    let versions = BTreeMap::from([("pods".to_owned(), "played".to_owned())]);
    let mut warnings = Vec::new();
    if work.scenario.plan.repeats > 1 {
        warnings.push(Warning::new(
            WarningKind::NotPermitted,
            "all trials were made with the same pods, since they were started by somebody else",
            "k8s run with a cluster has fresh pods for each",
        ));
    }
    let run = work.written_down(host(&reach, &probe)?, versions, warnings);
    let directory = RunDirectory::create(&work.out.join(&work.id), &run)?;
    let _lock = directory.lock()?;
    let fleet = Fleet {
        reach: &reach,
        pins: seats.iter().map(|seat| (seat.part.clone(), seat.node.clone())).collect(),
        probes: BTreeMap::from([(probe.node.clone(), probe)]),
        seats,
        shared: Vec::new(),
        namespace: String::new(),
        stays: true,
        service_cpu,
    };
    let mut progress = progress_of(&run);
    for (at, planned) in run.trials.iter().enumerate() {
        progress.begin(at + 1, &cell.label);
        let asked = Asked { run: &run, planned, cell, shape, interrupt };
        let unshifted = |_: &record::Weights| anyhow::bail!("weights are shifted by a mesh, and these pods have none");
        trial::make(&asked, &fleet, directory.begin_trial(&planned.id)?, &mut progress, &|| Ok(()), &unshifted)?;
        progress.end();
    }
    Ok(directory)
}
