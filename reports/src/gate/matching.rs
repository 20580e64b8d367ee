//! Which cell of a candidate is compared with which of a baseline.

use record::{Cell, Factors};

/// The cells that are judged: those with a mesh, where there are any, since a gate on the others would judge the machine.
/// The second of an A/A pair is no candidate.
pub fn judged<'a>(cells: impl Iterator<Item = &'a Factors>) -> Vec<usize> {
    let all: Vec<(usize, &Factors)> = cells.enumerate().filter(|(_, factors)| factors.twin == 0).collect();
    let meshed: Vec<usize> = all.iter().filter(|(_, factors)| factors.meshed()).map(|(at, _)| *at).collect();
    if meshed.is_empty() { all.into_iter().map(|(at, _)| at).collect() } else { meshed }
}

/// A cell as it is matched: its factors, and its label, which names what varies in its run.
#[derive(Clone, Copy, Debug)]
pub struct Matched<'a> {
    /// Its factors.
    pub factors: &'a Factors,
    /// Its label.
    pub label: &'a str,
}

impl<'a> From<&'a Cell> for Matched<'a> {
    fn from(cell: &'a Cell) -> Self {
        Self { factors: &cell.factors, label: &cell.label }
    }
}

/// For each cell of the candidate that one of the baseline with the same factors; else that with the same label; and if
/// each side has one cell only, that one.
pub fn matches(candidate: &[Matched<'_>], baseline: &[Matched<'_>]) -> Vec<Option<usize>> {
    let one = |cell: &Matched<'_>| {
        let same = |of: &dyn Fn(&Matched<'_>) -> bool| baseline.iter().position(of);
        let alone = (candidate.len() == 1 && baseline.len() == 1).then_some(0);
        same(&|other| other.factors == cell.factors).or_else(|| same(&|other| other.label == cell.label)).or(alone)
    };
    candidate.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use record::Dataplane;

    use super::*;

    fn factors(dataplane: Dataplane, services: u32) -> Factors {
        Factors { dataplane, services, ..Factors::unmeshed() }
    }

    #[test]
    fn cells_without_a_mesh_are_judged_only_where_there_is_nothing_else() {
        let none = factors(Dataplane::None, 3);
        let twin = Factors { twin: 1, ..none.clone() };
        let meshed = factors(Dataplane::Embedded, 3);
        assert_eq!(judged([&none, &twin, &meshed].into_iter()), [2]);
        assert_eq!(judged([&none, &twin].into_iter()), [0]);
    }

    #[test]
    fn cells_are_matched_by_factors_then_by_label_and_a_single_one_with_a_single_one() {
        let (three, five) = (factors(Dataplane::Embedded, 3), factors(Dataplane::Embedded, 5));
        let other = Factors { workers: 2, ..three.clone() };
        let cell = |factors, label| Matched { factors, label };
        let baseline = [cell(&five, "five"), cell(&three, "three")];
        assert_eq!(
            matches(&[cell(&three, "x"), cell(&other, "five"), cell(&other, "y")], &baseline),
            [Some(1), Some(0), None]
        );
        assert_eq!(matches(&[cell(&other, "x")], &baseline[..1]), [Some(0)]);
        assert_eq!(matches(&[cell(&other, "x")], &baseline), [None]);
    }
}
