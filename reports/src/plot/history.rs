//! A figure over many runs, with its intervals, its levels, and where these changed.

use plotters::prelude::*;

use super::axis::Marked;
use super::{Area, Drawn, INK, Sheet, series, short_ms, styled};
use crate::Result;
use crate::history::{Point, Series};

/// How many runs have their day under them.
const MARKS: usize = 6;

/// With more runs than these, their intervals would hide the runs.
const INTERVALS: usize = 120;

/// A chart of one series; `factor` takes a value to the unit that is written beside the axis.
pub(crate) fn history(of: &Series, what: &str, factor: f64) -> Result<String> {
    let sheet = Sheet { chart: "history", width: 960, height: 300 };
    let alt = format!("{what} over {} runs, with where its level changed", of.points.len());
    sheet.draw(&alt, |area| draw(area, of, what, factor))
}

/// A run: its place, its value, and its interval.
struct Dot {
    at: f64,
    value: f64,
    interval: Option<(f64, f64)>,
}

fn dots(of: &Series, factor: f64) -> Vec<Dot> {
    let dot = |(at, point): (usize, &Point)| {
        let e = point.figure.seen().filter(|e| e.value.is_finite())?.times(factor);
        Some(Dot { at: at as f64, value: e.value, interval: e.low.zip(e.high) })
    };
    of.points.iter().enumerate().filter_map(dot).collect()
}

/// The range of the values with some air. Intervals of a few trials can be many times as wide as all that the values do,
/// and are cut off at its ends.
fn range(dots: &[Dot]) -> (f64, f64) {
    let values = dots.iter().map(|dot| dot.value);
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    let (low, high) = if low > high { (0.0, 1.0) } else { (low, high) };
    let air = ((high - low) * 0.25).max(high.abs() * 0.02).max(1e-9);
    (if low >= 0.0 { (low - air).max(0.0) } else { low - air }, high + air)
}

fn draw(area: &Area<'_>, of: &Series, what: &str, factor: f64) -> Drawn {
    let dots = dots(of, factor);
    let (low, high) = range(&dots);
    let count = of.points.len();
    let marks = (0..count).step_by(count.div_ceil(MARKS).max(1)).map(|at| at as f64).collect();
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .margin_right(60)
        .x_label_area_size(28)
        .y_label_area_size(72)
        .build_cartesian_2d(Marked::new(-0.5..count as f64 - 0.5, marks), low..high)?;
    styled(&mut chart.configure_mesh())
        .disable_x_mesh()
        .y_labels(5)
        .x_label_formatter(&|x| day(of, *x))
        .y_label_formatter(&|y| short_ms(*y))
        .y_desc(what)
        .draw()?;
    for change in &of.changes {
        let (from, to) = (change.earliest as f64 - 0.5, change.latest as f64 + 0.5);
        chart.draw_series([Rectangle::new([(from, low), (to, high)], series(1).mix(0.15).filled())])?;
    }
    for dot in dots.iter().filter(|_| dots.len() <= INTERVALS) {
        if let Some((from, to)) = dot.interval {
            let line = [(dot.at, from.clamp(low, high)), (dot.at, to.clamp(low, high))];
            chart.draw_series([PathElement::new(line, INK.mix(0.25))])?;
        }
    }
    chart.draw_series(dots.iter().map(|dot| Circle::new((dot.at, dot.value), 2, series(1).filled())))?;
    for (from, to, level) in levels(of) {
        let line = [(from - 0.5, level * factor), (to - 0.5, level * factor)];
        chart.draw_series([PathElement::new(line, INK.stroke_width(2))])?;
    }
    Ok(())
}

/// The levels between changes: from, to, and the level in the series' unit.
fn levels(of: &Series) -> Vec<(f64, f64, f64)> {
    let starts = std::iter::once(0).chain(of.changes.iter().map(|change| change.at));
    let ends = of.changes.iter().map(|change| change.at).chain([of.points.len()]);
    let before = of.changes.first().map(|change| change.before);
    let values = before.into_iter().chain(of.changes.iter().map(|change| change.after));
    starts.zip(ends).zip(values).map(|((from, to), level)| (from as f64, to as f64, level)).collect()
}

fn day(of: &Series, at: f64) -> String {
    of.points.get(at.round() as usize).map_or_else(String::new, |point| point.started.chars().take(10).collect())
}
