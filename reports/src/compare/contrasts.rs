//! The cells of all runs side by side, each against the first run, and which run has the smallest tax.

use std::collections::BTreeSet;

use super::point::{PerPoint, Point};
use super::read::{RunData, differences};
use super::result::{CellInRun, ComparedCell, Contrast, Scatter, Smallest, Told};
use super::same::Shared;
use crate::findings::{PerQuantile, TaxKind};
use crate::stats::centre::Centre;
use crate::stats::prediction::SCATTER_ASSUMED;
use crate::stats::{Estimate, Scale};
use record::Reading;

/// Degrees of freedom from which on the scatter between runs is measured and not assumed.
const DEGREES_LEAST: usize = 2;

/// By how much runs of one kind of machine differ: the variance of a cell's value within machines, as a mean over cells.
/// All cells of a run move together, so that runs are counted and not cells.
pub(super) fn scatter(runs: &[RunData], machines: &[usize], shared: &[Shared], at: Point) -> Scatter {
    let kinds: BTreeSet<usize> = machines.iter().copied().collect();
    let degrees = runs.len() - kinds.len();
    let assumed = Scatter { sd: SCATTER_ASSUMED, degrees: None, of_trials: 0.0 };
    if degrees < DEGREES_LEAST {
        return assumed;
    }
    let (mut squares, mut errors, mut cells) = (0.0, 0.0, 0);
    for cell in shared {
        let values: Option<Vec<Centre>> = runs.iter().zip(&cell.ids).map(|(run, id)| middle(run, id, at)).collect();
        let Some(values) = values else { continue };
        for kind in &kinds {
            let own: Vec<f64> =
                values.iter().zip(machines).filter(|(_, m)| *m == kind).map(|(value, _)| value.value).collect();
            let mean = own.iter().sum::<f64>() / own.len() as f64;
            squares += own.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
        }
        errors += values.iter().filter_map(|v| v.error).map(|(v, _)| v).sum::<f64>() / values.len() as f64;
        cells += 1;
    }
    if cells == 0 {
        return assumed;
    }
    let (variance, of_trials) = (squares / (degrees * cells) as f64, errors / cells as f64);
    Scatter { sd: variance.sqrt(), degrees: Some(degrees), of_trials }
}

/// A cell's response time in a run: of logarithms.
fn middle(run: &RunData, cell: &str, at: Point) -> Option<Centre> {
    Centre::of(&run.logarithms(cell, at).into_values().collect::<Vec<_>>())
}

impl Contrast {
    /// Of a difference of two runs, which is on `scale`; `weight` is by how much that moves when both runs move by the
    /// scatter between runs, as a variance.
    pub(super) fn of(difference: &Centre, scale: Scale, level: f64, scatter: &Scatter, weight: f64) -> Self {
        let these_runs = difference.estimate(scale, level);
        let again = match scatter.degrees {
            None => difference.widened(weight * scatter.sd.powi(2), f64::INFINITY),
            // The scatter that was measured holds that of trials already; what these two runs have more than others is added.
            Some(degrees) => {
                let own = difference.error.map_or(0.0, |(v, _)| v);
                let more = (own - weight * scatter.of_trials).max(0.0);
                let variance = weight * scatter.sd.powi(2) + more;
                Centre { error: difference.error.map(|_| (variance.max(own), degrees as f64)), ..*difference }
            }
        };
        let made_again = again.estimate(scale, level);
        let none = if scale == Scale::Factor { 1.0 } else { 0.0 };
        let told = match (made_again.excludes(none), these_runs.excludes(none)) {
            (true, true) => Told::Apart,
            (_, true) => Told::OnlyTheseRuns,
            (_, false) => Told::Not,
        };
        Self { these_runs, made_again, told }
    }
}

/// What the mesh adds in a run, paired in blocks: the middle, in nanoseconds.
fn tax(run: &RunData, cell: &str, at: Point) -> Option<Centre> {
    let baseline = &run.run.baseline_of(run.run.cell(cell)?)?.id;
    let added = differences(&run.times(cell, at), &run.times(baseline, at));
    Centre::of(&added.into_values().collect::<Vec<_>>())
}

/// All that contrasts are made of.
pub(super) struct Contrasts<'a> {
    pub(super) runs: &'a [RunData],
    pub(super) shared: &'a [Shared],
    pub(super) scatter: &'a PerPoint<Scatter>,
    pub(super) level: f64,
}

impl Contrasts<'_> {
    pub(super) fn cells(&self) -> Vec<ComparedCell> {
        self.shared.iter().filter_map(|shared| self.cell(shared)).collect()
    }

    fn cell(&self, shared: &Shared) -> Option<ComparedCell> {
        let (first, id) = (self.runs.first()?, shared.ids.first()?);
        let cell = first.run.cell(id)?;
        let runs = self.runs.iter().zip(&shared.ids).enumerate();
        Some(ComparedCell {
            id: id.clone(),
            label: cell.label.clone(),
            factors: cell.factors.clone(),
            baseline: first.run.baseline_of(cell).map(|baseline| baseline.id.clone()),
            runs: runs.filter_map(|(at, (run, own))| self.in_run(at, run, own, (first, id))).collect(),
        })
    }

    fn in_run(&self, at: usize, run: &RunData, own: &str, (first, id): (&RunData, &str)) -> Option<CellInRun> {
        let found = run.cell(own)?;
        let other = at > 0;
        let ratio = PerPoint::make(|point| {
            let difference = middle(run, own, point)?.minus(&middle(first, id, point)?);
            let contrast = Contrast::of(&difference, Scale::Factor, self.level, self.scatter.at(point), 2.0);
            other.then_some(contrast)
        });
        let is_tax = |t: &&crate::findings::Tax| t.cell == own && t.kind == TaxKind::Mesh;
        let own_tax = run.taxes.iter().find(is_tax);
        let over_first = PerPoint::make(|point| {
            let (here, there) = (tax(run, own, point)?, tax(first, id, point)?);
            // Where a run moves by a factor, its tax moves by that too.
            let weight = here.value.powi(2) + there.value.powi(2);
            let contrast = Contrast::of(&here.minus(&there), Scale::Plain, self.level, self.scatter.at(point), weight);
            other.then_some(contrast)
        });
        Some(CellInRun {
            run: run.name.clone(),
            cell: own.to_owned(),
            trials: found.trials,
            response_ns: found.response_ns.clone(),
            ratio,
            tax_ns: own_tax.map(|t| {
                let of = &t.response_ns;
                PerPoint::make(|point| Reading::Seen(point.of(of).difference))
            }),
            tax_over_first_ns: own_tax.map(|_| over_first),
            cpu_millicores_per_1000_rps: found.all_proxies.cpu_millicores_per_1000_rps.clone(),
            rss_bytes: found.all_proxies.rss_bytes.clone(),
        })
    }

    /// Which run has the smallest tax of each cell with a mesh, and which may have it: those of which it is not proven, with
    /// the error of the level shared among all others, that another one has less (Gupta 1965, by differences of two).
    pub(super) fn smallest(&self, at: Point) -> Vec<Smallest> {
        let runs = self.runs;
        let chance = (1.0 - self.level) / runs.len().saturating_sub(1).max(1) as f64;
        let one = |shared: &Shared| {
            let taxes: Vec<Centre> =
                runs.iter().zip(&shared.ids).map(|(run, id)| tax(run, id, at)).collect::<Option<_>>()?;
            let (best, _) = taxes.iter().enumerate().min_by(|(_, a), (_, b)| a.value.total_cmp(&b.value))?;
            let beaten =
                |of: &Centre| taxes.iter().any(|other| of.minus(other).chance_above().is_some_and(|p| p < chance));
            let may_be = runs.iter().zip(&taxes).filter(|(_, tax)| !beaten(tax)).map(|(run, _)| run.name.clone());
            Some(Smallest {
                cell: shared.ids.first()?.clone(),
                run: runs.get(best)?.name.clone(),
                may_be: may_be.collect(),
            })
        };
        self.shared.iter().filter_map(one).collect()
    }
}

/// The figure at a point, where there is one.
pub(super) fn seen(of: &PerQuantile<crate::findings::Figure>, at: Point) -> Option<&Estimate> {
    at.of(of).seen()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn centre(value: f64, sd: f64) -> Centre {
        Centre { value, n: 10, error: Some((sd * sd, 9.0)) }
    }

    const ASSUMED: Scatter = Scatter { sd: SCATTER_ASSUMED, degrees: None, of_trials: 0.0 };

    #[test]
    fn one_run_of_each_tells_apart_only_what_no_other_hour_explains() {
        let told = |ratio: f64, sd: f64| Contrast::of(&centre(ratio.ln(), sd), Scale::Factor, 0.95, &ASSUMED, 2.0).told;
        assert_eq!(told(1.5, 0.05), Told::OnlyTheseRuns);
        assert_eq!(told(2.5, 0.05), Told::Apart);
        assert_eq!(told(1.05, 0.05), Told::Not);
        let contrast = Contrast::of(&centre(1.5f64.ln(), 0.05), Scale::Factor, 0.95, &ASSUMED, 2.0);
        assert_eq!(contrast.these_runs.value, contrast.made_again.value);
        // 1.96 times the root of 2 x 0.27 squared and of 0.05 squared.
        let half = (contrast.made_again.high.unwrap() / 1.5).ln();
        assert!((half - 1.96 * (2.0f64 * 0.27 * 0.27 + 0.0025).sqrt()).abs() < 0.01, "{half}");
    }

    #[test]
    fn a_scatter_that_was_measured_replaces_the_assumption() {
        let quiet = Scatter { sd: 0.03, degrees: Some(4), of_trials: 0.0004 };
        let contrast = Contrast::of(&centre(1.3f64.ln(), 0.02), Scale::Factor, 0.95, &quiet, 2.0);
        assert_eq!(contrast.told, Told::Apart);
        // The root of 2 x 0.03 squared, times t of 4 degrees.
        let half = (contrast.made_again.high.unwrap() / 1.3).ln();
        assert!((half - 2.776 * (2.0f64).sqrt() * 0.03).abs() < 0.002, "{half}");
        assert!(contrast.made_again.high > contrast.these_runs.high);
    }
}
