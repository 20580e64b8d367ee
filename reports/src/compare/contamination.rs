//! What may have bent a run's figures: steal, neighbours, and burst credits that ran out on the way.

use std::collections::BTreeMap;

use record::{Reading, WarningKind};

use super::point::Point;
use super::read::{RunData, TrialPoint};
use super::result::{Flag, FlagKind, Thirds};
use crate::figure;
use crate::findings::{Figure, cell};
use crate::stats::centre::Centre;
use crate::stats::{Estimate, Scale};

/// CPU time from which on it matters that it was stolen, or lost without a reason; that of a run's own report.
const SHARE: f64 = 0.01;
/// How many times as long fixed work takes from which on it matters.
const SLOWDOWN: f64 = 1.10;
/// By how much the last third must be slower to matter to anybody.
const SLOWER: f64 = 1.05;
/// The level at which it must be: each of its figures rises by chance in one of a hundred runs in which nothing changes.
const LEVEL: f64 = 0.98;
/// Trials of a third below which nothing can be told.
const FEWEST: usize = 3;

/// A figure over all trials of a run.
pub(super) fn over(run: &RunData, pick: fn(&TrialPoint) -> &Reading<f64>, scale: Scale, level: f64) -> Figure {
    cell::over(run.trials.iter().map(|t| pick(t).clone()), scale, level)
}

/// Values of trials by the cell that they are of, less the mean of that cell: what the order of trials did to them.
fn centred(values: &[(&str, f64)]) -> Vec<f64> {
    let mut sums: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for (cell, value) in values {
        let (sum, n) = sums.entry(cell).or_default();
        *sum += value;
        *n += 1.0;
    }
    values.iter().map(|(cell, value)| value - sums.get(cell).map_or(0.0, |(sum, n)| sum / n)).collect()
}

/// The last third less the first, of trials in their order.
fn rise(values: &[(&str, f64)]) -> Option<(Centre, usize)> {
    let third = values.len() / 3;
    if third < FEWEST {
        return None;
    }
    let centred = centred(values);
    let (first, last) = (centred.get(..third)?, centred.get(centred.len() - third..)?);
    Some((Centre::of(last)?.minus(&Centre::of(first)?), third))
}

/// The rise of what each trial reads; absent where trials do not have it.
fn rise_of(run: &RunData, pick: fn(&TrialPoint) -> &Reading<f64>, scale: Scale) -> Figure {
    let mut values = Vec::new();
    for trial in &run.trials {
        match pick(trial) {
            Reading::Seen(value) if scale == Scale::Factor => values.push((trial.cell.as_str(), value.max(1e-9).ln())),
            Reading::Seen(value) => values.push((trial.cell.as_str(), *value)),
            Reading::Absent { absent } => return Reading::absent(absent.as_str()),
        }
    }
    match rise(&values) {
        Some((rise, _)) => Reading::Seen(rise.estimate(scale, LEVEL)),
        None => Reading::absent(too_few()),
    }
}

fn too_few() -> String {
    format!("it takes {FEWEST} trials in each third")
}

/// The last third of a run against its first.
pub(super) fn thirds(run: &RunData) -> Reading<Thirds> {
    let unmeshed: Vec<&str> = run.run.cells.iter().filter(|c| !c.factors.meshed()).map(|c| c.id.as_str()).collect();
    let counts = |trial: &&TrialPoint| unmeshed.is_empty() || unmeshed.contains(&trial.cell.as_str());
    // By the baseline, of which a mesh and its limits can bend nothing; by all cells where that has too few trials.
    let times = |all: bool| -> Vec<(&str, f64)> {
        let trials = run.trials.iter().filter(|t| all || counts(t));
        trials.filter_map(|t| Some((t.cell.as_str(), t.ns(Point::P50)?.ln()))).collect()
    };
    let baseline = rise(&times(false)).map(|found| (found, !unmeshed.is_empty()));
    let Some(((p50, trials), of_baseline)) = baseline.or_else(|| Some((rise(&times(true))?, false))) else {
        return Reading::absent(too_few());
    };
    Reading::Seen(Thirds {
        trials,
        of: if of_baseline { "no mesh" } else { "all cells" }.to_owned(),
        p50: Reading::Seen(p50.estimate(Scale::Factor, LEVEL)),
        work: rise_of(run, |t| &t.work_ns, Scale::Factor),
        steal_rise: rise_of(run, |t| &t.steal_share, Scale::Plain),
        loss_rise: rise_of(run, |t| &t.loss_share, Scale::Plain),
    })
}

/// Whether a figure is surely over a bound; of a single trial by its value.
fn surely_over(figure: &Figure, bound: f64) -> Option<&Estimate> {
    figure.seen().filter(|e| e.low.unwrap_or(e.value) > bound)
}

/// All flags of a run.
pub(super) fn flags(run: &RunData, level: f64, thirds: &Reading<Thirds>) -> Vec<Flag> {
    let flag = |kind, evidence: String, remedy: &str| Flag {
        run: run.name.clone(),
        kind,
        evidence,
        remedy: remedy.to_owned(),
    };
    let mut flags = Vec::new();
    if let Some(e) = surely_over(&over(run, |t| &t.steal_share, Scale::Plain, level), SHARE) {
        let evidence =
            format!("the hypervisor gave {} of the CPU time to others, over {} trials", figure::share(e), e.n);
        flags.push(flag(FlagKind::Steal, evidence, "measure at other hours too, or on a plan with CPUs of its own"));
    }
    if let Some(e) = surely_over(&over(run, |t| &t.loss_share, Scale::Plain, level), SHARE) {
        let evidence = format!(
            "{} of the time in which a CPU was wanted was lost, and no counter says to whom, over {} trials",
            figure::share(e),
            e.n
        );
        let remedy = "a neighbour, as a rule, on a host whose kernel is not told of steal; measure at other hours too";
        flags.push(flag(FlagKind::UnexplainedLoss, evidence, remedy));
    }
    if let Some(e) = surely_over(&over(run, |t| &t.work_slowdown, Scale::Factor, level), SLOWDOWN) {
        let evidence = format!(
            "a fixed piece of work took {} times as long as at its best, over {} trials",
            figure::with_interval(e, 1.0),
            e.n
        );
        let remedy = "a neighbour on the same core or memory, or a clock that changes; measure at other hours too";
        flags.push(flag(FlagKind::SlowWork, evidence, remedy));
    }
    flags.extend(thirds.seen().and_then(last_third).map(|(kind, evidence)| {
        let remedy = match kind {
            FlagKind::BurstCredits => {
                "see whether the plan has burst credits; measure for longer, and take what it does once they are spent"
            }
            _ => "look for what else changed on the host meanwhile; comparisons within a run hold, those between runs need not",
        };
        flag(kind, evidence, remedy)
    }));
    if run.missing > 0 {
        let evidence = format!("{} of {} trials of its plan are missing", run.missing, run.run.trials.len());
        let remedy = format!("meshtax resume {}", run.path.display());
        flags.push(flag(FlagKind::Incomplete, evidence, &remedy));
    }
    flags.extend(doubts(run).into_iter().map(|(evidence, remedy)| flag(FlagKind::Doubts, evidence, &remedy)));
    flags
}

/// Whether the last third was slower, and whether the machine was too.
fn last_third(found: &Thirds) -> Option<(FlagKind, String)> {
    let slower =
        |figure: &Figure| figure.seen().filter(|e| e.value >= SLOWER && e.low.is_some_and(|low| low > 1.0)).copied();
    let more =
        |figure: &Figure| figure.seen().filter(|e| e.value >= SHARE && e.low.is_some_and(|low| low > 0.0)).copied();
    let (p50, work) = (slower(&found.p50), slower(&found.work));
    let (steal, loss) = (more(&found.steal_rise), more(&found.loss_rise));
    let mut said = Vec::new();
    said.extend(p50.map(|e| format!("p50 of {} was {} times as long", found.of, figure::with_interval(&e, 1.0))));
    said.extend(work.map(|e| format!("a fixed piece of work took {} times as long", figure::with_interval(&e, 1.0))));
    said.extend(steal.map(|e| format!("steal rose by {} of the CPU time", figure::share(&e))));
    said.extend(loss.map(|e| format!("what was lost without a reason rose by {}", figure::share(&e))));
    let machine = work.is_some() || steal.is_some() || loss.is_some();
    let kind = match (p50.is_some(), machine) {
        (_, true) => FlagKind::BurstCredits,
        (true, false) => FlagKind::Drift,
        (false, false) => return None,
    };
    let rest = if kind == FlagKind::Drift { "; the machine itself was not measurably slower" } else { "" };
    Some((
        kind,
        format!(
            "in the last third of the run, against the first ({} trials each), {}{rest}",
            found.trials,
            said.join(", and ")
        ),
    ))
}

/// Doubts of the run's own report that weaken a comparison with another run, by kind.
fn doubts(run: &RunData) -> Vec<(String, String)> {
    use WarningKind::{BusyMachine, Censored, GeneratorLagged, RateNotReached, RequestsFailed, Saturated, TwoModes};
    let mut said = Vec::new();
    for kind in [RequestsFailed, Censored, RateNotReached, Saturated, GeneratorLagged, BusyMachine, TwoModes] {
        let mut of = run.warnings.iter().filter(|w| w.kind == kind).peekable();
        let Some(first) = of.peek().copied() else { continue };
        let trials = of.filter(|w| w.trial.is_some()).count();
        let evidence = match (trials, &first.trial) {
            (0, _) | (_, None) => first.evidence.clone(),
            // The details of each trial stand in the run's own report.
            (n, Some(_)) => {
                let brief = first.evidence.split("; ").next().unwrap_or_default();
                format!("in {n} of {} trials, such as: {brief}", run.trials.len())
            }
        };
        said.push((evidence, first.remedy.clone()));
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(value: f64, low: f64) -> Figure {
        Reading::Seen(Estimate { value, low: Some(low), high: Some(2.0 * value - low), level: LEVEL, n: 20 })
    }

    fn thirds(p50: Figure, work: Figure) -> Thirds {
        let none = || Reading::absent("this kernel is not told of steal");
        Thirds { trials: 8, of: "no mesh".into(), p50, work, steal_rise: none(), loss_rise: ratio(0.001, -0.001) }
    }

    #[test]
    fn a_slower_end_with_slower_work_is_as_when_credits_run_out_and_without_it_drift() {
        let (kind, said) = last_third(&thirds(ratio(1.4, 1.3), ratio(1.5, 1.4))).unwrap();
        assert_eq!(kind, FlagKind::BurstCredits);
        assert!(said.contains("1.40 [1.30, 1.50]") && said.contains("fixed piece of work took 1.50"), "{said}");
        let (kind, said) = last_third(&thirds(ratio(1.4, 1.3), ratio(1.01, 0.99))).unwrap();
        assert!(kind == FlagKind::Drift && said.contains("not measurably slower"), "{said}");
        assert_eq!(last_third(&thirds(ratio(1.04, 1.02), ratio(1.01, 0.99))), None, "too little to matter");
        assert_eq!(last_third(&thirds(ratio(1.3, 0.9), ratio(1.2, 0.9))), None, "not told from none");
    }

    #[test]
    fn trials_are_compared_with_their_own_cell() {
        // Two cells in turn, ten apart; both rise by 1 in the last third of nine.
        let values: Vec<(&str, f64)> = (0..18)
            .map(|i| {
                let rise = if i >= 12 { 1.0 } else { 0.0 };
                if i % 2 == 0 { ("a", rise) } else { ("b", 10.0 + rise) }
            })
            .collect();
        let (found, trials) = rise(&values).unwrap();
        assert_eq!((found.value, trials), (1.0, 6));
        assert!(rise(&values[..8]).is_none());
    }
}
