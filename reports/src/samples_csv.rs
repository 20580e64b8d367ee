//! Samples as CSV: raw counters in flat columns, with the unit in each name; empty where absent or not due.
//!
//! A column's name is the way to its value in the JSON form of a sample, so that both forms always have the same.

use std::collections::HashMap;

use record::Sample;
use serde_json::Value;

use crate::{Error, Result};

const TABLE: &str = "samples";

/// The columns, which are those of the samples they were made of: the first of a trial holds what every tier reads, and
/// later rows have the same.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    names: Vec<String>,
    places: HashMap<String, usize>,
}

impl Columns {
    /// Those of one sample.
    ///
    /// # Errors
    /// None that the type allows for; the writer's, if it has one.
    pub fn of(sample: &Sample) -> Result<Self> {
        let mut columns = Self::default();
        columns.add(sample)?;
        Ok(columns)
    }

    /// Adds the columns of one more sample, at the end.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn add(&mut self, sample: &Sample) -> Result<()> {
        for (name, _) in cells(sample)? {
            if !self.places.contains_key(&name) {
                self.places.insert(name.clone(), self.names.len());
                self.names.push(name);
            }
        }
        Ok(())
    }

    /// The head of the table, with these columns before.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn header(&self, before: &[&str]) -> Result<String> {
        line(before.iter().copied().chain(self.names.iter().map(String::as_str)))
    }

    /// The values of a sample under the columns, with these before; a CPU that came online later has none.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn row(&self, before: &[&str], sample: &Sample) -> Result<String> {
        let mut row = vec![String::new(); self.names.len()];
        for (name, value) in cells(sample)? {
            if let Some(cell) = self.places.get(&name).and_then(|at| row.get_mut(*at)) {
                *cell = value;
            }
        }
        line(before.iter().copied().chain(row.iter().map(String::as_str)))
    }
}

/// Fields as one line; a name may hold anything that a user gave.
fn line<'f>(fields: impl Iterator<Item = &'f str>) -> Result<String> {
    let failed = |message: String| Error::Csv { table: TABLE, message };
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    writer.write_record(fields).map_err(|e| failed(e.to_string()))?;
    let bytes = writer.into_inner().map_err(|e| failed(e.to_string()))?;
    String::from_utf8(bytes).map_err(|e| failed(e.to_string()))
}

/// Every value of a sample with its name.
fn cells(sample: &Sample) -> Result<Vec<(String, String)>> {
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
        let (header, row) = (fields(&columns.header(&[]).unwrap()), fields(&columns.row(&[], &sample).unwrap()));
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
        let (header, row) = (fields(&columns.header(&[]).unwrap()), fields(&columns.row(&[], &later).unwrap()));
        assert_eq!(header.len(), row.len());
        assert_eq!(value(&header, &row, "round"), "5");
        assert_eq!(value(&header, &row, "node.cpu.user_ticks"), "");
        assert_eq!(value(&header, &row, "processes.a,b.run_ns"), "9", "what follows stays under its column");
    }

    #[test]
    fn the_columns_of_several_are_those_of_all() {
        let first = sample();
        let mut other = sample();
        other.processes = BTreeMap::from([("envoy".to_owned(), ProcessSample::default())]);
        let mut columns = Columns::of(&first).unwrap();
        columns.add(&other).unwrap();
        let header = fields(&columns.header(&["trial"]).unwrap());
        let row = fields(&columns.row(&["7"], &other).unwrap());
        assert_eq!((header.len(), header[0].as_str(), row[0].as_str()), (row.len(), "trial", "7"));
        assert_eq!(value(&header, &row, "processes.envoy.pid"), "0");
        assert_eq!(value(&header, &row, "processes.a,b.pid"), "", "what a sample lacks is not 0");
    }
}
