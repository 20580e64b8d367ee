//! The disk test beside a run: before its first trial and after its last, never while anything is measured.

use std::path::Path;
use std::time::Duration;

use node_probe::disk_test::Config;
use record::{DiskTest, RunDirectory};

use super::{text, watched};
use crate::exit;
use crate::interrupt::{Interrupt, Stopped};
use crate::progress::say;

/// The size of its file: there are two tests, and what changed between them is looked for, not the last digit.
const SIZE_BYTES: u64 = 256 << 20;

/// Whether a run is to have them, and how long they are.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Beside {
    /// Test the disk before the first trial and after the last (see `meshtax disk`), with a file of 256 MiB.
    #[arg(long)]
    pub(crate) disk: bool,
    /// Seconds that each of its 8 tests is measured, in tenths.
    #[arg(long, value_name = "S", default_value = "2", value_parser = super::seconds, requires = "disk")]
    pub(crate) disk_seconds: Duration,
}

/// Tests the disk that a run will be written to.
///
/// # Errors
/// When it cannot be tested, or the user stopped it.
pub(crate) fn before(place: &Path, asked: Beside, interrupt: &Interrupt) -> anyhow::Result<DiskTest> {
    let test = test(place, asked, interrupt)?;
    say(&format!("disk before: {}\n", text::line(&test)));
    Ok(test)
}

/// Tests it again and keeps that with the run. What goes wrong is said and costs nothing: the trials are sealed.
pub(crate) fn after(directory: &RunDirectory, asked: Beside, interrupt: &Interrupt) {
    let kept = test(directory.path(), asked, interrupt).and_then(|test| {
        directory.write_disk_after(&test)?;
        say(&format!("disk after: {}\n", text::line(&test)));
        Ok(())
    });
    if let Err(error) = kept {
        say(&format!("warning: the disk was not tested after the run: {}\n", exit::say(&error)));
    }
}

/// What both found, for the text of a report; nothing where none was made.
///
/// # Errors
/// When one is there and cannot be read.
pub(crate) fn section(directory: &RunDirectory) -> anyhow::Result<String> {
    Ok(text::beside(directory.disk_before()?.as_ref(), directory.disk_after()?.as_ref()))
}

fn test(place: &Path, asked: Beside, interrupt: &Interrupt) -> anyhow::Result<DiskTest> {
    let config = Config { length: asked.disk_seconds, size_bytes: Some(SIZE_BYTES), ..Config::new(place) };
    let test = watched(&config, interrupt)?;
    for warning in &test.warnings {
        say(&format!("note: {warning}\n"));
    }
    if test.cut_off { Err(Stopped.into()) } else { Ok(test) }
}
