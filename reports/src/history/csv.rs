//! A history as one CSV table: a row for each run of each series.

use super::History;
use crate::{Error, Result};

const HEAD: [&str; 19] = [
    "host",
    "method",
    "scenario",
    "cell",
    "label",
    "metric",
    "unit",
    "run",
    "started",
    "commit",
    "branch",
    "name",
    "value",
    "low",
    "high",
    "level",
    "n",
    "absent",
    "change_ratio",
];

/// The table. A value that is absent has empty fields and its reason beside; `change_ratio` stands where a new level
/// begins.
///
/// # Errors
/// None that the types allow for; the writer's, if it has one.
pub fn csv(history: &History) -> Result<String> {
    let failed = |message: String| Error::Csv { table: "history", message };
    let mut writer = ::csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    let mut row = |fields: &dyn Fn(&mut ::csv::Writer<Vec<u8>>) -> ::csv::Result<()>| {
        fields(&mut writer).map_err(|e| failed(e.to_string()))
    };
    row(&|w| w.write_record(HEAD))?;
    for series in &history.series {
        for (at, point) in series.points.iter().enumerate() {
            let change = series.changes.iter().find(|change| change.at == at).and_then(|change| change.ratio);
            let source = point.source.clone().unwrap_or_default();
            let seen = point.figure.seen();
            let figure = (
                seen.map(|e| e.value),
                seen.and_then(|e| e.low),
                seen.and_then(|e| e.high),
                seen.map(|e| e.level),
                seen.map(|e| e.n),
                point.figure.reason(),
            );
            let of = (&series.host, series.method, &series.scenario, &series.id, &series.cell);
            let run = (&point.run, &point.started, &source.commit, &source.branch, &source.label);
            row(&|w| w.serialize((of, history.metric.to_string(), &history.unit, run, figure, change)))?;
        }
    }
    let bytes = writer.into_inner().map_err(|e| failed(e.to_string()))?;
    String::from_utf8(bytes).map_err(|e| failed(e.to_string()))
}
