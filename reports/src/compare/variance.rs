//! How much of the variance over all trials is of these machines, of the mesh, of both together, and of repeats.

use std::collections::BTreeMap;

use record::Reading;

use super::point::Point;
use super::read::RunData;
use super::result::VariancePart;
use super::same::Shared;
use crate::stats::components::{Layout, Source, components};

/// The seed of the draws behind the intervals: any, but always the same.
const SEED: u64 = 20;

/// The parts, the largest first.
pub(super) fn of(
    runs: &[RunData],
    machines: &[usize],
    shared: &[Shared],
    at: Point,
    level: f64,
) -> Reading<Vec<VariancePart>> {
    let layout: Vec<Layout> = runs
        .iter()
        .enumerate()
        .zip(machines)
        .map(|((place, run), machine)| Layout { machine: *machine, blocks: blocks(run, place, shared, at) })
        .collect();
    let found = match components(&layout, level, SEED) {
        Ok(found) => found,
        Err(why) => return Reading::absent(why.to_string()),
    };
    let mut parts: Vec<VariancePart> = found
        .into_iter()
        .map(|c| VariancePart { source: c.source, sd: c.variance.sqrt(), share: c.share, degrees: c.degrees })
        .collect();
    parts.sort_by(|a, b| b.share.value.total_cmp(&a.share.value));
    Reading::Seen(parts)
}

/// The blocks of a run that hold all shared cells, as logarithms.
fn blocks(run: &RunData, place: usize, shared: &[Shared], at: Point) -> Vec<Vec<f64>> {
    let cells: Vec<BTreeMap<u32, f64>> =
        shared.iter().filter_map(|s| s.ids.get(place)).map(|id| run.logarithms(id, at)).collect();
    let whole = |block: u32| cells.iter().map(|cell| cell.get(&block).copied()).collect::<Option<Vec<f64>>>();
    (1..=run.run.repeats).filter_map(whole).collect()
}

/// What a part is called; `mesh_only` where cells differ in nothing but the mesh, `single` where each machine has one run.
pub(super) fn name(source: Source, mesh_only: bool, single: bool) -> &'static str {
    match (source, mesh_only, single) {
        (Source::Host, _, true) => "host (and when it ran)",
        (Source::Host, _, false) => "host",
        (Source::Run, ..) => "run on the same kind of host",
        (Source::Mesh, true, _) => "mesh",
        (Source::Mesh, false, _) => "mesh and its settings",
        (Source::HostMesh, _, _) => "host × mesh",
        (Source::RunMesh, ..) => "run × mesh",
        (Source::Block, ..) => "time within a run",
        (Source::Repeat, ..) => "repeat",
    }
}

/// What a part means, in a sentence for those who do not read it off its name.
pub(super) fn meaning(source: Source, single: bool) -> &'static str {
    match (source, single) {
        (Source::Host, true) => {
            "which run: the machine and the time at which it ran, which one run for each cannot part"
        }
        (Source::Host, false) => "which kind of machine",
        (Source::Run, _) => "which run on one kind of machine: instances and times of day",
        (Source::Mesh, _) => "which cell",
        (Source::HostMesh, _) => "that a mesh costs more on one machine than on another",
        (Source::RunMesh, _) => "that a mesh costs more in one run than in another on the same kind of machine",
        (Source::Block, _) => "what changed on a machine in the course of its run",
        (Source::Repeat, _) => "what is left from one trial to the next",
    }
}
