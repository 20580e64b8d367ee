//! The tax of each cell with its interval, at p50 and at p99.

use plotters::prelude::*;

use super::axis::Marked;
use super::{Area, Drawn, Failed, INK, Sheet, series, short_ms, styled};
use crate::Result;
use crate::stats::Estimate;

/// One comparison: what it is called, its colour, and the difference at p50 and at p99, in nanoseconds.
pub(crate) struct Bar {
    pub(crate) name: String,
    pub(crate) series: usize,
    pub(crate) p50: Estimate,
    pub(crate) p99: Estimate,
}

/// The longest name that has room at the left.
const NAME: usize = 34;

/// A scale that shows small differences next to large ones, and zero and negative ones too: linear within
/// `unit`, logarithmic beyond. Linear throughout where the largest is not much larger than the smallest.
struct Scale {
    unit: Option<f64>,
}

impl Scale {
    /// The unit is the smallest difference that is one: what cannot be told from 0 must not be blown up.
    fn of(figures: &[Estimate]) -> Self {
        let told_apart = figures.iter().filter(|e| e.excludes(0.0)).map(|e| e.value.abs());
        let (low, high) = told_apart.fold((f64::INFINITY, 0.0f64), |(l, h), v| (l.min(v), h.max(v)));
        // Below a ten-thousandth of the largest nothing can be told apart anyway.
        Self { unit: (high > 30.0 * low).then_some(low.max(high / 1e4)) }
    }

    fn place(&self, ms: f64) -> f64 {
        self.unit.map_or(ms, |unit| (ms / unit).asinh())
    }

    fn value(&self, place: f64) -> f64 {
        self.unit.map_or(place, |unit| place.sinh() * unit)
    }

    fn marks(&self, low: f64, high: f64) -> Vec<f64> {
        let Some(unit) = self.unit else {
            let step = nice((high - low) / 5.0);
            let first = (low / step).ceil() as i64;
            let last = (high / step).floor() as i64;
            return (first..=last).map(|i| i as f64 * step).collect();
        };
        let largest = low.abs().max(high.abs());
        let decades = (unit.log10().ceil() as i32)..=(largest.log10().floor() as i32);
        let mut marks: Vec<f64> = decades.flat_map(|d| [-(10f64.powi(d)), 10f64.powi(d)]).chain([0.0]).collect();
        marks.retain(|m| (low..=high).contains(m));
        marks.sort_by(f64::total_cmp);
        marks
    }
}

/// The round step next above: 1, 2 or 5 of its decade.
fn nice(step: f64) -> f64 {
    if step <= 0.0 {
        return 1.0;
    }
    let decade = 10f64.powf(step.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|s| s * decade).find(|s| *s >= step * 0.999).unwrap_or(decade * 10.0)
}

/// A chart of the comparisons, one row each.
pub(crate) fn taxes(bars: &[Bar]) -> Result<String> {
    let panel = 70 + 26 * bars.len() as u32;
    let sheet = Sheet { chart: "tax", width: 960, height: 2 * panel };
    sheet.draw("What each cell adds to the response time at p50 and at p99, with intervals", |area| {
        let (upper, lower) = area.split_vertically(panel as i32);
        one(&upper, bars, "added at p50, ms", |b| b.p50)?;
        one(&lower, bars, "added at p99, ms", |b| b.p99)
    })
}

fn one(area: &Area<'_>, bars: &[Bar], title: &str, pick: impl Fn(&Bar) -> Estimate) -> Drawn {
    let figures: Vec<Estimate> = bars.iter().map(|b| pick(b).times(1e-6)).collect();
    let ends: Vec<f64> =
        figures.iter().flat_map(|e| [e.value, e.low.unwrap_or(e.value), e.high.unwrap_or(e.value)]).collect();
    let scale = Scale::of(&figures);
    let (low, high) = ends.iter().fold((0.0f64, 0.0f64), |(l, h), v| (l.min(*v), h.max(*v)));
    let (low, high) = (scale.place(low), scale.place(high));
    let air = ((high - low) * 0.06).max(1e-6);
    let (low, high) = (low - air, high + air);
    let marks = scale.marks(scale.value(low), scale.value(high)).into_iter().map(|m| scale.place(m)).collect();
    let rows = bars.len() as f64;
    let mut chart = ChartBuilder::on(area)
        .margin(6)
        .margin_right(24)
        .x_label_area_size(44)
        .y_label_area_size(250)
        .build_cartesian_2d(
            Marked::new(low..high, marks),
            Marked::new(0.0..rows, (0..bars.len()).map(|i| i as f64 + 0.5).collect()),
        )?;
    styled(&mut chart.configure_mesh())
        .disable_y_mesh()
        .x_label_formatter(&|x| short_ms((scale.value(*x) * 1e4).round() / 1e4))
        .y_label_formatter(&|y| {
            // The first comparison stands on top.
            let row = bars.len().saturating_sub(1 + *y as usize);
            bars.get(row).map_or_else(String::new, |b| shortened(&b.name))
        })
        .x_desc(title)
        .draw()?;
    chart.draw_series([PathElement::new([(scale.place(0.0), 0.0), (scale.place(0.0), rows)], INK.mix(0.6))])?;
    for (i, (bar, e)) in bars.iter().zip(&figures).enumerate() {
        let y = rows - i as f64 - 0.5;
        let color = series(bar.series);
        if let (Some(low), Some(high)) = (e.low, e.high) {
            let line = [(scale.place(low), y), (scale.place(high), y)];
            chart.draw_series([PathElement::new(line, color.stroke_width(3))])?;
            for end in line {
                let tick = [(end.0, y - 0.18), (end.0, y + 0.18)];
                chart.draw_series([PathElement::new(tick, color.stroke_width(2))])?;
            }
        }
        chart.draw_series([Circle::new((scale.place(e.value), y), 5, color.filled())])?;
    }
    Ok::<(), Failed>(())
}

pub(super) fn shortened(name: &str) -> String {
    if name.chars().count() <= NAME {
        return name.to_owned();
    }
    let kept: String = name.chars().take(NAME - 1).collect();
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_leads_back_to_the_value() {
        let told = |value: f64| Estimate { value, low: Some(value * 0.9), high: Some(value * 1.1), level: 0.95, n: 8 };
        let noise = Estimate { value: 0.001, low: Some(-0.01), high: Some(0.01), level: 0.95, n: 8 };
        let (linear, bent) = (Scale::of(&[told(0.5), told(1.0), noise]), Scale::of(&[noise, told(0.1), told(80.0)]));
        for scale in [&linear, &bent] {
            for v in [-3.0, 0.0, 0.01, 55.0] {
                assert!((scale.value(scale.place(v)) - v).abs() < 1e-9);
            }
        }
        assert_eq!((linear.unit, bent.unit), (None, Some(0.1)));
        assert!(Scale::of(&[noise]).unit.is_none());
    }

    #[test]
    fn marks_are_round_and_hold_zero() {
        assert_eq!(Scale { unit: None }.marks(-0.3, 1.4), [0.0, 0.5, 1.0]);
        assert_eq!(Scale { unit: Some(0.05) }.marks(-0.2, 12.0), [-0.1, 0.0, 0.1, 1.0, 10.0]);
        assert_eq!((nice(0.34), nice(1.7), nice(0.0)), (0.5, 2.0, 1.0));
    }
}
