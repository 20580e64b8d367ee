//! Samples as CSV: raw counters in flat columns, with the unit in each name; empty where absent or not due.
//!
//! A column's name is the way to its value in the JSON form of a sample, so that both forms always have the same.

use record::Sample;
use serde_json::Value;

/// The columns, which the first sample decides: it holds what every tier reads, and later rows have the same.
pub(super) struct Columns {
    names: Vec<String>,
}

impl Columns {
    pub(super) fn of(sample: &Sample) -> anyhow::Result<Self> {
        Ok(Self { names: cells(sample)?.into_iter().map(|(name, _)| name).collect() })
    }

    pub(super) fn header(&self) -> anyhow::Result<String> {
        line(&self.names)
    }

    /// The values of a sample under the columns; a CPU that came online later has none.
    pub(super) fn row(&self, sample: &Sample) -> anyhow::Result<String> {
        let cells = cells(sample)?;
        let mut row = Vec::with_capacity(self.names.len());
        let mut at = 0;
        for name in &self.names {
            // The order is the same, so the wanted cell is the next one or the sample lacks it.
            row.push(match cells[at..].iter().position(|(n, _)| n == name) {
                Some(skip) => {
                    at += skip + 1;
                    cells[at - 1].1.as_str()
                }
                None => "",
            });
        }
        line(row)
    }
}

/// Fields as one line; a name may hold anything that a user gave.
fn line<F: AsRef<[u8]>>(fields: impl IntoIterator<Item = F>) -> anyhow::Result<String> {
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    writer.write_record(fields)?;
    Ok(String::from_utf8(writer.into_inner()?)?)
}

/// Every value of a sample with its name.
fn cells(sample: &Sample) -> anyhow::Result<Vec<(String, String)>> {
    let mut cells = Vec::new();
    flatten(&serde_json::to_value(sample)?, String::new(), &mut cells);
    Ok(cells)
}

fn flatten(value: &Value, name: String, cells: &mut Vec<(String, String)>) {
    let below = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
    match value {
        // An absent reading: its reason is in the JSON form.
        Value::Object(fields) if fields.len() == 1 && fields.get("absent").is_some_and(Value::is_string) => {
            cells.push((name, String::new()));
        }
        Value::Object(fields) => fields.iter().for_each(|(key, value)| flatten(value, below(key), cells)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(place, value)| flatten(value, below(&place.to_string()), cells));
        }
        Value::Null => cells.push((name, String::new())),
        Value::String(text) => cells.push((name, text.clone())),
        Value::Bool(_) | Value::Number(_) => cells.push((name, value.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use record::{CpuTimes, NodeSample, ProcessSample, Reading, SlowSample};

    use super::*;

    fn sample() -> Sample {
        let node = NodeSample {
            cpu: Reading::Seen(CpuTimes { user_ticks: 5, steal_ticks: None, ..CpuTimes::default() }),
            cpus: Reading::Seen(BTreeMap::from([(8, CpuTimes { user_ticks: 3, ..CpuTimes::default() })])),
            psi_cpu: Reading::absent("no PSI: off, as it is"),
            ..NodeSample::default()
        };
        let process = ProcessSample { pid: 7, run_ns: Reading::Seen(9), ..ProcessSample::default() };
        let processes = BTreeMap::from([("a,b".to_owned(), process)]);
        Sample { round: 4, node, processes, slow: Some(SlowSample::default()), ..Sample::default() }
    }

    fn value<'r>(header: &[String], row: &'r [String], name: &str) -> &'r str {
        &row[header.iter().position(|n| n == name).unwrap_or_else(|| panic!("no column {name} in {header:?}"))]
    }

    /// Read back by a reader of CSV.
    fn fields(line: &str) -> Vec<String> {
        let mut reader = ::csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_bytes());
        reader.records().next().unwrap().unwrap().iter().map(str::to_owned).collect()
    }

    #[test]
    fn each_value_stands_under_the_way_to_it() {
        let sample = sample();
        let columns = Columns::of(&sample).unwrap();
        let (header, row) = (fields(&columns.header().unwrap()), fields(&columns.row(&sample).unwrap()));
        assert_eq!(header.len(), row.len());
        assert_eq!(value(&header, &row, "round"), "4");
        assert_eq!(value(&header, &row, "node.cpu.user_ticks"), "5");
        assert_eq!(value(&header, &row, "node.cpu.steal_ticks"), "", "a field that this kernel lacks is not 0");
        assert_eq!(value(&header, &row, "node.cpus.8.user_ticks"), "3");
        assert_eq!(value(&header, &row, "node.psi_cpu"), "", "absent, whatever the reason");
        assert_eq!(value(&header, &row, "processes.a,b.run_ns"), "9");
        assert_eq!(value(&header, &row, "slow.memory"), "");
    }

    #[test]
    fn what_is_not_due_leaves_its_columns_empty() {
        let first = sample();
        let columns = Columns::of(&first).unwrap();
        let later = Sample { round: 5, node: NodeSample::default(), slow: None, ..first };
        let (header, row) = (fields(&columns.header().unwrap()), fields(&columns.row(&later).unwrap()));
        assert_eq!(header.len(), row.len());
        assert_eq!(value(&header, &row, "round"), "5");
        assert_eq!(value(&header, &row, "node.cpu.user_ticks"), "");
        assert_eq!(value(&header, &row, "processes.a,b.run_ns"), "9", "what follows stays under its column");
    }
}
