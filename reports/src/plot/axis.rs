//! An axis with marks at chosen places; the drawing library's own cannot put numbers under them.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

/// A linear axis over a range, marked where it is told.
pub(super) struct Marked {
    range: Range<f64>,
    marks: Vec<f64>,
}

impl Marked {
    /// An axis over `range` with marks at `marks`.
    pub(super) fn new(range: Range<f64>, marks: Vec<f64>) -> Self {
        Self { range, marks }
    }
}

impl Ranged for Marked {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let Range { start, end } = self.range;
        let share = if end > start { (value - start) / (end - start) } else { 0.5 };
        limit.0 + (share * f64::from(limit.1 - limit.0)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        // Light lines between the marks would claim a precision that the marks do not have.
        if hint.weight().allow_light_points() { Vec::new() } else { self.marks.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for Marked {
    fn format(value: &f64) -> String {
        value.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_lie_where_their_share_of_the_range_is() {
        let axis = Marked::new(1.0..3.0, vec![2.0]);
        assert_eq!([1.0, 2.0, 3.0].map(|v| axis.map(&v, (100, 300))), [100, 200, 300]);
        assert_eq!(axis.map(&2.5, (300, 100)), 150, "an axis may point upward");
        assert_eq!(Marked::new(1.0..1.0, vec![]).map(&1.0, (0, 10)), 5);
    }
}
