//! Latency over the time of one trial, with throttling, steal and the causes named under it on the same axis.

use plotters::prelude::*;

use super::axis::Marked;
use super::{Area, Drawn, STOLEN, Sheet, THROTTLED, log_marks, log_range, series, short_ms, styled, text_style};
use crate::Result;
use crate::gather::TrialData;
use crate::usage::{Span, Step};

const LEFT: u32 = 64;
const UPPER: i32 = 240;
const WIDTH: i32 = 960;
/// Around a chart, and at its right end.
const MARGIN: i32 = 8;
const RIGHT: i32 = 24;
/// The height of a lane, and of the marks in it.
const LANE: i32 = 20;
const MARK: i32 = 10;

/// A cause that is named, and when it was at work.
pub(crate) type Lane = (&'static str, Vec<Span>);

/// A chart of one trial; the lower part is left out where neither throttling nor steal was seen, and so are lanes where no
/// cause is named.
pub(crate) fn timeline(trial: &TrialData, color: usize, lanes: &[Lane]) -> Result<String> {
    let none: &[Step] = &[];
    let throttled = trial.usage.throttling.seen().map_or(none, Vec::as_slice);
    let stolen = trial.usage.steal.seen().map_or(none, Vec::as_slice);
    let lower = !(throttled.is_empty() && stolen.is_empty());
    let charts = UPPER + if lower { 130 } else { 20 };
    let height = charts + lanes.len() as i32 * LANE;
    let sheet = Sheet { chart: "timeline", width: WIDTH as u32, height: height as u32 };
    let alt =
        "Response time over the trial: median, p99 and longest of each tenth of a second, and when causes were at work";
    sheet.draw(alt, |area| {
        let (charts, marks) = area.split_vertically(charts);
        if lower {
            let (upper, below) = charts.split_vertically(UPPER);
            latency(&upper, trial, color, false)?;
            disturbances(&below, trial, throttled, stolen)?;
        } else {
            latency(&charts, trial, color, true)?;
        }
        draw_lanes(&marks, trial, lanes)
    })
}

/// A row of marks for each cause, its name before them.
fn draw_lanes(area: &Area<'_>, trial: &TrialData, lanes: &[Lane]) -> Drawn {
    let left = LEFT as i32 + MARGIN;
    let room = f64::from(WIDTH - left - RIGHT);
    let end = end_s(trial);
    let place = |at_ns: u64| left + (room * (seconds(trial, at_ns) / end).clamp(0.0, 1.0)) as i32;
    for (row, (name, spans)) in lanes.iter().enumerate() {
        let top = row as i32 * LANE + (LANE - MARK) / 2;
        area.draw_text(name, &text_style(), (0, top - 1))?;
        for span in spans {
            let corners = [(place(span.start_ns), top), (place(span.end_ns).max(place(span.start_ns) + 1), top + MARK)];
            area.draw(&Rectangle::new(corners, super::INK.mix(0.55).filled()))?;
        }
    }
    Ok(())
}

fn end_s(trial: &TrialData) -> f64 {
    let last = trial.windows.iter().map(|w| w.span.end_ns).max().unwrap_or(0).max(trial.measured.end_ns);
    last.saturating_sub(trial.measured.start_ns) as f64 / 1e9
}

fn seconds(trial: &TrialData, at_ns: u64) -> f64 {
    (at_ns as f64 - trial.measured.start_ns as f64) / 1e9
}

fn latency(area: &Area<'_>, trial: &TrialData, color: usize, with_time: bool) -> Drawn {
    let windows: Vec<_> = trial.windows.iter().filter(|w| !w.response.is_empty()).collect();
    let (low, high) = log_range(windows.iter().flat_map(|w| [w.p50_ns as f64, w.max_ns as f64]));
    let mut chart = ChartBuilder::on(area)
        .margin(MARGIN)
        .margin_right(RIGHT)
        .x_label_area_size(if with_time { 40 } else { 6 })
        .y_label_area_size(LEFT)
        .build_cartesian_2d(0.0..end_s(trial), Marked::new(low..high, log_marks(low, high)))?;
    let mut mesh = chart.configure_mesh();
    styled(&mut mesh)
        .x_labels(if with_time { 10 } else { 0 })
        .x_label_formatter(&|x| short_ms(*x))
        .y_label_formatter(&|y| short_ms(10f64.powf(*y)))
        .y_desc("ms");
    if with_time {
        mesh.x_desc("seconds of the measured phase");
    }
    mesh.draw()?;
    let line = |pick: fn(&crate::gather::Window) -> u64| {
        let place = move |w: &&crate::gather::Window| {
            let middle = u64::midpoint(w.span.start_ns, w.span.end_ns);
            (seconds(trial, middle), (pick(w).max(1) as f64 / 1e6).log10())
        };
        windows.iter().map(place).collect::<Vec<_>>()
    };
    chart.draw_series(LineSeries::new(line(|w| w.max_ns), series(color).mix(0.4)))?;
    chart.draw_series(LineSeries::new(line(|w| w.p99_ns), series(color).stroke_width(2)))?;
    chart.draw_series(LineSeries::new(line(|w| w.p50_ns), super::INK.stroke_width(2)))?;
    Ok(())
}

/// Milliseconds of each tenth of a second that all the steps together took in it.
fn per_tenth(trial: &TrialData, steps: &[Step]) -> Vec<f64> {
    let mut tenths = vec![0.0; (end_s(trial) * 10.0).ceil() as usize];
    for step in steps {
        let at = seconds(trial, u64::midpoint(step.span.start_ns, step.span.end_ns)) * 10.0;
        if at >= 0.0
            && let Some(tenth) = tenths.get_mut(at as usize)
        {
            *tenth += step.by as f64 / 1e6;
        }
    }
    tenths
}

/// The outline of a row of bars.
fn outline(tenths: &[f64]) -> Vec<(f64, f64)> {
    tenths.iter().enumerate().flat_map(|(i, ms)| [(i as f64 / 10.0, *ms), ((i + 1) as f64 / 10.0, *ms)]).collect()
}

fn disturbances(area: &Area<'_>, trial: &TrialData, throttled: &[Step], stolen: &[Step]) -> Drawn {
    let (throttled, stolen) = (per_tenth(trial, throttled), per_tenth(trial, stolen));
    let most = throttled.iter().chain(&stolen).copied().fold(1.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .margin(MARGIN)
        .margin_right(RIGHT)
        .margin_top(2)
        .x_label_area_size(40)
        .y_label_area_size(LEFT)
        .build_cartesian_2d(0.0..end_s(trial), 0.0..most * 1.05)?;
    styled(&mut chart.configure_mesh())
        .disable_x_mesh()
        .x_labels(10)
        .y_labels(3)
        .x_label_formatter(&|x| short_ms(*x))
        .y_label_formatter(&|y| short_ms(*y))
        .x_desc("seconds of the measured phase")
        .y_desc("ms lost")
        .draw()?;
    for (tenths, color) in [(throttled, THROTTLED), (stolen, STOLEN)] {
        if tenths.iter().any(|ms| *ms > 0.0) {
            chart.draw_series(AreaSeries::new(outline(&tenths), 0.0, color.mix(0.55)).border_style(color))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_outlined_from_side_to_side() {
        assert_eq!(outline(&[3.0, 0.0]), [(0.0, 3.0), (0.1, 3.0), (0.1, 0.0), (0.2, 0.0)]);
    }
}
