//! How a canary's requests were split over the time of one trial, with what was asked for.

use plotters::prelude::*;
use record::{Canary, Event};

use super::{Drawn, INK, Sheet, series, short_ms, styled};
use crate::Result;
use crate::gather::TrialData;

/// A chart of one trial: the share of each subset but the stable one, which is what is left.
pub(crate) fn split(trial: &TrialData, canary: &Canary) -> Result<String> {
    let sheet = Sheet { chart: "split", width: 960, height: 240 };
    let alt = "Shares of the subsets of a canary over the trial, and the shares asked for";
    sheet.draw(alt, |area| draw(area, trial, canary))
}

/// The names of the lines, each with its colour.
pub(crate) fn lines(canary: &Canary) -> Vec<(usize, String)> {
    let subsets = canary.weights.subsets().iter().enumerate().skip(1);
    subsets.map(|(at, (name, _))| (at, name.clone())).collect()
}

fn draw(area: &super::Area<'_>, trial: &TrialData, canary: &Canary) -> Drawn {
    let seconds = |ns: u64| (ns as f64 - trial.measured.start_ns as f64) / 1e9;
    let end_s = seconds(trial.measured.end_ns);
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .margin_right(24)
        .x_label_area_size(40)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..end_s, 0.0..100.0)?;
    styled(&mut chart.configure_mesh())
        .disable_x_mesh()
        .x_labels(10)
        .y_labels(5)
        .x_label_formatter(&|x| short_ms(*x))
        .y_label_formatter(&|y| short_ms(*y))
        .x_desc("seconds of the measured phase")
        .y_desc("% of answers")
        .draw()?;
    let shifted = trial.trial.events.iter().filter_map(|event| match event {
        Event::WeightsShifted { at_ns, weights } => Some((seconds(*at_ns), weights)),
        _ => None,
    });
    let asked: Vec<(f64, &record::Weights)> = std::iter::once((0.0, &canary.weights)).chain(shifted).collect();
    for (at, name) in lines(canary) {
        let ends = asked.iter().skip(1).map(|(s, _)| *s).chain([end_s]);
        let steps = asked.iter().zip(ends).flat_map(|((from, weights), to)| {
            let share = weights.share(&name) * 100.0;
            [(*from, share), (to, share)]
        });
        chart.draw_series(LineSeries::new(steps, INK.mix(0.5)))?;
        let seen = trial.subsets.windows.iter().filter_map(|window| {
            let of = |name: &str| window.answered.get(name).copied().unwrap_or(0) as f64;
            let all: f64 = canary.weights.subsets().iter().map(|(name, _)| of(name)).sum();
            let middle = seconds(u64::midpoint(window.span.start_ns, window.span.end_ns));
            (all > 0.0 && middle <= end_s).then(|| (middle, of(&name) / all * 100.0))
        });
        chart.draw_series(LineSeries::new(seen, series(at).stroke_width(2)))?;
    }
    Ok(())
}
