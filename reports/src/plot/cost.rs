//! CPU and memory of the proxies: over the rate where a run sweeps it, else a row for each cell.

use plotters::prelude::*;

use super::axis::Marked;
use super::tax::{nice, shortened};
use super::{Area, Drawn, INK, Sheet, series, short_ms, styled};
use crate::Result;

/// What the proxies of one cell used, one value each.
pub(crate) struct Spent {
    pub(crate) name: String,
    pub(crate) series: usize,
    /// Requests per second.
    pub(crate) rate: f64,
    /// Cells with the same number differ in the rate alone.
    pub(crate) group: usize,
    /// Thousandths of a core.
    pub(crate) cpu_millicores: Vec<f64>,
    /// MiB.
    pub(crate) rss_mib: Vec<f64>,
}

/// Over what the costs are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// The run sweeps rates.
    Rates,
    /// It does not.
    Cells,
}

impl Load {
    /// A line needs two rates of a group.
    pub(crate) fn of(cells: &[Spent]) -> Self {
        let swept = cells.iter().any(|a| cells.iter().any(|b| a.group == b.group && a.rate != b.rate));
        if swept { Self::Rates } else { Self::Cells }
    }
}

/// One of the two panels.
struct Panel<'a> {
    cells: &'a [Spent],
    what: &'static str,
    pick: fn(&Spent) -> &[f64],
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

impl Panel<'_> {
    fn most(&self) -> f64 {
        self.cells.iter().flat_map(self.pick).copied().fold(0.0, f64::max).max(1e-3) * 1.08
    }

    /// A dot for each proxy, a line for their mean, a row for each cell.
    fn rows(&self, area: &Area<'_>) -> Drawn {
        let (rows, most) = (self.cells.len() as f64, self.most());
        let step = nice(most / 5.0);
        let marks = (0..=(most / step) as u32).map(|i| f64::from(i) * step).collect();
        let mut chart = ChartBuilder::on(area)
            .margin(6)
            .margin_right(24)
            .x_label_area_size(44)
            .y_label_area_size(250)
            .build_cartesian_2d(
                Marked::new(0.0..most, marks),
                Marked::new(0.0..rows, (0..self.cells.len()).map(|i| i as f64 + 0.5).collect()),
            )?;
        styled(&mut chart.configure_mesh())
            .disable_y_mesh()
            .x_label_formatter(&|x| short_ms((x * 1e4).round() / 1e4))
            .y_label_formatter(&|y| {
                let row = self.cells.len().saturating_sub(1 + *y as usize);
                self.cells.get(row).map_or_else(String::new, |c| shortened(&c.name))
            })
            .x_desc(self.what)
            .draw()?;
        for (i, cell) in self.cells.iter().enumerate() {
            let y = rows - i as f64 - 0.5;
            let values = (self.pick)(cell);
            let dots = values.iter().map(|v| Circle::new((*v, y), 5, series(cell.series).mix(0.6).filled()));
            chart.draw_series(dots)?;
            if let Some(mean) = mean(values) {
                let line = [(mean, y - 0.32), (mean, y + 0.32)];
                chart.draw_series([PathElement::new(line, INK.stroke_width(2))])?;
            }
        }
        Ok(())
    }

    /// A line for each group: the mean of its proxies, with a bar from the least to the most.
    fn lines(&self, area: &Area<'_>) -> Drawn {
        let rates: Vec<f64> = self.cells.iter().map(|c| c.rate).collect();
        let right = rates.iter().copied().fold(0.0, f64::max) * 1.05;
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .margin_right(24)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(Marked::new(0.0..right, rates), 0.0..self.most())?;
        styled(&mut chart.configure_mesh())
            .y_labels(5)
            .x_label_formatter(&|x| short_ms(*x))
            .y_label_formatter(&|y| short_ms(*y))
            .x_desc("requests per second into the chain")
            .y_desc(self.what)
            .draw()?;
        let mut groups: Vec<usize> = self.cells.iter().map(|c| c.group).collect();
        groups.dedup();
        groups.sort_unstable();
        groups.dedup();
        for group in groups {
            let mut cells: Vec<&Spent> = self.cells.iter().filter(|c| c.group == group).collect();
            cells.sort_by(|a, b| a.rate.total_cmp(&b.rate));
            // That of the group's first cell in the run, whatever its rate: the legend has it too.
            let color = series(cells.iter().map(|c| c.series).min().unwrap_or(0));
            let means = cells.iter().filter_map(|c| Some((c.rate, mean((self.pick)(c))?)));
            chart.draw_series(LineSeries::new(means.clone(), color.stroke_width(2)))?;
            chart.draw_series(means.map(|at| Circle::new(at, 4, color.filled())))?;
            for cell in cells {
                let values = (self.pick)(cell);
                let (least, most) = values.iter().fold((f64::INFINITY, 0.0f64), |(l, m), v| (l.min(*v), m.max(*v)));
                if least < most {
                    chart.draw_series([PathElement::new(
                        [(cell.rate, least), (cell.rate, most)],
                        color.stroke_width(2),
                    )])?;
                }
            }
        }
        Ok(())
    }
}

/// A chart of the cells that have proxies.
pub(crate) fn costs(cells: &[Spent]) -> Result<String> {
    let load = Load::of(cells);
    let panel = match load {
        Load::Rates => 250,
        Load::Cells => 70 + 26 * cells.len() as u32,
    };
    let cpu = Panel { cells, what: "CPU of each proxy, millicores", pick: |c| &c.cpu_millicores };
    let memory = Panel { cells, what: "memory of each proxy, MiB", pick: |c| &c.rss_mib };
    let sheet = Sheet { chart: "costs", width: 960, height: 2 * panel };
    sheet.draw("CPU and memory of each proxy", |area| {
        let (upper, lower) = area.split_vertically(panel as i32);
        for (area, panel) in [(upper, cpu), (lower, memory)] {
            match load {
                Load::Rates => panel.lines(&area)?,
                Load::Cells => panel.rows(&area)?,
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(group: usize, rate: f64, cpu: &[f64]) -> Spent {
        let (cpu_millicores, rss_mib) = (cpu.to_vec(), vec![40.0; cpu.len()]);
        Spent { name: format!("cell {group}"), series: group, rate, group, cpu_millicores, rss_mib }
    }

    #[test]
    fn two_rates_of_one_group_make_a_line() {
        let alike = [spent(0, 500.0, &[10.0]), spent(1, 900.0, &[20.0])];
        assert_eq!(Load::of(&alike), Load::Cells);
        let swept = [spent(0, 500.0, &[10.0, 14.0]), spent(0, 900.0, &[20.0, 22.0])];
        assert_eq!(Load::of(&swept), Load::Rates);
        assert!(costs(&swept).unwrap().contains("requests per second into the chain"));
        assert!(costs(&alike).unwrap().contains("cell 1"));
        // A cell whose proxies were not watched has a row without dots.
        assert!(costs(&[spent(0, 1.0, &[])]).unwrap().contains("cell 0"));
    }
}
