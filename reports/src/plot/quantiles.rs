//! Quantile curves on a tail axis: each nine as wide as the one before, so that the tail is seen.

use std::collections::BTreeMap;

use plotters::prelude::*;

use super::axis::Marked;
use super::{Sheet, log_marks, log_range, series, short_ms, styled};
use crate::Result;

/// The response times of a cell: each trial's buckets (value in ns, count), rising.
pub(crate) struct Curve<'a> {
    pub(crate) series: usize,
    pub(crate) trials: Vec<&'a [(u64, u64)]>,
}

/// Points of a curve: the place on the tail axis and the value in nanoseconds.
type Points = Vec<(f64, f64)>;

/// The place of a quantile on the tail axis: log10 of 1/(1-q), so p90 is 1 and p99 is 2.
fn points(buckets: &[(u64, u64)]) -> Points {
    let n: u64 = buckets.iter().map(|(_, count)| count).sum();
    if n == 0 {
        return Vec::new();
    }
    let end = (n as f64).log10();
    let places = (0..).map(|i| f64::from(i) * 0.04).take_while(|x| *x < end).chain([end]);
    let (mut i, mut below) = (0, 0);
    places
        .map(|x| {
            let quantile = 1.0 - 10f64.powf(-x);
            let rank = ((quantile * n as f64).ceil() as u64).clamp(1, n);
            while below + buckets[i].1 < rank {
                below += buckets[i].1;
                i += 1;
            }
            (x, buckets[i].0 as f64)
        })
        .collect()
}

fn pooled(trials: &[&[(u64, u64)]]) -> Vec<(u64, u64)> {
    let mut all = BTreeMap::new();
    for (value, count) in trials.iter().flat_map(|t| t.iter()) {
        *all.entry(*value).or_insert(0) += count;
    }
    all.into_iter().collect()
}

/// A chart of the curves: thick the trials of a cell together, thin each trial.
pub(crate) fn quantiles(curves: &[Curve<'_>]) -> Result<String> {
    let drawn: Vec<(usize, Points, Vec<Points>)> = curves
        .iter()
        .map(|c| (c.series, points(&pooled(&c.trials)), c.trials.iter().map(|t| points(t)).collect()))
        .collect();
    let right = drawn.iter().flat_map(|(_, p, _)| p.last()).map(|p| p.0).fold(2.0, f64::max);
    let (low, high) = log_range(drawn.iter().flat_map(|(_, p, _)| p).map(|p| p.1));
    let place = |p: &(f64, f64)| (p.0, (p.1.max(1.0) / 1e6).log10());
    let sheet = Sheet { chart: "quantiles", width: 960, height: 420 };
    sheet.draw("Response time by quantile, one line for each cell, from the median to the longest", |area| {
        let x_marks: Vec<f64> = [0.5f64, 0.9, 0.99, 0.999, 0.9999, 0.99999]
            .iter()
            .map(|q| -(1.0 - q).log10())
            .filter(|x| *x <= right)
            .collect();
        let mut chart = ChartBuilder::on(area)
            .margin(10)
            .margin_right(24)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(Marked::new(0.0..right, x_marks), Marked::new(low..high, log_marks(low, high)))?;
        styled(&mut chart.configure_mesh())
            .x_label_formatter(&|x| quantile_name(*x))
            .y_label_formatter(&|y| short_ms(10f64.powf(*y)))
            .x_desc("quantile of the requests")
            .y_desc("response time, ms")
            .draw()?;
        for (k, all, trials) in &drawn {
            for trial in trials {
                chart.draw_series(LineSeries::new(trial.iter().map(place), series(*k).mix(0.35)))?;
            }
            chart.draw_series(LineSeries::new(all.iter().map(place), series(*k).stroke_width(3)))?;
        }
        Ok(())
    })
}

/// "p50", "p99.9": as many nines as the place says.
fn quantile_name(place: f64) -> String {
    if place < 0.5 {
        return "p50".to_owned();
    }
    let nines = place.round() as usize;
    if nines <= 2 {
        format!("p{}", if nines == 1 { "90" } else { "99" })
    } else {
        format!("p99.{}", "9".repeat(nines - 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_those_of_the_sorted_values() {
        // 1000 values: 1..=1000, each once.
        let buckets: Vec<(u64, u64)> = (1..=1000).map(|v| (v, 1)).collect();
        let p = points(&buckets);
        let at = |x: f64| p.iter().min_by(|a, b| (a.0 - x).abs().total_cmp(&(b.0 - x).abs())).unwrap().1;
        assert_eq!(at(1.0), 900.0);
        assert_eq!(at(2.0), 990.0);
        assert_eq!(*p.last().unwrap(), (3.0, 999.0));
        assert_eq!(points(&[]), Vec::new());
    }

    #[test]
    fn pooling_adds_counts() {
        assert_eq!(pooled(&[&[(1, 2), (5, 1)], &[(5, 4), (9, 1)]]), [(1, 2), (5, 5), (9, 1)]);
    }

    #[test]
    fn names_count_the_nines() {
        let names: Vec<String> = [0.301, 1.0, 2.0, 3.0, 4.0].into_iter().map(quantile_name).collect();
        assert_eq!(names, ["p50", "p90", "p99", "p99.9", "p99.99"]);
    }
}
