//! The trials of two cells, paired within their blocks.

use record::Cell;

use crate::gather::{Gathered, TrialData};

/// The pairs of two cells, and the blocks that hold only one of the two.
#[derive(Debug)]
pub(crate) struct Pairs<'a> {
    /// The cell's trial and that of what it is compared with.
    pub(crate) whole: Vec<(&'a TrialData, &'a TrialData)>,
    /// A block, and the id of the cell whose trial is missing in it or has no answered request.
    pub(crate) broken: Vec<(u32, &'a str)>,
}

impl<'a> Pairs<'a> {
    pub(crate) fn of(gathered: &'a Gathered, cell: &'a Cell, other: &'a Cell) -> Self {
        let mut pairs = Self { whole: Vec::new(), broken: Vec::new() };
        let find =
            |cell: &Cell, block| gathered.trials.iter().find(|t| t.trial.cell == cell.id && t.trial.block == block);
        for block in 1..=gathered.run.repeats {
            match (find(cell, block), find(other, block)) {
                (Some(a), Some(b)) if a.ended == 0 || b.ended == 0 => {
                    pairs.broken.push((block, if a.ended == 0 { &cell.id } else { &other.id }));
                }
                (Some(a), Some(b)) => pairs.whole.push((a, b)),
                (Some(_), None) => pairs.broken.push((block, &other.id)),
                (None, Some(_)) => pairs.broken.push((block, &cell.id)),
                (None, None) => {}
            }
        }
        pairs
    }
}
