//! The parts of a whole with their intervals, one row each.

use plotters::prelude::*;

use super::axis::Marked;
use super::{Drawn, INK, Sheet, series, styled};
use crate::Result;
use crate::stats::Estimate;

/// A part: what it is called, and its share, 0 to 1.
pub(crate) struct Slice {
    pub(crate) name: String,
    pub(crate) share: Estimate,
}

/// A chart of the parts, the first on top.
pub(crate) fn shares(slices: &[Slice]) -> Result<String> {
    let rows = slices.len() as f64;
    let sheet = Sheet { chart: "shares", width: 960, height: 64 + 30 * slices.len() as u32 };
    sheet.draw("The share of each part of the variance, with intervals", |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(6)
            .margin_right(24)
            .x_label_area_size(44)
            .y_label_area_size(250)
            .build_cartesian_2d(
                Marked::new(0.0..1.0, (0..=5).map(|i| f64::from(i) / 5.0).collect()),
                Marked::new(0.0..rows, (0..slices.len()).map(|i| i as f64 + 0.5).collect()),
            )?;
        styled(&mut chart.configure_mesh())
            .disable_y_mesh()
            .x_label_formatter(&|x| format!("{:.0}", x * 100.0))
            .y_label_formatter(&|y| {
                let row = slices.len().saturating_sub(1 + *y as usize);
                slices.get(row).map_or_else(String::new, |slice| slice.name.clone())
            })
            .x_desc("share of the variance, %")
            .draw()?;
        for (i, slice) in slices.iter().enumerate() {
            let y = rows - i as f64 - 0.5;
            let bar = [(0.0, y - 0.28), (slice.share.value, y + 0.28)];
            chart.draw_series([Rectangle::new(bar, series(1).mix(0.75).filled())])?;
            if let (Some(low), Some(high)) = (slice.share.low, slice.share.high) {
                chart.draw_series([PathElement::new([(low, y), (high, y)], INK.stroke_width(2))])?;
                for end in [low, high] {
                    chart.draw_series([PathElement::new([(end, y - 0.14), (end, y + 0.14)], INK.stroke_width(2))])?;
                }
            }
        }
        Drawn::Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_has_its_bar_and_its_name() {
        let slice = |name: &str, value: f64| Slice {
            name: name.into(),
            share: Estimate { value, low: Some(value / 2.0), high: Some(0.9), level: 0.95, n: 40 },
        };
        let svg = shares(&[slice("mesh", 0.7), slice("repeat", 0.3)]).unwrap();
        assert!(svg.contains("mesh") && svg.contains("repeat"));
        assert!(svg.find("mesh").is_some() && svg.matches("<rect").count() >= 2, "{svg}");
    }
}
