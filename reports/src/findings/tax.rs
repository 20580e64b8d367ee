//! Each cell against what it is compared with, paired within blocks.

use record::{Cell, Factors, Quantiles, Run, WarningKind};

use super::{FoundWarning, Pairs, PerQuantile, Tax, TaxAt, TaxKind};
use crate::gather::{Gathered, TrialData};
use crate::stats::{Estimate, Scale, power};

/// The same cell without a CPU limit, if the run has it.
pub(crate) fn unlimited<'a>(run: &'a Run, cell: &Cell) -> Option<&'a Cell> {
    cell.factors.cpu_limit?;
    let wanted = Factors { cpu_limit: None, ..cell.factors.clone() };
    run.cells.iter().find(|c| c.factors == wanted)
}

/// Every comparison that the run allows for, and what is doubted about them.
pub(crate) fn all(gathered: &Gathered) -> (Vec<Tax>, Vec<FoundWarning>) {
    let run = &gathered.run;
    let (mut taxes, mut warnings) = (Vec::new(), Vec::new());
    let intervals = Intervals::of(gathered);
    for cell in &run.cells {
        let baseline =
            run.baseline_of(cell).map(|b| (b, if cell.factors.meshed() { TaxKind::Mesh } else { TaxKind::Aa }));
        let limit = unlimited(run, cell).map(|b| (b, TaxKind::Limit));
        for (other, kind) in [baseline, limit].into_iter().flatten() {
            let pairs = Pairs::of(gathered, cell, other);
            warnings.extend(pairs.broken.iter().map(|(block, missing)| broken_pair(cell, other, *block, missing)));
            taxes.extend(tax(&pairs, cell, other, kind, &intervals));
        }
    }
    (taxes, warnings)
}

fn broken_pair(cell: &Cell, other: &Cell, block: u32, missing: &str) -> FoundWarning {
    FoundWarning {
        trial: None,
        cell: Some(cell.id.clone()),
        kind: WarningKind::TooFewTrials,
        evidence: format!(
            "block {block} has no trial of {missing} with answers, so it is left out where {} is compared with {}",
            cell.id, other.id
        ),
        remedy: "resume the run, or measure it again".to_owned(),
    }
}

/// How the intervals of comparisons are made.
pub(super) struct Intervals {
    level: f64,
    /// The most pairs there may be, where a run is looked at after each.
    looked_at: Option<usize>,
}

impl Intervals {
    pub(super) fn of(gathered: &Gathered) -> Self {
        let looked_at = gathered.is_sequential().then_some(gathered.run.repeats as usize);
        Self { level: gathered.run.level, looked_at }
    }

    pub(super) fn over(&self, values: &[f64], scale: Scale) -> Option<Estimate> {
        match self.looked_at {
            Some(most) => Estimate::repeated(values, scale, self.level, most),
            None => Estimate::over(values, scale, self.level),
        }
    }
}

/// The smallest change of a ratio that pairs which scatter like these tell from none in 8 of 10 runs.
fn detectable(ratios: &[f64], level: f64) -> Option<f64> {
    let logarithms: Vec<f64> = ratios.iter().map(|r| r.ln()).collect();
    power::detectable(power::spread(&logarithms)?, ratios.len(), level).map(f64::exp_m1)
}

fn tax(pairs: &Pairs<'_>, cell: &Cell, other: &Cell, kind: TaxKind, intervals: &Intervals) -> Option<Tax> {
    let hops = f64::from(cell.factors.hops.max(1));
    let all = |of: fn(&TrialData) -> &Quantiles| {
        let at = |pick: fn(&Quantiles) -> u64| {
            let value = |t: &TrialData| pick(of(t)) as f64;
            let differences: Vec<f64> = pairs.whole.iter().map(|(a, b)| value(a) - value(b)).collect();
            // A time below the clock's step counts as that step, so that a ratio exists.
            let ratios: Vec<f64> = pairs.whole.iter().map(|(a, b)| value(a).max(1.0) / value(b).max(1.0)).collect();
            let difference = intervals.over(&differences, Scale::Plain)?;
            let ratio = intervals.over(&ratios, Scale::Factor)?;
            let detectable = detectable(&ratios, ratio.level);
            Some(TaxAt { difference, ratio, per_hop: difference.times(1.0 / hops), detectable })
        };
        let PerQuantile { p50, p90, p99, p999, max } = PerQuantile::make(at);
        Some(PerQuantile { p50: p50?, p90: p90?, p99: p99?, p999: p999?, max: max? })
    };
    Some(Tax {
        cell: cell.id.clone(),
        baseline: other.id.clone(),
        kind,
        pairs: pairs.whole.len(),
        response_ns: all(|t| &t.response)?,
        service_ns: all(|t| &t.service)?,
    })
}
