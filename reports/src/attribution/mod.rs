//! Where the tail of a cell comes from: what its slow moments coincide with, beyond chance.
//!
//! The tail is the time that requests took above the quiet level of their trial. A cause is named only if its own
//! milliseconds can cover the delay, it is there when the delay begins, and it coincides with slow moments more than the
//! same signal at other times does, with the false discovery rate held over all causes and cells of the run; or, where
//! it was on most of the time and so has no quiet moments to compare with, if taking it away in the same block (the same
//! cell without a limit) shortens p99. All else stays unexplained.

mod candidate;
mod episodes;
mod moments;
mod share;
mod signals;
mod words;
mod worst;

#[cfg(test)]
mod null;

use record::Cell;

use crate::findings::{Attribution, Cause, Known, LedgerLine, Tax, TaxKind, WorstWindow, unlimited};
use crate::gather::{Gathered, TrialData};
use crate::stats::{Estimate, Scale, chance_of, discovery};
use crate::usage::Span;

use candidate::{Candidate, Ground, WORTH_NAMING};
use moments::{Moments, quiet_level};

/// Of the causes named in a run, the share that may be there by chance alone.
const FALSE_DISCOVERIES: f64 = 0.1;
/// The least level at which the interval of a limit's cost shows that there is one.
const SHOWN: f64 = 0.9;

/// What the ledger says of a run.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// The causes of each cell's tail, the largest share first, with what is left unexplained.
    pub(crate) attribution: Vec<Attribution>,
    /// Every cause that was looked for in every cell.
    pub(crate) lines: Vec<LedgerLine>,
    /// The worst windows of each cell.
    pub(crate) worst: Vec<WorstWindow>,
}

/// A cell with its candidates, or the reasons why there is none.
struct OfCell<'a> {
    cell: &'a Cell,
    grounds: Vec<Ground<'a>>,
    candidates: Vec<(Cause, Result<Candidate, String>)>,
}

/// The ledger of a run.
pub(crate) fn of(gathered: &Gathered, taxes: &[Tax]) -> Ledger {
    let mut cells: Vec<OfCell<'_>> = gathered.run.cells.iter().filter_map(|cell| look(gathered, taxes, cell)).collect();
    let passed = test(&mut cells, gathered.run.seed);
    let mut ledger = Ledger::default();
    for (cell, passed) in cells.iter().zip(passed) {
        conclude(cell, &passed, gathered.run.level, &mut ledger);
    }
    ledger
}

/// When a cause was at work in a trial; none where that is not known, or is not looked for.
pub(crate) fn spans(trial: &TrialData, cause: Cause, quiet_ns: f64) -> Option<Vec<Span>> {
    let signal = signals::of(trial, cause, quiet_ns).ok()?;
    Some(signal.steps.iter().map(|(_, step)| step.span).collect())
}

/// None where a cell has no trial with a tail.
fn look<'a>(gathered: &'a Gathered, taxes: &[Tax], cell: &'a Cell) -> Option<OfCell<'a>> {
    let reference = unlimited(&gathered.run, cell).and_then(|other| {
        let levels: Vec<f64> = gathered.of_cell(&other.id).filter_map(|t| quiet_level(&t.windows)).collect();
        Estimate::over(&levels, Scale::Factor, gathered.run.level).map(|e| e.value)
    });
    let ground = |trial| {
        let moments = Moments::of(trial, reference.or_else(|| quiet_level(&trial.windows))?)?;
        Some(Ground { trial, episodes: episodes::of(&moments), moments })
    };
    let grounds: Vec<Ground<'_>> = gathered.of_cell(&cell.id).filter_map(ground).collect();
    if grounds.is_empty() {
        return None;
    }
    // Two or three blocks that agree may do so by chance.
    let shows = |e: &Estimate| e.level >= SHOWN && e.low.is_some_and(|low| low > 0.0);
    let limit_shown = reference.is_some()
        && taxes.iter().any(|t| t.kind == TaxKind::Limit && t.cell == cell.id && shows(&t.response_ns.p99.difference));
    let candidates = Cause::ALL.map(|cause| (cause, Candidate::of(&grounds, cause, limit_shown))).into();
    Some(OfCell { cell, grounds, candidates })
}

/// Finds the chance of each candidate, and which of all those of the run pass; by cell and candidate.
fn test(cells: &mut [OfCell<'_>], seed: u64) -> Vec<Vec<bool>> {
    let testable = |c: &Result<Candidate, String>| c.as_ref().is_ok_and(Candidate::is_testable);
    let tests = cells.iter().flat_map(|c| &c.candidates).filter(|(_, c)| testable(c)).count();
    let least = FALSE_DISCOVERIES / tests.max(1) as f64;
    let mut chances = Vec::with_capacity(tests);
    for of_cell in cells.iter_mut() {
        for (cause, candidate) in &mut of_cell.candidates {
            if let Ok(candidate) = candidate
                && candidate.is_testable()
            {
                candidate.chance = chance_of(&candidate.tracks, least, seed ^ *cause as u64);
                chances.push(candidate.chance);
            }
        }
    }
    let mut believed = discovery::believed(&chances, FALSE_DISCOVERIES).into_iter();
    let passed =
        |c: &OfCell<'_>| c.candidates.iter().map(|(_, c)| testable(c) && believed.next() == Some(true)).collect();
    cells.iter().map(passed).collect()
}

/// Which causes are named in a cell, with their shares; adds it all to the ledger.
fn conclude(of_cell: &OfCell<'_>, passed: &[bool], level: f64, ledger: &mut Ledger) {
    let OfCell { cell, grounds, candidates } = of_cell;
    let mut named: Vec<&Candidate> = Vec::new();
    let mut lines: Vec<(Cause, Known, String)> = Vec::new();
    for ((cause, candidate), passed) in candidates.iter().zip(passed) {
        match candidate {
            Err(why) => lines.push((*cause, Known::NotMeasurable, why.clone())),
            Ok(found) => match found.verdict(*passed) {
                Ok(()) => named.push(found),
                Err(why) => lines.push((*cause, found.known, words::not_named(found, &why))),
            },
        }
    }
    // One whose share is too small gives it back to the others.
    let shares = loop {
        let shares = share::settle(grounds, &named, level);
        let small = shares.of.iter().position(|(e, _)| e.is_none_or(|e| e.value < WORTH_NAMING));
        let Some(k) = small else { break shares };
        let found = named.remove(k);
        let why = format!("below {} of the tail", crate::figure::percent(WORTH_NAMING));
        lines.push((found.cause, found.known, words::not_named(found, &why)));
    };
    let quiet: Vec<f64> = grounds.iter().map(|g| g.moments.quiet_ns).collect();
    let quiet_ns = Estimate::over(&quiet, Scale::Factor, level).map_or(0.0, |e| e.value);
    let mut found: Vec<Attribution> = Vec::new();
    for (candidate, (share, parts)) in named.iter().zip(&shares.of) {
        let Some(share) = share else { continue };
        found.push(words::named(cell, candidate, *share, parts, quiet_ns));
        lines.push((candidate.cause, candidate.known, found.last().map(|a| a.evidence.clone()).unwrap_or_default()));
    }
    found.sort_by(|a, b| b.share_of_tail.value.total_cmp(&a.share_of_tail.value));
    lines.sort_by_key(|(cause, ..)| Cause::ALL.iter().position(|c| c == cause));
    let is_named = |cause: Cause| found.iter().any(|a| a.cause == cause);
    ledger.lines.extend(lines.iter().map(|(cause, known, evidence)| LedgerLine {
        cell: cell.id.clone(),
        cause: *cause,
        known: *known,
        named: is_named(*cause),
        evidence: evidence.clone(),
    }));
    let rest: Vec<_> = lines.iter().filter(|(cause, ..)| !is_named(*cause)).collect();
    found.extend(shares.unexplained.map(|share| words::unexplained(cell, share, &rest, quiet_ns)));
    ledger.attribution.extend(found);
    ledger.worst.extend(worst::of(&cell.id, grounds, &named));
}
