//! `meshtax report` in the forms that other tools read: what a run recorded, for each trial and for each cell.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::Context as _;
use record::RunDirectory;
use reports::Findings;
use reports::exchange::{self, Form};

use super::{Format, print, put};
use crate::exit::Usage;

/// Writes the run in a form of this kind; false where the form is of another kind.
pub(super) fn write(
    directory: &RunDirectory,
    findings: &Findings,
    format: Format,
    output: Option<&Path>,
) -> anyhow::Result<bool> {
    match format {
        Format::Hlog => many(directory, findings, Form::Hlog, output),
        Format::Fortio => many(directory, findings, Form::Fortio, output),
        Format::Smp => many(directory, findings, Form::Smp, output),
        Format::OpenMetrics => put(&exchange::open_metrics(directory, findings)?, output),
        Format::IntervalsCsv => stream(output, |to| exchange::intervals_csv(directory, to)),
        Format::SamplesCsv => stream(output, |to| exchange::samples_csv(directory, to)),
        _ => return Ok(false),
    }
    .map(|()| true)
}

/// A file for each trial and each cell.
fn many(directory: &RunDirectory, findings: &Findings, form: Form, output: Option<&Path>) -> anyhow::Result<()> {
    let Some(folder) = output else {
        let said = "this form is of many files, a trial and a cell each\n  try: --output DIR, a folder to put them in";
        return Err(Usage(said.to_owned()).into());
    };
    let written = exchange::write(directory, findings, form, folder)?;
    print(&format!("{} files in {}", written.len(), folder.display()))
}

/// A table that need not be held whole: to the file, or to stdout, whose reader may go away.
fn stream(output: Option<&Path>, write: impl FnOnce(&mut dyn Write) -> reports::Result<()>) -> anyhow::Result<()> {
    let Some(path) = output else {
        let mut to = Watched { to: BufWriter::new(io::stdout().lock()), left: false };
        return match write(&mut to) {
            Err(_) if to.left => Ok(()),
            other => Ok(other?),
        };
    };
    let cannot = || format!("cannot write {}", path.display());
    let mut to = BufWriter::new(std::fs::File::create(path).with_context(cannot)?);
    write(&mut to).with_context(cannot)?;
    to.flush().with_context(cannot)
}

/// Standard output, and whether its reader went away.
struct Watched<W> {
    to: W,
    left: bool,
}

impl<W: Write> Watched<W> {
    fn seen<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        self.left |= result.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::BrokenPipe);
        result
    }
}

impl<W: Write> Write for Watched<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.to.write(bytes);
        self.seen(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.to.flush();
        self.seen(result)
    }
}
