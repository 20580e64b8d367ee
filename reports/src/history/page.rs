//! A history as a page: a chart of each series, its changes, and the table of its runs.

use minijinja::context;
use record::Reading;
use serde::Serialize;

use super::{Change, History, Point, Series};
use crate::Result;
use crate::figure;
use crate::html::environment;
use crate::plot;

/// Charts beyond these would make the page heavy; the series left out are counted on it.
const CHARTS: usize = 24;

/// Rows of a table: the latest of a series.
const ROWS: usize = 200;

#[derive(Serialize)]
struct PageSeries {
    title: String,
    host: String,
    method: u32,
    chart: Option<String>,
    not_searched: Option<String>,
    changes: Vec<PageChange>,
    earlier: usize,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct PageChange {
    sentence: String,
    between: [String; 2],
    commits: Option<[String; 2]>,
    meanwhile: Vec<String>,
}

#[derive(Serialize)]
struct Row {
    started: String,
    run: String,
    name: String,
    branch: String,
    figure: String,
    changed: bool,
    cut_off: bool,
}

/// The history as one page that needs nothing else.
///
/// # Errors
/// When a chart or the page cannot be made.
pub fn page(history: &History) -> Result<String> {
    let (unit, _) = history.metric.shown_in();
    let series = history.series.iter().enumerate().map(|(at, s)| of(s, history, at < CHARTS));
    let context = context! {
        title => format!("meshtax: history of {}", history.words),
        folder => history.folder,
        runs => history.runs,
        unit => unit,
        metric => history.metric.to_string(),
        series => series.collect::<Result<Vec<_>>>()?,
        charts_left_out => history.series.len().saturating_sub(CHARTS),
        left_out => history.left_out,
    };
    let mut environment = environment()?;
    environment.add_template("history.html", include_str!("page.html"))?;
    Ok(environment.get_template("history.html")?.render(context)?)
}

fn of(series: &Series, history: &History, with_chart: bool) -> Result<PageSeries> {
    let (unit, factor) = history.metric.shown_in();
    let what = format!("{}, {unit}", history.metric);
    let skipped = series.points.len().saturating_sub(ROWS);
    let rows = series.points.iter().enumerate().skip(skipped).map(|(at, point)| row(series, at, point, factor));
    Ok(PageSeries {
        title: format!("{}: {}", series.scenario, series.cell),
        host: series.host.clone(),
        method: series.method,
        chart: with_chart.then(|| plot::history(series, &what, factor)).transpose()?,
        not_searched: series.not_searched.clone(),
        changes: series.changes.iter().map(|change| changed(change, history)).collect(),
        earlier: skipped,
        rows: rows.collect(),
    })
}

fn row(series: &Series, at: usize, point: &Point, factor: f64) -> Row {
    Row {
        started: point.started.clone(),
        run: point.run.clone(),
        name: point.name().unwrap_or_default().to_owned(),
        branch: point.source.as_ref().and_then(|s| s.branch.clone()).unwrap_or_default(),
        figure: match &point.figure {
            Reading::Seen(e) => figure::with_interval(e, factor),
            Reading::Absent { absent } => format!("n/a ({absent})"),
        },
        changed: series.changes.iter().any(|change| change.at == at),
        cut_off: point.cut_off,
    }
}

fn changed(change: &Change, history: &History) -> PageChange {
    PageChange {
        sentence: super::text::sentence(change, history.metric),
        between: [change.last_before.clone(), change.first_after.clone()],
        commits: change.commits.clone(),
        meanwhile: change.meanwhile.clone(),
    }
}
