//! The disk test beside a run: before its first trial and after its last, never while anything is measured.

use std::path::Path;
use std::time::Duration;

use node_probe::disk_test::Config;
use record::{DiskTest, RunDirectory};

use super::{text, watched};
use crate::exit;
use crate::interrupt::{Interrupt, Stopped};
use crate::progress::say;

/// Short, since there are two of them: what changed between them is looked for, not the last digit.
const LENGTH: Duration = Duration::from_secs(2);

/// Tests the disk that a run will be written to.
///
/// # Errors
/// When it cannot be tested, or the user stopped it.
pub(crate) fn before(place: &Path, interrupt: &Interrupt) -> anyhow::Result<DiskTest> {
    let test = test(place, interrupt)?;
    say(&format!("disk before: {}\n", text::line(&test)));
    Ok(test)
}

/// Tests it again and keeps that with the run. What goes wrong is said and costs nothing: the trials are sealed.
pub(crate) fn after(directory: &RunDirectory, interrupt: &Interrupt) {
    let kept = test(directory.path(), interrupt).and_then(|test| {
        directory.write_disk_after(&test)?;
        say(&format!("disk after: {}\n", text::line(&test)));
        Ok(())
    });
    if let Err(error) = kept {
        say(&format!("warning: the disk was not tested after the run: {}\n", exit::say(&error)));
    }
}

fn test(place: &Path, interrupt: &Interrupt) -> anyhow::Result<DiskTest> {
    let test = watched(&Config { length: LENGTH, ..Config::new(place) }, interrupt)?;
    for warning in &test.warnings {
        say(&format!("note: {warning}\n"));
    }
    if test.cut_off { Err(Stopped.into()) } else { Ok(test) }
}
