//! Latency over the time of one trial above what was lost meanwhile, each cause in a panel of its own on one time axis.

use plotters::prelude::*;
use record::Reading;

use super::axis::Marked;
use super::{
    Area, DISK, Drawn, MEDIAN, STOLEN, Sheet, THROTTLED, WAITED, beside, log_marks, log_range, series, short_ms,
    styled, text_style,
};
use crate::Result;
use crate::findings::Timeline;
use crate::usage::Span;

const LEFT: u32 = 64;
const LATENCY: i32 = 230;
const PANEL: i32 = 68;
/// The line that says why a panel has nothing to show.
const SAID: i32 = 24;
/// The numbers under the last panel.
const AXIS: i32 = 44;
const WIDTH: i32 = 960;
/// Around a chart, and at its right end.
const MARGIN: i32 = 8;
const RIGHT: i32 = 24;
/// The height of a lane, and of the marks in it.
const LANE: i32 = 20;
const MARK: i32 = 10;

/// Where the time axis lies in the drawing, so that a cursor finds its place: its width, and the axis' ends in it.
pub(crate) struct Plot {
    pub(crate) width: i32,
    pub(crate) from: i32,
    pub(crate) to: i32,
}

/// That of every timeline.
pub(crate) const PLOT: Plot = Plot { width: WIDTH, from: LEFT as i32 + MARGIN, to: WIDTH - RIGHT };

/// A cause that is named, and when it was at work, counted from when the measured phase began.
pub(crate) type Lane = (&'static str, Vec<Span>);

/// What was lost, one panel each.
struct Lost<'a> {
    name: &'static str,
    color: RGBColor,
    windows: &'a Reading<Vec<u64>>,
}

impl Lost<'_> {
    /// What to draw; else why there is nothing.
    fn drawn(&self) -> std::result::Result<&[u64], String> {
        match self.windows {
            Reading::Absent { .. } => {
                Err(format!("{}: n/a ({})", self.name, self.windows.reason().unwrap_or_default()))
            }
            Reading::Seen(windows) if windows.iter().all(|ns| *ns == 0) => Err(format!("{}: none", self.name)),
            Reading::Seen(windows) => Ok(windows),
        }
    }

    fn height(&self) -> i32 {
        if self.drawn().is_ok() { PANEL } else { SAID }
    }
}

/// A chart of one trial. `color` is the number of its series.
pub(crate) fn timeline(of: &Timeline, color: usize, lanes: &[Lane]) -> Result<String> {
    let lost = [
        Lost { name: "throttled", color: THROTTLED, windows: &of.throttled_ns },
        Lost { name: "stolen", color: STOLEN, windows: &of.steal_ns },
        Lost { name: "waiting for a CPU", color: WAITED, windows: &of.run_delay_ns },
        Lost { name: "disk", color: DISK, windows: &of.disk_ns },
    ];
    let panels: i32 = lost.iter().map(Lost::height).sum();
    let height = LATENCY + panels + AXIS + lanes.len() as i32 * LANE;
    let sheet = Sheet { chart: "timeline", width: WIDTH as u32, height: height as u32 };
    let alt = "Response time over the trial: median, p99 and longest of each tenth of a second; below, what was throttled, \
               stolen, waited for a CPU and for the disk meanwhile";
    sheet.draw(alt, |area| {
        let (upper, mut rest) = area.split_vertically(LATENCY);
        latency(&upper, of, color)?;
        for lost in &lost {
            let (panel, below) = rest.split_vertically(lost.height());
            match lost.drawn() {
                Ok(windows) => disturbance(&panel, of, lost, windows)?,
                Err(said) => panel.draw_text(&shortened(&said), &text_style(), (PLOT.from + 4, 5))?,
            }
            rest = below;
        }
        let (axis, marks) = rest.split_vertically(AXIS);
        time_axis(&axis, of)?;
        draw_lanes(&marks, of, lanes)
    })
}

/// A reason may be longer than the chart is wide; the page has it in full.
fn shortened(text: &str) -> String {
    const MOST: usize = 120;
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    text.chars().take(MOST - 1).chain(['…']).collect()
}

/// A row of marks for each cause, its name before them.
fn draw_lanes(area: &Area<'_>, of: &Timeline, lanes: &[Lane]) -> Drawn {
    let room = f64::from(PLOT.to - PLOT.from);
    let place = |at_ns: u64| PLOT.from + (room * (at_ns as f64 / of.end_ns.max(1) as f64).clamp(0.0, 1.0)) as i32;
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

fn end_s(of: &Timeline) -> f64 {
    of.end_ns.max(1) as f64 / 1e9
}

/// When each window ends: where the next one begins.
fn ends(of: &Timeline) -> impl Iterator<Item = u64> + '_ {
    of.at_ns.iter().skip(1).copied().chain([of.end_ns])
}

/// The times alone, under all panels.
fn time_axis(area: &Area<'_>, of: &Timeline) -> Drawn {
    let mut chart = ChartBuilder::on(area)
        .margin_left(MARGIN)
        .margin_right(RIGHT)
        .x_label_area_size(AXIS - 4)
        .y_label_area_size(LEFT)
        .build_cartesian_2d(0.0..end_s(of), 0.0..1.0)?;
    styled(&mut chart.configure_mesh())
        .disable_y_mesh()
        .y_labels(0)
        .x_labels(10)
        .x_label_formatter(&|x| short_ms(*x))
        .x_desc("seconds of the measured phase")
        .draw()?;
    Ok(())
}

fn latency(area: &Area<'_>, of: &Timeline, color: usize) -> Drawn {
    let seen = |ns: &&u64| **ns > 0;
    let all = of.p50_ns.iter().chain(&of.max_ns).filter(seen).map(|ns| *ns as f64);
    let (low, high) = log_range(all);
    let mut chart = ChartBuilder::on(area)
        .margin(MARGIN)
        .margin_right(RIGHT)
        .x_label_area_size(4)
        .y_label_area_size(LEFT)
        .build_cartesian_2d(0.0..end_s(of), Marked::new(low..high, log_marks(low, high)))?;
    styled(&mut chart.configure_mesh())
        .x_labels(0)
        .y_label_formatter(&|y| short_ms(10f64.powf(*y)))
        .y_desc("response, ms")
        .draw()?;
    let line = |values: &[u64]| {
        let middles = of.at_ns.iter().zip(ends(of)).map(|(from, to)| u64::midpoint(*from, to) as f64 / 1e9);
        let points = middles.zip(values).filter(|(_, ns)| **ns > 0);
        points.map(|(at, ns)| (at, (*ns as f64 / 1e6).log10())).collect::<Vec<_>>()
    };
    chart.draw_series(LineSeries::new(line(&of.max_ns), beside(color).mix(0.45)))?;
    chart.draw_series(LineSeries::new(line(&of.p99_ns), series(color).stroke_width(2)))?;
    chart.draw_series(LineSeries::new(line(&of.p50_ns), MEDIAN.stroke_width(2)))?;
    Ok(())
}

/// The outline of a row of bars, in seconds and milliseconds.
fn outline(of: &Timeline, windows: &[u64]) -> Vec<(f64, f64)> {
    let spans = of.at_ns.iter().zip(ends(of)).zip(windows);
    let corners = spans.flat_map(|((from, to), ns)| {
        let ms = *ns as f64 / 1e6;
        [(*from as f64 / 1e9, ms), (to as f64 / 1e9, ms)]
    });
    // What is the same over many windows needs no corners between.
    let mut kept: Vec<(f64, f64)> = Vec::new();
    for corner in corners {
        if let [.., (_, a), last] = kept.as_mut_slice()
            && *a == corner.1
            && last.1 == corner.1
        {
            last.0 = corner.0;
        } else {
            kept.push(corner);
        }
    }
    kept
}

fn disturbance(area: &Area<'_>, of: &Timeline, lost: &Lost<'_>, windows: &[u64]) -> Drawn {
    let most = windows.iter().copied().max().unwrap_or(0) as f64 / 1e6;
    let mut chart = ChartBuilder::on(area)
        .margin_left(MARGIN)
        .margin_right(RIGHT)
        .margin_top(20)
        .margin_bottom(6)
        .y_label_area_size(LEFT)
        .build_cartesian_2d(0.0..end_s(of), Marked::new(0.0..most * 1.05, vec![0.0, most]))?;
    styled(&mut chart.configure_mesh())
        .disable_x_mesh()
        .x_labels(0)
        .y_label_formatter(&|y| short_ms((y * 1e3).round() / 1e3))
        .draw()?;
    let points = outline(of, windows);
    chart.draw_series(AreaSeries::new(points, 0.0, lost.color.mix(0.5)).border_style(lost.color))?;
    area.draw_text(&format!("{}, ms", lost.name), &text_style(), (PLOT.from + 4, 3))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(throttled: &[u64]) -> Timeline {
        let n = throttled.len() as u64;
        Timeline {
            cell: "c".into(),
            trial: "t".into(),
            at_ns: (0..n).map(|i| i * 100_000_000).collect(),
            end_ns: n * 100_000_000,
            p50_ns: vec![1_000_000; throttled.len()],
            p99_ns: vec![2_000_000; throttled.len()],
            max_ns: vec![3_000_000; throttled.len()],
            throttled_ns: Reading::Seen(throttled.to_vec()),
            steal_ns: Reading::absent("gVisor shows no steal"),
            run_delay_ns: Reading::Seen(vec![0; throttled.len()]),
            disk_ns: Reading::Seen(vec![5; throttled.len()]),
        }
    }

    #[test]
    fn bars_are_outlined_from_side_to_side() {
        let line = of(&[3_000_000, 0]);
        let want = [(0.0, 3.0), (0.1, 3.0), (0.1, 0.0), (0.2, 0.0)];
        assert_eq!(outline(&line, line.throttled_ns.seen().unwrap()), want);
        let still = of(&[1_000_000, 0, 0, 0]);
        let want = [(0.0, 1.0), (0.1, 1.0), (0.1, 0.0), (0.4, 0.0)];
        assert_eq!(outline(&still, still.throttled_ns.seen().unwrap()), want);
    }

    #[test]
    fn a_panel_without_anything_says_why() {
        let svg = timeline(&of(&[60_000_000, 0, 0]), 2, &[]).unwrap();
        assert!(svg.contains("stolen: n/a (gVisor shows no steal)"), "{svg}");
        assert!(svg.contains("waiting for a CPU: none"));
        assert!(svg.contains("throttled, ms") && svg.contains("class=\"throttled\""));
        assert!(svg.contains("class=\"longest\"") && svg.contains("class=\"median\"") && svg.contains("class=\"s2\""));
    }
}
