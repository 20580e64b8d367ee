//! How runs went from their first trial to their last.

use plotters::prelude::*;

use super::axis::Marked;
use super::{Drawn, INK, Sheet, series, styled};
use crate::Result;

/// A run: its trials by their place, 0 to 1, each with how many times the typical figure of its cell.
pub(crate) struct Drift<'a> {
    pub(crate) name: &'a str,
    pub(crate) series: usize,
    pub(crate) points: &'a [(f64, f64)],
}

/// What a run does must not be blown up when it does nothing: the axis spans at least this, as a factor.
const LEAST: f64 = 1.1;

/// A chart of the runs: a dot for each trial, a line for the median of each third.
pub(crate) fn drifts(drifts: &[Drift<'_>]) -> Result<String> {
    let names: Vec<&str> = drifts.iter().map(|d| d.name).collect();
    let alt = format!("p50 of each trial against the mean of its cell, over the course of {}", names.join(", "));
    let sheet = Sheet { chart: "drift", width: 960, height: 260 };
    sheet.draw(&alt, |area| {
        let farthest = drifts.iter().flat_map(|d| d.points).map(|(_, ratio)| ratio.ln().abs());
        let reach = farthest.fold(LEAST.ln(), f64::max) * 1.08;
        let marks = marks(reach);
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .margin_right(24)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(
            Marked::new(-0.02..1.02, vec![0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0]),
            Marked::new(-reach..reach, marks),
        )?;
        styled(&mut chart.configure_mesh())
            .x_label_formatter(&|x| match *x {
                x if x < 0.1 => "first trial".to_owned(),
                x if x > 0.9 => "last".to_owned(),
                _ => String::new(),
            })
            .y_label_formatter(&|y| {
                if y.abs() < 1e-9 { "0".to_owned() } else { format!("{:+.0} %", y.exp_m1() * 100.0) }
            })
            .y_desc("p50")
            .draw()?;
        chart.draw_series([PathElement::new([(-0.02, 0.0), (1.02, 0.0)], INK.mix(0.5))])?;
        for drift in drifts {
            let color = series(drift.series);
            let dots = drift.points.iter().map(|(x, ratio)| Circle::new((*x, ratio.ln()), 3, color.mix(0.55).filled()));
            chart.draw_series(dots)?;
            for third in 0..3 {
                let (from, to) = (f64::from(third) / 3.0, f64::from(third + 1) / 3.0);
                let Some(middle) = median(drift.points, from, to) else { continue };
                let line = [(from + 0.01, middle), (to - 0.01, middle)];
                chart.draw_series([PathElement::new(line, color.stroke_width(3))])?;
            }
        }
        Drawn::Ok(())
    })
}

/// Round percentages within the reach of an axis of logarithms.
fn marks(reach: f64) -> Vec<f64> {
    let step = [0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0].into_iter().find(|step: &f64| reach / step.ln_1p() <= 3.0);
    let step = step.unwrap_or(10.0);
    let up = (0..5).map(|i| (f64::from(i) * step).ln_1p()).take_while(|mark| *mark <= reach);
    let down = (1..).map(|i| 1.0 - f64::from(i) * step).take_while(|rest| *rest > 0.0).map(f64::ln);
    down.take_while(|mark| *mark >= -reach).chain(up).collect()
}

/// The median of the logarithms of points between two places.
fn median(points: &[(f64, f64)], from: f64, to: f64) -> Option<f64> {
    let mut inside: Vec<f64> =
        points.iter().filter(|(x, _)| *x >= from && (*x < to || to >= 1.0)).map(|(_, ratio)| ratio.ln()).collect();
    inside.sort_by(f64::total_cmp);
    inside.get(inside.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_trial_has_a_dot_and_each_third_its_line() {
        let points: Vec<(f64, f64)> = (0..9).map(|i| (f64::from(i) / 8.0, if i < 6 { 0.9 } else { 1.2 })).collect();
        let svg = drifts(&[Drift { name: "a \"b\"", series: 2, points: &points }]).unwrap();
        assert_eq!(svg.matches("<circle").count(), 9);
        assert!(svg.contains("a &quot;b&quot;"));
        assert_eq!(median(&points, 2.0 / 3.0, 1.0), Some(1.2f64.ln()));
        assert_eq!(median(&[], 0.0, 1.0), None);
    }

    #[test]
    fn marks_are_few_and_hold_no_change() {
        for reach in [0.1, 0.4, 1.5, 4.0] {
            let marks = marks(reach);
            assert!(marks.contains(&0.0) && (2..=8).contains(&marks.len()), "{reach}: {marks:?}");
            let round = |mark: &f64| (mark.exp_m1() * 20.0 - (mark.exp_m1() * 20.0).round()).abs() < 1e-9;
            assert!(marks.iter().all(round), "{marks:?}");
        }
    }
}
