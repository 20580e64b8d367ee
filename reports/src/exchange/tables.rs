//! All intervals of a run as one table, and all samples as another.

use std::io::Write;

use record::{RunDirectory, Trial};

use super::sealed;
use crate::load::CsvWriter;
use crate::samples_csv::Columns;
use crate::{Error, Result};

/// What says of which trial a row is.
const BEFORE: [&str; 3] = ["trial", "cell", "block"];

fn before(trial: &Trial) -> [String; 3] {
    [trial.id.clone(), trial.cell.clone(), trial.block.to_string()]
}

/// Each interval of each sealed trial as a row, warm-up and all, after columns that say of which trial it is.
///
/// # Errors
/// When the run cannot be read or the table not be written.
pub fn intervals_csv(dir: &RunDirectory, to: impl Write) -> Result<()> {
    let mut table = CsvWriter::after(&BEFORE, to)?;
    for trial in sealed::trials(dir, &dir.run()?)? {
        let before = before(&trial);
        for interval in dir.intervals(&trial.id)? {
            table.append_after(&before, &interval?)?;
        }
    }
    table.finish().map(drop)
}

/// Each sample of each sealed trial as a row of raw counters. The columns are those of all trials together; what a
/// trial's samples lack is empty.
///
/// # Errors
/// When the run cannot be read or the table not be written.
pub fn samples_csv(dir: &RunDirectory, mut to: impl Write) -> Result<()> {
    let trials = sealed::trials(dir, &dir.run()?)?;
    let mut columns = Columns::default();
    for trial in &trials {
        // The first round holds what every tier reads.
        if let Some(first) = dir.samples(&trial.id)?.next() {
            columns.add(&first?)?;
        }
    }
    let mut put = |text: String| to.write_all(text.as_bytes()).map_err(failed);
    put(columns.header(&BEFORE)?)?;
    for trial in &trials {
        let before = before(trial);
        let before = before.each_ref().map(String::as_str);
        for sample in dir.samples(&trial.id)? {
            put(columns.row(&before, &sample?)?)?;
        }
    }
    to.flush().map_err(failed)
}

fn failed(error: std::io::Error) -> Error {
    crate::load::Error::Write { form: "CSV table of samples", source: error }.into()
}
