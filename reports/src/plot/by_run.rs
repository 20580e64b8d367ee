//! One figure of several cells, in each of several runs, with intervals: a band for each cell, a row for each run.

use plotters::prelude::*;

use super::axis::Marked;
use super::tax::shortened;
use super::{Drawn, INK, Sheet, log_marks, log_range, series, short_ms, styled};
use crate::Result;
use crate::stats::Estimate;

/// A cell: what it is called, and its figure in each run, in nanoseconds; none where a run has none.
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) figures: Vec<Option<Estimate>>,
}

/// The height of a row, and of what is between bands and around them.
const ROW: f64 = 20.0;
const BETWEEN: f64 = 0.8;

/// A chart of the groups on an axis of logarithms; runs have the colours of their order.
pub(crate) fn by_run(groups: &[Group], at: &str) -> Result<String> {
    let rows = rows(groups);
    let sheet = Sheet { chart: "by_run", width: 960, height: 70 + (ROW * rows) as u32 };
    sheet.draw(&format!("Response time at {at} of each cell in each run, with intervals"), |area| {
        let ends = groups.iter().flat_map(|g| g.figures.iter().flatten());
        let (low, high) = log_range(ends.flat_map(|e| [e.value, e.low.unwrap_or(e.value), e.high.unwrap_or(e.value)]));
        let mut chart = ChartBuilder::on(area)
            .margin(6)
            .margin_right(24)
            .x_label_area_size(44)
            .y_label_area_size(250)
            .build_cartesian_2d(
                Marked::new(low..high, log_marks(low, high)),
                Marked::new(0.0..rows, groups.iter().enumerate().map(|(k, g)| rows - middle(groups, k, g)).collect()),
            )?;
        styled(&mut chart.configure_mesh())
            .disable_y_mesh()
            .x_label_formatter(&|x| short_ms((10f64.powf(*x) * 1e4).round() / 1e4))
            .y_label_formatter(&|y| {
                let is_at = |(k, g): &(usize, &Group)| (rows - middle(groups, *k, g) - y).abs() < 1e-6;
                groups.iter().enumerate().find(is_at).map_or_else(String::new, |(_, g)| shortened(&g.name))
            })
            .x_desc(format!("{at}, ms"))
            .draw()?;
        let place = |ns: f64| (ns.max(1.0) / 1e6).log10();
        for (k, group) in groups.iter().enumerate() {
            let top = top(groups, k);
            if k > 0 {
                let y = rows - top + BETWEEN / 2.0;
                chart.draw_series([PathElement::new([(low, y), (high, y)], INK.mix(0.15))])?;
            }
            for (run, figure) in group.figures.iter().enumerate() {
                let Some(e) = figure else { continue };
                let y = rows - top - run as f64 - 0.5;
                if let (Some(from), Some(to)) = (e.low, e.high) {
                    let line = [(place(from), y), (place(to), y)];
                    chart.draw_series([PathElement::new(line, series(run).stroke_width(3))])?;
                }
                chart.draw_series([Circle::new((place(e.value), y), 5, series(run).filled())])?;
            }
        }
        Drawn::Ok(())
    })
}

fn rows(groups: &[Group]) -> f64 {
    groups.iter().map(|g| g.figures.len() as f64 + BETWEEN).sum()
}

/// Where a group begins, from above.
fn top(groups: &[Group], k: usize) -> f64 {
    groups.iter().take(k).map(|g| g.figures.len() as f64 + BETWEEN).sum::<f64>() + BETWEEN / 2.0
}

fn middle(groups: &[Group], k: usize, group: &Group) -> f64 {
    top(groups, k) + group.figures.len() as f64 / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_has_a_mark_and_every_cell_its_name() {
        let e =
            |value: f64| Some(Estimate { value, low: Some(value * 0.9), high: Some(value * 1.2), level: 0.95, n: 8 });
        let group = |name: &str, figures: Vec<Option<Estimate>>| Group { name: name.into(), figures };
        let groups = [group("no mesh", vec![e(4e5), e(6e5), None]), group("a <b>", vec![e(1e6), e(2e6), e(3e6)])];
        let svg = by_run(&groups, "p99").unwrap();
        assert_eq!(svg.matches("<circle").count(), 5);
        assert!(svg.contains("no mesh") && svg.contains("a &lt;b&gt;"), "{svg}");
        assert!(svg.contains("var(--s2)"));
    }
}
