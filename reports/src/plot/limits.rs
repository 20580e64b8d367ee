//! p99 over the CPU limit of the proxies, with the knee; below, how much they were throttled.

use plotters::prelude::*;

use super::axis::Marked;
use super::{Area, Drawn, INK, KNEE, Sheet, THROTTLED, log_marks, log_range, series, short_ms, styled};
use crate::Result;
use crate::findings::{LimitPoint, LimitSweep};

/// What "no limit" lies right of the largest limit, as a logarithm.
const BESIDE: f64 = 0.25;

/// The axis of limits: logarithms, and a place for no limit.
struct Places {
    least: f64,
    most: f64,
    unlimited: Option<f64>,
}

impl Places {
    fn of(sweep: &LimitSweep) -> Self {
        let limits = sweep.points.iter().filter_map(|p| p.limit_millicores).map(f64::log10);
        let (least, most) = limits.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, m), v| (l.min(v), m.max(v)));
        let unlimited = sweep.points.iter().any(|p| p.limit_millicores.is_none()).then_some(most + BESIDE);
        Self { least, most, unlimited }
    }

    fn of_point(&self, point: &LimitPoint) -> Option<f64> {
        point.limit_millicores.map(f64::log10).or(self.unlimited)
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.least - 0.08..self.unlimited.unwrap_or(self.most) + 0.08
    }

    fn name(&self, at: f64) -> String {
        match self.unlimited {
            Some(unlimited) if (at - unlimited).abs() < 1e-9 => "no limit".to_owned(),
            _ => format!("{}m", short_ms(10f64.powf(at).round())),
        }
    }
}

/// A chart of one sweep.
pub(crate) fn limits(sweep: &LimitSweep) -> Result<String> {
    let sheet = Sheet { chart: "limits", width: 960, height: 430 };
    sheet.draw("p99 of the response time over the CPU limit of each proxy, with its knee; below, how much proxies were throttled", |area| {
        let (upper, lower) = area.split_vertically(280);
        times(&upper, sweep)?;
        throttling(&lower, sweep)
    })
}

fn axis(sweep: &LimitSweep, places: &Places) -> Marked {
    Marked::new(places.range(), sweep.points.iter().filter_map(|p| places.of_point(p)).collect())
}

fn times(area: &Area<'_>, sweep: &LimitSweep) -> Drawn {
    let places = Places::of(sweep);
    let seen = || sweep.points.iter().filter_map(|p| Some((places.of_point(p)?, p, *p.p99_ns.seen()?)));
    let ends = seen().flat_map(|(_, _, e)| [e.value, e.low.unwrap_or(e.value), e.high.unwrap_or(e.value)]);
    let (low, high) = log_range(ends);
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .margin_right(24)
        .x_label_area_size(6)
        .y_label_area_size(64)
        .build_cartesian_2d(axis(sweep, &places), Marked::new(low..high, log_marks(low, high)))?;
    styled(&mut chart.configure_mesh())
        .x_label_formatter(&|_| String::new())
        .y_label_formatter(&|y| short_ms(10f64.powf(*y)))
        .y_desc("p99, ms")
        .draw()?;
    if let Some(knee) = sweep.knee_millicores.seen() {
        let hold = |limit: Option<f64>, open: f64| limit.map_or(open, f64::log10);
        let range = places.range();
        let (from, to) = (hold(knee.low, range.start), hold(knee.high, range.end));
        if knee.level > 0.0 {
            chart.draw_series([Rectangle::new([(from, low), (to, high)], KNEE.mix(0.12).filled())])?;
        }
        let at = knee.value.log10();
        chart.draw_series([PathElement::new([(at, low), (at, high)], KNEE.stroke_width(2))])?;
    }
    let logarithm = |ns: f64| (ns.max(1.0) / 1e6).log10();
    let limited = seen().filter(|(_, p, _)| p.limit_millicores.is_some()).map(|(x, _, e)| (x, logarithm(e.value)));
    chart.draw_series(LineSeries::new(limited, series(1).stroke_width(2)))?;
    if let Some((_, _, e)) = seen().find(|(_, p, _)| p.limit_millicores.is_none()) {
        let y = logarithm(e.value);
        let range = places.range();
        chart.draw_series([PathElement::new([(range.start, y), (range.end, y)], INK.mix(0.35))])?;
    }
    for (x, _, e) in seen() {
        if let (Some(low), Some(high)) = (e.low, e.high) {
            let line = [(x, logarithm(low)), (x, logarithm(high))];
            chart.draw_series([PathElement::new(line, series(1).stroke_width(3))])?;
        }
        chart.draw_series([Circle::new((x, logarithm(e.value)), 5, series(1).filled())])?;
    }
    Ok(())
}

fn throttling(area: &Area<'_>, sweep: &LimitSweep) -> Drawn {
    let places = Places::of(sweep);
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .margin_right(24)
        .margin_top(2)
        .x_label_area_size(40)
        .y_label_area_size(64)
        .build_cartesian_2d(axis(sweep, &places), 0.0..100.0)?;
    styled(&mut chart.configure_mesh())
        .disable_x_mesh()
        .y_labels(3)
        .x_label_formatter(&|x| places.name(*x))
        .y_label_formatter(&|y| short_ms(*y))
        .x_desc("CPU limit of each proxy")
        .y_desc("% throttled")
        .draw()?;
    for point in &sweep.points {
        let (Some(x), Some(share)) = (places.of_point(point), point.throttled_period_share.seen()) else { continue };
        let bar = [(x - 0.02, 0.0), (x + 0.02, share.value * 100.0)];
        chart.draw_series([Rectangle::new(bar, THROTTLED.mix(0.7).filled())])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use record::Reading;

    use super::*;

    #[test]
    fn no_limit_has_a_place_right_of_the_largest() {
        let point = |limit: Option<f64>| LimitPoint {
            cell: "c".into(),
            limit_millicores: limit,
            p99_ns: Reading::absent("not made"),
            over_reference: None,
            throttled_period_share: Reading::absent("not made"),
        };
        let sweep = LimitSweep {
            name: "n".into(),
            reference: "c".into(),
            points: vec![point(Some(100.0)), point(Some(1000.0)), point(None)],
            knee_ratio: 1.25,
            knee_millicores: Reading::absent("none"),
            sentence: String::new(),
        };
        let places = Places::of(&sweep);
        let at: Vec<f64> = sweep.points.iter().filter_map(|p| places.of_point(p)).collect();
        assert_eq!(at, [2.0, 3.0, 3.25]);
        assert_eq!(at.iter().map(|x| places.name(*x)).collect::<Vec<_>>(), ["100m", "1000m", "no limit"]);
        assert!(limits(&sweep).unwrap().contains("no limit"), "a sweep without figures still has its axis");
    }
}
