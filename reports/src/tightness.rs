//! How well the taxes of a run are known so far, from the seals of its trials alone: whether it may end.

use record::{Quantiles, Run, Trial};

use crate::stats::{Estimate, Scale};

/// The tax that is known least.
#[derive(Clone, Debug, PartialEq)]
pub struct Tightness {
    /// The cell's id.
    pub cell: String,
    /// The id of what it is compared with.
    pub baseline: String,
    /// How many times as long its responses take, with an interval that holds at all looks.
    pub ratio: Estimate,
    /// Half the width of that interval, as a part of the ratio.
    pub half_width: f64,
}

/// The quantiles that a run can be measured until, with their names.
pub const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

fn pick(of: &Quantiles, quantile: f64) -> Option<u64> {
    let at = QUANTILES.iter().position(|(_, known)| (known - quantile).abs() < 1e-9)?;
    [of.p50, of.p90, of.p99, of.p999].get(at).copied()
}

/// The mesh tax that is known least at a quantile; none while one of them has no interval yet, or where there is none.
///
/// The intervals are those that the report gives: wider than those of a fixed number of trials, since they are looked at
/// after block upon block ([`crate::stats::cuts::looks`]).
pub fn loosest(run: &Run, trials: &[Trial], quantile: f64) -> Option<Tightness> {
    let mut loosest: Option<Tightness> = None;
    for cell in run.cells.iter().filter(|c| c.factors.meshed()) {
        let Some(baseline) = run.baseline_of(cell) else { continue };
        let time = |id: &str, block: u32| {
            let trial = trials.iter().find(|t| t.cell == id && t.block == block && t.load.answered > 0)?;
            pick(&trial.load.response_ns, quantile).map(|ns| ns.max(1) as f64)
        };
        let ratio = |block: u32| Some(time(&cell.id, block)? / time(&baseline.id, block)?);
        let ratios: Vec<f64> = (1..=run.repeats).filter_map(ratio).collect();
        let ratio = Estimate::repeated(&ratios, Scale::Factor, run.level, run.repeats as usize)?;
        let half_width = (ratio.high? - ratio.low?) / 2.0 / ratio.value;
        if loosest.as_ref().is_none_or(|known| half_width > known.half_width) {
            loosest = Some(Tightness { cell: cell.id.clone(), baseline: baseline.id.clone(), ratio, half_width });
        }
    }
    loosest
}
