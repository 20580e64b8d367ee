//! Each cell against what it is compared with, paired within blocks.

use record::{Cell, Factors, Quantiles, Run, WarningKind};

use super::{FoundWarning, Pairs, PerQuantile, Tax, TaxAt, TaxKind};
use crate::gather::{Gathered, TrialData};
use crate::stats::{Estimate, Scale};

/// The same cell without a CPU limit, if the run has it.
pub(crate) fn unlimited<'a>(run: &'a Run, cell: &Cell) -> Option<&'a Cell> {
    cell.factors.cpu_limit?;
    let wanted = Factors { cpu_limit: None, ..cell.factors.clone() };
    run.cells.iter().find(|c| c.factors == wanted)
}

/// Every comparison that the run allows for, and what is doubted about them.
pub(super) fn all(gathered: &Gathered) -> (Vec<Tax>, Vec<FoundWarning>) {
    let run = &gathered.run;
    let (mut taxes, mut warnings) = (Vec::new(), Vec::new());
    for cell in &run.cells {
        let baseline =
            run.baseline_of(cell).map(|b| (b, if cell.factors.meshed() { TaxKind::Mesh } else { TaxKind::Aa }));
        let limit = unlimited(run, cell).map(|b| (b, TaxKind::Limit));
        for (other, kind) in [baseline, limit].into_iter().flatten() {
            let pairs = Pairs::of(gathered, cell, other);
            warnings.extend(pairs.broken.iter().map(|(block, missing)| broken_pair(cell, other, *block, missing)));
            taxes.extend(tax(&pairs, cell, other, kind, run.level));
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

fn tax(pairs: &Pairs<'_>, cell: &Cell, other: &Cell, kind: TaxKind, level: f64) -> Option<Tax> {
    let hops = f64::from(cell.factors.hops.max(1));
    let all = |of: fn(&TrialData) -> &Quantiles| {
        let at = |pick: fn(&Quantiles) -> u64| {
            let value = |t: &TrialData| pick(of(t)) as f64;
            let differences: Vec<f64> = pairs.whole.iter().map(|(a, b)| value(a) - value(b)).collect();
            // A time below the clock's step counts as that step, so that a ratio exists.
            let ratios: Vec<f64> = pairs.whole.iter().map(|(a, b)| value(a).max(1.0) / value(b).max(1.0)).collect();
            let difference = Estimate::over(&differences, Scale::Plain, level)?;
            let ratio = Estimate::over(&ratios, Scale::Factor, level)?;
            Some(TaxAt { difference, ratio, per_hop: difference.times(1.0 / hops) })
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
