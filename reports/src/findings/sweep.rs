//! CPU limits swept: the curve of p99 over the limit, and the knee at which throttling reaches it.

use record::{Cell, Factors, Reading};
use serde::{Deserialize, Serialize};

use super::tax::Intervals;
use super::{CellFindings, Figure, Pairs, person_name};
use crate::figure;
use crate::gather::Gathered;
use crate::stats::{Estimate, Scale};

/// The knee is where p99 becomes this many times as long as with the reference.
///
/// A quarter is more than a limit that does not bind ever does, and less than the first quota period that is missed, which
/// makes a p99 of a few milliseconds several times as long.
const KNEE_RATIO: f64 = 1.25;

/// Cells that differ in nothing but the CPU limit of their proxies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LimitSweep {
    /// What they have in common, by the name of the reference.
    pub name: String,
    /// The id of the cell that the others are held against: that without a limit, else that with the largest.
    pub reference: String,
    /// The points, the smallest limit first, no limit last.
    pub points: Vec<LimitPoint>,
    /// How many times as long as the reference's p99 counts as beyond the knee.
    pub knee_ratio: f64,
    /// The limit at which p99 crosses that, in thousandths of a core; where an end of its interval is absent, it lies outside
    /// the limits that were swept. Absent, with the reason, where p99 itself does not cross within them.
    pub knee_millicores: Reading<Estimate>,
    /// The same in a sentence.
    pub sentence: String,
}

/// One limit of a sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LimitPoint {
    /// The cell's id.
    pub cell: String,
    /// The limit of each proxy, in thousandths of a core; absent without one.
    pub limit_millicores: Option<f64>,
    /// Response time at p99.
    pub p99_ns: Figure,
    /// It as a multiple of the reference's in the same block; absent for the reference itself, and where no block holds both.
    pub over_reference: Option<Estimate>,
    /// Of the quota periods in which proxies ran, the share in which they were throttled; the mean over the proxies.
    pub throttled_period_share: Figure,
}

/// Where a falling curve crosses the knee's ratio.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Crossing {
    /// It is above it at every limit.
    Above,
    /// Between two limits.
    At(f64),
    /// It is below it at every limit.
    Below,
}

/// The place where a curve first crosses, coming from the largest limit, by straight lines between the logarithms of the
/// limits and of the ratios. `curve` is of limits and ratios, the largest limit first.
fn crossing(curve: &[(f64, f64)]) -> Crossing {
    let Some(first) = curve.first() else { return Crossing::Below };
    if first.1 > KNEE_RATIO {
        return Crossing::Above;
    }
    for pair in curve.windows(2) {
        let ((limit, ratio), (smaller, worse)) = (pair[0], pair[1]);
        if worse > KNEE_RATIO {
            let share = (KNEE_RATIO / ratio).ln() / (worse / ratio).ln();
            return Crossing::At((limit.ln() + share * (smaller.ln() - limit.ln())).exp());
        }
    }
    Crossing::Below
}

/// The knee of a curve, the largest limit first; its interval is where the ends of the ratios' intervals cross.
fn knee(curve: &[(f64, Estimate)]) -> (Crossing, Option<Estimate>) {
    let along = |pick: fn(&Estimate) -> f64| -> Vec<(f64, f64)> {
        curve.iter().map(|(limit, e)| (*limit, pick(e).max(f64::MIN_POSITIVE))).collect()
    };
    let place = crossing(&along(|e| e.value));
    let Crossing::At(value) = place else { return (place, None) };
    let end = |pick: fn(&Estimate) -> f64| match crossing(&along(pick)) {
        Crossing::At(limit) => Some(limit),
        Crossing::Above | Crossing::Below => None,
    };
    let level = curve.iter().map(|(_, e)| e.level).fold(1.0, f64::min);
    let n = curve.iter().map(|(_, e)| e.n).min().unwrap_or(0);
    // With one block there are no intervals to cross with.
    let (low, high) = if level > 0.0 {
        (end(|e| e.low.unwrap_or(e.value)), end(|e| e.high.unwrap_or(e.value)))
    } else {
        (None, None)
    };
    (place, Some(Estimate { value, low, high, level, n }))
}

/// Every sweep of the run: three cells or more that differ in the limit alone, two of them with one.
pub(super) fn limits(gathered: &Gathered, cells: &[CellFindings], intervals: &Intervals) -> Vec<LimitSweep> {
    // Worker threads follow from the limit, where the rule says so.
    let rest = |cell: &Cell| Factors { cpu_limit: None, workers: 0, ..cell.factors.clone() };
    let mut groups: Vec<(Factors, Vec<&Cell>)> = Vec::new();
    for cell in gathered.run.cells.iter().filter(|c| c.factors.meshed()) {
        let rest = rest(cell);
        match groups.iter_mut().find(|(known, _)| *known == rest) {
            Some((_, group)) => group.push(cell),
            None => groups.push((rest, vec![cell])),
        }
    }
    groups.into_iter().filter_map(|(_, group)| sweep(gathered, cells, intervals, group)).collect()
}

fn millicores(cell: &Cell) -> Option<f64> {
    cell.factors.cpu_limit.map(|limit| f64::from(limit.millicores()))
}

fn sweep(
    gathered: &Gathered,
    cells: &[CellFindings],
    intervals: &Intervals,
    mut group: Vec<&Cell>,
) -> Option<LimitSweep> {
    group.sort_by(|a, b| {
        let limit = |cell| millicores(cell).unwrap_or(f64::INFINITY);
        limit(a).total_cmp(&limit(b))
    });
    let reference = *group.last()?;
    if group.iter().filter(|c| c.factors.cpu_limit.is_some()).count() < 2 {
        return None;
    }
    let point = |cell: &&Cell| {
        let found = cells.iter().find(|c| c.id == cell.id)?;
        let pairs = Pairs::of(gathered, cell, reference);
        let ratios: Vec<f64> = pairs
            .whole
            .iter()
            .map(|(one, other)| one.response.p99.max(1) as f64 / other.response.p99.max(1) as f64)
            .collect();
        Some(LimitPoint {
            cell: cell.id.clone(),
            limit_millicores: millicores(cell),
            p99_ns: found.response_ns.p99.clone(),
            over_reference: (cell.id != reference.id).then(|| intervals.over(&ratios, Scale::Factor)).flatten(),
            throttled_period_share: found.proxies.throttled_period_share.clone(),
        })
    };
    let points: Vec<LimitPoint> = group.iter().filter_map(point).collect();
    let name = person_name(&reference.label);
    let (knee_millicores, sentence) = found(&points, &name);
    Some(LimitSweep {
        name,
        reference: reference.id.clone(),
        points,
        knee_ratio: KNEE_RATIO,
        knee_millicores,
        sentence,
    })
}

/// The knee of the points, and what is to be said of it.
fn found(points: &[LimitPoint], name: &str) -> (Reading<Estimate>, String) {
    let limited = points.iter().rev().filter_map(|p| Some((p.limit_millicores?, p.over_reference)));
    // The largest limit is the reference itself where there is no cell without one.
    let itself = Estimate { value: 1.0, low: Some(1.0), high: Some(1.0), level: 1.0, n: usize::MAX };
    let of_reference = points.last().is_some_and(|p| p.limit_millicores.is_some());
    let curve: Vec<(f64, Estimate)> = limited
        .enumerate()
        .filter_map(|(at, (limit, over))| Some((limit, over.or((at == 0 && of_reference).then_some(itself))?)))
        .collect();
    let (place, estimate) = knee(&curve);
    let said = |limit: f64| format!("{}m", figure::digits(limit));
    let over = |e: &Estimate| format!("{} times", figure::with_interval(e, 1.0));
    let [largest, smallest] = [curve.first(), curve.last()];
    match (place, estimate, largest, smallest) {
        (_, Some(knee), Some((largest, _)), Some((smallest, _))) => {
            let low = knee.low.map_or_else(|| format!("below {}", said(*smallest)), said);
            let high = knee.high.map_or_else(|| format!("above {}", said(*largest)), said);
            let within = if knee.level > 0.0 { format!(" [{low}, {high}]") } else { String::new() };
            let sentence = format!(
                "{name}: p99 has its knee at a CPU limit of {}{within}: with less it is more than {KNEE_RATIO} times as long.",
                said(knee.value)
            );
            (Reading::Seen(knee), sentence)
        }
        (Crossing::Above, _, Some((limit, ratio)), _) => {
            let reason = format!(
                "none within the sweep: with {}, the largest limit, p99 is {} as long already",
                said(*limit),
                over(ratio)
            );
            (Reading::absent(reason.as_str()), format!("{name}: the knee lies above the limits, {reason}."))
        }
        (Crossing::Below, _, _, Some((limit, ratio))) => {
            let reason = format!(
                "none within the sweep: with {}, the smallest limit, p99 is {} as long",
                said(*limit),
                over(ratio)
            );
            (Reading::absent(reason.as_str()), format!("{name}: p99 has no knee, {reason}."))
        }
        _ => {
            let reason = "none can be told: no block holds a limit and its reference";
            (Reading::absent(reason), format!("{name}: of a knee, {reason}."))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(value: f64, low: f64, high: f64) -> Estimate {
        Estimate { value, low: Some(low), high: Some(high), level: 0.9, n: 5 }
    }

    #[test]
    fn the_knee_lies_where_the_line_between_two_limits_crosses() {
        // Half way between 400 and 100 on logarithms, since 1.25 is the root of 1.5625.
        let curve = [(400.0, ratio(1.0, 1.0, 1.0)), (100.0, ratio(1.5625, 1.5625, 1.5625))];
        let (place, found) = knee(&curve);
        let Crossing::At(at) = place else { panic!("{place:?}") };
        assert!((at - 200.0).abs() < 1e-9, "{at}");
        let found = found.unwrap();
        assert_eq!((found.low.map(f64::round), found.high.map(f64::round), found.n), (Some(200.0), Some(200.0), 5));
    }

    #[test]
    fn its_interval_is_where_the_ends_cross_and_open_where_they_do_not() {
        let curve = [(400.0, ratio(1.02, 0.95, 1.1)), (200.0, ratio(1.1, 1.0, 1.6)), (100.0, ratio(3.0, 1.1, 9.0))];
        let found = knee(&curve).1.unwrap();
        assert!(found.value > 100.0 && found.value < 200.0, "{found:?}");
        assert!(found.low.is_none(), "the lower end never crosses: {found:?}");
        assert!(found.high.is_some_and(|high| high > 200.0 && high < 400.0), "{found:?}");
    }

    #[test]
    fn a_curve_that_does_not_cross_has_no_knee() {
        let flat = [(400.0, ratio(1.0, 0.9, 1.1)), (100.0, ratio(1.2, 1.1, 1.5))];
        assert_eq!(knee(&flat), (Crossing::Below, None));
        let beyond = [(400.0, ratio(2.0, 1.9, 2.1)), (100.0, ratio(8.0, 7.0, 9.0))];
        assert_eq!(knee(&beyond), (Crossing::Above, None));
        assert_eq!(knee(&[]), (Crossing::Below, None));
    }

    #[test]
    fn without_an_interval_the_knee_has_none() {
        let one = |value| Estimate { value, low: None, high: None, level: 0.0, n: 1 };
        let found = knee(&[(400.0, one(1.0)), (100.0, one(4.0))]).1.unwrap();
        assert_eq!((found.low, found.high, found.level, found.n), (None, None, 0.0, 1));
    }
}
