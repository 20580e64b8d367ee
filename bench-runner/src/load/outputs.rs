//! Where the intervals of a load go besides its record: files in the forms of others, and the line on a terminal.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use record::{ClockAnchor, Interval, LoadSummary};
use reports::load::{CsvWriter, HlogWriter, Measured, fortio, open_metrics};

use super::live::Live;

/// Files to write.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Files {
    /// Write an HdrHistogram interval log, with the tags response and service.
    #[arg(long, value_name = "FILE", help_heading = "Other forms of the result")]
    hlog: Option<PathBuf>,
    /// Write a line for each tenth of a second.
    #[arg(long, value_name = "FILE", help_heading = "Other forms of the result")]
    csv: Option<PathBuf>,
    /// Write the result as Fortio writes its own.
    #[arg(long, value_name = "FILE", help_heading = "Other forms of the result")]
    fortio: Option<PathBuf>,
    /// Write the result as OpenMetrics text.
    #[arg(long, value_name = "FILE", help_heading = "Other forms of the result")]
    open_metrics: Option<PathBuf>,
}

/// What is being written while the load runs.
pub(crate) struct Outputs {
    files: Files,
    anchor: ClockAnchor,
    hlog: Option<HlogWriter<BufWriter<File>>>,
    csv: Option<CsvWriter<BufWriter<File>>>,
    measured: Measured,
    live: Option<Live>,
    /// The first thing that went wrong; the load goes on without.
    problem: Option<anyhow::Error>,
}

impl Outputs {
    /// Opens the files before the load begins: one that cannot be written is found out then.
    ///
    /// # Errors
    /// With the file.
    pub(crate) fn open(files: &Files, live: Option<Live>) -> anyhow::Result<Self> {
        let anchor = ClockAnchor::now();
        let hlog = files.hlog.as_deref().map(|path| named(HlogWriter::new(create(path)?, anchor), path)).transpose()?;
        let csv = files.csv.as_deref().map(|path| named(CsvWriter::new(create(path)?), path)).transpose()?;
        // Written at the end, and looked at now.
        for path in [&files.fortio, &files.open_metrics].into_iter().flatten() {
            create(path)?;
        }
        let files = files.clone();
        Ok(Self { files, anchor, hlog, csv, measured: Measured::default(), live, problem: None })
    }

    /// Takes an interval; called by the writer's thread.
    pub(crate) fn see(&mut self, interval: &Interval) {
        if let Some(live) = &mut self.live {
            live.see(interval);
        }
        if self.problem.is_none()
            && let Err(problem) = self.write(interval)
        {
            self.problem = Some(problem);
        }
    }

    fn write(&mut self, interval: &Interval) -> anyhow::Result<()> {
        if self.files.fortio.is_some() || self.files.open_metrics.is_some() {
            self.measured.add(interval)?;
        }
        if let (Some(hlog), Some(path)) = (&mut self.hlog, &self.files.hlog) {
            named(hlog.append(interval), path)?;
        }
        if let (Some(csv), Some(path)) = (&mut self.csv, &self.files.csv) {
            named(csv.append(interval), path)?;
        }
        Ok(())
    }

    /// Takes the line off the terminal.
    pub(crate) fn clear(&mut self) {
        if let Some(live) = &mut self.live {
            live.clear();
        }
    }

    /// Writes what is written at the end.
    ///
    /// # Errors
    /// The first thing that went wrong with a file, now or while the load ran.
    pub(crate) fn finish(self, summary: &LoadSummary) -> anyhow::Result<()> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        if let (Some(hlog), Some(path)) = (self.hlog, &self.files.hlog) {
            flush(named(hlog.finish(), path)?, path)?;
        }
        if let (Some(csv), Some(path)) = (self.csv, &self.files.csv) {
            flush(named(csv.finish(), path)?, path)?;
        }
        if let Some(path) = &self.files.fortio {
            write(path, &fortio::render(summary, &self.measured.response, self.anchor)?)?;
        }
        if let Some(path) = &self.files.open_metrics {
            write(path, &open_metrics::render(summary, &self.measured))?;
        }
        Ok(())
    }
}

fn create(path: &Path) -> anyhow::Result<BufWriter<File>> {
    File::create(path).map(BufWriter::new).with_context(|| format!("cannot write {}", path.display()))
}

fn named<T>(result: reports::Result<T>, path: &Path) -> anyhow::Result<T> {
    result.with_context(|| format!("cannot write {}", path.display()))
}

fn flush(to: BufWriter<File>, path: &Path) -> anyhow::Result<()> {
    to.into_inner().map(drop).map_err(|e| e.into_error()).with_context(|| format!("cannot write {}", path.display()))
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
